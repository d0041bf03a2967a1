/* The verb schema: the JSON Schema of the manifest. */
#include "base/buf.h"
#include "cli/cli.h"
#include "manifest/manifest.h"

#include <string.h>

static int run(const struct args *args);

const struct verb verb_schema = {
    .name = "schema",
    .summary = "Print the JSON Schema of dais.yaml.",
    .usage = "manifest",
    .help = "Editors that know JSON Schema complete and check dais.yaml with it.\n",
    .run = run,
    .min_words = 1,
    .max_words = 1,
};

static int run(const struct args *args)
{
    if (strcmp(args->words[0], "manifest") != 0)
        return cli_usage_error(args, "`%s` has no schema here; `manifest` has", args->words[0]);
    struct buf out;
    buf_init(&out, 4u << 20);
    manifest_json_schema(&out);
    fwrite(out.data, 1, out.len, stdout);
    buf_done(&out);
    return 0;
}
