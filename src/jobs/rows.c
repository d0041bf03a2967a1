/* A row of dais_jobs: read, stored, told as JSON. */
#include "jobs/jobs_impl.h"

#include "base/utf8.h"

#include <string.h>

static const char *const state_names[] = {
#define X(id, number, name) [number] = name,
    JOB_STATE_MAP(X)
#undef X
};
static const char *const error_slugs[] = {[JOB_ERROR_NONE] = "",
#define X(id, slug) [id] = slug,
                                          JOB_ERROR_MAP(X)
#undef X
};

static const struct sql find = {
    "SELECT " JOB_COLUMNS JOB_SAID JOB_WHOLE " FROM dais_jobs WHERE id = ?",
    "SELECT " JOB_COLUMNS JOB_SAID JOB_WHOLE " FROM dais_jobs WHERE id = ? FOR UPDATE",
};
static const struct sql insert = {
    "INSERT INTO dais_jobs (state, attempt, priority, due, started, ended, run_ms, charged_ms,"
    " error_code, error, is_cached, cancel_at, set_at, blocked, lost, again, quota_since,"
    " charged_since, progress, message, result, holder, lease, id, type, owner, is_strangers,"
    " created, depth, input, cache) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
    "?, ?, ?, '', 0,"
    " ?, ?, ?, ?, ?, ?, ?, ?)",
    NULL,
};
static const struct sql update = {
    "UPDATE dais_jobs SET state = ?, attempt = ?, priority = ?, due = ?, started = ?, ended = ?,"
    " run_ms = ?, charged_ms = ?, error_code = ?, error = ?, is_cached = ?, cancel_at = ?,"
    " set_at = ?, blocked = ?, lost = ?, again = ?, quota_since = ?, charged_since = ?,"
    " progress = ?, message = ?, result = ?, holder = '', lease = 0, token = NULL WHERE id = ?",
    NULL,
};

/* ---- names ----------------------------------------------------------------------------------- */

const char *job_state_name(enum job_state s)
{
    return state_names[s];
}

bool job_state_is_over(enum job_state s)
{
    return s >= JOB_SUCCEEDED;
}

const char *job_error_slug(enum job_error code)
{
    size_t n = sizeof error_slugs / sizeof *error_slugs;
    return (size_t)code < n ? error_slugs[code] : "unknown"; /* a newer server's */
}

bool job_id_is_good(struct slice id)
{
    bool is = id.len == ID_LEN;
    for (size_t i = 0; is && i < id.len; i++)
        is = (id.ptr[i] >= '0' && id.ptr[i] <= '9') || (id.ptr[i] >= 'a' && id.ptr[i] <= 'v');
    return is;
}

bool job_not_found(struct slice id, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "There is no job %.*s.", SLICE_ARGS(slice_first(id, 40)));
}

struct slice job_ids(struct arena *a, const struct slice *ids, size_t n)
{
    char *text = arena_alloc(a, n * (ID_LEN + 3) + 2), *at = text;
    *at++ = '[';
    for (size_t i = 0; i < n; i++) {
        must(job_id_is_good(ids[i]));
        if (i)
            *at++ = ',';
        *at++ = '"';
        memcpy(at, ids[i].ptr, ID_LEN);
        at += ID_LEN;
        *at++ = '"';
    }
    *at++ = ']';
    return (struct slice){text, (size_t)(at - text)};
}

/* Cut between characters; what is no text, or no database keeps, is a question mark. */
struct slice job_text(struct arena *a, struct slice text, size_t max)
{
    size_t n = text.len < max ? text.len : max;
    while (n < text.len && n && ((unsigned char)text.ptr[n] & 0xc0) == 0x80)
        n--;
    char *to = arena_alloc(a, n + 1);
    bool is_fine = utf8_is_valid((struct slice){text.ptr, n});
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        to[i] = byte == 0 || (!is_fine && byte >= 0x80) ? '?' : (char)byte;
    }
    return (struct slice){to, n};
}

/* ---- reading --------------------------------------------------------------------------------- */

void job_read(const struct db_stmt *s, struct arena *a, struct job_full *ret)
{
    *ret = (struct job_full){
        .row =
            {
                .id = arena_dup(a, db_text(s, 0)),
                .type = arena_dup(a, db_text(s, 1)),
                .owner = arena_dup(a, db_text(s, 2)),
                .state = (enum job_state)db_i64(s, 3),
                .attempt = db_i64(s, 4),
                .priority = -db_i64(s, 5),
                .created_ms = db_i64(s, 6),
                .due_ms = db_i64(s, 7),
                .started_ms = db_i64(s, 8),
                .ended_ms = db_i64(s, 9),
                .run_ms = db_i64(s, 10),
                .charged_ms = db_i64(s, 11),
                .error_code = (enum job_error)db_i64(s, 12),
                .error = arena_dup(a, db_text(s, 13)),
                .depth = (unsigned)db_i64(s, 14),
                .is_cached = db_i64(s, 15) != 0,
                .is_strangers = db_i64(s, 24) != 0,
                .progress = (int32_t)db_i64(s, 25),
                .message = arena_dup(a, db_text(s, 26)),
                .input = arena_dup(a, db_text(s, 27)),
                .result = arena_dup(a, db_text(s, 28)),
            },
        .cancel_at = db_i64(s, 16),
        .set_at = db_i64(s, 17),
        .blocked = db_i64(s, 18),
        .lost = db_i64(s, 19),
        .again = db_i64(s, 20),
        .quota_since = db_i64(s, 21),
        .charged_since = db_i64(s, 22),
        .cache = db_is_null(s, 23) ? SLICE("") : arena_dup(a, db_blob(s, 23)),
    };
    ret->row.is_cancelled = ret->cancel_at && ret->row.state == JOB_RUNNING;
}

