/* The verb version: what this binary is. */
#include "base/build.h"
#include "cli/cli.h"

#include <string.h>

static int run(const struct args *args);

const struct verb verb_version = {
    .name = "version",
    .summary = "Print the version.",
    .usage = "[--json]",
    .run = run,
    .flags = {{"--json", NULL, "Print it as JSON.", 0}},
};

static int run(const struct args *args)
{
    bool is_release = strcmp(build_mode, "release") == 0;
    if (args_has(args, "--json"))
        printf("{\"version\":\"%s\",\"release\":\"%s\",\"mode\":\"%s\"}\n", build_version,
               build_release, build_mode);
    else
        printf("dais %s (%s)%s%s\n", build_version, build_release, is_release ? "" : " ",
               is_release ? "" : build_mode);
    return 0;
}
