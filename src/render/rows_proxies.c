/* Proxies for people who have one of their own before dais. */
#include "render/rows_impl.h"

const struct render_row rows_proxies[] = {
    {0},
};

void facts_proxies(const struct facts *f)
{
    facts_begin(f, "proxy");
    facts_end(f);
}
