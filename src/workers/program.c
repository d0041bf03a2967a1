/* A job's program: how it is started, and what its end means. What people read about it names the
 * program as the manifest does, never where it lies on the server. */
#include "workers/workers_impl.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct job *conf_of(const struct job_run *r)
{
    return job_type_conf(r->kind->type);
}

/* ---- its start ----------------------------------------------------------------------------------
 */

static const char **make_env(struct job_run *r)
{
    struct arena *a = &r->arena;
    size_t n = 0, extra = 0;
    const char *more[] = {
        arena_printf(a, "DAIS_JOB_ID=%.*s", SLICE_ARGS(r->id)).ptr,
        arena_printf(a, "DAIS_TOKEN=%s", r->token_text).ptr,
        arena_printf(a, "HOME=%s", r->folder).ptr,
        arena_printf(a, "TMPDIR=%s", r->folder).ptr,
    };
    while (r->kind->env && r->kind->env[n])
        n++;
    const char **env = arena_alloc(a, (n + 5) * sizeof *env);
    for (; extra < sizeof more / sizeof *more; extra++)
        env[extra] = more[extra];
    for (size_t i = 0; i < n; i++)
        env[extra + i] = r->kind->env[i];
    env[extra + n] = NULL;
    return env;
}

static uint64_t seconds(int64_t ms)
{
    return ms > 0 ? (uint64_t)(ms + 999) / 1000 : 0;
}

struct process *program_start(struct job_run *r, struct err *e)
{
    const struct job *conf = conf_of(r);
    struct spawner *s = r->crew->workers->spawner;
    const char *argv[] = {r->kind->program, NULL};
    const struct process_opts o = {
        .argv = argv,
        .env = make_env(r),
        .cwd = r->folder,
        .in.kind = STDIO_PIPE,
        .out.kind = STDIO_PIPE,
        .err.kind = STDIO_PIPE,
        .wall_ms = (uint64_t)conf->timeout_ms,
        .grace_ms = WORKER_GRACE_MS,
        .lease_until_ms = run_lease_until(r),
        .memory_bytes = (uint64_t)conf->limits.memory_bytes,
        .cpu_s = seconds(conf->limits.cpu_ms),
        .open_files =
            (uint64_t)(conf->limits.open_files ? conf->limits.open_files : WORKER_OPEN_FILES),
        .file_bytes = (uint64_t)conf->limits.files_bytes,
        .uid = r->kind->uid,
        .gid = r->kind->gid,
    };
    if (spawner_is_lost(s) && !spawner_reopen(s, e))
        return NULL;
    return process_start(s, &o, e);
}

static const char *user_cannot(struct job_run *r, const char *path)
{
    const char *barrier =
        r->kind->uid ? worker_barrier(&r->arena, path, r->kind->uid, r->kind->gid) : NULL;
    if (barrier)
        log_line(LOG_ERROR, "a job's user cannot enter a folder", F_STR("app", r->crew->slug),
                 F_STR("type", r->type), F_CSTR("folder", barrier), F_INT("uid", r->kind->uid),
                 F_CSTR("next", "chmod o+x it, or move the app or its data"));
    return barrier;
}

/* Somebody may run it, but not who does. */
static bool is_closed_to_user(const struct job_run *r)
{
    return r->kind->uid && access(r->kind->program, X_OK) == 0 &&
           !worker_may_run(r->kind->program, r->kind->uid, r->kind->gid);
}

static void set_closed(struct job_run *r)
{
    char number[40];
    snprintf(number, sizeof number, "user %u", (unsigned)r->kind->uid);
    run_sets(r, OUTCOME_FAILED, JOB_ERROR_START,
             "%.*s may not be read and executed by %s, as whom jobs run: chmod o+rx it.",
             SLICE_ARGS(conf_of(r)->run.s), r->kind->user_name ? r->kind->user_name : number);
}

