/* SQLite connections: opening with the right settings, transactions, the budget of steps. */
#include "db/sqlite_impl.h"

#include <stdio.h>
#include <stdlib.h>

#define ROUND_STEPS  512 /* between two looks at the budget */
#define CLOCK_ROUNDS 8   /* between two looks at the clock */
#define LOOP_BUSY_MS 20  /* a loop does not wait for another process for longer */

static const char *const words[WORD_COUNT] = {
#define X(word, text) [word] = text,
    WORD_MAP(X)
#undef X
};

/* trusted_schema: a file from elsewhere runs no functions of its own choice. */
static const char settings[] = "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF";
/* Reads of what the system has in memory cost no system call. Not for the writer: it gains nothing.
 */
static const char reader_settings[] = "PRAGMA query_only = ON; PRAGMA mmap_size = 268435456";

/* ---- the budget ---------------------------------------------------------------------------- */

static int on_round(void *arg)
{
    struct sqlite_conn *c = arg;
    if (c->is_saying)
        return 0;
    if (c->has_budget && c->rounds_left-- <= 0)
        return 1;
    if (c->until_ms && ++c->rounds % CLOCK_ROUNDS == 0 && clock_mono_ms() > c->until_ms)
        c->is_late = true;
    return c->is_late;
}

void sqlite_budget(struct db_conn *base, uint64_t steps)
{
    struct sqlite_conn *c = of_conn(base);
    c->has_budget = steps > 0;
    c->rounds_left = (int64_t)((steps + ROUND_STEPS - 1) / ROUND_STEPS);
}

/* ---- words --------------------------------------------------------------------------------- */

/* Whatever is left to read with: a ROLLBACK that is interrupted leaves its transaction open. */
bool sqlite_say(struct sqlite_conn *c, enum word word, struct err *e)
{
    c->is_saying = true;
    int rc = sqlite3_step(c->words[word]);
    c->is_saying = false;
    if (rc != SQLITE_DONE)
        sqlite_fail(c, rc, e);
    sqlite3_reset(c->words[word]);
    return rc == SQLITE_DONE;
}

bool sqlite_exec(struct db_conn *base, const char *many, struct err *e)
{
    struct sqlite_conn *c = of_conn(base);
    int rc = sqlite3_exec(c->handle, many, NULL, NULL, NULL);
    return rc == SQLITE_OK || sqlite_fail(c, rc, e);
}

bool sqlite_begin(struct db_conn *base, struct err *e)
{
    struct sqlite_conn *c = of_conn(base);
    if (base->kind == CONN_WRITER && !sqlite3_get_autocommit(c->handle))
        sqlite_say(c, WORD_ROLLBACK, NULL); /* it failed the last time */
    if (!sqlite_say(c, base->kind == CONN_WRITER ? WORD_BEGIN : WORD_READ, e))
        return false;
    base->in_transaction = true;
    c->is_late = false;
    c->until_ms = base->kind == CONN_LANE ? clock_mono_ms() + base->db->read_ms : 0;
    return true;
}

bool sqlite_commit(struct db_conn *base, struct err *e)
{
    struct sqlite_conn *c = of_conn(base);
    if (!sqlite_say(c, WORD_COMMIT, e))
        return false;
    base->in_transaction = false;
    return true;
}

void sqlite_rollback(struct db_conn *base)
{
    struct sqlite_conn *c = of_conn(base);
    if (!sqlite3_get_autocommit(c->handle)) /* else it is gone already */
        sqlite_say(c, WORD_ROLLBACK, NULL);
    base->in_transaction = false;
}

/* ---- opening ------------------------------------------------------------------------------- */

static bool prepare_words(struct sqlite_conn *c, struct err *e)
{
    for (int i = 0; i < WORD_COUNT; i++) {
        if (c->base.kind != CONN_WRITER && i > WORD_READ && i != WORD_ROLLBACK)
            continue;
        int rc = sqlite3_prepare_v3(c->handle, words[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &c->words[i], NULL);
        if (rc != SQLITE_OK)
            return sqlite_fail(c, rc, e);
    }
    return true;
}

static bool set_kind(struct sqlite_conn *c, struct err *e)
{
    if (c->base.kind != CONN_WRITER)
        return sqlite_exec(&c->base, reader_settings, e);
    char text[60];
    snprintf(text, sizeof text, "PRAGMA cache_size = -%u", c->base.db->cache_kb);
    return sqlite_exec(&c->base, text, e);
}

static bool set_up(struct sqlite_conn *c, struct err *e)
{
    enum conn_kind kind = c->base.kind;
    unsigned busy_ms = kind == CONN_LOOP ? LOOP_BUSY_MS : c->base.db->busy_ms;
    sqlite3_busy_timeout(c->handle, (int)busy_ms);
    sqlite3_wal_autocheckpoint(c->handle, 0);
    /* "name" is a column or a mistake, never a text; the file's inside is not for statements. */
    sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(c->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_limit(c->handle, SQLITE_LIMIT_ATTACHED, 0);
    if (kind != CONN_WRITER)
        sqlite3_progress_handler(c->handle, ROUND_STEPS, on_round, c);
    return sqlite_exec(&c->base, settings, e) && set_kind(c, e) && prepare_words(c, e);
}

struct db_conn *sqlite_conn_open(struct db *db, enum conn_kind kind, struct err *e)
{
    struct sqlite_conn *c = mem_new(struct sqlite_conn);
    db_conn_init(&c->base, db, kind);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(db->path, &c->handle, flags, NULL);
    if (rc == SQLITE_OK && set_up(c, e))
        return &c->base;
    if (rc != SQLITE_OK)
        sqlite_fail(c, rc, e);
    db_conn_close(&c->base);
    return NULL;
}

void sqlite_conn_close(struct db_conn *base)
{
    struct sqlite_conn *c = of_conn(base);
    for (int i = 0; i < WORD_COUNT; i++)
        sqlite3_finalize(c->words[i]);
    must(sqlite3_close(c->handle) == SQLITE_OK); /* a statement was kept somewhere */
    free(c);
}
