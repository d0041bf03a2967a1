/* A list of files: one range of an index in the order of their paths, a few rows at a time.
 *
 * Rules that say whose files they are choose the index that begins with the owner; others are asked
 * of each row. Either way a page looks at a bounded number of rows. */
#include "base/utf8.h"
#include "files/files_impl.h"

#define LOOKED_MAX  10000 /* rows, of a page */
#define LOOKED_LOOP 300   /* of these, on a loop */
#define CHUNK_MAX   512   /* rows of a statement */
#define CHUNK_FIRST 8     /* where a folder may end it */

static const struct sql by_path = {
    "SELECT " FILE_COLUMNS " FROM dais_files f"
    " WHERE f.bucket = ? AND f.space = ? AND f.path >= ? ORDER BY f.path LIMIT ?",
    NULL,
};
static const struct sql by_owner = {
    "SELECT " FILE_COLUMNS " FROM dais_files f INDEXED BY dais_files_owner"
    " WHERE f.bucket = ? AND f.space = ? AND f.path >= ? AND f.owner = ? ORDER BY f.path LIMIT ?",
    "SELECT " FILE_COLUMNS " FROM dais_files f"
    " WHERE f.bucket = $1 AND f.space = $2 AND f.path >= $3 AND f.owner = $4"
    " ORDER BY f.path LIMIT $5",
};

struct listing {
    const struct files_reading *r;
    const struct files_query *q;
    const struct query *rows;
    const struct json *owner;
    struct json_writer w;
    struct buf from; /* no row before it is looked at again */
    uint32_t limit, n, chunk;
    size_t n_looked_at;
    bool is_done; /* nothing follows */
    bool is_full; /* something does */
};

