/* Results that are used again: what makes two runs the same, whether one is known or under way. */
#include "jobs/jobs_impl.h"

static const struct sql known = {
    "SELECT result FROM dais_jobs WHERE cache = ? AND is_cached = 0 AND state = 3 AND ended > ?"
    " ORDER BY ended DESC LIMIT 1",
    NULL,
};
/* One that waits for others, or for a far time, is not waited for. */
#define UNDER_WAY                                                                       \
    "SELECT id FROM dais_jobs WHERE cache = ? AND is_cached = 0 AND state IN (0, 1, 2)" \
    " AND blocked = 0 AND due <= ? AND id <> ? ORDER BY id LIMIT 1"
static const struct sql under_way = {UNDER_WAY, UNDER_WAY " FOR SHARE"};
static const struct sql followers = {
    "SELECT count(*) FROM (SELECT 1 FROM dais_job_links WHERE after = ? LIMIT ?) AS few", NULL};

/* ---- compiling ------------------------------------------------------------------------------- */

/* "a.b" is a path of the input, "'word'" or "\"word\"" a word. */
static void compile_part(struct cache_part *to, struct arena *a, struct slice text)
{
    char quote = text.len ? text.ptr[0] : 0;
    if (text.len >= 2 && (quote == '\'' || quote == '"') && text.ptr[text.len - 1] == quote) {
        to->word = (struct slice){text.ptr + 1, text.len - 2};
        return;
    }
    to->steps = arena_alloc(a, (text.len + 1) * sizeof *to->steps);
    for (struct slice step; slice_cut(&text, '.', &step);)
        to->steps[to->n_steps++] = step;
}

bool cache_compile(struct job_type *t, struct arena *a, const struct text **ret_text, struct err *e)
{
    const struct texts *key = &t->conf->cache.key;
    t->parts = arena_zalloc(a, key->n * sizeof *t->parts);
    for (t->n_parts = 0; t->n_parts < key->n; t->n_parts++) {
        const struct text *text = &key->items[t->n_parts];
        struct cache_part *part = &t->parts[t->n_parts];
        compile_part(part, a, text->s);
        *ret_text = text;
        if (part->n_steps && t->schema && !schema_has_path(t->schema, part->steps, part->n_steps))
            return err_set(e, ERR_MANIFEST, "the input has no field %.*s", SLICE_ARGS(text->s));
    }
    return true;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* With its length, so that no two lists of values are the same bytes. */
static void add(struct sha256 *h, struct slice bytes)
{
    uint64_t len = bytes.len;
    sha256_add(h, (struct slice){(const char *)&len, sizeof len});
    sha256_add(h, bytes);
}

void cache_digest(const struct job_type *t, const struct job_row *row, const struct json *input,
                  unsigned char to[SHA256_LEN])
{
    struct sha256 h;
    struct buf text;
    sha256_init(&h);
    buf_init(&text, 2 * JOB_INPUT_MAX);
    add(&h, t->name);
    bool is_shared = slice_is(t->conf->cache.scope.s, "app");
    add(&h, is_shared ? SLICE("") : row->is_strangers ? SLICE("?") : row->owner); /* no id */
    for (size_t i = 0; i < t->n_parts; i++) {
        const struct cache_part *part = &t->parts[i];
        const struct json *value = query_walk(input, part->steps, part->n_steps);
        struct json_writer w;
        buf_clear(&text);
        json_writer_init(&w, &text, 0);
        if (value && part->n_steps)
            json_write_value(&w, value);
        add(&h, part->n_steps ? buf_slice(&text) : part->word);
    }
    buf_done(&text);
    sha256_end(&h, to);
}

enum db_step cache_known(struct db_conn *c, const struct job_type *t, struct slice digest,
                         int64_t now_ms, struct arena *a, struct slice *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &known, e);
    if (!s)
        return DB_FAILED;
    db_bind_blob(s, 1, digest);
    db_bind_i64(s, 2, now_ms - t->conf->cache.ttl_ms);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        *ret = arena_dup(a, db_text(s, 0));
    db_reset(s);
    return step;
}

/* Not too many wait for one. */
static enum db_step has_room(struct db_conn *c, struct slice id, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &followers, e);
    if (!s)
        return DB_FAILED;
    db_bind_text(s, 1, id);
    db_bind_i64(s, 2, JOB_SAME_MAX);
    enum db_step step = db_step(s, e);
    bool is_full = step == DB_ROW && db_i64(s, 0) >= JOB_SAME_MAX;
    db_reset(s);
    return step == DB_ROW && is_full ? DB_END : step;
}

enum db_step cache_under_way(struct db_conn *c, const struct job_type *t, const struct job_full *f,
                             int64_t now_ms, struct arena *a, struct slice *ret_id, struct err *e)
{
    int64_t pause = now_ms + t->conf->retries.backoff.max_ms;
    struct db_stmt *s = db_prepare(c, &under_way, e);
    if (!s)
        return DB_FAILED;
    db_bind_blob(s, 1, f->cache);
    db_bind_i64(s, 2, f->row.due_ms > pause ? f->row.due_ms : pause);
    db_bind_text(s, 3, f->row.id);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        *ret_id = arena_dup(a, db_text(s, 0));
    db_reset(s);
    return step == DB_ROW ? has_room(c, *ret_id, e) : step;
}
