/* One look at the jobs that are watched: their rows, what was noted since, and who may still see
 * them. On a lane; what it finds is text for the streams already, made once for all of them. */
#include "api/jobs_impl.h"

#include "base/clock.h"

#define LOOK_MS      300 /* then the others come with the next one */
#define ROW_BYTES    (64u << 20)
#define NEVER_LOOKED -1

static const struct identity nobody;
static const struct subject console = {.who = &nobody, .is_console = true};

/* ---- as text --------------------------------------------------------------------------------- */

/* One number for all that `state` events tell apart; waiting and ready are both "queued". */
static int64_t state_of(const struct job_row *row)
{
    int state = row->state == JOB_WAITING ? JOB_READY : (int)row->state;
    return row->attempt << 4 | (row->is_cancelled ? 8 : 0) | state;
}

static struct shared *state_text(const struct job_row *row)
{
    struct buf json, text;
    size_t len;
    buf_init(&json, JOB_TEXT_MAX);
    buf_init(&text, JOB_TEXT_MAX + 4096);
    job_json(&json, row);
    must(sse_add_event(&text, SLICE(""), SLICE("state"), buf_slice(&json)));
    buf_done(&json);
    char *data = buf_take(&text, &len);
    return shared_take(data, len);
}

static void add_note(struct buf *to, const struct job_note *note)
{
    struct buf json;
    struct json_writer w;
    char at[RFC3339_LEN + 1], id[24];
    bool is_log = note->kind == NOTE_LOG;
    int n = snprintf(id, sizeof id, "%lld", (long long)note->seq);
    buf_init(&json, JOB_TEXT_MAX);
    json_writer_init(&w, &json, 0);
    json_write_object(&w);
    if (!is_log) {
        json_write_key(&w, SLICE("progress"));
        if (note->progress < 0)
            json_write_null(&w);
        else
            json_write_double(&w, note->progress / 1e6);
    }
    json_write_key(&w, is_log ? SLICE("text") : SLICE("message"));
    json_write_str(&w, note->text);
    clock_rfc3339(note->at_ms, at);
    json_write_key(&w, SLICE("at"));
    json_write_cstr(&w, at);
    json_write_object_end(&w);
    must(sse_add_event(to, (struct slice){id, (size_t)n}, is_log ? SLICE("log") : SLICE("progress"),
                       buf_slice(&json)));
    buf_done(&json);
}

static void write_notes(struct looked *it, const struct job_note *notes, size_t n)
{
    struct buf text;
    size_t len;
    buf_init(&text, JOB_TEXT_MAX);
    for (size_t i = 0; i < n && text.len < WATCH_BYTES; i++) {
        add_note(&text, &notes[i]);
        it->frames[it->n_frames++] = (struct look_frame){notes[i].seq, text.len};
    }
    it->has_more = n == WATCH_NOTES || it->n_frames < n;
    char *data = buf_take(&text, &len);
    it->notes = shared_take(data, len);
}

/* ---- who may still --------------------------------------------------------------------------- */

/* A program watches as long as its own job runs. */
static bool is_running(const struct jobs_reading *r, struct slice id, struct err *e)
{
    struct job_row row;
    return jobs_get(r, id, &row, e) &&
           (row.state == JOB_RUNNING || err_set(e, ERR_UNAUTHENTICATED, "Its job has ended."));
}

/* The job was read once for all of them: there may be many. */
static bool may_see(const struct jobs_reading *r, const struct look_guest *g,
                    const struct job_row *row, struct err *e)
{
    struct jobs_reading theirs = *r;
    const struct identity *who = g->who.who;
    if (who && who->is_of_job && !is_running(r, who->session, e))
        return false;
    theirs.who = &g->who;
    return jobs_may_see(&theirs, row) || err_set(e, ERR_NOT_FOUND, "They may not see it any more.");
}

/* The database may fail meanwhile: that ends nobody's stream. */
static bool is_refusal(const struct err *e)
{
    int status = err_status(e->code);
    return status == 401 || status == 403 || status == 404;
}

static bool ask_guests(struct job_hub *h, const struct jobs_reading *r, struct arena *keep,
                       struct looked *it, const struct job_row *row, struct err *e)
{
    size_t n;
    struct look_guest *guests = job_hub_guests(h, it->topic, r->arena, &n);
    uint64_t *denied = arena_alloc(keep, (n + 1) * sizeof *denied);
    it->denied = denied;
    for (size_t i = 0; i < n; i++) {
        if (may_see(r, &guests[i], row, e))
            continue;
        if (!is_refusal(e))
            return false;
        denied[it->n_denied++] = guests[i].serial;
    }
    return true;
}

/* ---- a job ----------------------------------------------------------------------------------- */

static bool look_at(struct job_hub *h, struct jobs_reading *r, struct arena *keep,
                    struct looked *it, struct err *e)
{
    struct job_note *notes = arena_alloc(r->arena, WATCH_NOTES * sizeof *notes);
    struct job_row row;
    size_t n = 0;
    r->who = &console;
    if (!jobs_get(r, it->id, &row, e)) {
        it->is_gone = it->is_done = e->code == ERR_NOT_FOUND;
        return it->is_gone;
    }
    it->state = state_of(&row);
    it->is_final = job_state_is_over(row.state);
    bool is_new = it->state != it->known;
    if (((is_new && it->known != NEVER_LOOKED) || it->has_programs) &&
        !ask_guests(h, r, keep, it, &row, e))
        return false;
    if (!job_notes_read(r->conn, r->arena, it->id, it->after, WATCH_NOTES, notes, &n, &it->has_gap,
                        e))
        return false;
    if (n)
        write_notes(it, notes, n);
    if (is_new || it->wants_state || it->is_final)
        it->state_text = state_text(&row);
    it->is_done = true;
    return true;
}

static bool look_at_all(struct job_hub *h, const struct jobs_reading *r, struct arena *keep,
                        struct looked *items, size_t n, struct err *e)
{
    int64_t until_ms = clock_mono_ms() + LOOK_MS;
    bool fine = true;
    for (size_t i = 0; fine && i < n && (i == 0 || clock_mono_ms() < until_ms); i++) {
        struct arena scratch;
        struct jobs_reading one = *r;
        arena_init(&scratch, ROW_BYTES);
        one.arena = &scratch;
        fine = look_at(h, &one, keep, &items[i], e);
        arena_done(&scratch);
    }
    return fine;
}

bool job_look(struct job_hub *h, struct jobs *j, struct arena *a, struct looked *items, size_t n)
{
    struct jobs_reading r = {.jobs = j};
    struct err e;
    if (!jobs_enter(j)) /* who watches is in it: only its end closes it */
        return false;
    r.conn = db_conn_take(jobs_db(j), &e);
    bool fine = r.conn && look_at_all(h, &r, a, items, n, &e);
    if (r.conn)
        db_conn_give(r.conn);
    jobs_leave(j);
    return fine;
}
