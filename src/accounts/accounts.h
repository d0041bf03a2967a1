/* Accounts of an app, and operators of the host: who there is, how they prove it, and for how long.
 *
 *   account_store  a database with accounts, and what is kept in memory of it; outlives reloads
 *   accounts       an app's accounts as one reading of its manifest has them: the identity source
 *   account        one of them
 *   asker          where a request came from, for the trail of events
 *
 * Tokens are opaque: `dst_…` is a session, `dak_…` a key of a program, links in mails have their
 * own; all are random and only their digests are stored. A session's token is looked up in a cache
 * first; a miss is one read, and no check ever writes.
 *
 * Addresses. Anybody may sign up with any address, and gets an account that has not proved it:
 * `email` is shown to rules and backends only once it was verified, and only one account can have
 * verified an address. So nothing that is answered tells whether an address is known: a second
 * sign-up makes an account of its own, the mail to the owner of the address says that there is one
 * already. Signing in with an address finds the account that verified it, else the oldest.
 *
 * Operators are accounts of the host's own store; their addresses sign in at every app. One who is
 * disabled is nobody there, so whoever has the address in the app itself signs in to that.
 *
 * Everything that changes something blocks (a hash, a write, fsync): on a lane, or in a command.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "db/db.h"
#include "db/slot.h"
#include "http/http.h"
#include "keys/keys.h"
#include "limit/limit.h"
#include "manifest/manifest.h"

extern const struct db_migration accounts_migration;

/* ---- stores ---------------------------------------------------------------------------------- */

struct account_store;
/* The slot's database has accounts_migration. Nothing is opened yet. */
struct account_store *account_store_new(struct db_slot *slot, bool is_operators);
/* Where it notes what comes without a write (a failed sign-in); outlives the store. */
struct events;
void account_store_tell(struct account_store *s, struct events *events);
void account_store_free(struct account_store *s); /* nobody may use it; NULL is fine */

/* ---- an app's accounts ----------------------------------------------------------------------- */

struct accounts;
struct asker;
struct accounts_options {
    const struct manifest *manifest; /* auth, slug, title; outlives the accounts */
    struct account_store *store;
    struct account_store *operators;  /* the host's */
    const struct root_secret *secret; /* copied as far as needed */
    struct slice mount;               /* "" or "/app": the cookie's path */
    struct slice public_url;          /* PUBLIC_URL with the mount, without a last slash */
    /* Before anything is hashed or looked up, on the thread of the call: may somebody try this
     * address (as email_key makes it) once more? e: ERR_TOO_MANY. And: the owner of this address
     * has just signed in from there. And: may one more letter leave that a sign-up with this
     * address causes, or (is_again) one of those accounts that asks for it once more? What is
     * answered is the same. Each may be NULL. */
    bool (*may)(void *user, enum limit_bucket bucket, struct slice email, const struct asker *from,
                struct err *e);
    void (*welcome)(void *user, struct slice email, const struct asker *from);
    bool (*may_write)(void *user, struct slice email, bool is_again, const struct asker *from);
    void *user;
};
struct accounts *accounts_new(const struct accounts_options *o);
void accounts_free(struct accounts *a); /* NULL is fine */
struct identity_source *accounts_source(struct accounts *a);

#define ACCOUNT_EMAIL_MAX    254
#define ACCOUNT_NAME_MAX     200
#define ACCOUNT_PASSWORD_MIN 8    /* characters */
#define ACCOUNT_PASSWORD_MAX 1024 /* bytes */
#define TOKEN_MAX            64

enum account_state { ACCOUNT_ACTIVE, ACCOUNT_DISABLED, ACCOUNT_LEAVING };

/* In the arena it was read into. */
struct account {
    struct slice id, email, name;
    const struct slice *roles;
    size_t n_roles;
    int64_t verified_ms; /* 0: the address was never proved */
    int64_t created_ms, updated_ms;
    enum account_state state;
    bool has_password, is_operator;
};
/* {"id","email","email_verified","name","roles","operator","created"} */
void account_write(struct json_writer *w, const struct account *it);

/* Where from: for events and for the words in mails. */
struct asker {
    struct slice ip, agent, request; /* request: its id */
    struct slice session;            /* or key that asks; empty: of no row */
};
struct asker asker_of(const struct req *rq); /* on the loop; copied into its arena */

/* ---- what people do: on a lane ----------------------------------------------------------------
 * `a` is the arena of what is returned. Refusals tell nothing about who exists. */

/* Inside a write of the app's own database: the session or key that asked is still there. What it
 * asked for may have waited while it ended, or while its account left. ERR_UNAUTHENTICATED; of a
 * link (is_of_link) its maker's account is, or ERR_FORBIDDEN. */
bool accounts_is_in(struct db_conn *c, const struct identity *who, struct err *e);

struct signed_in {
    char token[TOKEN_MAX]; /* ends in NUL */
    int64_t expires_ms;
    struct account account;
};
struct sign_up {
    struct slice email, password, name;
};
/* ERR_FORBIDDEN: not open. ERR_INVALID: e, and *ret_details the array "errors". */
bool accounts_sign_up(struct accounts *acc, struct arena *a, const struct sign_up *in,
                      const struct asker *from, struct signed_in *ret, struct slice *ret_details,
                      struct err *e);
