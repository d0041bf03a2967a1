/* The catalogue: which column is which field, which index is in what state, and words of meta. */
#include "docs/tables_impl.h"

static const char *const state_names[] = {[STATE_NONE] = "",
                                          [STATE_BUILDING] = "building",
                                          [STATE_READY] = "ready",
                                          [STATE_VIOLATED] = "violated"};

bool run_text(struct db_conn *c, struct slice text, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, text, e);
    return s && db_run(s, NULL, e);
}

/* Up to three texts, those with a pointer. */
static struct db_stmt *ask(struct db_conn *c, const struct sql *sql, struct slice a, struct slice b,
                           struct slice third, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return NULL;
    db_bind_text(s, 1, a);
    if (b.ptr)
        db_bind_text(s, 2, b);
    if (third.ptr)
        db_bind_text(s, 3, third);
    return s;
}

static bool tell(struct db_conn *c, const struct sql *sql, struct slice a, struct slice b,
                 struct slice third, int64_t *ret_changed, struct err *e)
{
    struct db_stmt *s = ask(c, sql, a, b, third, e);
    return s && db_run(s, ret_changed, e);
}

static const struct slice none = {0};

/* ---- meta ------------------------------------------------------------------------------------ */

static struct slice meta_name(struct arena *a, const char *kind, struct slice name)
{
    return arena_printf(a, "%s %.*s", kind, SLICE_ARGS(name));
}

