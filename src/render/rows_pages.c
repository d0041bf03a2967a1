/* The static part of the app as a site below a path. */
#include "render/rows_impl.h"

const struct render_row rows_pages[] = {
    {0},
};

void facts_pages(const struct facts *f)
{
    facts_begin(f, "pages");
    facts_end(f);
}

void check_pages(const struct manifest *m, const struct target *t, struct problems *p)
{
    (void)m, (void)t, (void)p;
}

bool add_pages(struct arena *a, const struct json *facts, struct render_files *to, struct err *e)
{
    (void)a, (void)facts, (void)to, (void)e;
    return true;
}
