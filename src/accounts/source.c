/* Who asks: the token of a request, from its Authorization or its cookie, and who it stands for.
 *
 *   a bearer of ours   that, and the cookie is not looked at; one that is not known is refused
 *   another scheme     none of ours: signed out as far as dais is concerned, whatever cookie came
 *   the cookie         counts for what the browser itself did, not for what another site made it do
 *
 * The cache knows most; else it is read, on the loop where the database allows it, else on a lane.
 * No check waits for a write: those are noted (notes.c). */
#include "accounts/accounts_impl.h"

#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_MS 1000 /* what another process ends is known here after that */

#define OF_SESSION                                                                     \
    "SELECT s.id, s.expires, s.old_until, u.id, u.email, u.verified, u.name, u.roles," \
    " u.state FROM dais_sessions s JOIN dais_users u ON u.id = s.user_id WHERE "
static const struct sql by_token = {OF_SESSION "s.token = ?", NULL};
static const struct sql by_old = {OF_SESSION "s.old = ?", NULL};
static const struct sql by_key = {
    "SELECT k.id, k.expires, k.used, k.user_id, k.name, k.scopes, k.roles, u.email, u.verified,"
    " u.name, u.roles, u.state FROM dais_keys k LEFT JOIN dais_users u ON u.id = k.user_id"
    " WHERE k.token = ?",
    NULL,
};

/* ---- the token ------------------------------------------------------------------------------- */

static struct slice cookie_value(struct slice line, struct slice name)
{
    struct slice piece, key;
    while (slice_cut(&line, ';', &piece)) {
        struct slice rest = slice_trim(piece);
        if (slice_cut(&rest, '=', &key) && slice_eq(slice_trim(key), name))
            return slice_trim(rest);
    }
    return (struct slice){0};
}

static struct slice bearer_of(struct slice line)
{
    struct slice rest = line, scheme;
    if (!slice_cut(&rest, ' ', &scheme) || !slice_eq_nocase(scheme, SLICE("bearer")))
        return (struct slice){0};
    rest = slice_trim(rest);
    return slice_starts(rest, SLICE("dst_")) || slice_starts(rest, SLICE("dak_"))
               ? rest
               : (struct slice){0};
}

struct slice accounts_token(const struct accounts *acc, struct req *rq)
{
    struct slice line = h1_get(rq->h1, HEADER_AUTHORIZATION);
    if (line.ptr)
        return bearer_of(line);
    if (!req_is_own_doing(rq))
        return (struct slice){0};
    struct slice found = {0};
    uint32_t at = 0;
    while (!found.len && h1_next(rq->h1, HEADER_COOKIE, &at, &line))
        found = cookie_value(line, slice_from(acc->cookie));
    return found;
}

/* ---- what a token stands for ------------------------------------------------------------------
 */

enum looked { LOOKED_GOOD, LOOKED_UNKNOWN, LOOKED_REUSED, LOOKED_FAILED };

/* A question to the database, and its answer; in no request's memory. */
struct question {
    struct account_store *store;
    enum token_kind kind;
    unsigned char digest[DIGEST_LEN];
    uint64_t epoch;
    struct arena *arena;
    struct known known;
    bool is_used_anew; /* a key that was not used for a while */
};

static struct db_stmt *prepare(struct db_conn *c, const struct sql *sql, const struct question *q,
                               struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (s)
        db_bind_blob(s, 1, (struct slice){(const char *)q->digest, sizeof q->digest});
    return s;
}

static struct slice proved_email(const struct db_stmt *s, int email, struct arena *a)
{
    return db_i64(s, email + 1) > 0 ? arena_dup(a, db_text(s, email)) : SLICE("");
}

static enum looked take_session(const struct db_stmt *s, struct question *q, bool is_old)
{
    struct known *k = &q->known;
    *k = (struct known){
        .session = arena_dup(q->arena, db_text(s, 0)),
        .user = arena_dup(q->arena, db_text(s, 3)),
        .email = proved_email(s, 4, q->arena),
        .name = arena_dup(q->arena, db_text(s, 6)),
        .expires_ms = db_i64(s, 1),
        .reused_ms = is_old ? db_i64(s, 2) : 0,
        .is_operator = q->store->is_operators,
    };
    words_read(db_text(s, 7), q->arena, &k->roles, &k->n_roles);
    if (k->expires_ms <= clock_wall_ms() || db_i64(s, 8) != ACCOUNT_ACTIVE)
        return LOOKED_UNKNOWN;
    return is_old && k->reused_ms <= clock_wall_ms() ? LOOKED_REUSED : LOOKED_GOOD;
}

/* By its present token, then by the one before: a refresh between the two is not missed. */
static enum looked look_for_session(struct db_conn *c, struct question *q, struct err *e)
{
    enum db_step step = DB_END;
    enum looked found = LOOKED_UNKNOWN;
    for (int is_old = 0; is_old < 2 && step == DB_END; is_old++) {
        struct db_stmt *s = prepare(c, is_old ? &by_old : &by_token, q, e);
        if (!s)
            return LOOKED_FAILED;
        step = db_step(s, e);
        if (step == DB_ROW)
            found = take_session(s, q, is_old);
        db_reset(s);
    }
    return step == DB_FAILED ? LOOKED_FAILED : found;
}

