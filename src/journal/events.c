/* The trail of events, in the database of what they happened to. */
#include "journal/journal.h"

#include "base/random.h"

#define DETAIL_MAX 500

const struct db_migration events_migration = {
    "events",
    "CREATE TABLE dais_events (id TEXT PRIMARY KEY, at BIGINT NOT NULL, kind TEXT NOT NULL,"
    " is_anomaly BIGINT NOT NULL, who TEXT NOT NULL, object TEXT NOT NULL, ip TEXT NOT NULL,"
    " request TEXT NOT NULL, detail TEXT NOT NULL);"
    "CREATE INDEX dais_events_at ON dais_events (at);",
    "CREATE TABLE dais_events (id TEXT COLLATE \"C\" PRIMARY KEY, at BIGINT NOT NULL,"
    " kind TEXT NOT NULL, is_anomaly BIGINT NOT NULL, who TEXT COLLATE \"C\" NOT NULL,"
    " object TEXT NOT NULL, ip TEXT NOT NULL, request TEXT NOT NULL, detail TEXT NOT NULL);"
    "CREATE INDEX dais_events_at ON dais_events (at);",
};

static const struct sql insert = {
    "INSERT INTO dais_events (id, at, kind, is_anomaly, who, object, ip, request, detail)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    NULL,
};

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

static struct slice given(struct slice s)
{
    return s.ptr ? s : SLICE("");
}

bool event_add(struct db_conn *c, const struct event *ev, int64_t now_ms, struct err *e)
{
    char id[ID_LEN + 1];
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    random_id(id);
    db_bind_text(s, 1, slice_from(id));
    db_bind_i64(s, 2, now_ms);
    db_bind_text(s, 3, slice_from(kinds[ev->kind].name));
    db_bind_i64(s, 4, kinds[ev->kind].is_anomaly);
    db_bind_text(s, 5, given(ev->who));
    db_bind_text(s, 6, given(ev->object));
    db_bind_text(s, 7, given(ev->ip));
    db_bind_text(s, 8, given(ev->request));
    db_bind_text(s, 9, slice_first(given(ev->detail), DETAIL_MAX));
    return db_run(s, NULL, e);
}
