/* dais build: runs the build commands of the apps' web sides. */
#include "app/app.h"
#include "cli/cli.h"

static int run(const struct args *args);

const struct verb verb_build = {
    .name = "build",
    .summary = "Run web.build of an app, or of several on one host.",
    .usage = "[DIR...]",
    .help =
        "The command runs in the app's folder, with DAIS_BASE set to the path the app is served\n"
        "at, \"/\" or \"/slug/\". `dais serve --dev` does the same where web.root is missing.\n",
    .run = run,
    .max_words = APP_DIRS_MAX,
};

static int run(const struct args *args)
{
    const struct app_options options = {.dirs = args->words, .n_dirs = args->n_words};
    struct err e;
    return app_build(&options, false, &e) ? 0 : cli_fail(args, &e);
}
