/* Streams whose session ended elsewhere, or by time: their sessions are read again and again.
 *
 * A database that is away ends nothing: whoever is signed in would lose every stream at its restart
 * and come back all at once, while nothing was ended. Nobody can be sure meanwhile, and sessions
 * whose time is over as far as it was known do end. */
#include "accounts/accounts_impl.h"

#include <stdlib.h>

/* `ids` is how an array of them is asked for; ? comes twice. */
#define LIVING(ids)                                                                       \
    "SELECT s.id, s.expires FROM dais_sessions s JOIN dais_users u ON u.id = s.user_id"   \
    " WHERE u.state = 0 AND s.id " ids " UNION ALL"                                       \
    " SELECT k.id, k.expires FROM dais_keys k LEFT JOIN dais_users u ON u.id = k.user_id" \
    " WHERE (k.user_id = '' OR u.state = 0) AND k.id " ids
static const struct sql living = {
    LIVING("IN (SELECT value FROM json_each(?))"),
    LIVING("= ANY (ARRAY(SELECT jsonb_array_elements_text(?::jsonb)))"),
};

static void write_ids(const struct look *l, struct buf *to)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_array(&w);
    for (size_t i = 0; i < l->n; i++)
        json_write_str(&w, l->ids[i]);
    json_write_array_end(&w);
    json_writer_done(&w);
}

static bool read_leases(struct db_conn *c, struct look *l, struct slice ids, struct err *e)
{
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(c, &living, e);
    if (!s)
        return false;
    db_bind_text(s, 1, ids);
    db_bind_text(s, 2, ids);
    for (l->n_leases = 0; l->n_leases < l->n && (step = db_step(s, e)) == DB_ROW;)
        l->leases[l->n_leases++] = lease_of(db_text(s, 0), db_i64(s, 1));
    db_reset(s);
    return step != DB_FAILED;
}

/* Whoever streams uses the database: it stays open. */
static bool ask(struct account_store *s, struct look *l, struct err *e)
{
    struct buf ids;
    struct db *db = db_slot_open(s->slot, e);
    struct db_conn *c = db ? db_conn_take(db, e) : NULL;
    bool fine = false;
    if (c) {
        buf_init(&ids, 256u << 10);
        write_ids(l, &ids);
        db_conn_once(c);
        fine = read_leases(c, l, buf_slice(&ids), e);
        buf_done(&ids);
        db_conn_give(c);
    }
    if (db)
        db_slot_leave(s->slot);
    return fine;
}

/* Once for each time that it is away. */
static void tell(struct account_store *s, bool is_blind, const struct err *e)
{
    if (is_blind && !s->is_blind)
        log_line(LOG_WARN, "open streams go on unseen: their sessions cannot be looked at",
                 F_CSTR("reason", e->msg));
    s->is_blind = is_blind;
}

bool accounts_have_streams(struct account_store *s)
{
    return who_watches_any(s->cache);
}

void accounts_look_at_streams(struct account_store *s)
{
    struct look *l = mem_new(struct look);
    struct arena a;
    struct err e;
    arena_init(&a, 1u << 20);
    who_look_begin(s->cache, &a, l);
    while (!l->has_failed && who_look_next(s->cache, l)) {
        l->has_failed = !ask(s, l, &e);
        who_look_told(s->cache, l, clock_wall_ms());
        arena_reset(&a);
    }
    tell(s, l->has_failed, &e);
    arena_done(&a);
    free(l);
}
