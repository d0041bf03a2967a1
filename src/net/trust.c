/* Whose forwarding headers are believed, and so who the client is. */
#include "net/net.h"

#include <string.h>

static bool add_network(struct trust *t, struct slice text, struct err *e)
{
    struct slice address = text, bits_text = {0};
    struct ip ip;
    uint64_t bits = 128;
    ptrdiff_t slash = slice_index(text, '/');
    if (slash >= 0) {
        address = slice_first(text, (size_t)slash);
        bits_text = slice_skip(text, (size_t)slash + 1);
    }
    if (!ip_parse(&ip, address))
        return err_set(e, ERR_USAGE,
                       "\"%.*s\" is no address or network; write 10.0.0.0/8, ::1, loopback or "
                       "private",
                       SLICE_ARGS(text));
    bool v4 = slice_index(address, ':') < 0;
    if (slash >= 0 && (!slice_to_u64(bits_text, &bits) || bits > (v4 ? 32u : 128u)))
        return err_set(e, ERR_USAGE, "\"%.*s\" has an impossible prefix length", SLICE_ARGS(text));
    if (v4 && slash >= 0)
        bits += 96;
    if (t->n == sizeof t->rows / sizeof *t->rows)
        return err_set(e, ERR_USAGE, "more than %zu trusted networks",
                       sizeof t->rows / sizeof *t->rows);
    t->rows[t->n++] = (struct trust_row){ip, (unsigned)bits};
    return true;
}

static bool add_all(struct trust *t, const char *const *networks, struct err *e)
{
    for (; *networks; networks++) {
        if (!add_network(t, slice_from(*networks), e))
            return false;
    }
    return true;
}

bool trust_parse(struct trust *ret, struct slice list, struct err *e)
{
    static const char *const loopback[] = {"127.0.0.0/8", "::1", NULL};
    static const char *const private_nets[] = {
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "127.0.0.0/8", "::1", NULL};
    struct trust t = {0};
    struct slice item;
    while (slice_cut(&list, ',', &item)) {
        item = slice_trim(item);
        bool fine = item.len == 0                ? true
                    : slice_is(item, "loopback") ? add_all(&t, loopback, e)
                    : slice_is(item, "private")  ? add_all(&t, private_nets, e)
                                                 : add_network(&t, item, e);
        if (!fine)
            return false;
    }
    *ret = t;
    return true;
}

static bool is_in(const struct ip *ip, const struct trust_row *row)
{
    unsigned whole = row->bits / 8, rest = row->bits % 8;
    if (memcmp(ip->bytes, row->net.bytes, whole) != 0)
        return false;
    unsigned char mask = (unsigned char)(0xff00 >> rest);
    return rest == 0 || ((ip->bytes[whole] ^ row->net.bytes[whole]) & mask) == 0;
}

bool trust_has(const struct trust *t, const struct ip *ip)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (is_in(ip, &t->rows[i]))
            return true;
    }
    return false;
}

struct ip client_ip(const struct trust *t, const struct ip *peer, const struct h1_request *h1)
{
    struct ip client = *peer;
    struct hop_walk walk;
    struct slice hop;
    hop_walk_init(&walk, h1, HEADER_X_FORWARDED_FOR);
    while (trust_has(t, &client) && hop_next(&walk, &hop)) {
        struct ip next;
        if (!ip_parse(&next, hop))
            break;
        client = next;
    }
    return client;
}
