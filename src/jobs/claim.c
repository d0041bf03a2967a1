/* Ready jobs are taken: by priority, in turn between owners, of each the oldest, as many as may run
 * at once.
 *
 * A round lists the owners that have something ready, from the one after whoever was served last,
 * and of each as many as its share is; what they leave, because some have less, is another round.
 * No statement looks at more rows than are taken, however long the queue is. */
#include "jobs/jobs_impl.h"

#include <string.h>

#define CLAIM_MAX 256

static const struct sql with_ready = {
    "SELECT value FROM json_each(?) AS t WHERE EXISTS"
    " (SELECT 1 FROM dais_jobs WHERE state = 0 AND type = t.value)",
    /* sorted and one: or it would be a join, which reads all that are ready */
    "SELECT t.value FROM json_array_elements_text(?::json) AS t(value) WHERE (SELECT priority"
    " FROM dais_jobs WHERE state = 0 AND type = t.value ORDER BY priority LIMIT 1) IS NOT NULL",
};
static const struct sql running = {
    "SELECT owner, count(*) FROM dais_jobs WHERE state = 1 AND type = ? GROUP BY owner", NULL};
static const struct sql next_priority = {
    "SELECT priority FROM dais_jobs WHERE state = 0 AND type = ? AND priority >= ?"
    " ORDER BY priority LIMIT 1",
    NULL,
};
#define OF "state = 0 AND type = $1 AND priority = $2"
static const struct sql in_turn = {
    "WITH RECURSIVE owners(owner, n) AS (SELECT * FROM (SELECT owner, 1 FROM dais_jobs"
    " WHERE state = 0 AND type = ?1 AND priority = ?2 AND owner >= ?3 ORDER BY owner LIMIT 1)"
    " UNION ALL SELECT (SELECT j.owner FROM dais_jobs j WHERE j.state = 0 AND j.type = ?1"
    " AND j.priority = ?2 AND j.owner > o.owner ORDER BY j.owner LIMIT 1), o.n + 1"
    " FROM owners o WHERE o.owner IS NOT NULL AND o.n < ?4)"
    " SELECT o.owner, k.id FROM owners o CROSS JOIN dais_jobs k ON k.id IN (SELECT i.id"
    " FROM dais_jobs i WHERE i.state = 0 AND i.type = ?1 AND i.priority = ?2"
    " AND i.owner = o.owner ORDER BY i.id LIMIT ?5) ORDER BY o.n, k.id",
    "WITH RECURSIVE owners(owner, n) AS (SELECT * FROM (SELECT owner, 1::bigint FROM dais_jobs"
    " WHERE " OF " AND owner >= $3 ORDER BY owner LIMIT 1) AS f"
    " UNION ALL SELECT (SELECT j.owner FROM dais_jobs j WHERE " OF
    " AND j.owner > o.owner ORDER BY j.owner LIMIT 1), o.n + 1"
    " FROM owners o WHERE o.owner IS NOT NULL AND o.n < $4)"
    " SELECT o.owner, k.id FROM owners o CROSS JOIN LATERAL (SELECT i.id FROM dais_jobs i"
    " WHERE " OF " AND i.owner = o.owner ORDER BY i.id LIMIT $5) k ORDER BY o.n, k.id",
};
/* One may be added while the write that takes it is under way: it does not begin before that. */
#define TAKE(clock, later)                                                               \
    "UPDATE dais_jobs SET state = 1, attempt = attempt + 1, holder = ?, lease = " clock  \
    " + 30000, started = " later "(?, created), ended = 0, progress = -1, message = ''," \
    " error_code = 0, error = '', cancel_at = 0, is_cached = 0 WHERE state = 0 AND id "
#define TAKEN " RETURNING " JOB_COLUMNS JOB_SAID JOB_WHOLE
static const struct sql take = {
    TAKE("?", "MAX") "IN " JOB_IDS_SQLITE TAKEN,
    TAKE(JOB_CLOCK_POSTGRES, "GREATEST") "= " JOB_IDS_POSTGRES TAKEN,
};
_Static_assert(JOB_LEASE_MS == 30000, "as in the statement");

