/* May a fetch connect there? Asked for each address right before the connection is made. */
#include "fetch/fetch_impl.h"

#include <string.h>
#include <unistd.h>

/* The kernel binds to what is its own, however it came by it. */
bool guard_is_own(const struct address *a)
{
    struct address own = *a;
    own.sa.v4.sin_port = 0; /* in the same place in both families */
    int fd = socket(a->sa.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool is_own = fd < 0 || bind(fd, &own.sa.any, own.len) == 0;
    if (fd >= 0)
        close(fd);
    return is_own;
}

bool guard_decides(bool is_public, bool is_own, uint16_t port)
{
    return is_public && (!is_own || port == 80 || port == 443);
}

bool guard_allows(const struct fetch_options *o, const struct address *to)
{
    struct ip ip, allowed;
    if (!ip_of(&ip, to))
        return false;
    if (o->is_unguarded)
        return true;
    for (size_t i = 0; i < o->n_allow; i++) {
        const struct address *row = &o->allow[i];
        bool is_port = row->sa.v4.sin_port == 0 || row->sa.v4.sin_port == to->sa.v4.sin_port;
        if (is_port && ip_of(&allowed, row) && memcmp(&allowed, &ip, sizeof ip) == 0)
            return true;
    }
    return guard_decides(ip_is_public(&ip), guard_is_own(to), ntohs(to->sa.v4.sin_port));
}