void program_failed(struct job_run *r, const struct process_event *ev)
{
    struct err e = {0};
    struct slice run = conf_of(r)->run.s;
    (void)process_failed(r->process, ev, &e);
    log_line(LOG_ERROR, "a job's program cannot be started", F_STR("app", r->crew->slug),
             F_STR("type", r->type), F_CSTR("why", e.msg));
    if (ev->step == STEP_CWD && user_cannot(r, r->folder))
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_START,
                 "The folder of the run cannot be entered by the user that jobs run as.");
    else if (ev->step == STEP_NOT_EXECUTABLE && user_cannot(r, r->kind->program))
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_START,
                 "%.*s cannot be reached by the user that jobs run as.", SLICE_ARGS(run));
    else if (ev->step == STEP_MISSING)
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_START, "There is no program %.*s.", SLICE_ARGS(run));
    else if (ev->step == STEP_INTERPRETER)
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_START,
                 "The interpreter named in the first line of %.*s is not there.", SLICE_ARGS(run));
    else if (ev->step == STEP_EXEC &&
             ev->sys_errno == ETXTBSY) /* a new one is being copied there */
        run_sets(r, OUTCOME_AGAIN, JOB_ERROR_START,
                 "%.*s is being written to, so it could not be started just now.", SLICE_ARGS(run));
    else if (ev->step == STEP_NOT_EXECUTABLE && is_closed_to_user(r))
        set_closed(r);
    else if (ev->step == STEP_NOT_EXECUTABLE)
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_START,
                 "%.*s is there but may not be executed: chmod +x it, and begin it with #! unless "
                 "it is a binary.",
                 SLICE_ARGS(run));
    else if (ev->step == STEP_LEASE) /* we stood still between the claim and the start */
        run_sets(r, OUTCOME_LOST, JOB_ERROR_LOST, "Its server stood still.");
    else if (ev->step < STEP_SESSION) /* of ours: there were too many processes, say */
        run_sets(r, OUTCOME_AGAIN, JOB_ERROR_START, "%.*s could not be started just now.",
                 SLICE_ARGS(run));
    else
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_START, "%.*s could not be started.", SLICE_ARGS(run));
}

/* ---- its end ------------------------------------------------------------------------------------
 */

static void failed_with_last_line(struct job_run *r, enum job_error code, const char *what)
{
    struct slice last = slice_first(talk_last_line(&r->talk), 300);
    if (last.len)
        run_sets(r, OUTCOME_FAILED, code, "%s: %.*s", what, SLICE_ARGS(last));
    else
        run_sets(r, OUTCOME_FAILED, code, "%s.", what);
}

static void exited(struct job_run *r, int code)
{
    const struct talk *t = &r->talk;
    char what[80];
    if (code == 0 && t->bad_result[0])
        run_sets(r, OUTCOME_FAILED, JOB_ERROR_RESULT, "%s", t->bad_result);
    else if (code == 0)
        run_sets(r, OUTCOME_SUCCEEDED, JOB_ERROR_NONE, "%s", "");
    else if (code == 75)
        run_sets(r, OUTCOME_AGAIN, JOB_ERROR_AGAIN,
                 "Its program asked to be run again (exit code 75).");
    else {
        snprintf(what, sizeof what, "Its program ended with exit code %d", code);
        failed_with_last_line(r, JOB_ERROR_EXIT, what);
    }
}

/* A shell ends with 128 and the signal that ended what it waited for. */
static enum run_why why_of_shell(const struct job_run *r, int code)
{
    const struct job_limits *l = &conf_of(r)->limits;
    if (code == 128 + SIGXFSZ && l->files_bytes)
        return WHY_FILES;
    return code == 128 + SIGXCPU && l->cpu_ms ? WHY_CPU : WHY_NONE;
}

static void over(struct job_run *r, enum run_why why)
{
    r->why = why;
    (void)run_ended_by_us(r);
}

void program_ended(struct job_run *r, const struct process_event *ev)
{
    bool was_sooner = ev->reason == PROCESS_EXITED || ev->reason == PROCESS_SIGNALLED;
    if (ev->reason == PROCESS_EXITED && r->why == WHY_NONE)
        r->why = why_of_shell(r, ev->exit_code);
    if (ev->is_unproven)
        log_line(LOG_WARN, "what runs jobs was killed; processes of one may be left",
                 F_STR("app", r->crew->slug), F_STR("job", r->id));
    if (ev->reason == PROCESS_EXITED && ev->exit_code == 0 && r->why == WHY_STOP)
        exited(r, 0); /* it was done already */
    else if ((was_sooner || ev->reason == PROCESS_CANCELLED) && run_ended_by_us(r))
        return;
    else if (ev->reason == PROCESS_TIMEOUT)
        over(r, WHY_TIMEOUT);
    else if (ev->reason == PROCESS_OVER_MEMORY)
        over(r, WHY_MEMORY);
    else if (ev->reason == PROCESS_OVER_CPU)
        over(r, WHY_CPU);
    else if (ev->reason == PROCESS_OVER_FILE)
        over(r, WHY_FILES);
    else if (ev->reason == PROCESS_UNRENEWED)
        over(r, WHY_LEASE);
    else if (ev->reason == PROCESS_LOST)
        run_sets(r, OUTCOME_LOST, JOB_ERROR_LOST, "What ran its program was killed.");
    else if (ev->signal)
        run_sets(r, OUTCOME_AGAIN, JOB_ERROR_SIGNAL, "Its program was ended by signal %d (%s).",
                 ev->signal, strsignal(ev->signal));
    else
        exited(r, ev->exit_code);
}