bool meta_find(struct db_conn *c, const char *kind, struct slice name, struct arena *a,
               struct slice *ret, bool *ret_has, struct err *e)
{
    static const struct sql find = {"SELECT value FROM dais_meta WHERE name = ?", NULL};
    struct db_stmt *s = ask(c, &find, meta_name(a, kind, name), none, none, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW ? arena_dup(a, db_text(s, 0)) : SLICE("");
    if (ret_has)
        *ret_has = step == DB_ROW;
    db_reset(s);
    return step != DB_FAILED;
}

bool meta_put(struct db_conn *c, const char *kind, struct slice name, struct slice value,
              struct arena *a, struct err *e)
{
    static const struct sql put = {"INSERT INTO dais_meta (name, value) VALUES (?, ?)"
                                   " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                                   NULL};
    return tell(c, &put, meta_name(a, kind, name), value, none, NULL, e);
}

bool meta_drop(struct db_conn *c, const char *kind, struct slice name, struct arena *a,
               struct err *e)
{
    static const struct sql drop = {"DELETE FROM dais_meta WHERE name = ?", NULL};
    return tell(c, &drop, meta_name(a, kind, name), none, none, NULL, e);
}

/* ---- fields ---------------------------------------------------------------------------------- */

bool field_find(struct db_conn *c, struct slice coll, struct slice path, int64_t *ret_number,
                bool *ret_ready, struct err *e)
{
    static const struct sql find = {"SELECT number, state FROM dais_fields"
                                    " WHERE collection = ? AND path = ? AND state <> 'gone'",
                                    NULL};
    struct db_stmt *s = ask(c, &find, coll, path, none, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret_number = step == DB_ROW ? db_i64(s, 0) : 0;
    *ret_ready = step == DB_ROW && slice_is(db_text(s, 1), "ready");
    db_reset(s);
    return step != DB_FAILED;
}

static bool next_number(struct db_conn *c, const struct sql *sql, struct slice coll, int64_t *ret,
                        struct err *e)
{
    struct db_stmt *s = ask(c, sql, coll, none, none, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW ? db_i64(s, 0) : 0;
    db_reset(s);
    return step != DB_FAILED;
}

static bool add_row(struct db_conn *c, const struct sql *sql, struct slice coll, struct slice what,
                    int64_t number, enum state state, struct err *e)
{
    struct db_stmt *s = ask(c, sql, coll, what, none, e);
    if (!s)
        return false;
    db_bind_i64(s, 3, number);
    db_bind_text(s, 4, slice_from(state_names[state]));
    return db_run(s, NULL, e);
}

bool field_add(struct db_conn *c, struct slice coll, struct slice path, bool is_ready,
               int64_t *ret_number, struct err *e)
{
    static const struct sql next = {
        "SELECT coalesce(max(number), 0) + 1 FROM dais_fields WHERE collection = ?", NULL};
    static const struct sql add = {
        "INSERT INTO dais_fields (collection, path, number, state) VALUES (?, ?, ?, ?)", NULL};
    return next_number(c, &next, coll, ret_number, e) &&
           add_row(c, &add, coll, path, *ret_number, is_ready ? STATE_READY : STATE_BUILDING, e);
}

static bool has_field(const struct doc_coll *coll, struct slice path)
{
    for (size_t i = 0; i < coll->n_fields; i++) {
        if (slice_eq(coll->fields[i].path, path))
            return true;
    }
    return false;
}

bool fields_forget(struct db_conn *c, const struct doc_coll *coll, bool *ret, struct err *e)
{
    static const struct sql list = {
        "SELECT number, path FROM dais_fields WHERE collection = ? AND state <> 'gone'", NULL};
    static const struct sql forget = {
        "UPDATE dais_fields SET state = 'gone' WHERE collection = ? AND number = ?", NULL};
    enum db_step step;
    int64_t gone[200];
    size_t n = 0;
    struct db_stmt *s = ask(c, &list, coll->name, none, none, e);
    if (!s)
        return false;
    while ((step = db_step(s, e)) == DB_ROW && n < sizeof gone / sizeof *gone) {
        if (!has_field(coll, db_text(s, 1)))
            gone[n++] = db_i64(s, 0);
    }
    db_reset(s);
    for (size_t i = 0; i < n; i++) {
        if (!(s = ask(c, &forget, coll->name, none, none, e)))
            return false;
        db_bind_i64(s, 2, gone[i]);
        if (!db_run(s, NULL, e))
            return false;
    }
    *ret = n > 0;
    return step != DB_FAILED;
}

bool fields_filled(struct db_conn *c, struct slice coll, struct err *e)
{
    static const struct sql set = {
        "UPDATE dais_fields SET state = 'ready' WHERE collection = ? AND state = 'building'", NULL};
    return tell(c, &set, coll, none, none, NULL, e);
}

/* ---- indexes --------------------------------------------------------------------------------- */

static enum state state_of(struct slice name)
{
    for (enum state i = STATE_BUILDING; i <= STATE_VIOLATED; i++) {
        if (slice_is(name, state_names[i]))
            return i;
    }
    return STATE_NONE;
}

bool index_find(struct db_conn *c, struct slice coll, struct slice spec, int64_t *ret_number,
                enum state *ret_state, struct err *e)
{
    static const struct sql find = {
        "SELECT number, state FROM dais_indexes WHERE collection = ? AND spec = ?", NULL};
    struct db_stmt *s = ask(c, &find, coll, spec, none, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret_number = step == DB_ROW ? db_i64(s, 0) : 0;
    *ret_state = step == DB_ROW ? state_of(db_text(s, 1)) : STATE_NONE;
    db_reset(s);
    return step != DB_FAILED;
}

bool index_add(struct db_conn *c, struct slice coll, struct slice spec, int64_t *ret_number,
               struct err *e)
{
    static const struct sql next = {
        "SELECT coalesce(max(number), 0) + 1 FROM dais_indexes WHERE collection = ?", NULL};
    static const struct sql add = {
        "INSERT INTO dais_indexes (collection, spec, number, state) VALUES (?, ?, ?, ?)", NULL};
    return next_number(c, &next, coll, ret_number, e) &&
           add_row(c, &add, coll, spec, *ret_number, STATE_BUILDING, e);
}

bool index_set(struct db_conn *c, struct slice coll, struct slice spec, enum state state,
               struct err *e)
{
    static const struct sql set = {
        "UPDATE dais_indexes SET state = ? WHERE collection = ? AND spec = ?", NULL};
    return tell(c, &set, slice_from(state_names[state]), coll, spec, NULL, e);
}

static bool has_index(const struct doc_coll *coll, struct slice spec)
{
    for (size_t i = 0; i < coll->n_indexes; i++) {
        if (slice_eq(coll->indexes[i].spec, spec))
            return true;
    }
    return false;
}

static bool drop_index(struct db_conn *c, const struct doc_coll *coll, int64_t number,
                       struct slice spec, struct arena *a, struct err *e)
{
    static const struct sql remove = {"DELETE FROM dais_indexes WHERE collection = ? AND spec = ?",
                                      NULL};
    return run_text(c,
                    arena_printf(a, "DROP INDEX IF EXISTS i_%.*s_%lld", SLICE_ARGS(coll->name),
                                 (long long)number),
                    e) &&
           tell(c, &remove, coll->name, spec, none, NULL, e);
}

bool indexes_forget(struct db_conn *c, const struct doc_coll *coll, struct arena *a, struct err *e)
{
    static const struct sql list = {"SELECT number, spec FROM dais_indexes WHERE collection = ?",
                                    NULL};
    enum db_step step;
    struct {
        int64_t number;
        struct slice spec;
    } gone[200];
    size_t n = 0;
    struct db_stmt *s = ask(c, &list, coll->name, none, none, e);
    if (!s)
        return false;
    while ((step = db_step(s, e)) == DB_ROW && n < sizeof gone / sizeof *gone) {
        if (has_index(coll, db_text(s, 1)))
            continue;
        gone[n].number = db_i64(s, 0);
        gone[n++].spec = arena_dup(a, db_text(s, 1));
    }
    db_reset(s);
    for (size_t i = 0; i < n; i++) {
        if (!drop_index(c, coll, gone[i].number, gone[i].spec, a, e))
            return false;
    }
    return step != DB_FAILED;
}

/* ---- rows ------------------------------------------------------------------------------------ */

bool table_has_rows(struct db_conn *c, const struct doc_coll *coll, struct arena *a, bool *ret,
                    struct err *e)
{
    struct db_stmt *s = db_prepare_text(
        c, arena_printf(a, "SELECT 1 FROM c_%.*s LIMIT 1", SLICE_ARGS(coll->name)), e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW;
    db_reset(s);
    return step != DB_FAILED;
}
