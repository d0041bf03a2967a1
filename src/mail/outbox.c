/* The outbox: letters that wait for a server to take them, and for a while those that none took. */
#include "mail/mail_impl.h"

#include "base/random.h"
#include "journal/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define GIVEN_UP_MAX 1000
#define WHY_MAX      300

#define TABLE(id_type)                                                                  \
    "CREATE TABLE dais_mail (id " id_type " PRIMARY KEY, due BIGINT NOT NULL,"          \
    " attempts BIGINT NOT NULL, recipient TEXT NOT NULL, subject TEXT NOT NULL,"        \
    " words TEXT NOT NULL, page TEXT NOT NULL, link TEXT NOT NULL, code TEXT NOT NULL," \
    " created BIGINT NOT NULL, given_up BIGINT NOT NULL, error TEXT NOT NULL);"         \
    "CREATE INDEX dais_mail_due ON dais_mail (due) WHERE given_up = 0;"
const struct db_migration mail_migrations[] = {
    {"mail", TABLE("TEXT"), TABLE("TEXT COLLATE \"C\"")},
    {"mail_given_up", "CREATE INDEX dais_mail_given_up ON dais_mail (given_up) WHERE given_up > 0",
     NULL},
};

/* ---- the bell -------------------------------------------------------------------------------- */

static atomic_bool has_posted;
static struct {
    pthread_mutex_t lock;
    void (*fn)(void *user);
    void *user;
} bell = {.lock = PTHREAD_MUTEX_INITIALIZER};

void mail_on_ring(void (*fn)(void *user), void *user)
{
    pthread_mutex_lock(&bell.lock);
    bell.fn = fn;
    bell.user = user;
    pthread_mutex_unlock(&bell.lock);
}

/* Of two writes at the same time one may ring for both, too early for the other: that letter is
 * found a second later. */
void mail_ring(void)
{
    if (!atomic_load(&has_posted) || !atomic_exchange(&has_posted, false))
        return;
    pthread_mutex_lock(&bell.lock);
    if (bell.fn)
        bell.fn(bell.user);
    pthread_mutex_unlock(&bell.lock);
}

/* ---- posting --------------------------------------------------------------------------------- */

static const struct sql count_waiting = {
    "SELECT count(*) FROM (SELECT 1 FROM dais_mail WHERE given_up = 0 LIMIT ?) AS waiting",
    NULL,
};

static bool has_room(struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &count_waiting, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, WAITING_MAX);
    bool fine = db_step(s, e) == DB_ROW;
    int64_t n = fine ? db_i64(s, 0) : 0;
    db_reset(s);
    if (n >= WAITING_MAX)
        return err_set(e, ERR_UNAVAILABLE, "No mail can be sent just now; try again later.");
    return fine;
}

static const struct sql insert = {
    "INSERT INTO dais_mail (id, due, attempts, recipient, subject, words, page, link, code,"
    " created, given_up, error) VALUES (?, ?, 0, ?, ?, ?, ?, ?, ?, ?, 0, '')",
    NULL,
};

struct parts {
    struct buf subject, words, page;
};

static bool insert_row(struct db_conn *c, const struct letter *l, const struct parts *p,
                       int64_t now_ms, struct err *e)
{
    char id[ID_LEN + 1];
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    random_id(id);
    db_bind_text(s, 1, slice_from(id));
    db_bind_i64(s, 2, now_ms);
    db_bind_text(s, 3, l->to);
    db_bind_text(s, 4, buf_slice(&p->subject));
    db_bind_text(s, 5, buf_slice(&p->words));
    db_bind_text(s, 6, buf_slice(&p->page));
    db_bind_text(s, 7, link_is_good(l->link) ? l->link : SLICE(""));
    db_bind_text(s, 8, l->code.ptr ? l->code : SLICE(""));
    db_bind_i64(s, 9, now_ms);
    return db_run(s, NULL, e);
}

