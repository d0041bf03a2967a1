/* Static apps: the files below web.root and its mounts, and everything else `web:` says.
 *
 * A `struct web` is one app's static side. Its files are an immutable snapshot (a tree) that is
 * read by every loop without locks or atomics, rebuilt on a lane when something below the folders
 * changes, and swapped as a whole: a request sees one tree. Small files and compressed copies live
 * in memory, prepared in the background after the start; what is not there yet, or does not fit the
 * budget, is served from disk. A file is opened beneath its folder by the kernel, so no path, link
 * or race leads outside.
 *
 * Who owns a path, in this order: web.env.path; redirects; a mount's or the root's file; web.pages;
 * web.fallback (GET and HEAD, never for a path with an extension, a dot name or below a mount);
 * 404 (web.errors, else the host's page). */
#pragma once
#include "http/http.h"
#include "manifest/manifest.h"

struct web;

/* Memory for file contents, shared by all apps of a host. Beyond it files come from disk. */
struct web_budget {
    _Atomic size_t used;
    size_t max; /* 0 = 64 MB */
};

struct web_options {
    const struct web_conf *conf; /* lives until web_stop, and as long as `owner` */
    struct slice dir;            /* the app folder; empty: the current one */
    struct slice mount;          /* "" or "/app": where pages find their /_/dev/ script */
    struct service *owner;       /* of conf: kept while a lane reads it; NULL: conf outlives all */
    const struct pairs *env;     /* web.env.values, expanded; NULL: as written */
    struct web_budget *budget;   /* must outlive the web; NULL: one of its own */
    struct loops *loops;         /* NULL: one loop, nothing in the background (tests, benchmarks) */
    size_t files_max;            /* 0 = 100,000; further files do not exist */
    bool dev;                    /* live reload, no compression, nothing immutable */
    /* Loop 0, when changed files were published to the loops; may be NULL. */
    void (*on_change)(void *user);
    void *user;
};

/* Reads the folders (names and sizes, not contents, but for files with a rewrite). A missing folder
 * is an empty one until it appears. One reference, the caller's. Never NULL. */
struct web *web_new(const struct web_options *o);
/* Loop 0, lanes running: load and compress in the background, watch the folders. */
void web_start(struct web *w);
/* Loop 0: stop watching and preparing. Before the last reference goes, if it was started. */
void web_stop(struct web *w);
struct web *web_ref(struct web *w);
void web_unref(struct web *w);

/* The row for a request whose path nobody else owns; never NULL. For service.find: on the
 * connection's loop, does not block, sets rq->site. With `dev`, paths below /_/dev/ are also ours:
 * ask for them before the other rows below /_/. */
const struct route *web_find(struct web *w, struct req *rq);

/* Answers with the app's own page for the status (web.errors) and returns true; false when there is
 * none or the client prefers JSON. Nothing was replied then. On the connection's loop. */
bool web_reply_error(struct web *w, struct req *rq, int status);

/* Does the app have a file (or a folder with an index, or web.env) at this path? For
 * backend.static_first. On the loop. */
bool web_has_file(struct web *w, struct loop *l, struct slice path);

/* Is the rule meant for what is served at this path? */
bool web_rewrite_is_for(const struct rewrite_rule *rule, struct slice path);
/* False when its name says that it is something else: an image, a film, an archive. */
bool web_may_be_text(struct slice path);

/* Read the folders again now, e.g. after web.build ran. Loop 0. */
void web_refresh(struct web *w);

struct web_stats {
    size_t files, in_memory, bytes; /* bytes: contents held in memory */
    uint64_t swaps;
    bool watching; /* false: looked at once a second, or not at all */
};
void web_stats(struct web *w, struct web_stats *ret); /* loop 0 */

/* ---- web.headers, for whoever else answers on an app's paths ----------------------------------
 */

#define WEB_HSTS "Strict-Transport-Security" /* for answers over TLS only */

struct web_header {
    struct slice name, value; /* value empty: none is sent */
    bool is_written;          /* in the manifest; else it is a default */
};
/* What the rows of web.headers say of a path, resolved: each name once. */
struct web_headers {
    struct web_header *items; /* everything but the policy, unless `extra` has one */
    size_t n;
    struct slice csp; /* for web_csp_fill; empty: none. Without frame-ancestors, or with its own */
    struct slice ancestors; /* value of frame-ancestors, to be added to the policy; empty: none */
    bool is_csp_written, is_ancestors_written;
};
/* One per row of conf->headers, at least one, in the arena. They borrow from conf. */
struct web_headers *web_headers_make(struct arena *a, const struct web_conf *conf, size_t *ret_n);
/* The index of the one for a path. */
size_t web_headers_find(const struct web_conf *conf, struct slice path);

/* What stands for {scripts}, {styles} and {nonce} in a policy; the first two are sources
 * ("'sha256-...'"), of which none leaves the others around it. Without a nonce its source goes. */
struct web_csp_sources {
    struct slice scripts, styles, nonce;
};
/* In the arena, or the policy itself; empty when it grew too long. */
struct slice web_csp_fill(struct arena *a, struct slice policy, const struct web_csp_sources *s);
