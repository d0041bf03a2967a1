/* A job comes to be: may it, is its input what it should be, and then its row, in somebody's write.
 */
#include "jobs/jobs_impl.h"

static const struct sql state_of = {
    "SELECT " JOB_COLUMNS JOB_SAID JOB_BRIEF " FROM dais_jobs WHERE id = ?",
    "SELECT " JOB_COLUMNS JOB_SAID JOB_BRIEF " FROM dais_jobs WHERE id = ? FOR SHARE",
};

/* ---- before ---------------------------------------------------------------------------------- */

static void write_violation(struct json_writer *w, const struct violation *v)
{
    json_write_object(w);
    json_write_key(w, SLICE("pointer"));
    json_write_str(w, v->pointer);
    json_write_key(w, SLICE("code"));
    json_write_cstr(w, v->code);
    json_write_key(w, SLICE("message"));
    json_write_str(w, v->message);
    json_write_object_end(w);
}

static bool check_input(struct job_order *o, struct err *e)
{
    static const struct json null = {.type = JSON_NULL};
    struct violations v = {.a = o->arena};
    struct json_writer w;
    struct buf text;
    if (!o->type->schema || schema_check(o->type->schema, o->input ? o->input : &null, &v))
        return true;
    buf_init(&text, 64u << 10);
    json_writer_init(&w, &text, 0);
    json_write_array(&w);
    for (size_t i = 0; i < v.n && text.len < text.max / 2; i++)
        write_violation(&w, &v.items[i]);
    json_write_array_end(&w);
    if (!text.full)
        o->details = arena_dup(o->arena, buf_slice(&text));
    buf_done(&text);
    if (!v.n)
        return err_set(e, ERR_INVALID, "The input of %.*s is not what its schema says.",
                       SLICE_ARGS(o->type->name));
    return err_set(e, ERR_INVALID, "%.*s%s%.*s.", SLICE_ARGS(slice_first(v.items[0].pointer, 80)),
                   v.items[0].pointer.len ? " " : "The input ",
                   SLICE_ARGS(slice_first(v.items[0].message, 120)));
}

static bool check_rules(struct job_order *o, struct err *e)
{
    const struct query *rows;
    struct subject who = *o->who;
    const struct job_row row = {
        .type = o->type->name, .owner = o->owner, .created_ms = clock_wall_ms()};
    who.context.body = o->input;
    if (!authorize(&who, &o->type->policy, ACTION_RUN, o->arena, &rows, e))
        return false;
    return job_matches(rows, &row) ||
           err_set(e, ERR_FORBIDDEN, "The rules do not let you run %.*s.",
                   SLICE_ARGS(o->type->name));
}

/* A place before others is given, not taken: by an operator, the app itself, whoever is at the
 * console. */
static bool may_go_first(const struct subject *s)
{
    must(s && s->who);
    return s->is_console || s->who->is_operator || (s->who->is_signed_in && !s->who->id.len);
}

static bool check_rest(const struct job_order *o, struct err *e)
{
    if (o->text.len > JOB_INPUT_MAX)
        return err_set(e, ERR_BODY_TOO_LARGE, "The input of a job has at most %uMB.",
                       JOB_INPUT_MAX >> 20);
    if (o->priority < -JOB_PRIORITY || o->priority > JOB_PRIORITY)
        return err_set(e, ERR_MALFORMED, "priority: -%d to %d.", JOB_PRIORITY, JOB_PRIORITY);
    if (o->priority > 0 && !o->is_trusted && !may_go_first(o->who))
        return err_set(e, ERR_FORBIDDEN,
                       "A priority above 0 is an operator's or the app's own to give; below 0 lets "
                       "others go first.");
    if (o->delay_ms < 0 || o->delay_ms > JOB_DELAY_MAX)
        return err_set(e, ERR_MALFORMED, "delay: at most a year.");
    if (o->n_after > JOB_AFTER_MAX)
        return err_set(e, ERR_MALFORMED, "after: at most %d jobs.", JOB_AFTER_MAX);
    for (size_t i = 0; i < o->n_after; i++) {
        if (!job_id_is_good(o->after[i]))
            return err_set(e, ERR_INVALID, "after: there is no job %.*s.",
                           SLICE_ARGS(slice_first(o->after[i], 40)));
    }
    return true;
}

