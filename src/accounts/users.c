/* Rows of accounts. */
#include "accounts/accounts_impl.h"

#include <string.h>

#define COLUMNS "id, email, verified, name, roles, password, state, created, updated"

static const struct sql by_id = {"SELECT " COLUMNS " FROM dais_users WHERE id = ?", NULL};
static const struct sql by_email = {
    "SELECT " COLUMNS " FROM dais_users WHERE email = ?"
    " ORDER BY CASE WHEN verified > 0 THEN 0 ELSE 1 END, created, id LIMIT 1",
    NULL,
};
static const struct sql insert = {
    "INSERT INTO dais_users (email, verified, name, roles, password, state, updated, id, created)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    NULL,
};
static const struct sql update = {
    "UPDATE dais_users SET email = ?, verified = ?, name = ?, roles = ?, password = ?, state = ?,"
    " updated = ? WHERE id = ?",
    NULL,
};

struct slice email_key(struct slice email, struct arena *a)
{
    struct slice trimmed = slice_trim(email);
    char *to = arena_alloc(a, trimmed.len + 1);
    for (size_t i = 0; i < trimmed.len; i++) {
        char c = trimmed.ptr[i];
        to[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    to[trimmed.len] = '\0';
    return (struct slice){to, trimmed.len};
}

/* ---- lists in columns ------------------------------------------------------------------------ */

void words_read(struct slice text, struct arena *a, const struct slice **ret, size_t *ret_n)
{
    struct json_doc doc;
    struct err e;
    *ret = NULL;
    *ret_n = 0;
    if (!json_parse(&doc, a, arena_dup(a, text), NULL, &e) ||
        json_type(json_root(&doc)) != JSON_ARRAY)
        return;
    const struct json *list = json_root(&doc);
    struct slice *items = arena_alloc(a, (json_len(list) + 1) * sizeof *items);
    for (size_t i = 0; i < json_len(list); i++)
        items[i] = json_str(json_item(list, i));
    *ret = items;
    *ret_n = json_len(list);
}

struct slice words_text(const struct slice *words, size_t n, struct arena *a)
{
    struct buf b;
    struct json_writer w;
    buf_init(&b, 64u << 10);
    json_writer_init(&w, &b, 0);
    json_write_array(&w);
    for (size_t i = 0; i < n; i++)
        json_write_str(&w, words[i]);
    json_write_array_end(&w);
    struct slice text = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void read_row(const struct db_stmt *s, struct arena *a, struct user_row *to)
{
    struct account *it = &to->account;
    struct slice hash = db_text(s, 5);
    *it = (struct account){
        .id = arena_dup(a, db_text(s, 0)),
        .email = arena_dup(a, db_text(s, 1)),
        .verified_ms = db_i64(s, 2),
        .name = arena_dup(a, db_text(s, 3)),
        .state = (enum account_state)db_i64(s, 6),
        .created_ms = db_i64(s, 7),
        .updated_ms = db_i64(s, 8),
        .has_password = hash.len > 0,
    };
    words_read(db_text(s, 4), a, &it->roles, &it->n_roles);
    if (hash.len >= HASH_MAX)
        hash.len = 0;
    memcpy(to->hash, hash.ptr ? hash.ptr : "", hash.len);
    to->hash[hash.len] = '\0';
}

static bool find(struct db_conn *c, const struct sql *sql, struct slice key, struct arena *a,
                 struct user_row *ret, bool *ret_found, struct err *e)
{
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    db_bind_text(s, 1, key);
    enum db_step step = db_step(s, e);
    *ret_found = step == DB_ROW;
    if (step == DB_ROW)
        read_row(s, a, ret);
    db_reset(s);
    return step != DB_FAILED;
}

bool user_by_email(struct db_conn *c, struct slice key, struct arena *a, struct user_row *ret,
                   bool *ret_found, struct err *e)
{
    return find(c, &by_email, key, a, ret, ret_found, e);
}

bool user_by_id(struct db_conn *c, struct slice id, struct arena *a, struct user_row *ret,
                bool *ret_found, struct err *e)
{
    return find(c, &by_id, id, a, ret, ret_found, e);
}

/* Both statements take the same, in the same order, and a new row when it was created. */
static bool write_row(struct db_conn *c, const struct sql *sql, const struct user_row *u,
                      struct err *e)
{
    const struct account *it = &u->account;
    struct arena a;
    struct db_stmt *s = db_prepare(c, sql, e);
    if (!s)
        return false;
    arena_init(&a, 1u << 20);
    db_bind_text(s, 1, it->email);
    db_bind_i64(s, 2, it->verified_ms);
    db_bind_text(s, 3, it->name);
    db_bind_text(s, 4, words_text(it->roles, it->n_roles, &a));
    db_bind_text(s, 5, slice_from(u->hash));
    db_bind_i64(s, 6, it->state);
    db_bind_i64(s, 7, it->updated_ms);
    db_bind_text(s, 8, it->id);
    if (sql == &insert)
        db_bind_i64(s, 9, it->created_ms);
    bool fine = db_run(s, NULL, e);
    arena_done(&a);
    return fine;
}

bool user_insert(struct db_conn *c, const struct user_row *u, struct err *e)
{
    return write_row(c, &insert, u, e);
}

bool user_update(struct db_conn *c, const struct user_row *u, struct err *e)
{
    return write_row(c, &update, u, e);
}

/* ---- as it is sent --------------------------------------------------------------------------- */

static void write_text(struct json_writer *w, const char *key, struct slice value)
{
    json_write_key(w, slice_from(key));
    json_write_str(w, value);
}

void account_write(struct json_writer *w, const struct account *it)
{
    char time[RFC3339_LEN + 1];
    if (it->created_ms)
        clock_rfc3339(it->created_ms, time);
    json_write_object(w);
    write_text(w, "id", it->id);
    write_text(w, "email", it->email);
    json_write_key(w, SLICE("email_verified"));
    json_write_bool(w, it->verified_ms > 0);
    write_text(w, "name", it->name);
    json_write_key(w, SLICE("roles"));
    json_write_array(w);
    for (size_t i = 0; i < it->n_roles; i++)
        json_write_str(w, it->roles[i]);
    json_write_array_end(w);
    json_write_key(w, SLICE("operator"));
    json_write_bool(w, it->is_operator);
    json_write_key(w, SLICE("created")); /* `local` and an app's own keys have no row */
    json_write_cstr(w, it->created_ms ? time : NULL);
    json_write_object_end(w);
}
