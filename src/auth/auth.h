/* Who may do what: the rules of a manifest, compiled once, and authorize(), which everything that
 * reads or writes asks, whatever door it came through.
 *
 * A rule is a filter over documents (query/): the words are short for one. `public` is true,
 * `owner` is `owner = @user.id`, `role:editor` is `@user.roles ?= 'editor'`. Filled in with who
 * asks, it is true or false for every document, or it says which ones: lists, counts, search and
 * exports then see those rows only, and a change must hold before it and after it. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "http/http.h"
#include "manifest/manifest.h"
#include "query/query.h"

/*        action         in rules */
#define ACTION_MAP(X)          \
    X(ACTION_READ, "read")     \
    X(ACTION_CREATE, "create") \
    X(ACTION_WRITE, "write")   \
    X(ACTION_DELETE, "delete") \
    X(ACTION_RUN, "run")
enum action {
#define X(id, name) id,
    ACTION_MAP(X)
#undef X
        ACTION_COUNT
};

/* What may be done with a collection, a bucket or a job. */
struct policy {
    const struct query *rules[ACTION_COUNT]; /* NULL: nobody may */
    struct slice name; /* of the collection: a key may have scopes for it alone; may be empty */
    const char *scope; /* of a bucket "files"; NULL: `read` and `write`, and `jobs` for running */
};

/* In the arena. What is not given is denied, unless there is an owner, who may then do it; `delete`
 * is as `write`. False: `e` names what is wrong with *ret_text, one of the rules. */
bool policy_compile(struct policy *to, struct arena *a, const struct rules *rules, bool has_owner,
                    const struct text **ret_text, struct err *e);

/* Who asks, for one request. All of it lives in the request's arena. */
struct subject {
    const struct identity *who;
    struct query_context context; /* user, body and now, for rules */
    bool is_console; /* a command at this machine, or a job of the app's own: may everything */
};
/* Asks the app's identity source, at first. On the loop. */
bool subject_of(struct req *rq, struct subject *ret, struct err *e);
/* The same for an identity that somebody else vouches for; `who` lives in the arena. */
void subject_from(const struct identity *who, struct arena *a, struct subject *ret);
/* For work that outlives the request: everything is copied. */
void subject_copy(const struct subject *s, struct arena *a, struct subject *ret);
/* The user's id, what `owner` becomes; empty when signed out. */
struct slice subject_id(const struct subject *s);
/* Signed out, and not the app itself. */
bool subject_is_stranger(const struct subject *s);

/* May they? *ret_rows then says which documents: QUERY_TRUE, or a filter for query_matches() and
 * lists. False: nothing at all, as ERR_UNAUTHENTICATED or ERR_FORBIDDEN. The only place where this
 * is decided. */
bool authorize(const struct subject *s, const struct policy *p, enum action action, struct arena *a,
               const struct query **ret_rows, struct err *e);
/* The same answer for a document that is not in the filter: absent and not yours look alike. */
bool authorize_row(const struct query *rows, const struct json *doc);