struct count {
    int64_t n;
};
struct pick {
    struct slice owner, id;
    size_t rank; /* among those of its owner */
};
struct claiming {
    struct jobs *jobs;
    struct db_conn *conn;
    struct arena *arena;
    struct slice holder;
    int64_t now_ms;
    struct job_claim *ret;
    size_t n, max;
    bool has_more;
    /* of the present type */
    struct job_type *type;
    size_t want;
    int64_t priority;
    struct map running; /* by owner; struct count */
    size_t n_full;      /* owners who may not have more */
    struct pick *picks;
    size_t n_picks;
};

/* ---- who may have how many -------------------------------------------------------------------
 */

static bool count_running(struct claiming *x, struct err *e)
{
    const struct job_concurrency *conf = &x->type->conf->concurrency;
    enum db_step step;
    int64_t all = 0;
    if (!conf->total && !conf->per_user)
        return true;
    struct db_stmt *s = db_prepare(x->conn, &running, e);
    if (!s)
        return false;
    db_bind_text(s, 1, x->type->name);
    while ((step = db_step(s, e)) == DB_ROW) {
        struct count *count = arena_new(x->arena, struct count);
        count->n = db_i64(s, 1);
        map_put(&x->running, arena_dup(x->arena, db_text(s, 0)), count);
        x->n_full += conf->per_user && count->n >= conf->per_user;
        all += count->n;
    }
    db_reset(s);
    int64_t left = conf->total ? conf->total - all : (int64_t)x->want;
    if (left < (int64_t)x->want)
        x->want = left > 0 ? (size_t)left : 0;
    return step != DB_FAILED;
}

static size_t allowance(const struct claiming *x, struct slice owner)
{
    int64_t most = x->type->conf->concurrency.per_user;
    const struct count *count = map_find(&x->running, owner);
    int64_t left = most ? most - (count ? count->n : 0) : (int64_t)x->want;
    return left > 0 ? (size_t)left : 0;
}

static void has_one_more(struct claiming *x, struct slice owner)
{
    struct count *count = map_find(&x->running, owner);
    if (!count) {
        count = arena_new(x->arena, struct count);
        map_put(&x->running, owner, count);
    }
    count->n++;
    x->n_full += count->n == x->type->conf->concurrency.per_user;
}

/* ---- a round --------------------------------------------------------------------------------- */

/* Adds what the owners from `from` on may have, as long as they do not come after `last`. */
static bool list(struct claiming *x, struct slice from, const struct slice *last, size_t share,
                 size_t *ret_owners, struct err *e)
{
    enum db_step step = DB_END;
    struct slice owner = SLICE("");
    size_t rank = 0, may_have = 0;
    bool is_first = true;
    struct db_stmt *s = db_prepare(x->conn, &in_turn, e);
    if (!s)
        return false;
    db_bind_text(s, 1, x->type->name);
    db_bind_i64(s, 2, x->priority);
    db_bind_text(s, 3, from);
    db_bind_i64(s, 4, (int64_t)(x->want + x->n_full));
    db_bind_i64(s, 5, (int64_t)share);
    while (*ret_owners <= x->want && (step = db_step(s, e)) == DB_ROW) {
        if (is_first || !slice_eq(owner, db_text(s, 0))) {
            is_first = false;
            owner = arena_dup(x->arena, db_text(s, 0));
            if (last && slice_cmp(owner, *last) > 0)
                break;
            rank = 0;
            may_have = allowance(x, owner);
            *ret_owners += may_have > 0;
        }
        if (rank < may_have && x->n_picks < 2 * CLAIM_MAX)
            x->picks[x->n_picks++] =
                (struct pick){owner, arena_dup(x->arena, db_text(s, 1)), rank++};
    }
    db_reset(s);
    return step != DB_FAILED;
}

static bool list_all(struct claiming *x, size_t share, size_t *ret_owners, struct err *e)
{
    struct slice last, after;
    pthread_mutex_lock(&x->jobs->lock);
    last = arena_dup(x->arena, (struct slice){x->type->turn, x->type->turn_len});
    bool has_turn = x->type->has_turn;
    pthread_mutex_unlock(&x->jobs->lock);
    x->n_picks = 0;
    *ret_owners = 0;
    after = arena_printf(x->arena, "%.*s\1", SLICE_ARGS(last)); /* no id holds anything less */
    if (!has_turn)
        return list(x, SLICE(""), NULL, share, ret_owners, e);
    return list(x, after, NULL, share, ret_owners, e) &&
           (*ret_owners >= x->want || list(x, SLICE(""), &last, share, ret_owners, e));
}

