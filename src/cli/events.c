/* The verb events: what happened to accounts, keys and the host, and what should not have. */
#include "app/app.h"
#include "cli/cli.h"

static int run(const struct args *args);

const struct verb verb_events = {
    .name = "events",
    .summary = "Show who did what to accounts, keys and the host, and anomalies.",
    .usage = "[DIR...] [--anomalies] [--kind K] [--who ID] [--host] [--limit N] [--json]",
    .help = "A line per event, newest first: when, what, who, to what, from where. Anomalies are\n"
            "what should not happen: failed sign-ins, many refusals, limits that were reached,\n"
            "backends that ended. Events are kept for 90 days, and the newest 100,000 of them.\n"
            "With --json, one object a line for each app: {\"app\",\"items\",\"next\"}.\n",
    .run = run,
    .flags = {{"--anomalies", NULL, "Only those.", 0},
              {"--kind", "K", "Only this kind: account.sign_in_failed.", 0},
              {"--who", "ID", "Only what this account or key did.", 0},
              {"--host", NULL, "Those of the host instead of its apps.", 0},
              {"--limit", "N", "At most so many of each app, 1 to 1000; default 30.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0},
              {"--json", NULL, "Print the result as JSON.", 0}},
    .max_words = APP_DIRS_MAX,
};

static int run(const struct args *args)
{
    const struct app_options options = {
        .dirs = args->words, .n_dirs = args->n_words, .data = args_flag(args, "--data")};
    struct app_events what = {.kind = args_flag(args, "--kind"),
                              .who = args_flag(args, "--who"),
                              .is_anomaly = args_has(args, "--anomalies"),
                              .is_host = args_has(args, "--host"),
                              .is_json = args_has(args, "--json")};
    const char *limit = args_flag(args, "--limit");
    uint64_t n = 0;
    if (limit && (!slice_to_u64(slice_from(limit), &n) || n < 1 || n > 1000))
        return cli_usage_error(args, "--limit takes a number from 1 to 1000");
    what.limit = (uint32_t)n;
    return app_print_events(&options, &what);
}
