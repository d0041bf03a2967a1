/* Who asks: the token of a request, from its Authorization or its cookie, and the session behind
 * it.
 *
 *   a bearer of ours   that, and the cookie is not looked at; one that is not known is refused
 *   another scheme     none of ours: signed out as far as dais is concerned, unless a cookie says
 * so the cookie         counts for what the browser itself did; not for what another site made it
 * do
 *
 * The cache knows most; else one read, on the loop where the database allows it, else on a lane. */
#include "accounts/accounts_impl.h"

#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

static const struct sql by_token = {
    "SELECT s.id, s.expires, u.id, u.email, u.verified, u.name, u.roles, u.state"
    " FROM dais_sessions s JOIN dais_users u ON u.id = s.user_id WHERE s.token = ?",
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
    if (req_is_cross_site(rq))
        return (struct slice){0};
    struct slice found = {0};
    uint32_t at = 0;
    while (!found.len && h1_next(rq->h1, HEADER_COOKIE, &at, &line))
        found = cookie_value(line, slice_from(acc->cookie));
    return found;
}

/* ---- the session ----------------------------------------------------------------------------- */

static enum identity_found unknown(struct err *e)
{
    err_set(e, ERR_UNAUTHENTICATED, "This session is not known, or has ended. Sign in again.");
    return FOUND_BAD;
}

static enum identity_found read_session(struct db_conn *c, struct slice token, struct arena *a,
                                        struct identity *ret, struct err *e)
{
    unsigned char digest[DIGEST_LEN];
    struct db_stmt *s = db_prepare(c, &by_token, e);
    if (!s)
        return FOUND_BAD;
    token_digest(token, digest);
    db_bind_blob(s, 1, (struct slice){(const char *)digest, sizeof digest});
    enum db_step step = db_step(s, e);
    bool is_good =
        step == DB_ROW && db_i64(s, 1) > clock_wall_ms() && db_i64(s, 7) == ACCOUNT_ACTIVE;
    if (is_good) {
        *ret = (struct identity){
            .is_signed_in = true,
            .has_every_scope = true,
            .session = arena_dup(a, db_text(s, 0)),
            .id = arena_dup(a, db_text(s, 2)),
            .email = db_i64(s, 4) > 0 ? arena_dup(a, db_text(s, 3)) : SLICE(""),
            .name = arena_dup(a, db_text(s, 5)),
        };
        words_read(db_text(s, 6), a, &ret->roles, &ret->n_roles);
    }
    db_reset(s);
    if (step == DB_FAILED)
        return FOUND_BAD;
    return is_good ? FOUND : unknown(e);
}

/* ---- on a lane ------------------------------------------------------------------------------- */

struct asking {
    struct work work;
    struct accounts *acc;
    struct req *rq;
    char token[TOKEN_MAX];
    struct identity who;
    enum identity_found found;
    struct err err;
};

static void ask(struct work *w)
{
    struct asking *k = container_of(w, struct asking, work);
    struct db *db = store_open(k->acc->store, &k->err);
    struct db_conn *c = db ? db_conn_take(db, &k->err) : NULL;
    k->found = FOUND_BAD;
    if (c)
        k->found = read_session(c, slice_from(k->token), k->rq->arena, &k->who, &k->err);
    if (c)
        db_conn_give(c);
    if (db)
        store_leave(k->acc->store);
}

static void asked(struct work *w, struct loop *home)
{
    struct asking *k = container_of(w, struct asking, work);
    struct identity *who = NULL;
    (void)home;
    if (k->found == FOUND) {
        who = arena_new(k->rq->arena, struct identity);
        *who = k->who;
    }
    req_identified(k->rq, who, &k->err);
    explicit_bzero(k->token, sizeof k->token);
    free(k);
}

static enum identity_found ask_on_lane(struct accounts *acc, struct req *rq, struct slice token,
                                       struct err *e)
{
    struct asking *k = mem_new(struct asking);
    k->work = (struct work){.run = ask, .done = asked};
    k->acc = acc;
    k->rq = rq;
    memcpy(k->token, token.ptr, token.len);
    if (rq->can_wait_for_identity && lane_submit(rq->loop, LANE_READ, &k->work))
        return FOUND_LATER;
    free(k);
    err_set(e, ERR_UNAVAILABLE, "Too much work is waiting; try again in a moment.");
    return FOUND_BAD;
}

static enum identity_found find(struct identity_source *s, struct req *rq, struct identity *ret,
                                struct err *e)
{
    struct accounts *acc = container_of(s, struct accounts, source);
    struct slice token = accounts_token(acc, rq);
    enum token_kind kind;
    if (!token.len)
        return FOUND;
    if (!token_kind_of(token, &kind) || kind == TOKEN_LINK)
        return unknown(e);
    struct db *db = db_slot_enter(acc->store->slot);
    struct db_conn *c = db ? db_conn_of_loop(db, rq->loop) : NULL;
    enum identity_found found = c ? read_session(c, token, rq->arena, ret, e) : FOUND_LATER;
    if (db)
        db_slot_leave(acc->store->slot);
    return c ? found : ask_on_lane(acc, rq, token, e);
}

void accounts_source_init(struct accounts *a)
{
    a->source.find = find;
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
    char *ip = arena_alloc(rq->arena, IP_TEXT_LEN);
    ip_text(&rq->client, ip);
    return (struct asker){
        .ip = slice_from(ip),
        .agent = arena_dup(rq->arena, req_header(rq, "User-Agent")),
        .request = slice_from(rq->id),
    };
}
