/* What `dais job` asks for: lists, one job, what it says, and adding, ending and repeating it. */
#include "app/command_impl.h"
#include "base/nearest.h"

static bool list(struct commanding *c, struct err *e);
static bool show(struct commanding *c, struct err *e);
static bool watch(struct commanding *c, struct err *e);
static bool add(struct commanding *c, struct err *e);
static bool cancel(struct commanding *c, struct err *e);
static bool retry(struct commanding *c, struct err *e);

const struct command job_commands[] = {
    {"job.list", list, ABOUT_JOBS},     {"job.show", show, ABOUT_JOBS},
    {"job.watch", watch, ABOUT_JOBS},   {"job.add", add, ABOUT_JOBS},
    {"job.cancel", cancel, ABOUT_JOBS}, {"job.retry", retry, ABOUT_JOBS},
    {NULL, NULL, ABOUT_ACCOUNTS}};

#define ROW_MAX   (4u << 20) /* of one job as JSON */
#define PAGE_MAX  (8u << 20)
#define NOTES_MAX 200 /* of one answer to job.watch */

static const struct identity nobody; /* the console needs no name */

static int64_t command_i64(const struct commanding *c, const char *key)
{
    int64_t n = 0;
    return json_i64(json_find(c->in, slice_from(key)), &n) ? n : 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct looking {
    struct jobs_reading reading;
    struct subject who;
};

static bool look(struct commanding *c, struct looking *l, struct err *e)
{
    l->who = (struct subject){.who = &nobody, .is_console = true};
    l->reading = (struct jobs_reading){.jobs = c->app->jobs, .arena = c->arena, .who = &l->who};
    if (!jobs_open(c->app->jobs, e))
        return false;
    l->reading.conn = db_conn_take(jobs_db(c->app->jobs), e);
    if (!l->reading.conn)
        jobs_leave(c->app->jobs);
    return l->reading.conn != NULL;
}

static void look_away(struct commanding *c, struct looking *l)
{
    db_conn_give(l->reading.conn);
    jobs_leave(c->app->jobs);
}

/* Text of ours, made as JSON elsewhere. */
static bool put_json(struct commanding *c, const char *key, struct slice text, struct err *e)
{
    struct json_doc doc;
    if (!json_parse(&doc, c->arena, text, &doc_stored_limits, e))
        return false;
    json_write_key(c->out, slice_from(key));
    json_write_value(c->out, json_root(&doc));
    return true;
}

static bool put_row(struct commanding *c, const struct job_row *row, struct err *e)
{
    struct buf text;
    buf_init(&text, ROW_MAX);
    job_json(&text, row);
    bool fine = put_json(c, "job", arena_dup(c->arena, buf_slice(&text)), e);
    buf_done(&text);
    return fine;
}

static bool tell_unknown(const struct jobs *jobs, struct slice name, struct err *e)
{
    struct nearest nearest = {.typed = name};
    for (size_t i = 0; i < job_type_count(jobs); i++)
        nearest_offer(&nearest, job_type_conf(job_type_at(jobs, i))->name.s);
    if (nearest.best.len)
        return err_set(e, ERR_NOT_FOUND,
                       "there is no job `%.*s` in dais.yaml; did you mean `%.*s`?",
                       SLICE_ARGS(slice_first(name, 60)), SLICE_ARGS(nearest.best));
    return err_set(e, ERR_NOT_FOUND, "there is no job `%.*s` in dais.yaml",
                   SLICE_ARGS(slice_first(name, 60)));
}

static bool list(struct commanding *c, struct err *e)
{
    struct looking l;
    struct buf page;
    struct slice type = command_str(c, "type");
    int64_t limit = command_i64(c, "limit");
    const struct jobs_query q = {.state = command_str(c, "state"),
                                 .type = type,
                                 .after = command_str(c, "after"),
                                 .limit = limit > 0 ? (uint32_t)limit : JOB_LIMIT};
    if (type.len && !job_type_find(c->app->jobs, type))
        return tell_unknown(c->app->jobs, type, e);
    if (!look(c, &l, e))
        return false;
    buf_init(&page, PAGE_MAX);
    bool fine = jobs_list(&l.reading, &q, &page, e) &&
                put_json(c, "page", arena_dup(c->arena, buf_slice(&page)), e);
    buf_done(&page);
    look_away(c, &l);
    return fine;
}

static bool show(struct commanding *c, struct err *e)
{
    struct looking l;
    struct job_row row;
    if (!look(c, &l, e))
        return false;
    bool fine = jobs_get(&l.reading, command_str(c, "id"), &row, e) && put_row(c, &row, e);
    look_away(c, &l);
    return fine;
}

static void put_note(struct commanding *c, const struct job_note *note)
{
    json_write_object(c->out);
    json_write_key(c->out, SLICE("seq"));
    json_write_i64(c->out, note->seq);
    json_write_key(c->out, SLICE("log"));
    json_write_bool(c->out, note->kind == NOTE_LOG);
    json_write_key(c->out, SLICE("progress"));
    json_write_i64(c->out, note->progress);
    json_write_key(c->out, SLICE("text"));
    json_write_str(c->out, note->text);
    json_write_object_end(c->out);
}

static bool put_notes(struct commanding *c, const struct jobs_reading *r, struct slice id,
                      struct err *e)
{
    struct job_note notes[NOTES_MAX];
    size_t n = 0;
    bool has_gap = false;
    if (!job_notes_read(r->conn, c->arena, id, command_i64(c, "after"), NOTES_MAX, notes, &n,
                        &has_gap, e))
        return false;
    json_write_key(c->out, SLICE("notes"));
    json_write_array(c->out);
    for (size_t i = 0; i < n; i++)
        put_note(c, &notes[i]);
    json_write_array_end(c->out);
    json_write_key(c->out, SLICE("gap"));
    json_write_bool(c->out, has_gap);
    json_write_key(c->out, SLICE("more"));
    json_write_bool(c->out, n == NOTES_MAX);
    return true;
}

/* The row, and what it has said since "after". */
static bool watch(struct commanding *c, struct err *e)
{
    struct looking l;
    struct job_row row;
    struct slice id = command_str(c, "id");
    if (!look(c, &l, e))
        return false;
    bool fine =
        jobs_get(&l.reading, id, &row, e) && put_row(c, &row, e) && put_notes(c, &l.reading, id, e);
    look_away(c, &l);
    return fine;
}

/* ---- changing -------------------------------------------------------------------------------- */

static bool write_now(struct commanding *c, bool (*run)(void *, struct db_conn *, struct err *),
                      void *arg, bool is_loose, struct err *e)
{
    if (!jobs_open(c->app->jobs, e))
        return false;
    struct db *db = jobs_db(c->app->jobs);
    bool fine = is_loose ? db_write_now_loose(db, run, arg, e) : db_write_now(db, run, arg, e);
    jobs_leave(c->app->jobs);
    return fine;
}

static bool run_add(void *arg, struct db_conn *conn, struct err *e)
{
    int64_t retry_ms;
    return job_order_apply(arg, conn, clock_wall_ms(), &retry_ms, e);
}

/* Whose it is to be: that of whoever sits at this machine, where there are no accounts; else the
 * app's own, unless --user says. */
static bool set_owner(struct commanding *c, struct job_order *order, struct err *e)
{
    struct account user;
    if (!command_str(c, "user").len) {
        order->owner = c->app->accounts ? SLICE("") : c->app->local.who.id;
        return true;
    }
    if (!c->app->accounts)
        return err_set(e, ERR_USAGE, "this app has no accounts, so a job of it has no user");
    c->acc = c->app->accounts;
    if (!command_user(c, &user, e))
        return false;
    order->owner = user.id;
    return true;
}

/* What the schema refuses is an answer, too: "errors", as of a problem. */
static bool add(struct commanding *c, struct err *e)
{
    struct subject who = {.who = &nobody, .is_console = true};
    struct slice name = command_str(c, "type");
    struct job_order order = {
        .jobs = c->app->jobs,
        .type = job_type_find(c->app->jobs, name),
        .who = &who,
        .arena = c->arena,
        .input = json_find(c->in, SLICE("input")),
        .delay_ms = command_i64(c, "delay_ms"),
        .priority = (int)command_i64(c, "priority"),
    };
    if (!order.type)
        return tell_unknown(c->app->jobs, name, e);
    if (!job_order_check(&order, e))
        return e->code == ERR_INVALID && order.details.len &&
               put_json(c, "errors", order.details, e);
    return set_owner(c, &order, e) && write_now(c, run_add, &order, false, e) &&
           put_row(c, &order.row, e);
}

static bool run_cancel(void *arg, struct db_conn *conn, struct err *e)
{
    return jobs_cancel(arg, conn, clock_wall_ms(), e);
}

static bool run_retry(void *arg, struct db_conn *conn, struct err *e)
{
    return jobs_retry(arg, conn, clock_wall_ms(), e);
}

static bool act(struct commanding *c, bool (*run)(void *, struct db_conn *, struct err *),
                struct err *e)
{
    struct subject who = {.who = &nobody, .is_console = true};
    struct job_act a = {
        .jobs = c->app->jobs, .who = &who, .arena = c->arena, .id = command_str(c, "id")};
    return write_now(c, run, &a, run == run_cancel, e) && put_row(c, &a.row, e);
}

static bool cancel(struct commanding *c, struct err *e)
{
    return act(c, run_cancel, e);
}

static bool retry(struct commanding *c, struct err *e)
{
    return act(c, run_retry, e);
}
