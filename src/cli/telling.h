/* What the verbs share that tell of one app's API: openapi, types, schema. */
#pragma once
#include "cli/cli.h"
#include "describe/describe.h"

typedef bool telling_fn(struct arena *a, const struct describe_source *src, struct buf *to,
                        struct err *e);

/* Loads the app in `dir`, checks it and its schemas, and writes what `fn` tells to --out or
 * standard output. With a collection's name (else NULL): the schema of that. Returns the exit code;
 * problems with errors are on standard error, each with its place. */
int telling_app(const struct args *args, const char *dir, telling_fn *fn, const char *collection);
/* The text as a whole: at --out it is there complete, or as it was. */
int telling_text(const struct args *args, struct slice text);
