/* CloudFormation: a machine, ECS Express, Fargate, App Runner. */
#include "render/rows_impl.h"

const struct render_row rows_cloudformation[] = {
    {0},
};

void facts_aws(const struct facts *f)
{
    facts_begin(f, "aws");
    facts_end(f);
}

void check_aws(const struct manifest *m, const struct target *t, struct problems *p)
{
    (void)m, (void)t, (void)p;
}
