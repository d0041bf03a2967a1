/* Another token for a session. The new one follows from the old one and a key of the server, so
 * that whoever refreshes twice at once, or got no answer, is given the same one again. */
#include "accounts/people_impl.h"

#include <string.h>

#define GRACE_MS 10000

static const struct sql find_either = {
    "SELECT id, user_id, token, old_until, expires FROM dais_sessions WHERE token = ?"
    " UNION ALL"
    " SELECT id, user_id, token, old_until, expires FROM dais_sessions WHERE old = ?",
    NULL,
};
static const struct sql swap = {
    "UPDATE dais_sessions SET token = ?, old = ?, old_until = ?, expires = ? WHERE id = ?",
    NULL,
};

struct refreshing {
    struct accounts *acc;
    struct account_store *store;
    struct arena *arena;
    const struct asker *from;
    unsigned char old[DIGEST_LEN], new[DIGEST_LEN];
    struct signed_in *ret;
    /* of the row */
    struct slice session, user;
    int64_t old_until, expires;
    bool is_found, is_present, is_next; /* is_next: the new one took its place already */
    bool is_reused;                     /* and was ended for it */
};

static struct slice bytes(const unsigned char digest[DIGEST_LEN])
{
    return (struct slice){(const char *)digest, DIGEST_LEN};
}

static bool find(struct refreshing *r, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &find_either, e);
    if (!s)
        return false;
    db_bind_blob(s, 1, bytes(r->old));
    db_bind_blob(s, 2, bytes(r->old));
    enum db_step step = db_step(s, e);
    r->is_found = step == DB_ROW;
    if (r->is_found) {
        r->session = arena_dup(r->arena, db_text(s, 0));
        r->user = arena_dup(r->arena, db_text(s, 1));
        r->is_present = slice_eq(db_blob(s, 2), bytes(r->old));
        r->is_next = slice_eq(db_blob(s, 2), bytes(r->new));
        r->old_until = db_i64(s, 3);
        r->expires = db_i64(s, 4);
    }
    db_reset(s);
    return step != DB_FAILED;
}

static bool exchange(struct refreshing *r, struct db_conn *c, int64_t now, struct err *e)
{
    const struct manifest *m = r->acc->manifest;
    struct db_stmt *s = db_prepare(c, &swap, e);
    if (!s)
        return false;
    r->expires = now + (m ? m->auth.session_ms : 24 * 3600 * 1000LL);
    db_bind_blob(s, 1, bytes(r->new));
    db_bind_blob(s, 2, bytes(r->old));
    db_bind_i64(s, 3, now + GRACE_MS);
    db_bind_i64(s, 4, r->expires);
    db_bind_text(s, 5, r->session);
    return db_run(s, NULL, e);
}

static bool unknown(struct err *e)
{
    return err_set(e, ERR_UNAUTHENTICATED,
                   "This session is not known, or has ended. Sign in again.");
}

/* Somebody has it who should not: which of the two, nobody can say, so neither goes on. */
static bool end(struct refreshing *r, struct db_conn *c, struct err *e)
{
    r->is_reused = true;
    return session_delete(c, r->session, e) &&
           trail(c, EVENT_TOKEN_REUSED, r->user, r->session, r->from, NULL, e);
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct refreshing *r = arg;
    int64_t now = clock_wall_ms();
    struct user_row user;
    bool is_active = false;
    r->is_reused = false;
    if (!find(r, c, e))
        return false;
    if (!r->is_found || r->expires <= now)
        return unknown(e);
    if (!r->is_present && r->old_until <= now)
        return end(r, c, e);
    if (!active_user(c, r->user, r->arena, &user, &is_active, e))
        return false;
    if (!is_active || (!r->is_present && !r->is_next))
        return unknown(e);
    if (r->is_present && !exchange(r, c, now, e))
        return false;
    r->ret->account = user.account;
    r->ret->expires_ms = r->expires;
    account_dress(r->acc, r->store, r->arena, &r->ret->account);
    return true;
}

bool accounts_refresh(struct accounts *acc, struct arena *a, struct slice token,
                      const struct asker *from, struct signed_in *ret, struct err *e)
{
    struct refreshing r = {.acc = acc, .arena = a, .from = from, .ret = ret};
    enum token_kind kind;
    if (!token_kind_of(token, &kind) || (kind != TOKEN_SESSION && kind != TOKEN_OPERATOR))
        return unknown(e);
    r.store = kind == TOKEN_OPERATOR && acc->operators ? acc->operators : acc->store;
    token_next(kind, (struct slice){(const char *)acc->link_key, sizeof acc->link_key}, token,
               ret->token);
    token_digest(token, r.old);
    token_digest(slice_from(ret->token), r.new);
    if (!store_write(r.store, run, &r, e))
        return false;
    if (!r.is_reused) {
        cache_changed(r.store->cache, r.user, r.session);
        return true;
    }
    cache_end(r.store->cache, r.user, r.session, SLICE(""));
    return unknown(e);
}
