/* The decisions of a request, without any I/O: which file a path means, what the conditions in the
 * request's head make of it. Pure functions of a tree and a request. */
#pragma once
#include "web/tree_impl.h"

struct web_query {
    enum http_method method;
    struct slice path, query, mount;
    const struct h1_request *h1; /* for the conditions, Range and Accept-Encoding */
};

enum web_kind {
    WEB_FILE,     /* this file, with this status */
    WEB_REDIRECT, /* to location */
    WEB_METHOD,   /* a file, asked for with a method that files do not have */
    WEB_MISSING   /* 404 */
};

struct web_target {
    enum web_kind kind;
    int status;
    struct web_file *file;
    size_t profile; /* of the path asked for */
    struct slice location;
};

/* Who owns the path. `a` holds the location of a redirect. */
void web_route(const struct web_rules *r, const struct web_tree *t, const struct web_query *q,
               struct arena *a, struct web_target *ret);
/* The app's page for an error status; NULL when there is none. */
struct web_file *error_page_find(const struct web_rules *r, const struct web_tree *t, int status);

/* The best copy in memory for this request: NULL when the file must be read from disk. */
const struct web_copy *copy_choose(const struct web_file *f, const struct h1_request *h1);
