/* The verb schema: JSON Schemas of the manifest, of host.yaml, and of an app's documents. */
#include "cli/telling.h"

#include <string.h>

static int run(const struct args *args);

const struct verb verb_schema = {
    .name = "schema",
    .summary = "Print the JSON Schema of dais.yaml, host.yaml or a collection.",
    .usage = "manifest|host|COLLECTION [DIR] [-o FILE]",
    .help = "Editors that know JSON Schema complete and check dais.yaml with it. That of a\n"
            "collection is what a document looks like when it is read, in one piece.\n",
    .run = run,
    .flags = {{"--out", "FILE", "Write it there instead.", 'o'}},
    .min_words = 1,
    .max_words = 2,
};

static int run(const struct args *args)
{
    bool is_manifest = strcmp(args->words[0], "manifest") == 0;
    if (!is_manifest && strcmp(args->words[0], "host") != 0)
        return telling_app(args, args->n_words > 1 ? args->words[1] : ".", NULL, args->words[0]);
    struct buf out;
    buf_init(&out, 4u << 20);
    if (is_manifest)
        manifest_json_schema(&out);
    else
        host_json_schema(&out);
    int code = telling_text(args, buf_slice(&out));
    buf_done(&out);
    return code;
}
