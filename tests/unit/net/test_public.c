/* The first and last address of each range that is not public, and their neighbours that are. */
#include "net/net.h"
#include "unit.h"

#include <stdio.h>

/* first and last of the range; the addresses before and after it, NULL where they are closed too */
static const struct range {
    const char *before, *first, *last, *after;
} closed[] = {
    {NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
    {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
    {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
    {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
    {"168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"},
    {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
    {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
    {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
    {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
    {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
    {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
    {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
    {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
    {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
    {"223.255.255.255", "224.0.0.0", "239.255.255.255", NULL},
    {NULL, "240.0.0.0", "255.255.255.255", NULL},
    {NULL, "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
    {"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
     "2001:200::"},
    {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
     "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
    {"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     "2003::"},
    {"3ffd:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     NULL},
    {NULL, "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
    {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
     NULL},
};

/* What lies somewhere inside, by the name an attacker would choose it for. */
static const char *const closed_too[] = {
    "127.0.0.1",
    "0.0.0.0",
    "169.254.169.254",
    "100.100.100.200",
    "192.0.0.192",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:0:0",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "::ffff:0:8.8.8.8", /* translated, not mapped */
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b::10.1.2.3",
    "64:ff9b::0.0.0.0",
    "64:ff9b:0:0:0:1:808:808",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe", /* Teredo to 10.0.0.1 */
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:808:808::1",
    "5f00::1",
    "fc00::1",
    "fd00::",
    "fd00:ec2::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::1",
    "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
};

static const char *const reachable[] = {
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "192.0.1.1",
    "223.1.1.1",
    "::ffff:8.8.8.8",
    "::ffff:808:808",
    "64:ff9b::8.8.8.8",
    "64:ff9b::808:808",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "2620:fe::fe",
    "3000::1",
};

static bool is_public(const char *text)
{
    struct ip ip;
    if (!ip_parse(&ip, slice_from(text)))
        fail_msg("%s is no address", text);
    return ip_is_public(&ip);
}

static void expect(const char *text, bool wanted)
{
    if (text && is_public(text) != wanted)
        fail_msg("%s is %spublic", text, wanted ? "not " : "");
}

static void edges(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        expect(closed[i].before, true);
        expect(closed[i].first, false);
        expect(closed[i].last, false);
        expect(closed[i].after, true);
    }
}

static void names(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof closed_too / sizeof *closed_too; i++)
        expect(closed_too[i], false);
    for (size_t i = 0; i < sizeof reachable / sizeof *reachable; i++)
        expect(reachable[i], true);
}

/* Every IPv4 edge once more, inside an IPv6 address that is judged by it. */
static void inside(void **state)
{
    static const char *const prefixes[] = {"::ffff:", "64:ff9b::"};
    (void)state;
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        const char *const texts[] = {closed[i].before, closed[i].first, closed[i].last,
                                     closed[i].after};
        for (size_t j = 0; j < 8; j++) {
            char text[64];
            if (!texts[j / 2] || strchr(texts[j / 2], ':'))
                continue;
            snprintf(text, sizeof text, "%s%s", prefixes[j % 2], texts[j / 2]);
            expect(text, j / 2 == 0 || j / 2 == 3);
        }
    }
}

TESTS(cmocka_unit_test(edges), cmocka_unit_test(names), cmocka_unit_test(inside))
