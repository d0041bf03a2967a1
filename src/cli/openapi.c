/* The verb openapi: an app's API as OpenAPI 3.1. */
#include "cli/telling.h"

static int run(const struct args *args);

const struct verb verb_openapi = {
    .name = "openapi",
    .summary = "Print an app's API as OpenAPI 3.1.",
    .usage = "[DIR] [-o FILE]",
    .help = "The same manifest and schemas always give the same text: keep it beside the app, and\n"
            "a difference shows that the API has changed.\n",
    .run = run,
    .flags = {{"--out", "FILE", "Write it there instead.", 'o'}},
    .max_words = 1,
};

static int run(const struct args *args)
{
    return telling_app(args, args->n_words ? args->words[0] : ".", describe_openapi, NULL);
}
