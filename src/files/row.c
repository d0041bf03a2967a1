/* A row of dais_files: read, matched with rules, told as JSON, changed. */
#include "files/files_impl.h"

#include <inttypes.h>
#include <stdio.h>

static const struct sql find = {
    "SELECT " FILE_COLUMNS ", b.blob_key, b.state FROM dais_files f"
    " LEFT JOIN dais_blobs b ON b.hash = f.hash"
    " WHERE f.bucket = ? AND f.space = ? AND f.path = ?",
    NULL,
};
static const struct sql insert = {
    "INSERT INTO dais_files (path, owner, hash, size, type, is_public, version, created, updated,"
    " bucket, space) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    NULL,
};
static const struct sql update = {
    "UPDATE dais_files SET path = ?, owner = ?, hash = ?, size = ?, type = ?, is_public = ?,"
    " version = ?, created = ?, updated = ?, bucket = ?, space = ?"
    " WHERE bucket = ? AND space = ? AND path = ?",
    NULL,
};
static const struct sql remove_row = {
    "DELETE FROM dais_files WHERE bucket = ? AND space = ? AND path = ?",
    NULL,
};

/* ---- reading --------------------------------------------------------------------------------- */

void file_borrow(const struct db_stmt *s, struct file *ret)
{
    *ret = (struct file){
        .bucket = db_text(s, 0),
        .space = db_text(s, 1),
        .path = db_text(s, 2),
        .owner = db_text(s, 3),
        .hash = db_text(s, 4),
        .size = (uint64_t)db_i64(s, 5),
        .type = db_text(s, 6),
        .is_public = db_i64(s, 7) != 0,
        .version = db_i64(s, 8),
        .created = db_text(s, 9),
        .updated = db_text(s, 10),
    };
}

void file_own(struct file *f, const struct file_bucket *b, struct arena *a)
{
    struct slice *const texts[] = {&f->bucket, &f->space, &f->path,    &f->owner,  &f->hash,
                                   &f->type,   &f->key,   &f->created, &f->updated};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = arena_dup(a, *texts[i]);
    f->etag = arena_printf(a, "\"%.*s\"", SLICE_ARGS(f->hash));
    f->is_public &= b->has_choice;
    f->is_open = b->open && file_matches(b->open, b, f);
}

enum db_step file_find(struct db_conn *c, const struct file_place *at, struct arena *a,
                       struct file *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return DB_FAILED;
    db_bind_text(s, 1, at->bucket->name);
    db_bind_text(s, 2, at->space);
    db_bind_text(s, 3, at->path);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW) {
        file_borrow(s, ret);
        ret->key = db_text(s, FILE_COLUMNS_N);
        ret->is_damaged = !ret->key.len || db_i64(s, FILE_COLUMNS_N + 1) != BLOB_FINE;
        file_own(ret, at->bucket, a);
    }
    db_reset(s);
    return step;
}

bool file_not_found(const struct file_place *at, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "There is no file %.*s in %.*s.",
                   SLICE_ARGS(slice_first(at->path, 100)), SLICE_ARGS(at->bucket->name));
}

bool files_get(const struct files_reading *r, const struct file_place *at, struct file *ret,
               struct err *e)
{
    const struct query *rows = NULL;
    if (!authorize(r->who, &at->bucket->policy, ACTION_READ, r->arena, &rows, e) ||
        !file_path_check(at->path, e))
        return false;
    enum db_step step = file_find(r->conn, at, r->arena, ret, e);
    if (step == DB_FAILED)
        return false;
    return (step == DB_ROW && file_matches(rows, at->bucket, ret)) || file_not_found(at, e);
}

/* ---- rules ----------------------------------------------------------------------------------- */

const struct json *rows_of_owner(const struct query *rows)
{
    bool is_it = rows->kind == QUERY_TEST && rows->op == QUERY_EQ && rows->a.root == QUERY_DOC &&
                 rows->a.n_steps == 1 && slice_is(rows->a.steps[0], "owner") &&
                 rows->b.root == QUERY_LITERAL && json_type(rows->b.value) == JSON_STRING;
    return is_it ? rows->b.value : NULL;
}

