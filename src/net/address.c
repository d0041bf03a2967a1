/* Listen addresses and IPs: text to struct and back. */
#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

/* ---- listen addresses --------------------------------------------------------------------------
 */

static bool unix_parse(struct address *ret, struct slice path, struct err *e)
{
    if (path.len == 0)
        return err_set(e, ERR_USAGE, "unix: needs a path, as in unix:/run/dais.sock");
    if (path.len >= sizeof ret->path)
        return err_set(e, ERR_USAGE, "the path of the unix socket is longer than %zu bytes",
                       sizeof ret->path - 1);
    if (slice_index(path, '\0') >= 0)
        return err_set(e, ERR_USAGE, "the path of the unix socket holds a NUL byte");
    *ret = (struct address){.len = sizeof(struct sockaddr_un)};
    ret->sa.any.sa_family = AF_UNIX;
    memcpy(ret->path, path.ptr, path.len);
    return true;
}

static bool port_parse(struct slice text, uint16_t *ret, struct err *e)
{
    uint64_t port;
    if (!slice_to_u64(text, &port) || port > 65535)
        return err_set(e, ERR_USAGE, "\"%.*s\" is not a port; use 0 to 65535", SLICE_ARGS(text));
    *ret = (uint16_t)port;
    return true;
}

static bool host_parse(struct address *ret, struct slice host, uint16_t port, struct err *e)
{
    char text[INET6_ADDRSTRLEN];
    *ret = (struct address){0};
    if (host.len >= sizeof text || slice_index(host, '\0') >= 0)
        return err_set(e, ERR_USAGE, "\"%.*s\" is not an IP address", SLICE_ARGS(host));
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (host.len == 0) { /* every address, IPv4 through the same socket */
        ret->sa.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
        ret->len = sizeof ret->sa.v6;
        return true;
    }
    if (slice_is(host, "localhost"))
        memcpy(text, "127.0.0.1", sizeof "127.0.0.1");
    if (inet_pton(AF_INET, text, &ret->sa.v4.sin_addr) == 1) {
        ret->sa.v4.sin_family = AF_INET;
        ret->sa.v4.sin_port = htons(port);
        ret->len = sizeof ret->sa.v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &ret->sa.v6.sin6_addr) == 1) {
        ret->sa.v6.sin6_family = AF_INET6;
        ret->sa.v6.sin6_port = htons(port);
        ret->len = sizeof ret->sa.v6;
        return true;
    }
    return err_set(e, ERR_USAGE,
                   "\"%s\" is not an address to listen on; use an IP address such as 127.0.0.1, "
                   "[::1] or 0.0.0.0, or localhost",
                   text);
}

bool address_parse(struct address *ret, struct slice text, struct err *e)
{
    struct slice host = {0}, port_text = text;
    struct address a;
    uint16_t port = 0;
    if (slice_starts(text, SLICE("unix:"))) {
        if (!unix_parse(&a, slice_skip(text, 5), e))
            return false;
        *ret = a;
        return true;
    }
    if (text.len && text.ptr[0] == '[') {
        ptrdiff_t end = slice_search(text, SLICE("]:"));
        if (end < 2)
            return err_set(e, ERR_USAGE, "\"%.*s\" lacks an address or a port; write [::1]:8000",
                           SLICE_ARGS(text));
        host = slice_first(slice_skip(text, 1), (size_t)end - 1);
        port_text = slice_skip(text, (size_t)end + 2);
    } else {
        ptrdiff_t colon = slice_rindex(text, ':');
        if (colon >= 0) {
            host = slice_first(text, (size_t)colon);
            port_text = slice_skip(text, (size_t)colon + 1);
        } else {
            host = SLICE("127.0.0.1");
        }
    }
    if (!port_parse(port_text, &port, e) || !host_parse(&a, host, port, e))
        return false;
    *ret = a;
    return true;
}

void address_text(const struct address *a, char to[ADDRESS_TEXT_LEN])
{
    char ip[INET6_ADDRSTRLEN];
    switch (a->sa.any.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->sa.v4.sin_addr, ip, sizeof ip);
        snprintf(to, ADDRESS_TEXT_LEN, "%s:%u", ip, ntohs(a->sa.v4.sin_port));
        break;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->sa.v6.sin6_addr, ip, sizeof ip);
        snprintf(to, ADDRESS_TEXT_LEN, "[%s]:%u", ip, ntohs(a->sa.v6.sin6_port));
        break;
    default:
        snprintf(to, ADDRESS_TEXT_LEN, "unix:%s", a->path);
    }
}

bool address_is_loopback(const struct address *a)
{
    struct ip ip;
    return !ip_of(&ip, a) || ip_is_loopback(&ip);
}

/* ---- IPs ---------------------------------------------------------------------------------------
 */

static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_parse(struct ip *ret, struct slice text)
{
    char cstr[INET6_ADDRSTRLEN];
    struct ip ip;
    if (text.len == 0 || text.len >= sizeof cstr || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(cstr, text.ptr, text.len);
    cstr[text.len] = '\0';
    memcpy(ip.bytes, mapped, sizeof mapped);
    if (inet_pton(AF_INET, cstr, ip.bytes + 12) != 1 && inet_pton(AF_INET6, cstr, ip.bytes) != 1)
        return false;
    *ret = ip;
    return true;
}

bool ip_of(struct ip *ret, const struct address *a)
{
    if (a->sa.any.sa_family == AF_INET) {
        memcpy(ret->bytes, mapped, sizeof mapped);
        memcpy(ret->bytes + 12, &a->sa.v4.sin_addr, 4);
        return true;
    }
    if (a->sa.any.sa_family == AF_INET6) {
        memcpy(ret->bytes, &a->sa.v6.sin6_addr, 16);
        return true;
    }
    return false;
}

static bool is_v4(const struct ip *ip)
{
    return memcmp(ip->bytes, mapped, sizeof mapped) == 0;
}

void ip_text(const struct ip *ip, char to[IP_TEXT_LEN])
{
    if (is_v4(ip))
        inet_ntop(AF_INET, ip->bytes + 12, to, IP_TEXT_LEN);
    else
        inet_ntop(AF_INET6, ip->bytes, to, IP_TEXT_LEN);
}

bool ip_is_loopback(const struct ip *ip)
{
    static const unsigned char one[16] = {[15] = 1};
    return is_v4(ip) ? ip->bytes[12] == 127 : memcmp(ip->bytes, one, sizeof one) == 0;
}
