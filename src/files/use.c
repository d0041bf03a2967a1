/* How much everybody stores, and whether there is room for more.
 *
 * The sums are rows, one of each owner, changed by the write that changes the files, so they are
 * never off unless somebody else wrote there: then `dais verify` has them added up anew. A quota of
 * the app adds up the rows of all owners, at every write: with a hundred thousand of them that
 * takes milliseconds. What is on its way in counts in memory only: it saves bodies that would be
 * refused, and decides nothing. */
#include "files/files_impl.h"

#include <stdio.h>
#include <stdlib.h>

static const struct sql read_one = {
    "SELECT bytes, files FROM dais_file_use WHERE bucket = ? AND owner = ?",
    NULL,
};
static const struct sql read_all = {
    "SELECT CAST(COALESCE(SUM(bytes), 0) AS BIGINT), CAST(COALESCE(SUM(files), 0) AS BIGINT)"
    " FROM dais_file_use WHERE bucket = ?",
    NULL,
};
static const struct sql add = {
    "INSERT INTO dais_file_use AS u (bucket, owner, bytes, files) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (bucket, owner) DO UPDATE SET bytes = u.bytes + excluded.bytes,"
    " files = u.files + excluded.files",
    NULL,
};

/* ---- rows ------------------------------------------------------------------------------------ */

bool use_read(struct db_conn *c, const struct file_bucket *b, struct slice owner,
              struct file_use *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, b->is_per_app ? &read_all : &read_one, e);
    if (!s)
        return false;
    db_bind_text(s, 1, b->name);
    if (!b->is_per_app)
        db_bind_text(s, 2, owner);
    enum db_step step = db_step(s, e);
    *ret = (struct file_use){0};
    if (step == DB_ROW)
        *ret = (struct file_use){db_i64(s, 0), db_i64(s, 1)};
    db_reset(s);
    return step != DB_FAILED;
}

bool use_add(struct db_conn *c, struct slice bucket, struct slice owner, int64_t bytes,
             int64_t files, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &add, e);
    if (!s)
        return false;
    db_bind_text(s, 1, bucket);
    db_bind_text(s, 2, owner);
    db_bind_i64(s, 3, bytes);
    db_bind_i64(s, 4, files);
    return db_run(s, NULL, e);
}

static bool run_recount(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql forget = {"DELETE FROM dais_file_use", NULL};
    static const struct sql count = {"INSERT INTO dais_file_use (bucket, owner, bytes, files)"
                                     " SELECT bucket, owner, CAST(SUM(" FILES_SIZE
                                     ") AS BIGINT), COUNT(*)"
                                     " FROM dais_files GROUP BY bucket, owner",
                                     NULL};
    struct db_stmt *s = db_prepare(c, &forget, e);
    (void)arg;
    return s && db_run(s, NULL, e) && (s = db_prepare(c, &count, e)) && db_run(s, NULL, e);
}

bool files_recount(struct files *f, struct err *e)
{
    return db_write_now(files_db(f), run_recount, NULL, e);
}