/* ERR_UNAUTHENTICATED: whatever was wrong. */
bool accounts_log_in(struct accounts *acc, struct arena *a, struct slice email,
                     struct slice password, const struct asker *from, struct signed_in *ret,
                     struct err *e);
/* Of the session that asks; nothing happens to one that has ended. */
bool accounts_log_out(struct accounts *acc, struct slice session, const struct asker *from,
                      struct err *e);
/* Another token for the session, which lasts as long as a new one; the old one works 10 s more, and
 * who refreshes with it meanwhile is given the same new one. Use after that ends the session. (Only
 * the one before is known: those before that are just not known any more.) Operators who refresh
 * one token at two apps at once are refused at the second. */
bool accounts_refresh(struct accounts *acc, struct arena *a, struct slice token,
                      const struct asker *from, struct signed_in *ret, struct err *e);

/* ---- links in mails ---------------------------------------------------------------------------
 */

/*        purpose       in links      lives */
#define LINK_MAP(X)                                                         \
    X(LINK_SIGN_IN, "magic", 15 * 60)       /* sign in with nothing else */ \
    X(LINK_RESET, "reset", 60 * 60)         /* a new password */            \
    X(LINK_VERIFY, "verify", 3 * 24 * 3600) /* this address is mine */      \
    X(LINK_OPERATOR, "operator", 24 * 3600) /* the first operator of the host */
enum link_purpose {
#define X(id, name, seconds) id,
    LINK_MAP(X)
#undef X
        LINK_PURPOSES
};
/* What `next` says, if that is an address to go on to: below the origin, however it is read. Else
 * empty. In the arena. */
struct slice accounts_next(struct slice raw, struct arena *a);
/* Sends one to the address, or nothing when nobody has it: whoever asked is answered before. Nor
 * when five of the kind still wait to be followed. `next` counts only as a path of this site. */
bool accounts_send_link(struct accounts *acc, enum link_purpose purpose, struct slice email,
                        struct slice next, const struct asker *from, struct err *e);
/* On the loop: the same, after the answer. `email` and `next` are copied, some KiB at most. */
bool accounts_send_link_later(struct accounts *acc, struct req *rq, enum link_purpose purpose,
                              struct slice email, struct slice next, struct err *e);
/* For who is signed in: to the address of that very account. Nothing when it is proved, or when
 * too many left for the address. */
bool accounts_send_verify(struct accounts *acc, struct slice id, struct slice next,
                          const struct asker *from, struct err *e);
/* ERR_MALFORMED: used, too old, of another purpose, or none of ours; the same words for all. An
 * account that had not proved the address has by this; as a stranger may have made it, its
 * password, name, sessions, keys and other links end. Documents are the account's and stay. */
bool accounts_follow_sign_in(struct accounts *acc, struct arena *a, struct slice link,
                             const struct asker *from, struct signed_in *ret, struct err *e);
/* A link that came with the sign-up of an account whose password the owner of the address does not
 * know proves nothing: `user` is who is signed in (or empty), else the password is needed
 * (ERR_UNAUTHENTICATED). ERR_EXISTS: another account was first. */
bool accounts_follow_verify(struct accounts *acc, struct arena *a, struct slice link,
                            struct slice user, struct slice password, const struct asker *from,
                            struct account *ret, struct err *e);
/* Every session ends; keys of one that had proved the address go on. */
bool accounts_follow_reset(struct accounts *acc, struct arena *a, struct slice link,
                           struct slice password, const struct asker *from, struct signed_in *ret,
                           struct slice *ret_details, struct err *e);

/* ---- one's own account ------------------------------------------------------------------------
 */

bool accounts_get(struct accounts *acc, struct arena *a, struct slice id, struct account *ret,
                  struct err *e);
bool accounts_rename(struct accounts *acc, struct slice id, struct slice name, struct err *e);
/* What closes somebody out or gives them a way in is refused (ERR_UNAUTHENTICATED) when the session
 * that asks (from->session) ended before it was written: a new password, a key, leaving. */

/* The others of its sessions end, and links that were sent. `now` is not needed where the account
 * has none yet; ERR_FORBIDDEN: it is another. *ret_details is a constant. */
bool accounts_set_password(struct accounts *acc, struct slice id, struct slice session,
                           struct slice now, struct slice password, const struct asker *from,
                           struct slice *ret_details, struct err *e);
/* Nobody can use it from now on; accounts_next_leaving() then names it until its things are gone.
 * Its address and name are forgotten at once. Operators cannot. */
bool accounts_leave(struct accounts *acc, struct slice id, struct slice password,
                    const struct asker *from, struct err *e);
/* The first behind `after` (empty: of all). *ret_id empty: none, or the database is not open. */
bool accounts_next_leaving(struct accounts *acc, struct arena *a, struct slice after,
                           struct slice *ret_id, struct err *e);
