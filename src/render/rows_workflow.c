/* The workflow that tests, plans and deploys. */
#include "render/rows_impl.h"

const struct render_row rows_workflow[] = {
    {0},
};

void facts_workflow(const struct facts *f)
{
    facts_begin(f, "workflow");
    facts_end(f);
}