bool mail_post(struct db_conn *c, const struct letter *l, int64_t now_ms, struct err *e)
{
    struct parts p;
    if (!mail_is_address(l->to))
        return err_set(e, ERR_INVALID, "This is no e-mail address.");
    if (!has_room(c, e))
        return false;
    buf_init(&p.subject, SUBJECT_MAX);
    buf_init(&p.words, PART_MAX);
    buf_init(&p.page, PART_MAX);
    line_add(&p.subject, slice_trim(l->subject), SUBJECT_MAX);
    compose_words(&p.words, l);
    compose_page(&p.page, l);
    bool fine = p.words.full || p.page.full ? err_set(e, ERR_INVALID, "The letter is too long.")
                                            : insert_row(c, l, &p, now_ms, e);
    buf_done(&p.subject);
    buf_done(&p.words);
    buf_done(&p.page);
    if (fine)
        atomic_store(&has_posted, true);
    return fine;
}

/* ---- looking --------------------------------------------------------------------------------- */

const struct sql outbox_look_sql = {
    "SELECT count(*), coalesce(min(due), 0),"
    " (SELECT coalesce(min(given_up), 0) FROM dais_mail WHERE given_up > 0)"
    " FROM dais_mail WHERE given_up = 0",
    NULL,
};

bool outbox_look(struct db *db, struct outbox_view *ret, struct err *e)
{
    struct db_conn *c = db_conn_take(db, e);
    if (!c)
        return false;
    db_conn_once(c);
    struct db_stmt *s = db_prepare(c, &outbox_look_sql, e);
    bool fine = s && db_step(s, e) == DB_ROW;
    if (fine)
        *ret = (struct outbox_view){(uint64_t)db_i64(s, 0), db_i64(s, 1), db_i64(s, 2)};
    if (s)
        db_reset(s);
    db_conn_give(c);
    return fine;
}

/* ---- claiming -------------------------------------------------------------------------------- */

#define CLAIM                                                                             \
    "SELECT id, recipient, subject, words, page, link, code, due, attempts, created FROM" \
    " dais_mail WHERE given_up = 0 AND due <= ? ORDER BY due LIMIT 1"
static const struct sql next_due = {CLAIM, CLAIM " FOR UPDATE SKIP LOCKED"};
static const struct sql lease = {
    "UPDATE dais_mail SET due = ?, attempts = attempts + 1 WHERE id = ? AND due = ?",
    NULL,
};

struct claim {
    struct arena *arena;
    int64_t now_ms;
    struct posted *ret;
    bool is_found;
};

static void read_row(const struct db_stmt *s, struct arena *a, struct posted *ret)
{
    *ret = (struct posted){
        .id = arena_dup(a, db_text(s, 0)),
        .to = arena_dup(a, db_text(s, 1)),
        .subject = arena_dup(a, db_text(s, 2)),
        .words = arena_dup(a, db_text(s, 3)),
        .page = arena_dup(a, db_text(s, 4)),
        .link = arena_dup(a, db_text(s, 5)),
        .code = arena_dup(a, db_text(s, 6)),
        .due_ms = db_i64(s, 7),
        .attempts = db_i64(s, 8),
        .created_ms = db_i64(s, 9),
    };
}

static bool run_claim(void *arg, struct db_conn *c, struct err *e)
{
    struct claim *k = arg;
    int64_t changed = 0;
    k->is_found = false;
    struct db_stmt *s = db_prepare(c, &next_due, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, k->now_ms);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        read_row(s, k->arena, k->ret);
    db_reset(s);
    if (step != DB_ROW)
        return step == DB_END;
    s = db_prepare(c, &lease, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, k->now_ms + LEASE_MS);
    db_bind_text(s, 2, k->ret->id);
    db_bind_i64(s, 3, k->ret->due_ms);
    k->ret->due_ms = k->now_ms + LEASE_MS;
    k->ret->attempts++;
    bool fine = db_run(s, &changed, e);
    k->is_found = fine && changed == 1;
    return fine;
}

bool outbox_claim(struct db *db, struct arena *a, int64_t now_ms, struct posted *ret,
                  bool *ret_found, struct err *e)
{
    struct claim k = {.arena = a, .now_ms = now_ms, .ret = ret};
    bool fine = db_write_now(db, run_claim, &k, e);
    *ret_found = fine && k.is_found;
    return fine;
}

/* ---- what came of it ------------------------------------------------------------------------- */

