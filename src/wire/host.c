/* Host names as they stand in Host and in absolute targets: the strict grammar and its parts. */
#include "wire/scan_impl.h"
#include "wire/wire.h"

#include <arpa/inet.h>
#include <string.h>

#define NAME_MAX_BYTES 253

/* Length of the "[v6]" at the front; 0 when it is none. */
static size_t v6_len(struct slice s)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    ptrdiff_t close = slice_index(s, ']');
    if (close < 2 || (size_t)close > sizeof text)
        return 0;
    memcpy(text, s.ptr + 1, (size_t)close - 1);
    text[close - 1] = 0;
    if (strlen(text) != (size_t)close - 1 || inet_pton(AF_INET6, text, &parsed) != 1)
        return 0;
    return (size_t)close + 1;
}

/* Length of the name at the front: labels of letters, digits, '-' and '_', parted by one dot. */
static size_t name_len(struct slice s)
{
    size_t n = 0;
    while (n < s.len && n <= NAME_MAX_BYTES) {
        size_t label = n;
        while (n < s.len && scan_is(s.ptr[n], CH_HOST))
            n++;
        if (n == label && (n == 0 || s.ptr[n] == '.'))
            return 0;
        if (n == s.len || s.ptr[n] != '.')
            break;
        n++; /* a last dot is fine */
    }
    return n <= NAME_MAX_BYTES ? n : 0;
}

static bool port_is_valid(struct slice s)
{
    unsigned port = 0;
    if (s.len > 5)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!scan_is(s.ptr[i], CH_DIGIT))
            return false;
        port = port * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

bool host_is_valid(struct slice host)
{
    if (host.len == 0)
        return false;
    size_t n = host.ptr[0] == '[' ? v6_len(host) : name_len(host);
    if (n == 0)
        return false;
    return n == host.len || (host.ptr[n] == ':' && port_is_valid(slice_skip(host, n + 1)));
}

void host_split(struct slice host, struct slice *ret_name, uint16_t *ret_port)
{
    ptrdiff_t colon = slice_rindex(host, ':');
    ptrdiff_t bracket = slice_rindex(host, ']');
    uint64_t port = 0;
    *ret_name = host;
    *ret_port = 0;
    if (colon > bracket && slice_to_u64(slice_skip(host, (size_t)colon + 1), &port) &&
        port <= 65535) {
        *ret_name = slice_first(host, (size_t)colon);
        *ret_port = (uint16_t)port;
    }
}
