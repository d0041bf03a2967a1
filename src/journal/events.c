/* The trail of events, in the database of what they happened to: a row each. */
#include "journal/events_impl.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "base/utf8.h"

#include <string.h>

#define COLUMNS "id, at, kind, is_anomaly, who, object, ip, request, detail, count"
#define INDEXES                                          \
    "CREATE INDEX dais_events_at ON dais_events (at);"   \
    "CREATE INDEX dais_events_anomalies ON dais_events " \
    "(id) WHERE is_anomaly = 1;"

const struct db_migration events_migration = {
    "events",
    "CREATE TABLE dais_events (id TEXT PRIMARY KEY, at BIGINT NOT NULL, kind TEXT NOT NULL,"
    " is_anomaly BIGINT NOT NULL, who TEXT NOT NULL, object TEXT NOT NULL, ip TEXT NOT NULL,"
    " request TEXT NOT NULL, detail TEXT NOT NULL, count BIGINT NOT NULL);" INDEXES,
    "CREATE TABLE dais_events (id TEXT COLLATE \"C\" PRIMARY KEY, at BIGINT NOT NULL,"
    " kind TEXT NOT NULL, is_anomaly BIGINT NOT NULL, who TEXT COLLATE \"C\" NOT NULL,"
    " object TEXT NOT NULL, ip TEXT NOT NULL, request TEXT NOT NULL, detail TEXT NOT NULL,"
    " count BIGINT NOT NULL);" INDEXES,
};

/* One whose count has grown since is there already. */
static const struct sql put = {
    "INSERT INTO dais_events (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET count = excluded.count",
    NULL,
};

static _Atomic uint64_t counts[EVENT_KINDS];

static const struct {
    const char *name;
    bool is_anomaly;
} kinds[] = {
#define X(id, name, is_anomaly) {name, is_anomaly},
    EVENT_MAP(X)
#undef X
};

const char *event_name(enum event_kind kind)
{
    return kinds[kind].name;
}

bool event_kind_of(struct slice name, enum event_kind *ret)
{
    for (int i = 0; i < EVENT_KINDS; i++) {
        if (!slice_is(name, kinds[i].name))
            continue;
        *ret = (enum event_kind)i;
        return true;
    }
    return false;
}

uint64_t event_count(enum event_kind kind)
{
    return atomic_load(&counts[kind]);
}

void event_counted(enum event_kind kind)
{
    atomic_fetch_add_explicit(&counts[kind], 1, memory_order_relaxed);
}

/* What comes from outside may be anything: a database takes neither half a character nor a NUL, and
 * a terminal takes controls as orders. */
size_t event_text(struct slice from, char *to, size_t room)
{
    size_t n = 0;
    while (from.len) {
        size_t len = utf8_length(from);
        bool is_fine = len && !utf8_is_control(from);
        size_t take = is_fine ? len : 1;
        if (n + take >= room)
            break;
        memcpy(to + n, is_fine ? from.ptr : "?", take);
        n += take;
        from = slice_skip(from, len ? len : 1);
    }
    to[n] = '\0';
    return n;
}

void event_row_set(struct event_row *r, const struct event *ev, int64_t now_ms)
{
    random_id(r->id);
    r->kind = ev->kind;
    r->at_ms = now_ms;
    r->count = 1;
    event_text(ev->who, r->who, sizeof r->who);
    event_text(ev->object, r->object, sizeof r->object);
    event_text(ev->ip, r->ip, sizeof r->ip);
    event_text(ev->request, r->request, sizeof r->request);
    event_text(ev->detail, r->detail, sizeof r->detail);
}

bool event_row_put(struct db_conn *c, const struct event_row *r, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &put, e);
    if (!s)
        return false;
    db_bind_text(s, 1, slice_from(r->id));
    db_bind_i64(s, 2, r->at_ms);
    db_bind_text(s, 3, slice_from(kinds[r->kind].name));
    db_bind_i64(s, 4, kinds[r->kind].is_anomaly);
    db_bind_text(s, 5, slice_from(r->who));
    db_bind_text(s, 6, slice_from(r->object));
    db_bind_text(s, 7, slice_from(r->ip));
    db_bind_text(s, 8, slice_from(r->request));
    db_bind_text(s, 9, slice_from(r->detail));
    db_bind_i64(s, 10, r->count);
    return db_run(s, NULL, e);
}