static struct json string_of(struct slice s)
{
    return (struct json){.type = JSON_STRING, .len = (uint32_t)s.len, .ptr = s.ptr ? s.ptr : ""};
}

static struct json bool_of(bool is)
{
    return (struct json){.type = JSON_BOOL, .len = is};
}

/* The file as a document, as a parser would leave it: a list asks it of each row. */
static bool ask(const struct query *rows, const struct file *f, bool is_public)
{
    char number[24];
    int n = snprintf(number, sizeof number, "%" PRIu64, f->size);
    struct json owner = f->owner.len ? string_of(f->owner) : (struct json){.type = JSON_NULL};
    const struct json tape[] = {
        {.type = JSON_OBJECT, .len = 8, .span = 17},
        string_of(SLICE("bucket")),
        string_of(f->bucket),
        string_of(SLICE("path")),
        string_of(f->path),
        string_of(SLICE("size")),
        {.type = JSON_NUMBER, .len = (uint32_t)n, .ptr = number},
        string_of(SLICE("type")),
        string_of(f->type),
        string_of(SLICE("owner")),
        owner,
        string_of(SLICE("public")),
        bool_of(is_public),
        string_of(SLICE("created")),
        string_of(f->created),
        string_of(SLICE("updated")),
        string_of(f->updated),
    };
    return authorize_row(rows, tape);
}

bool file_matches(const struct query *rows, const struct file_bucket *b, const struct file *f)
{
    if (rows->kind == QUERY_TRUE)
        return true;
    const struct json *owner = rows_of_owner(rows);
    if (owner)
        return f->owner.len && slice_eq(f->owner, json_str(owner));
    return ask(rows, f, f->is_public && b->has_choice);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void member(struct json_writer *w, const char *key, struct slice value)
{
    json_write_key(w, slice_from(key));
    json_write_str(w, value);
}

void file_write(struct json_writer *w, const struct file *f)
{
    member(w, "path", f->path);
    json_write_key(w, SLICE("size"));
    json_write_u64(w, f->size);
    member(w, "type", f->type);
    member(w, "etag", f->etag);
    json_write_key(w, SLICE("owner"));
    if (f->owner.len)
        json_write_str(w, f->owner);
    else
        json_write_null(w);
    json_write_key(w, SLICE("public"));
    json_write_bool(w, f->is_public);
    member(w, "created", f->created);
    member(w, "updated", f->updated);
}

void file_json(struct buf *to, const struct file *f)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    file_write(&w, f);
    json_write_object_end(&w);
}

/* ---- changing -------------------------------------------------------------------------------- */

static void bind_file(struct db_stmt *s, const struct file *f)
{
    db_bind_text(s, 1, f->path);
    db_bind_text(s, 2, f->owner);
    db_bind_text(s, 3, f->hash);
    db_bind_i64(s, 4, (int64_t)f->size);
    db_bind_text(s, 5, f->type);
    db_bind_i64(s, 6, f->is_public);
    db_bind_i64(s, 7, f->version);
    db_bind_text(s, 8, f->created);
    db_bind_text(s, 9, f->updated);
    db_bind_text(s, 10, f->bucket);
    db_bind_text(s, 11, f->space);
}

bool file_insert(struct db_conn *c, const struct file *f, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    bind_file(s, f);
    return db_run(s, NULL, e);
}

bool file_update(struct db_conn *c, const struct file_place *at, const struct file *f,
                 struct err *e)
{
    struct db_stmt *s = db_prepare(c, &update, e);
    if (!s)
        return false;
    bind_file(s, f);
    db_bind_text(s, 12, at->bucket->name);
    db_bind_text(s, 13, at->space);
    db_bind_text(s, 14, at->path);
    return db_run(s, NULL, e);
}

bool file_remove(struct db_conn *c, const struct file_place *at, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &remove_row, e);
    if (!s)
        return false;
    db_bind_text(s, 1, at->bucket->name);
    db_bind_text(s, 2, at->space);
    db_bind_text(s, 3, at->path);
    return db_run(s, NULL, e);
}