/* With an account it is that account, with less scopes; else it stands for itself. */
static enum looked take_key(const struct db_stmt *s, struct question *q)
{
    struct known *k = &q->known;
    struct slice user = db_text(s, 3);
    int64_t now = clock_wall_ms();
    *k = (struct known){
        .is_key = true,
        .session = arena_dup(q->arena, db_text(s, 0)),
        .user = arena_dup(q->arena, db_text(s, user.len ? 3 : 0)),
        .email = user.len ? proved_email(s, 7, q->arena) : SLICE(""),
        .name = arena_dup(q->arena, db_text(s, user.len ? 9 : 4)),
        .expires_ms = db_i64(s, 1),
    };
    words_read(db_text(s, 5), q->arena, &k->scopes, &k->n_scopes);
    words_read(db_text(s, user.len ? 10 : 6), q->arena, &k->roles, &k->n_roles);
    q->is_used_anew = db_i64(s, 2) < now - KEY_USED_MS;
    bool is_there = !user.len || (!db_is_null(s, 11) && db_i64(s, 11) == ACCOUNT_ACTIVE);
    return is_there && (!k->expires_ms || k->expires_ms > now) ? LOOKED_GOOD : LOOKED_UNKNOWN;
}

static enum looked look_for_key(struct db_conn *c, struct question *q, struct err *e)
{
    struct db_stmt *s = prepare(c, &by_key, q, e);
    if (!s)
        return LOOKED_FAILED;
    enum db_step step = db_step(s, e);
    enum looked found = step == DB_ROW      ? take_key(s, q)
                        : step == DB_FAILED ? LOOKED_FAILED
                                            : LOOKED_UNKNOWN;
    db_reset(s);
    return found;
}

static enum looked look(struct db_conn *c, struct question *q, struct err *e)
{
    enum looked found = q->kind == TOKEN_KEY ? look_for_key(c, q, e) : look_for_session(c, q, e);
    if (found == LOOKED_GOOD)
        who_put(q->store->cache, q->digest, &q->known, q->epoch, clock_wall_ms() + KEPT_MS);
    return found;
}

/* ---- what the request is told -----------------------------------------------------------------
 */

/* What is known lives in the request's arena already. */
static void fill(const struct accounts *acc, const struct known *k, uint64_t epoch, struct arena *a,
                 struct identity *ret)
{
    *ret = (struct identity){
        .is_signed_in = true,
        .is_key = k->is_key,
        .is_operator = k->is_operator,
        .has_every_scope = !k->is_key,
        .id = k->user,
        .email = k->email,
        .name = k->name,
        .session = k->session,
        .roles = k->roles,
        .n_roles = k->n_roles,
        .scopes = k->scopes,
        .n_scopes = k->n_scopes,
        .expires_ms = k->expires_ms,
        .epoch = epoch,
    };
    if (!k->is_operator || !acc->manifest)
        return;
    const struct texts *all = &acc->manifest->auth.roles;
    struct slice *roles = arena_alloc(a, (all->n + 1) * sizeof *roles);
    for (size_t i = 0; i < all->n; i++)
        roles[i] = all->items[i].s;
    ret->roles = roles;
    ret->n_roles = all->n;
}

/* A browser keeps its cookie when the session is over, and is a stranger then; a program hears that
 * its token is none. */
static enum identity_found tell_unknown(const struct req *rq, struct err *e)
{
    if (!h1_get(rq->h1, HEADER_AUTHORIZATION).ptr)
        return FOUND;
    err_set(e, ERR_UNAUTHENTICATED,
            "This token is not known, or its session has ended. Sign in again.");
    return FOUND_BAD;
}

/* On the loop; what was found is in rq->arena. */
static enum identity_found tell(const struct accounts *acc, struct req *rq, enum looked found,
                                const struct question *q, struct identity *ret, struct err *e)
{
    if (found == LOOKED_FAILED && e->code != ERR_UNAVAILABLE) /* too slow is no fault of theirs */
        err_set(e, ERR_UNAVAILABLE,
                "The accounts cannot be asked just now; try again in a moment.");
    if (found == LOOKED_FAILED)
        return FOUND_BAD;
    if (found == LOOKED_REUSED)
        note_reuse(q->store, rq, &q->known);
    if (found != LOOKED_GOOD)
        return tell_unknown(rq, e);
    if (q->is_used_anew)
        note_use(q->store, q->known.session);
    fill(acc, &q->known, q->epoch, rq->arena, ret);
    return FOUND;
}

/* ---- on a lane ------------------------------------------------------------------------------- */

struct asking {
    struct work work;
    struct accounts *acc; /* of the request's service, which it holds */
    struct req *rq;       /* the loop's, until `asked` */
    struct question question;
    struct arena arena;
    enum looked found;
    struct err err;
};

