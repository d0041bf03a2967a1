/* Rows of sessions: made when somebody signs in, found by the digest of their token. */
#include "accounts/accounts_impl.h"

#include "base/utf8.h"

#include <string.h>

#define AGENT_MAX 200

static const struct sql insert = {
    "INSERT INTO dais_sessions (id, token, old, old_until, user_id, created, expires, ip, agent)"
    " VALUES (?, ?, NULL, 0, ?, ?, ?, ?, ?)",
    NULL,
};
static const struct sql delete_one = {"DELETE FROM dais_sessions WHERE id = ?", NULL};
static const struct sql delete_others = {
    "DELETE FROM dais_sessions WHERE user_id = ? AND id <> ?",
    NULL,
};

/* As much as fits of what a browser calls itself. Headers are any bytes, columns are UTF-8. */
static struct slice agent_text(struct slice agent, char room[AGENT_MAX])
{
    size_t n = 0;
    while (agent.len) {
        size_t length = utf8_length(agent);
        if (n + (length ? length : 1) > AGENT_MAX)
            break;
        memcpy(room + n, length ? agent.ptr : "?", length ? length : 1);
        n += length ? length : 1;
        agent = slice_skip(agent, length ? length : 1);
    }
    return (struct slice){room, n};
}

bool session_insert(struct db_conn *c, const struct accounts *acc, struct slice user,
                    const struct asker *from, struct signed_in *ret, struct err *e)
{
    unsigned char digest[DIGEST_LEN];
    char id[ID_LEN + 1], agent[AGENT_MAX];
    int64_t now = clock_wall_ms();
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    random_id(id);
    token_make(ret->account.is_operator ? TOKEN_OPERATOR : TOKEN_SESSION, ret->token);
    token_digest(slice_from(ret->token), digest);
    ret->expires_ms = now + (acc->manifest ? acc->manifest->auth.session_ms : 24 * 3600 * 1000LL);
    db_bind_text(s, 1, slice_from(id));
    db_bind_blob(s, 2, (struct slice){(const char *)digest, sizeof digest});
    db_bind_text(s, 3, user);
    db_bind_i64(s, 4, now);
    db_bind_i64(s, 5, ret->expires_ms);
    db_bind_text(s, 6, from->ip);
    db_bind_text(s, 7, agent_text(from->agent, agent));
    return db_run(s, NULL, e);
}

bool session_delete(struct db_conn *c, struct slice id, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &delete_one, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    return db_run(s, NULL, e);
}

bool sessions_delete(struct db_conn *c, struct slice user, struct slice keep, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &delete_others, e);
    if (!s)
        return false;
    db_bind_text(s, 1, user);
    db_bind_text(s, 2, keep.ptr ? keep : SLICE(""));
    return db_run(s, NULL, e);
}
