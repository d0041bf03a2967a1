/* dais build: runs the build commands of the apps' web sides, and makes whole releases ready. */
#include "app/app.h"
#include "cli/cli.h"

static int run(const struct args *args);

const struct verb verb_build = {
    .name = "build",
    .summary = "Run web.build of an app, or of several on one host.",
    .usage = "[DIR...] [--release [--no-web] [--data DIR]]",
    .help =
        "The command runs in the app's folder, with DAIS_BASE set to the path the app is served\n"
        "at, \"/\" or \"/slug/\". `dais serve --dev` does the same where web.root is missing.\n\n"
        "--release makes all of a release ready, once: packages are looked up, backend.setup is\n"
        "run, and the paths of backend.persist become links into the data folder, which need not\n"
        "be there yet. The folder can then be served by another user, and be read-only: `dais\n"
        "serve` writes nothing into it, and copies what came with the release into the data\n"
        "folder when that has nothing of its own. Do it in an image or in a copy. Again is fine.\n",
    .run = run,
    .flags = {{"--release", NULL, "Make the backend ready too, and seal the folder.", 0},
              {"--no-web", NULL, "web.build was run before, elsewhere perhaps.", 0},
              {"--data", "DIR", "Where the data folder will be when it is served.", 0}},
    .max_words = APP_DIRS_MAX,
};

static int run(const struct args *args)
{
    const struct app_options options = {
        .dirs = args->words,
        .n_dirs = args->n_words,
        .data = args_flag(args, "--data"),
        .no_web = args_has(args, "--no-web"),
    };
    struct err e;
    bool is_release = args_has(args, "--release");
    if (!is_release && (options.no_web || options.data))
        return cli_usage_error(args, "--no-web and --data only mean something with --release");
    bool fine = is_release ? app_release(&options, &e) : app_build(&options, false, &e);
    return fine ? 0 : cli_fail(args, &e);
}
