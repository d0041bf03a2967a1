/* Cloud Run and Container Apps. */
#include "render/rows_impl.h"

const struct render_row rows_cloudrun[] = {
    {0},
};

const struct render_row rows_containerapp[] = {
    {0},
};

void facts_clouds(const struct facts *f)
{
    facts_begin(f, "clouds");
    facts_end(f);
}
