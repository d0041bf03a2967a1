/* What running jobs say: steps of progress and pieces of their log, bounded for each job.
 *
 * Each note counts on from the one before it, so that nobody has to add them up: see tables.c. */
#include "jobs/jobs_impl.h"

#define SLACK 8 /* what is too old goes when an eighth of the bound came since the last time */

/* A running job with its last note. Who takes the job away waits until ours are there, to take them
 * along. */
#define NOW                                                                                     \
    "SELECT j.id, j.attempt, coalesce(n.seq, 0), coalesce(n.attempt, 0), coalesce(n.step, 0),"  \
    " coalesce(n.level, -1), coalesce(n.steps, 0), coalesce(n.pieces, 0), coalesce(n.bytes, 0)" \
    " FROM dais_jobs j LEFT JOIN "
static const struct sql now = {
    NOW "dais_job_notes n ON n.job = j.id AND n.seq = (SELECT max(m.seq) FROM dais_job_notes m"
        " WHERE m.job = j.id) WHERE j.state = 1 AND j.id IN " JOB_IDS_SQLITE,
    NOW "LATERAL (SELECT * FROM dais_job_notes m WHERE m.job = j.id ORDER BY m.seq DESC LIMIT 1) n"
        " ON true WHERE j.state = 1 AND j.id = " JOB_IDS_POSTGRES " FOR KEY SHARE OF j",
};
static const struct sql insert = {
    "INSERT INTO dais_job_notes (job, seq, attempt, at, kind, progress, message, body, step,"
    " level, steps, pieces, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (job, seq) DO NOTHING",
    NULL,
};
static const struct sql forget_steps = {
    "DELETE FROM dais_job_notes WHERE job = ? AND kind = 0 AND steps <= ?", NULL};
static const struct sql forget_log = {
    "DELETE FROM dais_job_notes WHERE job = ? AND kind = 1 AND (bytes <= ? OR pieces <= ?)", NULL};
static const struct sql read_some = {
    "SELECT seq, at, kind, progress, message, body FROM dais_job_notes"
    " WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?",
    NULL,
};
static const struct sql remove_all = {
    "DELETE FROM dais_job_notes WHERE job IN " JOB_IDS_SQLITE,
    "DELETE FROM dais_job_notes WHERE job = " JOB_IDS_POSTGRES,
};
_Static_assert(NOTE_PROGRESS == 0 && NOTE_LOG == 1, "as in the statements");

struct speaker { /* a job and its last note */
    struct slice id;
    int64_t attempt, seq, step, level, steps, pieces, bytes;
    int64_t steps_before, pieces_before, bytes_before;
};

/* ---- saying ---------------------------------------------------------------------------------- */

static void read_speaker(const struct db_stmt *s, struct arena *a, struct speaker *ret)
{
    bool is_same = db_i64(s, 1) == db_i64(s, 3); /* an earlier attempt's progress is no more */
    *ret = (struct speaker){
        .id = arena_dup(a, db_text(s, 0)),
        .attempt = db_i64(s, 1),
        .seq = db_i64(s, 2),
        .step = is_same ? db_i64(s, 4) : 0,
        .level = is_same ? db_i64(s, 5) : -1,
        .steps = db_i64(s, 6),
        .pieces = db_i64(s, 7),
        .bytes = db_i64(s, 8),
    };
    ret->steps_before = ret->steps;
    ret->pieces_before = ret->pieces;
    ret->bytes_before = ret->bytes;
}

static bool find_speakers(struct db_conn *c, const struct job_said *said, size_t n, struct arena *a,
                          struct speaker *ret, struct map *by_id, struct err *e)
{
    struct slice *ids = arena_alloc(a, n * sizeof *ids);
    size_t n_ids = 0, n_found = 0;
    enum db_step step;
    for (size_t i = 0; i < n; i++) {
        if (!map_put(by_id, said[i].id, &ret[0]))
            ids[n_ids++] = said[i].id;
    }
    map_done(by_id);
    map_init(by_id);
    struct db_stmt *s = db_prepare(c, &now, e);
    if (!s)
        return false;
    db_bind_text(s, 1, job_ids(a, ids, n_ids));
    while ((step = db_step(s, e)) == DB_ROW && n_found < n_ids) {
        read_speaker(s, a, &ret[n_found]);
        map_put(by_id, ret[n_found].id, &ret[n_found]);
        n_found++;
    }
    db_reset(s);
    return step != DB_FAILED;
}

