/* The verb types: an app's documents as types of TypeScript or Python. */
#include "cli/telling.h"

static int run(const struct args *args);

const struct verb verb_types = {
    .name = "types",
    .summary = "Print the types of an app's documents, for TypeScript or Python.",
    .usage = "--ts|--py [DIR] [-o FILE]",
    .help = "For each collection, charts say, there are Chart, a document as it is read, and\n"
            "ChartInput, what may be written. TypeScript also gets `Collections`, from names of\n"
            "collections to these. The same schemas always give the same text.\n",
    .run = run,
    .flags = {{"--ts", NULL, "A module of TypeScript.", 0},
              {"--py", NULL, "A module of Python 3.11, of TypedDicts.", 0},
              {"--out", "FILE", "Write it there instead.", 'o'}},
    .max_words = 1,
};

static int run(const struct args *args)
{
    bool is_ts = args_has(args, "--ts"), is_py = args_has(args, "--py");
    if (is_ts == is_py)
        return cli_usage_error(args, "say which language: --ts or --py");
    return telling_app(args, args->n_words ? args->words[0] : ".",
                       is_ts ? describe_types_ts : describe_types_py, NULL);
}