bool event_add(struct db_conn *c, const struct event *ev, int64_t now_ms, struct err *e)
{
    struct event_row row;
    event_row_set(&row, ev, now_ms);
    event_counted(ev->kind);
    return event_row_put(c, &row, e);
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct db_stmt *prepare_list(struct db_conn *c, const struct events_query *q, struct err *e)
{
    char text[400];
    int n = snprintf(text, sizeof text,
                     "SELECT " COLUMNS " FROM dais_events WHERE id < ?%s%s%s"
                     " ORDER BY id DESC LIMIT ?",
                     q->kind.len ? " AND kind = ?" : "", q->who.len ? " AND who = ?" : "",
                     q->is_anomaly ? " AND is_anomaly = 1" : "");
    struct db_stmt *s = db_prepare_text(c, (struct slice){text, (size_t)n}, e);
    int at = 1;
    if (!s)
        return NULL;
    db_bind_text(s, at++, q->after.len ? q->after : SLICE("~")); /* after all ids */
    if (q->kind.len)
        db_bind_text(s, at++, q->kind);
    if (q->who.len)
        db_bind_text(s, at++, q->who);
    db_bind_i64(s, at, q->limit + 1);
    return s;
}

static void write_item(struct json_writer *w, const struct db_stmt *s)
{
    static const char *const texts[] = {"who", "object", "ip", "request", "detail"};
    char at[RFC3339_LEN + 1];
    clock_rfc3339(db_i64(s, 1), at);
    json_write_object(w);
    json_write_key(w, SLICE("id"));
    json_write_str(w, db_text(s, 0));
    json_write_key(w, SLICE("at"));
    json_write_cstr(w, at);
    json_write_key(w, SLICE("kind"));
    json_write_str(w, db_text(s, 2));
    json_write_key(w, SLICE("anomaly"));
    json_write_bool(w, db_i64(s, 3) != 0);
    for (int i = 0; i < 5; i++) {
        json_write_key(w, slice_from(texts[i]));
        json_write_str(w, db_text(s, 4 + i));
    }
    json_write_key(w, SLICE("count"));
    json_write_i64(w, db_i64(s, 9));
    json_write_object_end(w);
}

bool events_list(struct db_conn *c, const struct events_query *q, struct buf *to, struct err *e)
{
    struct json_writer w;
    char last[ID_LEN + 1] = "";
    bool has_more = false;
    enum db_step step;
    struct db_stmt *s = prepare_list(c, q, e);
    if (!s)
        return false;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("items"));
    json_write_array(&w);
    for (uint32_t n = 0; (step = db_step(s, e)) == DB_ROW; n++) {
        has_more = n == q->limit;
        if (has_more)
            break;
        write_item(&w, s);
        event_text(db_text(s, 0), last, sizeof last);
    }
    db_reset(s);
    json_write_array_end(&w);
    json_write_key(&w, SLICE("next"));
    json_write_cstr(&w, has_more ? last : NULL);
    json_write_object_end(&w);
    return step != DB_FAILED;
}

/* ---- forgetting ------------------------------------------------------------------------------ */

static const struct sql prune_old = {
    "DELETE FROM dais_events WHERE id IN"
    " (SELECT id FROM dais_events WHERE at < ? ORDER BY at LIMIT ?)",
    NULL,
};
/* Of those behind the newest so many, the oldest go first. */
static const struct sql prune_anomalies = {
    "DELETE FROM dais_events WHERE id IN (SELECT id FROM dais_events WHERE is_anomaly = 1 AND id <="
    " (SELECT id FROM dais_events WHERE is_anomaly = 1 ORDER BY id DESC LIMIT 1 OFFSET ?)"
    " ORDER BY id LIMIT ?)",
    NULL,
};
static const struct sql prune_many = {
    "DELETE FROM dais_events WHERE id IN (SELECT id FROM dais_events WHERE id <="
    " (SELECT id FROM dais_events ORDER BY id DESC LIMIT 1 OFFSET ?) ORDER BY id LIMIT ?)",
    NULL,
};

static bool prune_by(struct db_conn *c, const struct sql *sql, int64_t bound, int limit,
                     int64_t *ret_n, struct err *e)
{
    int64_t n = 0;
    struct db_stmt *s = *ret_n < limit ? db_prepare(c, sql, e) : NULL;
    if (!s)
        return *ret_n >= limit;
    db_bind_i64(s, 1, bound);
    db_bind_i64(s, 2, limit - *ret_n);
    if (!db_run(s, &n, e))
        return false;
    *ret_n += n;
    return true;
}

bool events_prune(struct db_conn *c, int64_t now_ms, int limit, int64_t *ret_n, struct err *e)
{
    *ret_n = 0;
    return prune_by(c, &prune_old, now_ms - EVENTS_KEPT_MS, limit, ret_n, e) &&
           prune_by(c, &prune_anomalies, EVENTS_ANOMALIES, limit, ret_n, e) &&
           prune_by(c, &prune_many, EVENTS_MAX, limit, ret_n, e);
}
