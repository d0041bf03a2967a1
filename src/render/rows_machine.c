/* What a machine runs: systemd units, cloud-init, monitoring. */
#include "render/rows_impl.h"

const struct render_row rows_units[] = {
    {0},
};

const struct render_row rows_machine[] = {
    {0},
};

const struct render_row rows_observability[] = {
    {0},
};

void facts_machine(const struct facts *f)
{
    facts_begin(f, "machine");
    facts_end(f);
}

void check_machine(const struct manifest *m, const struct target *t, struct problems *p)
{
    (void)m, (void)t, (void)p;
}