bool accounts_forget(struct accounts *acc, struct slice id, struct err *e); /* only who leaves */

struct session_row {
    struct slice id, ip, agent;
    int64_t created_ms, expires_ms;
};
bool accounts_sessions(struct accounts *acc, struct arena *a, struct slice user,
                       struct session_row **ret, size_t *ret_n, struct err *e);
bool accounts_end_session(struct accounts *acc, struct slice user, struct slice session,
                          struct err *e); /* empty session: all of them */

/* ---- keys of programs -------------------------------------------------------------------------
 * A key acts for its account within its scopes. One without an account is the app's own: it has the
 * id of the key and the roles it was made with. */

struct key_row {
    struct slice id, name, user, hint; /* hint: the first characters, "dak_3fQx" */
    const struct slice *scopes, *roles;
    size_t n_scopes, n_roles;
    int64_t created_ms, expires_ms, used_ms; /* 0: never */
};
struct key_made {
    char token[TOKEN_MAX];
    struct key_row row;
};
/* ERR_INVALID: a scope that there is not, a time in the past. */
bool keys_add(struct accounts *acc, struct arena *a, const struct key_row *in,
              const struct asker *from, struct key_made *ret, struct err *e);
/* Is this key there, and not over? ERR_NOT_FOUND when not. */
bool keys_find(struct accounts *acc, struct slice id, struct err *e);
bool keys_list(struct accounts *acc, struct arena *a, struct slice user, bool of_all,
               struct key_row **ret, size_t *ret_n, struct err *e);
bool keys_remove(struct accounts *acc, struct slice user, bool of_all, struct slice id,
                 const struct asker *from, struct err *e);
/* `read`, `write`, `read:charts`, `write:charts`, `jobs`, `files`, `admin`. */
bool scope_is_good(const struct manifest *m, struct slice scope);

/* ---- what operators do: with commands, and later in the studio --------------------------------
 */

struct account_query {
    struct slice email, after; /* of one address; or those behind an id */
    uint32_t limit;
};
bool accounts_list(struct accounts *acc, struct arena *a, const struct account_query *q,
                   struct account **ret, size_t *ret_n, struct err *e);
struct account_draft { /* what is not given stays as it is */
    struct slice email, name, password;
    const struct slice *roles;
    size_t n_roles;
    bool has_roles, is_verified;
};
/* A new password ends sessions and links, whoever sets it (the owner, a reset, an operator); keys
 * go on, for programs that know nothing of it. What ends keys: removing them, a first proof of the
 * address, leaving; and while an account is disabled they are refused. */
bool accounts_add(struct accounts *acc, struct arena *a, const struct account_draft *in,
                  const struct asker *from, struct account *ret, struct err *e);
bool accounts_change(struct accounts *acc, struct arena *a, struct slice id,
                     const struct account_draft *in, const struct asker *from, struct account *ret,
                     struct err *e);
/* ERR_FORBIDDEN: it is the last operator who can sign in, and nobody could make another. */
bool accounts_set_state(struct accounts *acc, struct slice id, enum account_state state,
                        const struct asker *from, struct err *e);

/* It is given the documents of `local` by a command: the event. ERR_NOT_FOUND: it is leaving. */
bool accounts_note_adoption(struct accounts *acc, struct slice id, const struct asker *from,
                            struct err *e);

/* The same calls for operators: an accounts of the host's store alone. */
struct accounts *accounts_of_operators(struct account_store *operators,
                                       const struct root_secret *secret, struct slice public_url);
bool operators_any(struct accounts *operators, bool *ret, struct err *e);
/* A link that makes the first one; those before it end. `ret` ends in NUL. */
bool operators_make_link(struct accounts *operators, char ret[TOKEN_MAX], struct err *e);
bool operators_follow_link(struct accounts *operators, struct arena *a, struct slice link,
                           const struct sign_up *in, const struct asker *from,
                           struct signed_in *ret, struct slice *ret_details, struct err *e);

/* ---- cookies ----------------------------------------------------------------------------------
 */

/* "dais_<app>=…; Path=…; HttpOnly; SameSite=Lax[; Secure][; Max-Age=…]"; without a token it ends.
 */
struct slice accounts_cookie(const struct accounts *acc, struct req *rq, const char *token,
                             int64_t expires_ms);
/* The token that the request brought, whichever way; empty: none. On the loop. */
struct slice accounts_token(const struct accounts *acc, struct req *rq);

/* ---- work in the background -------------------------------------------------------------------
 */

/* Sessions, links and keys that ended, where the database is open. Blocks for one bit of it; on a
 * lane. */
bool accounts_prune(struct account_store *s, int64_t now_ms, struct err *e);

/* Streams end at once with a session that this process ends. For those that others end (another
 * process, a command), and for time: about once a second, if there are streams at all. */
bool accounts_have_streams(struct account_store *s); /* any thread */
/* Ends those whose session or key is gone, disabled or too old; reads, never writes. Blocks: on a
 * lane, one at a time for a store. */
void accounts_look_at_streams(struct account_store *s);
