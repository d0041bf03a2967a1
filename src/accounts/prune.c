/* What ended is taken away, some thousand rows at a time. */
#include "accounts/accounts_impl.h"

#define PRUNE "2000"

static const struct sql ended[] = {
    {"DELETE FROM dais_sessions WHERE id IN"
     " (SELECT id FROM dais_sessions WHERE expires < ? ORDER BY expires LIMIT " PRUNE ")",
     NULL},
    {"DELETE FROM dais_links WHERE token IN"
     " (SELECT token FROM dais_links WHERE expires < ? ORDER BY expires LIMIT " PRUNE ")",
     NULL},
    {"DELETE FROM dais_keys WHERE id IN"
     " (SELECT id FROM dais_keys WHERE expires > 0 AND expires < ? LIMIT " PRUNE ")",
     NULL},
};

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    const int64_t *now = arg;
    for (size_t i = 0; i < sizeof ended / sizeof *ended; i++) {
        struct db_stmt *s = db_prepare(c, &ended[i], e);
        if (!s)
            return false;
        db_bind_i64(s, 1, *now);
        if (!db_run(s, NULL, e))
            return false;
    }
    return true;
}

bool accounts_prune(struct account_store *s, int64_t now_ms, struct err *e)
{
    struct db *db = db_slot_enter(s->slot);
    if (!db)
        return true;
    bool fine = db_write_now(db, run, &now_ms, e);
    db_slot_leave_quietly(s->slot);
    return fine;
}