static void set_turn(struct claiming *x, struct slice owner)
{
    struct job_type *t = x->type;
    pthread_mutex_lock(&x->jobs->lock);
    t->turn_len = owner.len < sizeof t->turn ? owner.len : sizeof t->turn;
    memcpy(t->turn, owner.ptr, t->turn_len);
    t->has_turn = true;
    pthread_mutex_unlock(&x->jobs->lock);
}

/* The first of each, then the second of each, as many as are wanted. */
static size_t choose(struct claiming *x, struct slice *ids)
{
    size_t n = 0;
    struct slice last = SLICE("");
    for (size_t rank = 0; n < x->want; rank++) {
        bool any = false;
        for (size_t i = 0; i < x->n_picks && n < x->want; i++) {
            if (x->picks[i].rank != rank)
                continue;
            any = true;
            ids[n++] = x->picks[i].id;
            has_one_more(x, x->picks[i].owner);
            last = x->picks[i].owner;
        }
        if (!any)
            break;
    }
    if (n)
        set_turn(x, last);
    return n;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static bool take_rows(struct claiming *x, const struct slice *ids, size_t n, struct job_full *rows,
                      size_t *ret_n, struct err *e)
{
    struct db_stmt *s = db_prepare(x->conn, &take, e);
    if (!s)
        return false;
    db_bind_text(s, 1, x->holder);
    db_bind_i64(s, 2, x->now_ms);
    db_bind_i64(s, 3, x->now_ms);
    db_bind_text(s, 4, job_ids(x->arena, ids, n));
    return job_read_all(s, x->arena, rows, n, ret_n, e);
}

/* Some are over before they begin. */
static bool may_begin(struct claiming *x, struct job_full *f, bool *ret, struct err *e)
{
    struct slice result = {0};
    enum db_step step = DB_END;
    bool has_begun = f->again || f->lost; /* of attempts some may be from before a retry */
    if (!quota_may_begin(x->conn, x->type, f, x->now_ms, ret, e))
        return false;
    if (!*ret)
        job_fail(f, JOB_ERROR_QUOTA, SLICE("The minutes of its quota are used up."), x->now_ms);
    else if (f->cache.len)
        step = cache_known(x->conn, x->type, f->cache, x->now_ms, x->arena, &result, e);
    if (step == DB_ROW) {
        job_succeed(f, result, x->now_ms);
        f->row.is_cached = true;
        *ret = false;
    }
    if (!*ret) {
        f->is_refunded = !has_begun;
        f->row.started_ms = has_begun ? f->row.started_ms : 0;
    }
    return step != DB_FAILED;
}

static const struct job_full *row_of(const struct job_full *rows, size_t n, struct slice id)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(rows[i].row.id, id))
            return &rows[i];
    }
    return NULL;
}