static void ask(struct work *w)
{
    struct asking *k = container_of(w, struct asking, work);
    struct db *db = store_open(k->question.store, &k->err);
    struct db_conn *c = db ? db_conn_take(db, &k->err) : NULL;
    k->found = c ? look(c, &k->question, &k->err) : LOOKED_FAILED;
    if (c)
        db_conn_give(c);
    if (db)
        store_leave(k->question.store);
}

static void asked(struct work *w, struct loop *home)
{
    struct asking *k = container_of(w, struct asking, work);
    struct req *rq = k->rq;
    struct identity *who = arena_new(rq->arena, struct identity);
    struct known found = k->question.known;
    struct err why = k->err;
    (void)home;
    known_copy(&found, rq->arena, &k->question.known);
    enum identity_found how = tell(k->acc, rq, k->found, &k->question, who, &why);
    arena_done(&k->arena);
    free(k);
    req_identified(rq, how == FOUND ? who : NULL, &why);
}

static enum identity_found ask_on_lane(struct accounts *acc, struct req *rq,
                                       const struct question *q, struct err *e)
{
    if (!rq->can_wait_for_identity) {
        err_set(e, ERR_UNAVAILABLE, "The accounts cannot be reached just now.");
        return FOUND_BAD;
    }
    struct asking *k = mem_new(struct asking);
    k->work = (struct work){.run = ask, .done = asked};
    k->acc = acc;
    k->rq = rq;
    k->question = *q;
    k->question.arena = &k->arena;
    arena_init(&k->arena, 1u << 20);
    if (lane_submit(rq->loop, LANE_READ, &k->work))
        return FOUND_LATER;
    free(k);
    err_set(e, ERR_UNAVAILABLE, "Too much work is waiting; try again in a moment.");
    return FOUND_BAD;
}

/* ---- on the loop ------------------------------------------------------------------------------
 */

static enum identity_found ask_here(struct accounts *acc, struct req *rq, struct question *q,
                                    struct identity *ret, struct err *e)
{
    struct db *db = db_slot_enter(q->store->slot);
    struct db_conn *c = db ? db_conn_of_loop(db, rq->loop) : NULL;
    enum looked found = c ? look(c, q, e) : LOOKED_FAILED;
    if (db)
        db_slot_leave(q->store->slot);
    return c ? tell(acc, rq, found, q, ret, e) : ask_on_lane(acc, rq, q, e);
}

static struct account_store *store_of(const struct accounts *acc, enum token_kind kind)
{
    return kind == TOKEN_OPERATOR && acc->operators ? acc->operators : acc->store;
}

static enum identity_found find(struct identity_source *s, struct req *rq, struct identity *ret,
                                struct err *e)
{
    struct accounts *acc = container_of(s, struct accounts, source);
    struct slice token = accounts_token(acc, rq);
    struct question q = {.arena = rq->arena};
    if (!token.len)
        return FOUND;
    if (!token_kind_of(token, &q.kind) || q.kind == TOKEN_LINK)
        return tell_unknown(rq, e);
    q.store = store_of(acc, q.kind);
    q.epoch = who_epoch(q.store->cache);
    token_digest(token, q.digest);
    if (!who_find(q.store->cache, q.digest, rq->arena, clock_wall_ms(), &q.known))
        return ask_here(acc, rq, &q, ret, e);
    fill(acc, &q.known, q.epoch, rq->arena, ret);
    return FOUND;
}

/* ---- streams ----------------------------------------------------------------------------------
 */

static void watch(struct identity_source *s, const struct identity *who, struct session_watch *w)
{
    struct accounts *acc = container_of(s, struct accounts, source);
    struct account_store *store = store_of(acc, who->is_operator ? TOKEN_OPERATOR : TOKEN_SESSION);
    w->store = store->cache;
    who_watch(store->cache, who, w);
}

static void unwatch(struct identity_source *s, struct session_watch *w)
{
    (void)s;
    who_unwatch(w->store, w);
}

void accounts_source_init(struct accounts *a)
{
    a->source = (struct identity_source){.find = find, .watch = watch, .unwatch = unwatch};
}

struct identity_source *accounts_source(struct accounts *a)
{
    return &a->source;
}

/* ---- what is given to a browser -------------------------------------------------------------- */

struct slice accounts_cookie(const struct accounts *acc, struct req *rq, const char *token,
                             int64_t expires_ms)
{
    int64_t left_s = token ? (expires_ms - clock_wall_ms()) / 1000 : 0;
    return arena_printf(rq->arena, "%s=%s; Path=%.*s/; HttpOnly; SameSite=Lax%s; Max-Age=%lld",
                        acc->cookie, token ? token : "", SLICE_ARGS(acc->mount),
                        rq->is_secure ? "; Secure" : "", (long long)(left_s > 0 ? left_s : 0));
}

struct asker asker_of(const struct req *rq)
{
    const struct identity *who = rq->identity;
    char *ip = arena_alloc(rq->arena, IP_TEXT_LEN);
    ip_text(&rq->client, ip);
    return (struct asker){
        .ip = slice_from(ip),
        .agent = arena_dup(rq->arena, req_header(rq, "User-Agent")),
        .request = slice_from(rq->id),
        .session = who && !who->is_local ? who->session : SLICE(""),
    };
}