struct ending {
    const struct posted *posted;
    int64_t at_ms;
    struct slice why;
};

static const struct sql delete = {"DELETE FROM dais_mail WHERE id = ?", NULL};
/* Only while the claim is ours: another one may have it since. */
static const struct sql put_off = {
    "UPDATE dais_mail SET due = ?, attempts = ?, error = ? WHERE id = ? AND due = ?",
    NULL,
};
/* What was written goes: a link in it is nobody's business any more. */
static const struct sql give_up = {
    "UPDATE dais_mail SET given_up = ?, error = ?, words = '', page = '', link = ''"
    " WHERE id = ? AND due = ? AND given_up = 0",
    NULL,
};
static const struct sql keep_some = {
    "DELETE FROM dais_mail WHERE given_up > 0 AND id NOT IN (SELECT id FROM dais_mail"
    " WHERE given_up > 0 ORDER BY given_up DESC, id LIMIT ?)",
    NULL,
};
static const struct sql prune = {
    "DELETE FROM dais_mail WHERE given_up > 0 AND given_up <= ?",
    NULL,
};

static bool run_sent(void *arg, struct db_conn *c, struct err *e)
{
    const struct ending *it = arg;
    struct db_stmt *s = db_prepare(c, &delete, e);
    if (!s)
        return false;
    db_bind_text(s, 1, it->posted->id);
    return db_run(s, NULL, e);
}

bool outbox_sent(struct db *db, const struct posted *p, struct err *e)
{
    return db_write_now(db, run_sent, &(struct ending){.posted = p}, e);
}

static bool run_later(void *arg, struct db_conn *c, struct err *e)
{
    const struct ending *it = arg;
    struct db_stmt *s = db_prepare(c, &put_off, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, it->at_ms);
    db_bind_i64(s, 2, it->posted->attempts - !it->why.ptr);
    db_bind_text(s, 3, it->why.ptr ? it->why : SLICE(""));
    db_bind_text(s, 4, it->posted->id);
    db_bind_i64(s, 5, it->posted->due_ms);
    return db_run(s, NULL, e);
}

bool outbox_later(struct db *db, const struct posted *p, int64_t due_ms, const char *why,
                  struct err *e)
{
    struct slice text = {why, why ? slice_first(slice_from(why), WHY_MAX).len : 0};
    return db_write_now(db, run_later, &(struct ending){p, due_ms, text}, e);
}

static bool run_number(struct db_conn *c, const struct sql *sql, int64_t n, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, n);
    return db_run(s, NULL, e);
}

static bool run_give_up(void *arg, struct db_conn *c, struct err *e)
{
    const struct ending *it = arg;
    char detail[WHY_MAX + 100];
    int64_t changed = 0;
    struct db_stmt *s = db_prepare(c, &give_up, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, it->at_ms);
    db_bind_text(s, 2, it->why);
    db_bind_text(s, 3, it->posted->id);
    db_bind_i64(s, 4, it->posted->due_ms);
    if (!db_run(s, &changed, e))
        return false;
    if (changed == 0)
        return true;
    snprintf(detail, sizeof detail, "%.*s: %.*s", SLICE_ARGS(slice_first(it->posted->code, 40)),
             SLICE_ARGS(it->why));
    const struct event ev = {
        .kind = EVENT_MAIL_FAILED, .object = it->posted->id, .detail = slice_from(detail)};
    return event_add(c, &ev, it->at_ms, e) && run_number(c, &keep_some, GIVEN_UP_MAX, e);
}

bool outbox_give_up(struct db *db, const struct posted *p, int64_t now_ms, const char *why,
                    struct err *e)
{
    struct slice text = slice_first(slice_from(why), WHY_MAX);
    return db_write_now(db, run_give_up, &(struct ending){p, now_ms, text}, e);
}

static bool run_prune(void *arg, struct db_conn *c, struct err *e)
{
    return run_number(c, &prune, *(const int64_t *)arg - GIVEN_UP_KEPT_MS, e);
}

bool outbox_prune(struct db *db, int64_t now_ms, struct err *e)
{
    return db_write_now(db, run_prune, &now_ms, e);
}
