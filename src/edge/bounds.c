/* How long and how large a request of the backend may be, by its path. */
#include "edge/edge_impl.h"

/* The longest prefix counts even if it leaves the bound out: then it is the backend's own. */
static const struct bounds_row *bounds_find(const struct backend_conf *conf, struct slice path)
{
    const struct bounds_row *best = NULL;
    for (size_t i = 0; i < conf->bounds.n; i++) {
        const struct bounds_row *row = &conf->bounds.items[i];
        if (edge_is_below(path, row->prefix.s) && (!best || row->prefix.s.len > best->prefix.s.len))
            best = row;
    }
    return best;
}

int64_t bounds_timeout_ms(const struct backend_conf *conf, struct slice path)
{
    const struct bounds_row *row = bounds_find(conf, path);
    return row && row->timeout_ms >= 0 ? row->timeout_ms : conf->timeout_ms;
}

int64_t bounds_max_body(const struct backend_conf *conf, struct slice path)
{
    const struct bounds_row *row = bounds_find(conf, path);
    return row && row->max_body_bytes >= 0 ? row->max_body_bytes : conf->max_body_bytes;
}