/* In the order in which they were chosen. */
static bool give(struct claiming *x, const struct slice *ids, size_t n, struct err *e)
{
    struct job_full *rows = arena_alloc(x->arena, n * sizeof *rows);
    struct job_full *over = arena_alloc(x->arena, n * sizeof *over);
    struct settling settling = {x->jobs, x->conn, x->arena, x->now_ms, false, false};
    size_t n_rows = 0, n_over = 0;
    if (!take_rows(x, ids, n, rows, &n_rows, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct job_full *found = row_of(rows, n_rows, ids[i]);
        bool begins = false;
        if (!found) /* cancelled meanwhile */
            continue;
        over[n_over] = *found;
        if (!may_begin(x, &over[n_over], &begins, e))
            return false;
        if (begins)
            x->ret[x->n++] = (struct job_claim){.type = x->type, .row = found->row};
        n_over += !begins;
    }
    x->want -= n;
    x->has_more |= n_over > 0 || n_rows < n;
    return !n_over || jobs_settle(&settling, over, n_over, e);
}

static bool take_priority(struct claiming *x, struct err *e)
{
    struct slice *ids = arena_alloc(x->arena, x->want * sizeof *ids);
    size_t owners = 0, n;
    do {
        if (!list_all(x, 1, &owners, e))
            return false;
        if (owners && owners < x->want && !list_all(x, (x->want + owners - 1) / owners, &owners, e))
            return false;
        n = choose(x, ids);
        if (n && !give(x, ids, n, e))
            return false;
    } while (n && x->want);
    return true;
}

static bool find_priority(struct claiming *x, int64_t from, bool *ret_has, struct err *e)
{
    struct db_stmt *s = db_prepare(x->conn, &next_priority, e);
    if (!s)
        return false;
    db_bind_text(s, 1, x->type->name);
    db_bind_i64(s, 2, from);
    enum db_step step = db_step(s, e);
    *ret_has = step == DB_ROW;
    if (*ret_has)
        x->priority = db_i64(s, 0);
    db_reset(s);
    return step != DB_FAILED;
}

static bool claim_type(struct claiming *x, struct job_type *t, size_t most, struct err *e)
{
    bool has = false;
    size_t left = x->max - x->n < CLAIM_MAX ? x->max - x->n : CLAIM_MAX;
    x->type = t;
    x->want = most < left ? most : left;
    x->n_full = 0;
    map_init(&x->running);
    bool fine = count_running(x, e);
    int64_t from = -JOB_PRIORITY;
    while (fine && x->want) {
        fine = find_priority(x, from, &has, e);
        if (!fine || !has)
            break;
        fine = take_priority(x, e);
        from = x->priority + 1;
    }
    x->has_more |= fine && most > left && !x->want;
    map_done(&x->running);
    return fine;
}

/* ---- all ------------------------------------------------------------------------------------- */

static struct slice names_of(struct arena *a, const struct job_room *rooms, size_t n)
{
    struct json_writer w;
    struct buf text;
    buf_init(&text, 1u << 20);
    json_writer_init(&w, &text, 0);
    json_write_array(&w);
    for (size_t i = 0; i < n; i++)
        json_write_str(&w, rooms[i].type->name);
    json_write_array_end(&w);
    struct slice names = arena_dup(a, buf_slice(&text));
    buf_done(&text);
    return names;
}

/* Of each type, by its index. Without a lock: most of the time there is nothing. */
static bool find_ready(struct claiming *x, const struct job_room *rooms, size_t n, bool *ret_is,
                       struct err *e)
{
    enum db_step step;
    struct db_stmt *s = db_prepare(x->conn, &with_ready, e);
    if (!s)
        return false;
    db_bind_text(s, 1, names_of(x->arena, rooms, n));
    while ((step = db_step(s, e)) == DB_ROW) {
        const struct job_type *t = job_type_find(x->jobs, db_text(s, 0));
        if (t)
            ret_is[t->index] = true;
    }
    db_reset(s);
    return step != DB_FAILED;
}

/* Whoever waited for a lock could wait for a server that stands still in the middle of its claim,
 * and lose its own leases meanwhile: what another one is at comes later. */
static bool lock_all(struct claiming *x, bool *is_ready, struct err *e)
{
    for (size_t i = 0; i < x->jobs->n_types; i++) {
        if (!is_ready[i])
            continue;
        struct slice name = x->jobs->types[i].name;
        name = arena_printf(x->arena, "job:%.*s", SLICE_ARGS(name));
        if (!db_try_lock(x->conn, name, &is_ready[i], e))
            return false;
        x->has_more |= !is_ready[i];
    }
    return true;
}

bool jobs_claim(struct jobs *j, struct db_conn *c, struct slice holder,
                const struct job_room *rooms, size_t n_rooms, int64_t now_ms, struct arena *a,
                struct job_claim *ret, size_t max, size_t *ret_n, bool *ret_has_more, struct err *e)
{
    struct claiming x = {.jobs = j, .conn = c, .arena = a, .holder = holder, .now_ms = now_ms};
    bool *is_ready = arena_zalloc(a, j->n_types + 1);
    x.ret = ret;
    x.max = max;
    x.picks = arena_alloc(a, 2 * CLAIM_MAX * sizeof *x.picks);
    bool fine =
        !n_rooms || (find_ready(&x, rooms, n_rooms, is_ready, e) && lock_all(&x, is_ready, e));
    for (size_t i = 0; fine && i < n_rooms; i++) {
        if (!is_ready[rooms[i].type->index] || !rooms[i].most)
            continue;
        if (x.n < x.max)
            fine = claim_type(&x, &j->types[rooms[i].type->index], rooms[i].most, e);
        else
            x.has_more = true;
    }
    *ret_n = x.n;
    *ret_has_more = x.has_more;
    return fine;
}
