/* What the files of fetch/ share: a checked URL, one request of several. */
#pragma once
#include "fetch/curl_library.h"
#include "fetch/fetch.h"

/* ---- where to (target.c) --------------------------------------------------------------------- */

#define FETCH_URL_MAX 8192

/* libcurl's own parser reads the URL once, and the same handle is what it connects by: no second
 * parser can disagree. */
struct target {
    const struct libcurl *lib;
    CURLU *url;
    char host[256]; /* brackets kept */
    uint16_t port;
    bool is_tls;
};
bool target_init(struct target *ret, const struct libcurl *lib, struct slice url, struct err *e);
/* Moves to what a Location says, seen from here; *ret_crossed: it is another origin. */
bool target_follow(struct target *t, struct slice location, bool may_lose_tls, bool *ret_crossed,
                   struct err *e);
void target_done(struct target *t);
bool target_text(const struct target *t, struct arena *a, const char **ret, struct err *e);
bool port_is_for_web(uint16_t port);

/* ---- one request (transfer.c) ---------------------------------------------------------------- */

struct transfer {
    const struct fetch_options *options;
    const struct target *target;
    struct fetch_answer *answer;
    enum http_method method;
    struct slice body;   /* ptr NULL: none */
    bool is_elsewhere;   /* the origin changed: secrets stay behind */
    bool is_last;        /* a redirect would not be followed */
    int64_t deadline_ms; /* monotonic */
    /* the room's own */
    size_t head_bytes, body_bytes;
    bool is_head_done, is_redirect, has_refused;
    struct err refused, failed; /* by the guard; by a callback */
    bool has_failed;
};
/* True with an answer; t->is_redirect: its body was not read, it is to be followed. */
bool transfer_run(struct transfer *t, struct err *e);

/* ---- the guard (guard.c) -----------------------------------------------------------------------
 */

bool guard_allows(const struct fetch_options *o, const struct address *to);
/* Public addresses; those of this machine only where the web is served: a firewall that keeps the
 * others shut for strangers does not see what we send to ourselves. */
bool guard_decides(bool is_public, bool is_own, uint16_t port);
bool guard_is_own(const struct address *a); /* one of this machine's */
