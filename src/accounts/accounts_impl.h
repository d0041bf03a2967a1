/* The inside of accounts/: rows, tokens, passwords, and what is kept in memory.
 *
 *   tables.c    the tables, in words
 *   token.c     tokens and their digests            password.c  argon2id
 *   users.c     rows of accounts                    sessions.c  rows of sessions
 *   cache.c     who a token belongs to, in memory   source.c    who asks, for the server
 *   streams.c   streams whose session ended elsewhere
 *   people_impl.h and what it names: what people do
 *
 * What people do is written so: look at what was given, hash where there is a password (once,
 * whoever it is about), one write that decides on the rows, then what follows a commit (the cache,
 * streams that end). A write's run can be run again. */
#pragma once
#include "accounts/accounts.h"
#include "journal/journal.h"
#include "mail/mail.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

#define DIGEST_LEN 32
#define HASH_MAX   200 /* of a password, as text */

/* ---- the store ------------------------------------------------------------------------------- */

struct who_cache;
struct account_store {
    struct db_slot *slot;
    bool is_operators;
    struct who_cache *cache;
    struct events *events; /* NULL: they are only counted */
    bool is_blind;         /* the last look at streams failed; of who looks */
};

struct accounts {
    struct identity_source source;
    const struct manifest *manifest; /* NULL: of operators alone */
    struct account_store *store, *operators;
    char cookie[48];                /* its name */
    struct slice mount, public_url; /* owned */
    unsigned char link_key[32];     /* for what has to be made again and not stored */
    bool (*may)(void *user, enum limit_bucket bucket, struct slice email, const struct asker *from,
                struct err *e);
    void (*welcome)(void *user, struct slice email, const struct asker *from);
    bool (*may_write)(void *user, struct slice email, bool is_again, const struct asker *from);
    void *limits; /* their `user` */
};

/* The first thing that whoever tries an address does; see accounts_options.may. */
bool accounts_may(const struct accounts *acc, enum limit_bucket bucket, struct slice email,
                  const struct asker *from, struct err *e);
void accounts_welcome(const struct accounts *acc, struct slice email, const struct asker *from);
bool accounts_may_write(const struct accounts *acc, struct slice email, bool is_again,
                        const struct asker *from);

void accounts_source_init(struct accounts *a); /* source.c */

/* In the store's database, on a lane: opened if need be. NULL: e is for the client. */
struct db *store_open(struct account_store *s, struct err *e);
void store_leave(struct account_store *s);
/* One write, waited for. */
bool store_write(struct account_store *s, bool (*run)(void *, struct db_conn *, struct err *),
                 void *arg, struct err *e);
/* What comes without a write of its own. */
void store_note(const struct account_store *s, enum event_kind kind, struct slice object,
                const struct asker *from, const char *detail);
/* One piece of reading. */
bool store_read(struct account_store *s, bool (*run)(void *, struct db_conn *, struct err *),
                void *arg, struct err *e);

/* ---- token.c --------------------------------------------------------------------------------- */

/*        kind           begins with */
#define TOKEN_MAP(X)                                                                \
    X(TOKEN_SESSION, "dst_")                                                        \
    X(TOKEN_OPERATOR, "dst_o") /* a session of an operator: another store has it */ \
    X(TOKEN_KEY, "dak_")                                                            \
    X(TOKEN_LINK, "dln_")
enum token_kind {
#define X(id, prefix) id,
    TOKEN_MAP(X)
#undef X
        TOKEN_KINDS
};
void token_make(enum token_kind kind, char to[TOKEN_MAX]);
/* The one that takes this one's place: the same each time it is asked for, and nobody's to work out
 * who has not the key. */
void token_next(enum token_kind kind, struct slice key, struct slice token, char to[TOKEN_MAX]);
/* False: it is none of ours, whatever the database says. */
bool token_kind_of(struct slice token, enum token_kind *ret);
void token_digest(struct slice token, unsigned char to[DIGEST_LEN]);

/* ---- password.c ------------------------------------------------------------------------------ */

/* Blocks for some 20 ms of a core. */
bool password_hash(struct slice password, char to[HASH_MAX], struct err *e);
/* `hash` NULL: nobody's; takes as long. */
bool password_is(const char *hash, struct slice password);
/* Long enough, and not what everybody tries first. False: *ret_details is the array "errors", a
 * constant. */
bool password_is_good(struct slice password, struct slice email, struct slice *ret_details,
                      struct err *e);

/* ---- users.c: inside a read or a write --------------------------------------------------------
 */