static void write_text(struct job_order *o)
{
    struct json_writer w;
    struct buf text;
    if (o->text.len)
        return;
    buf_init(&text, JOB_INPUT_MAX + 2);
    json_writer_init(&w, &text, 0);
    json_write_value(&w, o->input);
    o->text = arena_dup(o->arena, buf_slice(&text));
    if (text.full) /* check_rest() says so */
        o->text = (struct slice){"", JOB_INPUT_MAX + 1};
    buf_done(&text);
}

bool job_order_check(struct job_order *o, struct err *e)
{
    const struct identity *who = o->who ? o->who->who : NULL;
    must(who || o->is_trusted);
    write_text(o);
    if (!check_rest(o, e))
        return false;
    if (o->is_trusted)
        return true;
    o->owner = subject_id(o->who);
    o->is_strangers = subject_is_stranger(o->who);
    if (who->is_of_job && who->depth > o->depth)
        o->depth = who->depth;
    return check_rules(o, e) && check_input(o, e);
}

/* ---- inside the write ------------------------------------------------------------------------
 */

struct adding {
    struct job_order *o;
    struct db_conn *conn;
    int64_t now_ms;
    struct job_full f;
    struct slice same; /* the job whose result it waits for */
    bool is_over;      /* before it began */
    const struct slice *waits_for[JOB_AFTER_MAX];
    size_t n_waits_for;
};

static bool give_up(struct adding *x, enum job_error code, const char *why)
{
    job_fail(&x->f, code, job_text(x->o->arena, slice_from(why), JOB_ERROR_LEN), x->now_ms);
    x->is_over = true;
    jobs_tell_broken(x->o->jobs, &x->f.row);
    return true;
}

static void begin(struct adding *x)
{
    struct job_order *o = x->o;
    char *id = arena_alloc(o->arena, ID_LEN + 1);
    random_id(id);
    x->f = (struct job_full){
        .row = {.id = {id, ID_LEN},
                .type = o->type->name,
                .owner = o->owner,
                .is_strangers = o->is_strangers,
                .state = o->delay_ms ? JOB_WAITING : JOB_READY,
                .priority = o->priority,
                .created_ms = x->now_ms,
                .due_ms = x->now_ms + o->delay_ms,
                .charged_ms = -1,
                .progress = -1,
                .input = o->text,
                .depth = o->depth},
        .set_at = x->now_ms,
    };
}

static bool check_depth(struct adding *x, struct err *e)
{
    if (x->o->depth <= JOB_DEPTH_MAX)
        return true;
    if (x->o->may_fail)
        return give_up(x, JOB_ERROR_LOOP, "Jobs led to jobs that led to jobs, too often.");
    return err_set(e, ERR_FORBIDDEN, "Jobs that lead to jobs: %d is the most.", JOB_DEPTH_MAX);
}

/* One that does not end before we have committed, or that is over. */
static bool wait_for(struct adding *x, const struct slice *id, struct err *e)
{
    struct job_full other = {0};
    struct db_stmt *s = db_prepare(x->conn, &state_of, e);
    if (!s)
        return false;
    db_bind_text(s, 1, *id);
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        job_read(s, x->o->arena, &other);
    db_reset(s);
    if (step == DB_FAILED)
        return false;
    if (step == DB_END ||
        (!x->o->is_trusted && !job_may_read(x->o->jobs, x->o->who, &other.row, x->o->arena)))
        return err_set(e, ERR_INVALID, "after: there is no job %.*s.", SLICE_ARGS(*id));
    if (other.row.state == JOB_SUCCEEDED || x->is_over)
        return true;
    if (job_state_is_over(other.row.state))
        return give_up(x, JOB_ERROR_AFTER, "A job that it was to wait for did not succeed.");
    x->waits_for[x->n_waits_for++] = id;
    x->f.row.state = JOB_WAITING;
    x->f.blocked++;
    return true;
}