static bool note(struct db_conn *c, struct speaker *p, const struct job_said *said, int64_t now_ms,
                 struct arena *a, struct err *e)
{
    struct slice message =
        said->kind == NOTE_PROGRESS ? job_text(a, said->text, JOB_MESSAGE_MAX) : SLICE("");
    p->seq++;
    if (said->kind == NOTE_PROGRESS) {
        p->steps++;
        p->step = message.len ? p->seq : p->step;
        p->level = said->progress >= 0 ? said->progress : p->level;
    } else {
        p->pieces++;
        p->bytes += (int64_t)said->text.len;
    }
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    const int64_t first[] = {p->seq, p->attempt, now_ms, said->kind,
                             said->kind == NOTE_PROGRESS ? said->progress : -1};
    const int64_t second[] = {p->step, p->level, p->steps, p->pieces, p->bytes};
    db_bind_text(s, 1, p->id);
    for (int i = 0; i < 5; i++) {
        db_bind_i64(s, 2 + i, first[i]);
        db_bind_i64(s, 9 + i, second[i]);
    }
    db_bind_text(s, 7, message);
    if (said->kind == NOTE_LOG)
        db_bind_blob(s, 8, said->text);
    return db_run(s, NULL, e);
}

static bool has_crossed(int64_t before, int64_t after, int64_t bound)
{
    int64_t part = bound / SLACK;
    return after > bound - part && before / part != after / part;
}

static bool forget(struct db_conn *c, const struct speaker *p, struct err *e)
{
    struct db_stmt *s;
    if (has_crossed(p->steps_before, p->steps, JOB_NOTES_MAX)) {
        if (!(s = db_prepare(c, &forget_steps, e)))
            return false;
        db_bind_text(s, 1, p->id);
        db_bind_i64(s, 2, p->steps - (JOB_NOTES_MAX - JOB_NOTES_MAX / SLACK));
        if (!db_run(s, NULL, e))
            return false;
    }
    if (!has_crossed(p->bytes_before, p->bytes, JOB_LOG_MAX) &&
        !has_crossed(p->pieces_before, p->pieces, JOB_PIECES_MAX))
        return true;
    if (!(s = db_prepare(c, &forget_log, e)))
        return false;
    db_bind_text(s, 1, p->id);
    db_bind_i64(s, 2, p->bytes - (JOB_LOG_MAX - 2 * (JOB_LOG_MAX / SLACK)));
    db_bind_i64(s, 3, p->pieces - (JOB_PIECES_MAX - JOB_PIECES_MAX / SLACK));
    return db_run(s, NULL, e);
}

/* A longer piece is cut, in front: the end of a log says why it ended. */
static struct job_said bounded(const struct job_said *said)
{
    struct job_said one = *said;
    size_t most = JOB_LOG_MAX / SLACK;
    if (one.kind == NOTE_LOG && one.text.len > most)
        one.text = slice_skip(one.text, one.text.len - most);
    return one;
}

static bool say_all(struct db_conn *c, const struct job_said *said, size_t n, int64_t now_ms,
                    struct arena *a, struct map *by_id, struct err *e)
{
    struct speaker *speakers = arena_alloc(a, n * sizeof *speakers);
    if (!find_speakers(c, said, n, a, speakers, by_id, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct job_said one = bounded(&said[i]);
        struct speaker *p = map_find(by_id, one.id);
        if (p && p->attempt == one.attempt && !note(c, p, &one, now_ms, a, e))
            return false;
    }
    for (size_t i = 0; i < by_id->len; i++) {
        if (!forget(c, &speakers[i], e))
            return false;
    }
    return true;
}

bool jobs_say(struct db_conn *c, const struct job_said *said, size_t n, int64_t now_ms,
              struct err *e)
{
    struct arena a;
    struct map by_id;
    if (!n)
        return true;
    arena_init(&a, (n + 1) * (sizeof(struct speaker) + JOB_MESSAGE_MAX + 256));
    map_init(&by_id);
    bool fine = say_all(c, said, n, now_ms, &a, &by_id, e);
    map_done(&by_id);
    arena_done(&a);
    db_tell(c, TOPIC_JOB_EVENTS);
    return fine;
}

/* ---- reading --------------------------------------------------------------------------------- */

bool job_notes_read(struct db_conn *c, struct arena *a, struct slice id, int64_t seq, size_t max,
                    struct job_note *ret, size_t *ret_n, bool *ret_has_gap, struct err *e)
{
    enum db_step step = DB_END;
    struct db_stmt *s = db_prepare(c, &read_some, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    db_bind_i64(s, 2, seq);
    db_bind_i64(s, 3, (int64_t)max);
    for (*ret_n = 0; *ret_n < max && (step = db_step(s, e)) == DB_ROW; ++*ret_n) {
        bool is_log = db_i64(s, 2) == NOTE_LOG;
        ret[*ret_n] = (struct job_note){
            .seq = db_i64(s, 0),
            .at_ms = db_i64(s, 1),
            .kind = is_log ? NOTE_LOG : NOTE_PROGRESS,
            .progress = (int32_t)db_i64(s, 3),
            .text = arena_dup(a, is_log ? db_blob(s, 5) : db_text(s, 4)),
        };
    }
    db_reset(s);
    *ret_has_gap = *ret_n && ret[0].seq > seq + 1;
    return step != DB_FAILED;
}

bool notes_remove(struct db_conn *c, struct slice ids, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &remove_all, e);
    if (!s)
        return false;
    db_bind_text(s, 1, ids);
    return db_run(s, NULL, e);
}
