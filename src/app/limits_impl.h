/* The inside of limits: what is counted by what.
 *
 *   limits.c         rows with a path; what an answer says
 *   limits_named.c   rows with a name: which requests they are about, and tries at one account
 *   limits_shared.c  replicas tell each other through Postgres; who ran out becomes an event
 *
 * A row counts with a `counter`, which outlives a reload that leaves the row as it was. */
#pragma once
#include "app/app_impl.h"

/*        kind         in the database */
#define LIMIT_KIND_MAP(X)                                                \
    X(BY_ACCOUNT, 'a')                                                   \
    X(BY_ADDRESS, 'i')                                                   \
    X(BY_EMAIL, 'e') /* the digest of an address that was asked about */ \
    X(BY_PAIR, 'p')  /* the same from where its owner signed in before */
enum limit_kind {
#define X(id, letter) id,
    LIMIT_KIND_MAP(X)
#undef X
        LIMIT_KINDS
};

#define BUCKET_ROUTE   LIMIT_BUCKETS /* a row with a path */
#define BUCKET_LETTERS (LIMIT_BUCKETS + 1)

struct counter {
    _Atomic int refs;
    char id[40]; /* of name and rate; ends in NUL */
    int bucket;  /* enum limit_bucket, or one of the above */
    struct rate rate;
    struct limit *of[LIMIT_KINDS]; /* NULL: it does not count that */
    struct limit *familiar;        /* BUCKET_LOGIN: pairs that signed in */
};

struct limit_rule {
    const struct limit_row *row;
    struct slice method, prefix; /* prefix as path_lax sees it */
    struct counter *counter;     /* NULL: off */
};

/* That of the same row of the same app in the host before, else a new one. `name` is "write", or
 * "POST /api/jobs/". */
struct counter *counter_open(const struct host *old, const struct app *app, struct slice name,
                             int bucket, const struct rate *rate);
void counter_unref(struct counter *c); /* NULL is fine */
/* NULL: the app has none called so. */
struct counter *counter_find(const struct app *app, struct slice id);

/* Takes one; false: there is none, which is counted and told too. */
bool counter_take(const struct app *app, struct counter *c, enum limit_kind kind, struct slice key,
                  const struct ip *from, struct limit_state *ret);
bool limits_tell_too_many(const struct limit_state *st, struct err *e);
/* Whoever has one IPv6 address has 2^64 of them. */
struct slice limits_address_key(const struct ip *client, struct ip *room);

/* limits_named.c */
const char *limit_bucket_name(int bucket);
void named_open(struct app *app, const struct host *old);
void named_done(struct app *app);
/* LIMIT_BUCKETS: none. The path is the app's, without its mount. */
enum limit_bucket named_of(const struct app *app, struct slice method, struct slice path);
/* Its requests are counted one by one, later. */
bool named_is_batch(const struct app *app, struct slice method, struct slice path);

/* limits_shared.c */
void limits_note(const struct app *app, const struct counter *c, struct slice account,
                 const struct ip *from); /* refused: an event, and a figure */
struct limit_share *limit_share_new(struct db_slot *slot, bool is_postgres);
void limit_share_free(struct limit_share *s); /* NULL is fine */
void share_told(struct limit_share *s, const struct counter *c, enum limit_kind kind,
                struct slice key);
struct share_key {
    enum limit_kind kind;
    struct slice key;
};
/* On a lane: takes one of each where all replicas see it. False: another one took the last. True
 * also where nothing is shared, or nobody answers. */
bool share_take(struct limit_share *s, const struct counter *c, const struct share_key *keys,
                size_t n, struct limit_state *ret);