static void go_on_from(struct listing *l, struct slice place, char and_then)
{
    buf_clear(&l->from);
    buf_add(&l->from, place);
    if (and_then)
        buf_add_char(&l->from, and_then);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* "photos/" of "photos/2026/a.png"; empty: the file is not in a folder below the prefix. */
static struct slice folder_of(const struct listing *l, struct slice path)
{
    ptrdiff_t slash = slice_index(slice_skip(path, l->q->prefix.len), '/');
    if (!l->q->is_folders || slash < 0)
        return SLICE("");
    return slice_first(path, l->q->prefix.len + (size_t)slash + 1);
}

static void tell(struct listing *l, struct file *f)
{
    char etag[BLOB_HASH_LEN + 3];
    struct buf text;
    buf_init(&text, sizeof etag);
    buf_printf(&text, "\"%.*s\"", SLICE_ARGS(f->hash));
    f->etag = buf_slice(&text);
    f->is_public &= l->q->bucket->has_choice;
    json_write_object(&l->w);
    file_write(&l->w, f);
    json_write_object_end(&l->w);
    buf_done(&text);
}

static void tell_folder(struct listing *l, struct slice folder)
{
    json_write_object(&l->w);
    json_write_key(&l->w, SLICE("path"));
    json_write_str(&l->w, folder);
    json_write_object_end(&l->w);
}

/* False: the statement is at its end, or the next one begins elsewhere. Paths have no control
 * characters, so \1 is behind a path and before all that begin with it; '0' follows '/'. */
static bool take(struct listing *l, struct file *f)
{
    if (!slice_starts(f->path, l->q->prefix)) {
        l->is_done = true;
        return false;
    }
    l->n_looked_at++;
    bool is_visible = file_matches(l->rows, l->q->bucket, f);
    if (is_visible && l->n == l->limit) {
        go_on_from(l, f->path, 0);
        l->is_full = true;
        return false;
    }
    struct slice folder = is_visible ? folder_of(l, f->path) : SLICE("");
    l->n += is_visible;
    if (folder.len) {
        tell_folder(l, folder);
        go_on_from(l, slice_first(folder, folder.len - 1), '0');
        return false;
    }
    if (is_visible)
        tell(l, f);
    go_on_from(l, f->path, 1);
    return true;
}

static uint32_t next_chunk(struct listing *l)
{
    uint32_t n = l->chunk;
    l->chunk = n < CHUNK_MAX / 2 ? 2 * n : CHUNK_MAX;
    return n;
}

static bool look(struct listing *l, struct err *e)
{
    uint32_t chunk = next_chunk(l), seen = 0;
    enum db_step step = DB_END;
    struct file f;
    struct db_stmt *s = db_prepare(l->r->conn, l->owner ? &by_owner : &by_path, e);
    int at = 1;
    if (!s)
        return false;
    db_bind_text(s, at++, l->q->bucket->name);
    db_bind_text(s, at++, l->q->space);
    db_bind_text(s, at++, buf_slice(&l->from));
    if (l->owner)
        db_bind_text(s, at++, json_str(l->owner));
    db_bind_i64(s, at, chunk);
    bool goes_on = true;
    while (goes_on && (step = db_step(s, e)) == DB_ROW) {
        seen++;
        file_borrow(s, &f);
        goes_on = take(l, &f);
    }
    db_reset(s);
    if (!goes_on)
        return true;
    l->is_done = seen < chunk;
    return step != DB_FAILED;
}

static bool walk(struct listing *l, struct err *e)
{
    while (!l->is_done && !l->is_full) {
        if (l->r->is_on_loop && l->n_looked_at >= LOOKED_LOOP)
            return err_set(e, ERR_OVER_BUDGET, "This list takes too long here.");
        if (l->n_looked_at >= LOOKED_MAX)
            return true;
        if (!look(l, e))
            return false;
    }
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool check(const struct files_query *q, struct err *e)
{
    if (q->limit > FILE_LIMIT_MAX)
        return err_set(e, ERR_MALFORMED, "limit: a page has at most %d files.", FILE_LIMIT_MAX);
    if (q->prefix.len > FILE_PATH_MAX || !utf8_is_valid(q->prefix) ||
        slice_index(q->prefix, '\0') >= 0)
        return err_set(e, ERR_MALFORMED, "prefix: no path begins so.");
    return true;
}

static bool begin(struct listing *l, struct err *e)
{
    const struct files_query *q = l->q;
    struct slice from = q->prefix;
    if (!check(q, e) ||
        !authorize(l->r->who, &q->bucket->policy, ACTION_READ, l->r->arena, &l->rows, e) ||
        (q->after.len && !file_cursor_read(q, l->r->arena, &from, e)))
        return false;
    l->owner = rows_of_owner(l->rows);
    l->limit = q->limit ? q->limit : FILE_LIMIT;
    l->chunk = q->is_folders ? CHUNK_FIRST : l->limit < CHUNK_MAX ? l->limit + 1 : CHUNK_MAX;
    if (l->r->is_on_loop && l->limit > LOOKED_LOOP)
        return err_set(e, ERR_OVER_BUDGET, "This list takes too long here.");
    go_on_from(l, from, 0);
    return true;
}

static void write_next(struct listing *l)
{
    struct buf next;
    buf_init(&next, 8192);
    json_write_key(&l->w, SLICE("next"));
    if (l->is_done) {
        json_write_null(&l->w);
    } else {
        file_cursor_add(&next, l->q, buf_slice(&l->from));
        json_write_str(&l->w, buf_slice(&next));
    }
    buf_done(&next);
}

bool files_list(const struct files_reading *r, const struct files_query *q, struct buf *to,
                struct err *e)
{
    struct listing l = {.r = r, .q = q};
    size_t before = to->len;
    buf_init(&l.from, FILE_PATH_MAX + 8);
    json_writer_init(&l.w, to, 0);
    bool fine = begin(&l, e);
    if (fine) {
        json_write_object(&l.w);
        json_write_key(&l.w, SLICE("items"));
        json_write_array(&l.w);
        fine = walk(&l, e);
    }
    if (fine) {
        json_write_array_end(&l.w);
        write_next(&l);
        json_write_object_end(&l.w);
        json_writer_done(&l.w);
    } else {
        buf_truncate(to, before);
    }
    buf_done(&l.from);
    return fine;
}