static bool is_twice(const struct job_order *o, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (slice_eq(o->after[k], o->after[i]))
            return true;
    }
    return false;
}

static bool wait_for_all(struct adding *x, struct err *e)
{
    for (size_t i = 0; i < x->o->n_after; i++) {
        if (!is_twice(x->o, i) && !wait_for(x, &x->o->after[i], e))
            return false;
    }
    return true;
}

/* Of one that waits for others, their work may be what makes a new result: it is asked when it
 * begins. */
static bool look_into_cache(struct adding *x, struct err *e)
{
    struct job_order *o = x->o;
    struct slice found;
    if (!o->type->n_parts)
        return true;
    unsigned char *digest = arena_alloc(o->arena, SHA256_LEN);
    cache_digest(o->type, &x->f.row, o->input, digest);
    x->f.cache = (struct slice){(const char *)digest, SHA256_LEN};
    if (o->n_after || x->is_over)
        return true;
    enum db_step step = cache_known(x->conn, o->type, x->f.cache, x->now_ms, o->arena, &found, e);
    if (step == DB_ROW) {
        job_succeed(&x->f, found, x->now_ms);
        x->f.row.is_cached = x->is_over = true;
    } else if (step == DB_END) {
        step = cache_under_way(x->conn, o->type, &x->f, x->now_ms, o->arena, &found, e);
        if (step == DB_ROW) {
            x->same = found;
            x->f.row.state = JOB_WAITING;
            x->f.row.is_cached = true;
            x->f.blocked = 1;
        }
    }
    return step != DB_FAILED;
}

static bool take_quota(struct adding *x, int64_t *ret_retry_ms, struct err *e)
{
    struct job_order *o = x->o;
    struct err why = {0};
    bool is_of_app = o->is_trusted && !o->owner.len && !o->is_strangers;
    if (x->is_over || quota_take(x->conn, o->type, &x->f, is_of_app, x->now_ms, &why))
        return true;
    if (why.code == ERR_QUOTA && o->may_fail)
        return give_up(x, JOB_ERROR_QUOTA, why.msg);
    if (why.code == ERR_QUOTA)
        *ret_retry_ms = quota_until(o->type, x->now_ms) - x->now_ms;
    if (e)
        *e = why;
    return false;
}

static bool insert(struct adding *x, struct err *e)
{
    struct settling s = {x->o->jobs, x->conn, x->o->arena, x->now_ms, false, false};
    bool fine = job_insert(x->conn, &x->f, e);
    for (size_t i = 0; fine && !x->is_over && i < x->n_waits_for; i++)
        fine = link_add(x->conn, x->f.row.id, *x->waits_for[i], LINK_AFTER, e);
    if (fine && !x->is_over && x->same.len)
        fine = link_add(x->conn, x->f.row.id, x->same, LINK_SAME, e);
    return fine && jobs_followed(&s, &x->f, e);
}

bool job_order_apply(struct job_order *o, struct db_conn *c, int64_t now_ms, int64_t *ret_retry_ms,
                     struct err *e)
{
    struct adding x = {.o = o, .conn = c, .now_ms = now_ms};
    *ret_retry_ms = 0;
    begin(&x);
    if ((!o->is_trusted && !jobs_still_in(o->jobs, o->who, c, e)) || !check_depth(&x, e) ||
        !wait_for_all(&x, e) || !look_into_cache(&x, e) || !take_quota(&x, ret_retry_ms, e) ||
        !insert(&x, e))
        return false;
    o->row = x.f.row;
    db_tell(c, TOPIC_JOBS);
    return true;
}