struct user_row {
    struct account account;
    char hash[HASH_MAX]; /* "" : no password */
};
/* What an address is compared as: trimmed, lower case. In the arena. */
struct slice email_key(struct slice email, struct arena *a);
/* Columns that hold ["a","b"]. */
void words_read(struct slice text, struct arena *a, const struct slice **ret, size_t *ret_n);
struct slice words_text(const struct slice *words, size_t n, struct arena *a);
/* The one that verified it, else the oldest. *ret_found false: nobody. */
bool user_by_email(struct db_conn *c, struct slice key, struct arena *a, struct user_row *ret,
                   bool *ret_found, struct err *e);
bool user_by_id(struct db_conn *c, struct slice id, struct arena *a, struct user_row *ret,
                bool *ret_found, struct err *e);
bool user_insert(struct db_conn *c, const struct user_row *u, struct err *e);
bool user_update(struct db_conn *c, const struct user_row *u, struct err *e); /* all of it */

/* ---- sessions.c -------------------------------------------------------------------------------
 */

/* Makes a row and its token. Inside a write's run. */
bool session_insert(struct db_conn *c, const struct accounts *acc, struct slice user,
                    const struct asker *from, struct signed_in *ret, struct err *e);
bool session_delete(struct db_conn *c, struct slice id, struct err *e);
/* Of the user: all but `keep` (empty: all). */
bool sessions_delete(struct db_conn *c, struct slice user, struct slice keep, struct err *e);

/* ---- cache.c ----------------------------------------------------------------------------------
 */

/* What a token stands for. In memory of its own. */
struct known {
    struct slice session, user, email, name;
    const struct slice *roles, *scopes;
    size_t n_roles, n_scopes;
    int64_t expires_ms, reused_ms; /* expires_ms: 0 is never; reused_ms: until then it is good
                                      though another took its place; 0: it is the present one */
    bool is_key, is_operator;
};
void known_copy(const struct known *from, struct arena *a, struct known *to);

struct who_cache *who_cache_new(void);
void who_cache_free(struct who_cache *c); /* no stream is watched any more; NULL is fine */
/* Raised whenever something ends: what was read before may be stale then, and is not put. Asked
 * before the reading begins. */
uint64_t who_epoch(const struct who_cache *c);
bool who_find(struct who_cache *c, const unsigned char digest[DIGEST_LEN], struct arena *a,
              int64_t now_ms, struct known *ret);
void who_put(struct who_cache *c, const unsigned char digest[DIGEST_LEN], const struct known *k,
             uint64_t epoch, int64_t until_ms);
/* Both after the commit, from any thread. It is over: forgets them, and tells the watches of
 * theirs. An empty session: all of the user's; `keep` (may be empty) goes on. A key's id is a
 * session. */
void cache_end(struct who_cache *c, struct slice user, struct slice session, struct slice keep);
/* It goes on, with another name, other roles, another token: forgets them, streams stay. */
void cache_changed(struct who_cache *c, struct slice user, struct slice session);
/* For identity_source; on the watch's home loop. */
void who_watch(struct who_cache *c, const struct identity *who, struct session_watch *w);
void who_unwatch(struct who_cache *c, struct session_watch *w); /* one that is watched */

/* A look at the sessions of all streams, some at a time, by one thread at a time:
 *   begin, then while next: read which of `ids` live on, into `leases`; told. */
#define LOOK_MAX 1000
struct lease {
    uint64_t session; /* its hash */
    int64_t expires_ms;
};
struct look {
    struct arena *arena;
    struct slice ids[LOOK_MAX]; /* of sessions and keys; in the arena; one comes for each stream */
    struct lease leases[LOOK_MAX];
    size_t n, n_leases;
    bool has_failed; /* nobody knows; of all streams, only those whose time is over end */
    uint64_t first, round;
};
bool who_watches_any(struct who_cache *c);
void who_look_begin(struct who_cache *c, struct arena *a, struct look *ret);
bool who_look_next(struct who_cache *c, struct look *l); /* false: all were asked for */
struct lease lease_of(struct slice session, int64_t expires_ms);
void who_look_told(struct who_cache *c, struct look *l, int64_t now_ms);

/* ---- notes.c: what follows from somebody asking; on the loop, nobody waits for it -------------
 */

#define KEY_USED_MS 60000 /* a key's last use is written that often at most */
void note_use(struct account_store *s, struct slice key);
/* A token that another one took the place of is used: whoever has it, the session ends. */
void note_reuse(struct account_store *s, const struct req *rq, const struct known *k);
