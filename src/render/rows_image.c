/* The image of the app, Compose on one's own machine, and the image of CI. */
#include "render/rows_impl.h"

const struct render_row rows_image[] = {
    {"docker/app.Dockerfile", "local/app.Dockerfile", NULL, false},
    {".dockerignore", "local/dockerignore", NULL, false},
    {0},
};

const struct render_row rows_local[] = {
    {"docker-compose.yml", "local/docker-compose.yml", NULL, false},
    {".env.example", "local/env.example", NULL, false},
    {0},
};

const struct render_row rows_ci_image[] = {
    {0},
};

void facts_image(const struct facts *f)
{
    facts_begin(f, "image");
    facts_end(f);
}
