/* `web:` compiled: what does not depend on the files. Made once, never changed; any thread. */
#pragma once
#include "base/glob.h"
#include "web/web.h"

/* What one row of web.headers gives, with every later row that matches the same paths. */
struct web_profile {
    struct slice lines;         /* ready for the wire: everything but those below */
    struct slice csp;           /* the policy, to be filled; empty: none */
    bool needs_scan;            /* which needs what is written in the file */
    struct slice cache_control; /* empty: by the file's name */
    struct slice hsts;          /* the value, for answers over TLS; empty: none */
};

struct web_root {
    struct slice prefix; /* "/", or a mount's "/docs/" */
    const char *folder;
};

struct web_rules {
    const struct web_conf *conf;
    struct arena arena;
    struct web_profile *profiles; /* one per row of conf->headers, at least one */
    size_t n_profiles;
    bool needs_scan;        /* one of them does */
    struct web_root *roots; /* mounts, longest prefix first; the last one is web.root */
    size_t n_roots;
    struct slice script;     /* text of web.env.path; ptr NULL: none */
    struct slice dev_script; /* address of the script in each page of dev; empty: none */
    struct web_budget *budget;
    bool dev;
};

void rules_init(struct web_rules *r, const struct web_options *o);
void rules_done(struct web_rules *r);

/* Index of the profile for a path. */
size_t rules_profile(const struct web_rules *r, struct slice path);
/* The root that owns a path: the first whose prefix it starts with. */
size_t rules_root(const struct web_rules *r, struct slice path);

/* Is any rewrite meant for this file (path below its root, without a leading '/')? */
bool rules_rewrites(const struct web_rules *r, struct slice path);
/* Applies them in order, with dev's script in HTML. False when the text grew beyond `out`. */
bool rules_rewrite(const struct web_rules *r, struct slice path, bool is_html, struct slice text,
                   struct buf *out);

/* The first redirect for the path. Location as sent, in the arena: mount, splat and query are in
 * it. False when none matches. */
bool rules_redirect(const struct web_rules *r, struct slice path, struct slice mount,
                    struct slice query, struct arena *a, int *ret_status,
                    struct slice *ret_location);
/* Location of the folder behind a path that lacks the last slash. */
struct slice rules_folder_location(struct slice path, struct slice mount, struct slice query,
                                   struct arena *a);
