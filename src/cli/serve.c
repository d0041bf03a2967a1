/* dais serve: runs the apps until it is told to stop. */
#include "app/app.h"
#include "cli/cli.h"

static int run(const struct args *args);

const struct verb verb_serve = {
    .name = "serve",
    .summary = "Serve an app, or several on one host.",
    .usage = "[DIR...] [--dev] [--listen ADDR] [--data DIR]",
    .help = "DIR is an app folder (with dais.yaml), several of them, or a folder with host.yaml;\n"
            "the present folder when none is named. Ctrl+C finishes open requests and stops.\n"
            "A folder that `dais build --release` made ready is never written.\n"
            "Sockets that systemd passes (a .socket unit) take the place of --listen.\n"
            "SIGHUP and `dais reload` read the manifests again without losing a request.\n",
    .run = run,
    .flags = {{"--dev", NULL, "Reload pages when their files change.", 0},
              {"--listen", "ADDR",
               "127.0.0.1:8000, 0.0.0.0:80, [::1]:8000, unix:/path; port 0: any free one.", 'l'},
              {"--data", "DIR", "Where everything dais writes is kept (default: data).", 0}},
    .max_words = APP_DIRS_MAX,
};

static int run(const struct args *args)
{
    const struct app_options options = {
        .dirs = args->words,
        .n_dirs = args->n_words,
        .listen = args_flag(args, "--listen"),
        .data = args_flag(args, "--data"),
        .dev = args_has(args, "--dev"),
    };
    return app_serve(&options);
}