bool job_read_all(struct db_stmt *s, struct arena *a, struct job_full *ret, size_t max,
                  size_t *ret_n, struct err *e)
{
    enum db_step step = DB_END;
    for (*ret_n = 0; *ret_n < max && (step = db_step(s, e)) == DB_ROW; ++*ret_n)
        job_read(s, a, &ret[*ret_n]);
    db_reset(s);
    return step != DB_FAILED;
}

enum db_step job_lock(struct db_conn *c, struct slice id, struct arena *a, struct job_full *ret,
                      struct err *e)
{
    if (!job_id_is_good(id))
        return DB_END;
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return DB_FAILED;
    db_bind_text(s, 1, id);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        job_read(s, a, ret);
    db_reset(s);
    return step;
}

/* ---- storing --------------------------------------------------------------------------------- */

static int bind_row(struct db_stmt *s, const struct job_full *f)
{
    const struct job_row *r = &f->row;
    const int64_t first[] = {r->state,    r->attempt, -r->priority,  r->due_ms,    r->started_ms,
                             r->ended_ms, r->run_ms,  r->charged_ms, r->error_code};
    const int64_t second[] = {r->is_cached, f->cancel_at,   f->set_at,        f->blocked, f->lost,
                              f->again,     f->quota_since, f->charged_since, r->progress};
    int at = 1;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++)
        db_bind_i64(s, at++, first[i]);
    db_bind_text(s, at++, r->error);
    for (size_t i = 0; i < sizeof second / sizeof *second; i++)
        db_bind_i64(s, at++, second[i]);
    db_bind_text(s, at++, r->message);
    db_bind_text(s, at++, r->result);
    return at;
}

bool job_insert(struct db_conn *c, const struct job_full *f, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    int at = bind_row(s, f);
    db_bind_text(s, at++, f->row.id);
    db_bind_text(s, at++, f->row.type);
    db_bind_text(s, at++, f->row.owner);
    db_bind_i64(s, at++, f->row.is_strangers);
    db_bind_i64(s, at++, f->row.created_ms);
    db_bind_i64(s, at++, f->row.depth);
    db_bind_text(s, at++, f->row.input);
    if (f->cache.len)
        db_bind_blob(s, at, f->cache);
    return db_run(s, NULL, e);
}

bool job_update(struct db_conn *c, const struct job_full *f, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &update, e);
    if (!s)
        return false;
    db_bind_text(s, bind_row(s, f), f->row.id);
    return db_run(s, NULL, e);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void member(struct json_writer *w, const char *key, struct slice value)
{
    json_write_key(w, slice_from(key));
    if (value.len)
        json_write_str(w, value);
    else
        json_write_null(w);
}

static void member_time(struct json_writer *w, const char *key, int64_t ms)
{
    char text[RFC3339_LEN + 1];
    json_write_key(w, slice_from(key));
    if (!ms) {
        json_write_null(w);
        return;
    }
    clock_rfc3339(ms, text);
    json_write_cstr(w, text);
}

static void member_json(struct json_writer *w, const char *key, struct slice json)
{
    json_write_key(w, slice_from(key));
    if (json.len)
        json_write_raw(w, json);
    else
        json_write_null(w);
}

static void write_error(struct json_writer *w, const struct job_row *row)
{
    json_write_key(w, SLICE("error"));
    if (row->error_code == JOB_ERROR_NONE) {
        json_write_null(w);
        return;
    }
    json_write_object(w);
    member(w, "code", slice_from(job_error_slug(row->error_code)));
    member(w, "message", row->error);
    json_write_object_end(w);
}

static void write_progress(struct json_writer *w, const struct job_row *row)
{
    json_write_key(w, SLICE("progress"));
    if (row->progress < 0)
        json_write_null(w);
    else
        json_write_double(w, row->progress / 1e6);
}

/* The members of job_json(). */
void job_write(struct json_writer *w, const struct job_row *row, bool is_whole)
{
    member(w, "id", row->id);
    member(w, "type", row->type);
    member(w, "owner", row->owner);
    member(w, "state", slice_from(job_state_name(row->state)));
    write_progress(w, row);
    member(w, "message", row->message);
    json_write_key(w, SLICE("attempt"));
    json_write_i64(w, row->attempt);
    json_write_key(w, SLICE("priority"));
    json_write_i64(w, row->priority);
    if (is_whole) {
        member_json(w, "input", row->input);
        member_json(w, "result", row->result);
    }
    write_error(w, row);
    json_write_key(w, SLICE("cached"));
    json_write_bool(w, row->is_cached && row->state == JOB_SUCCEEDED);
    member_time(w, "created", row->created_ms);
    member_time(w, "due", row->due_ms);
    member_time(w, "started", row->started_ms);
    member_time(w, "ended", row->ended_ms);
    json_write_key(w, SLICE("run_ms"));
    json_write_i64(w, row->run_ms);
}

void job_json(struct buf *to, const struct job_row *row)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    job_write(&w, row, true);
    json_write_object_end(&w);
}
