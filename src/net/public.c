/* Which addresses belong to the public internet: the table that a guarded fetch asks. */
#include "net/net.h"

#include <arpa/inet.h>
#include <string.h>

struct row4 {
    uint32_t net;
    unsigned bits;
};
#define V4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

static const struct row4 closed4[] = {
    {V4(0, 0, 0, 0), 8},        /* this network; 0.0.0.0 reaches this machine */
    {V4(10, 0, 0, 0), 8},       /* private */
    {V4(100, 64, 0, 0), 10},    /* shared with a carrier; some clouds' metadata */
    {V4(127, 0, 0, 0), 8},      /* this machine */
    {V4(168, 63, 129, 16), 32}, /* looks public, but is Azure's host agent */
    {V4(169, 254, 0, 0), 16},   /* this link; most clouds' metadata */
    {V4(172, 16, 0, 0), 12},    /* private */
    {V4(192, 0, 0, 0), 24},     /* protocol assignments; Oracle's metadata */
    {V4(192, 0, 2, 0), 24},     /* documentation */
    {V4(192, 88, 99, 0), 24},   /* 6to4 relays, given up */
    {V4(192, 168, 0, 0), 16},   /* private */
    {V4(198, 18, 0, 0), 15},    /* benchmarks */
    {V4(198, 51, 100, 0), 24},  /* documentation */
    {V4(203, 0, 113, 0), 24},   /* documentation */
    {V4(224, 0, 0, 0), 4},      /* multicast */
    {V4(240, 0, 0, 0), 4},      /* reserved, and 255.255.255.255 */
};

/* Of IPv6 only 2000::/3 is in use for hosts; these parts of it are not. */
struct row6 {
    unsigned char net[6];
    unsigned bits;
};
static const struct row6 open6 = {{0x20}, 3};
static const struct row6 closed6[] = {
    {{0x20, 0x01, 0x00}, 23},       /* protocol assignments: Teredo, ORCHID, benchmarks */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},             /* 6to4: any IPv4 address may be inside */
    {{0x3f, 0xfe}, 16},             /* an experiment that has ended */
    {{0x3f, 0xff, 0x00}, 20},       /* documentation */
};

/* An IPv4 address follows these 96 bits. */
static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};

static bool is_in6(const struct ip *ip, const struct row6 *row)
{
    unsigned whole = row->bits / 8, rest = row->bits % 8;
    if (memcmp(ip->bytes, row->net, whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00 >> rest);
    return rest == 0 || ((ip->bytes[whole] ^ row->net[whole]) & mask) == 0;
}

static bool is_public4(const unsigned char bytes[4])
{
    uint32_t a = V4(bytes[0], bytes[1], bytes[2], bytes[3]);
    for (size_t i = 0; i < sizeof closed4 / sizeof *closed4; i++) {
        if ((a ^ closed4[i].net) >> (32 - closed4[i].bits) == 0)
            return false;
    }
    return true;
}

bool ip_is_public(const struct ip *ip)
{
    if (memcmp(ip->bytes, mapped, sizeof mapped) == 0 ||
        memcmp(ip->bytes, nat64, sizeof nat64) == 0)
        return is_public4(ip->bytes + 12);
    if (!is_in6(ip, &open6))
        return false;
    for (size_t i = 0; i < sizeof closed6 / sizeof *closed6; i++) {
        if (is_in6(ip, &closed6[i]))
            return false;
    }
    return true;
}
