/* Compose on a server: a file and an example environment for each cloud. */
#include "render/rows_impl.h"

const struct render_row rows_compose_droplet[] = {
    {0},
};

const struct render_row rows_compose_aws[] = {
    {0},
};

const struct render_row rows_compose_gcp[] = {
    {0},
};

const struct render_row rows_compose_azure[] = {
    {0},
};

void facts_compose(const struct facts *f)
{
    facts_begin(f, "compose");
    facts_end(f);
}