/* "1.5 MB", so that people see what is meant. */
static void human(int64_t bytes, char to[24])
{
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    double n = (double)bytes;
    size_t unit = 0;
    while (n >= 1024 && unit < 4) {
        n /= 1024;
        unit++;
    }
    snprintf(to, 24, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

bool use_allows(const struct file_bucket *b, int64_t bytes, int64_t more, struct err *e)
{
    int64_t limit = b->conf->quota.bytes;
    char used[24], all[24];
    if (limit < 0 || more <= 0 || (more <= limit && bytes <= limit - more))
        return true;
    human(bytes, used);
    human(limit, all);
    return err_set(e, ERR_QUOTA,
                   "%s of the %s that %s may store in %.*s are used; remove files first.", used,
                   all, b->is_per_app ? "the app" : "an account", SLICE_ARGS(b->name));
}

/* ---- what is on its way ---------------------------------------------------------------------- */

bool files_share_quota(const struct file_bucket *b, struct slice one, struct slice other)
{
    return b->is_per_app || slice_eq(one, other);
}

/* For the map: a bucket's name holds no slash. */
static void key_of(struct buf *to, const struct file_bucket *b, struct slice owner)
{
    buf_init(to, 1024);
    buf_add(to, b->name);
    buf_add_char(to, '/');
    if (!b->is_per_app)
        buf_add(to, slice_first(owner, 512));
}

static uint64_t id_of(const struct file_place *at, struct slice owner)
{
    struct buf b;
    key_of(&b, at->bucket, owner);
    uint64_t id = map_hash(buf_slice(&b)) * 31 + map_hash(at->space) * 7 + map_hash(at->path);
    buf_done(&b);
    return id ? id : 1;
}

void use_saw(struct files *f, const struct file_place *at, struct slice owner, int64_t bytes)
{
    uint64_t id = id_of(at, owner);
    pthread_mutex_lock(&f->lock);
    f->seen[id % SEEN_USES] = (struct seen_use){id, bytes};
    pthread_mutex_unlock(&f->lock);
}

/* With the lock. NULL: nothing is on its way. */
static struct reserved *reserved_of(struct files *f, const struct file_bucket *b,
                                    struct slice owner)
{
    struct buf key;
    key_of(&key, b, owner);
    struct reserved *r = map_find(&f->reserved, buf_slice(&key));
    buf_done(&key);
    return r;
}

int64_t use_reserved(struct files *f, const struct file_bucket *b, struct slice owner)
{
    pthread_mutex_lock(&f->lock);
    struct reserved *r = reserved_of(f, b, owner);
    int64_t bytes = r ? r->bytes : 0;
    pthread_mutex_unlock(&f->lock);
    return bytes;
}

static struct reserved *reserved_new(struct files *f, const struct file_bucket *b,
                                     struct slice owner)
{
    struct reserved *r = mem_new(struct reserved);
    struct buf key;
    key_of(&key, b, owner);
    r->key = buf_take(&key, &r->key_len);
    map_put(&f->reserved, (struct slice){r->key, r->key_len}, r);
    return r;
}

/* In a space all is its account's. */
static struct slice owner_in(const struct file_place *at, struct slice owner)
{
    return at->bucket->has_spaces ? at->space : owner;
}

bool files_reserve(struct files *f, const struct file_place *at, struct slice owner, int64_t size,
                   struct err *e)
{
    const struct file_bucket *b = at->bucket;
    int64_t more = size > 0 ? size : 0;
    owner = owner_in(at, owner);
    uint64_t id = id_of(at, owner);
    pthread_mutex_lock(&f->lock);
    struct reserved *r = reserved_of(f, b, owner);
    const struct seen_use *seen = &f->seen[id % SEEN_USES];
    int64_t used = (seen->id == id ? seen->bytes : 0) + (r ? r->bytes : 0);
    bool fine = use_allows(b, used, more, e);
    if (fine && !r)
        r = reserved_new(f, b, owner);
    if (fine) {
        r->bytes += more;
        r->n++;
    }
    pthread_mutex_unlock(&f->lock);
    return fine;
}

void files_release(struct files *f, const struct file_place *at, struct slice owner, int64_t size)
{
    pthread_mutex_lock(&f->lock);
    struct reserved *r = reserved_of(f, at->bucket, owner_in(at, owner));
    must(r && r->n);
    r->bytes -= size > 0 ? size : 0;
    if (!--r->n) {
        map_remove(&f->reserved, (struct slice){r->key, r->key_len});
        free(r->key);
        free(r);
    }
    pthread_mutex_unlock(&f->lock);
}

/* ---- telling --------------------------------------------------------------------------------- */

/* Who may do nothing with a bucket is not told of it. */
static bool may_anything(const struct files_reading *r, const struct file_bucket *b)
{
    static const enum action actions[] = {ACTION_READ, ACTION_CREATE, ACTION_WRITE};
    const struct query *rows;
    struct err e;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (authorize(r->who, &b->policy, actions[i], r->arena, &rows, &e))
            return true;
    }
    return false;
}

static bool tell(const struct files_reading *r, const struct file_bucket *b, struct json_writer *w,
                 struct err *e)
{
    struct file_use use;
    if (!use_read(r->conn, b, subject_id(r->who), &use, e))
        return false;
    json_write_key(w, b->name);
    json_write_object(w);
    json_write_key(w, SLICE("bytes"));
    json_write_i64(w, use.bytes);
    json_write_key(w, SLICE("files"));
    json_write_i64(w, use.files);
    json_write_key(w, SLICE("limit"));
    if (b->conf->quota.bytes < 0)
        json_write_null(w);
    else
        json_write_i64(w, b->conf->quota.bytes);
    json_write_key(w, SLICE("per"));
    json_write_cstr(w, b->is_per_app ? "app" : "user");
    json_write_object_end(w);
    return true;
}

bool files_usage(const struct files_reading *r, struct buf *to, struct err *e)
{
    struct json_writer w;
    bool fine = true;
    buf_add_str(to, "\"files\":");
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    for (size_t i = 0; fine && i < r->files->n_buckets; i++) {
        const struct file_bucket *b = &r->files->buckets[i];
        if (may_anything(r, b))
            fine = tell(r, b, &w, e);
    }
    if (fine)
        json_write_object_end(&w);
    return fine;
}
