/* Following a job: a live line of progress, what it says, and how it ended. A server that restarts
 * meanwhile is waited for: the job outlives it. */
#include "cli/job_impl.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS   200
#define AWAY_MS   60000 /* how long a server may take to come back */
#define BAR_CHARS 20
#define SAID_MAX  60 /* bytes of its message in the line */

struct following {
    struct request *r;
    struct slice id;
    int64_t seq;
    FILE *log;                 /* NULL: not wanted */
    bool is_tty, has_line;     /* has_line: the last line of the terminal is ours */
    char last[64];             /* what was told, where lines stay: state and per cent */
    int64_t begun_ms, away_ms; /* away_ms: since when nobody answers; 0: somebody does */
};

static volatile sig_atomic_t was_interrupted;

static void on_interrupt(int signum)
{
    (void)signum;
    was_interrupted = 1;
}

/* ---- the line -------------------------------------------------------------------------------- */

static void clear_line(struct following *f)
{
    if (f->has_line)
        fputs("\r\033[K", stderr);
    f->has_line = false;
}

static void print_line(struct following *f, struct slice line)
{
    clear_line(f);
    fprintf(stderr, f->is_tty ? "%.*s" : "%.*s\n", SLICE_ARGS(line));
    fflush(stderr);
    f->has_line = f->is_tty;
}

static void add_bar(struct buf *to, double progress)
{
    int full = (int)(progress * BAR_CHARS);
    buf_add_char(to, '[');
    for (int i = 0; i < BAR_CHARS; i++)
        buf_add_char(to, i < full ? '#' : '.');
    buf_add_str(to, "]  ");
}

/* Finer ones would only flicker. */
static void add_seconds(struct buf *to, int64_t ms)
{
    if (ms < 60000)
        buf_printf(to, "%lld s", (long long)(ms / 1000));
    else
        job_add_time(to, ms);
}

static void add_said(struct buf *to, struct slice message)
{
    size_t n = message.len < SAID_MAX ? message.len : SAID_MAX;
    while (n && n < message.len && ((unsigned char)message.ptr[n] & 0xc0) == 0x80)
        n--;
    if (n)
        buf_add_str(to, "  ");
    cli_add_shown(to, slice_first(message, n));
}

/* One that waits for its next attempt, or for its time. */
static void add_pause(struct buf *to, const struct json *job)
{
    struct slice due = job_member(job, "due");
    int64_t ms, attempt = 0;
    json_i64(json_find(job, SLICE("attempt")), &attempt);
    if (attempt)
        buf_printf(to, ", attempt %lld", (long long)attempt + 1);
    if (!due.len || !clock_parse_rfc3339(due.ptr, due.len, &ms) || ms <= clock_wall_ms())
        return;
    buf_add_str(to, " in ");
    add_seconds(to, ms - clock_wall_ms() + 999);
}

/* On a terminal one line that changes, else a line for each step of a tenth. */
static void tell(struct following *f, const struct json *job)
{
    struct buf line;
    char step[sizeof f->last];
    double progress = -1;
    int64_t attempt = 0;
    struct slice state = job_member(job, "state");
    const struct json *said = json_find(job, SLICE("progress"));
    bool is_known = json_type(said) == JSON_NUMBER && json_double(said, &progress, NULL) &&
                    slice_is(state, "running");
    json_i64(json_find(job, SLICE("attempt")), &attempt);
    snprintf(step, sizeof step, "%.*s %lld %d", SLICE_ARGS(state), (long long)attempt,
             is_known ? (int)(progress * 10) : -1);
    if (!f->is_tty && strcmp(step, f->last) == 0)
        return;
    snprintf(f->last, sizeof f->last, "%s", step);
    buf_init(&line, 4096);
    buf_add(&line, state);
    if (slice_is(state, "queued"))
        add_pause(&line, job);
    buf_add_str(&line, "  ");
    if (is_known && f->is_tty)
        add_bar(&line, progress);
    if (is_known)
        buf_printf(&line, "%3d %%  ", (int)(progress * 100));
    add_seconds(&line, clock_mono_ms() - f->begun_ms);
    add_said(&line, job_member(job, "message"));
    print_line(f, buf_slice(&line));
    buf_done(&line);
}

/* ---- its log --------------------------------------------------------------------------------- */

static void tell_notes(struct following *f, const struct json *notes, bool has_gap)
{
    if (has_gap && f->log)
        fputs("... (the oldest lines are not kept)\n", f->log);
    json_each (it, notes) {
        json_i64(json_find(it.value, SLICE("seq")), &f->seq);
        if (!json_bool(json_find(it.value, SLICE("log"))) || !f->log)
            continue;
        clear_line(f);
        job_print_log(f->log, job_member(it.value, "text"));
        fflush(f->log);
    }
}

static bool look(struct following *f, const struct json **ret_job, bool *ret_more, struct err *e)
{
    request_again(f->r);
    json_write_key(&f->r->w, SLICE("id"));
    json_write_str(&f->r->w, f->id);
    json_write_key(&f->r->w, SLICE("after"));
    json_write_i64(&f->r->w, f->seq);
    if (!request_send(f->r, "job.watch", e))
        return false;
    f->away_ms = 0;
    *ret_job = request_found(f->r, "job");
    *ret_more = json_bool(request_found(f->r, "more"));
    tell_notes(f, request_found(f->r, "notes"), json_bool(request_found(f->r, "gap")));
    return true;
}

/* ---- its end --------------------------------------------------------------------------------- */

static bool end(struct following *f, const struct json *job, struct err *e)
{
    struct slice state = job_member(job, "state"), id = job_member(job, "id");
    const struct json *error = json_find(job, SLICE("error"));
    clear_line(f);
    if (args_has(f->r->args, "--json"))
        request_print_members(f->r, "job");
    else
        job_print_end(job);
    fflush(stdout);
    if (slice_is(state, "succeeded"))
        return true;
    if (slice_is(state, "cancelled"))
        return err_set(e, ERR_IO, "the job was cancelled; `dais job retry %.*s` runs it again",
                       SLICE_ARGS(id));
    return err_set(e, ERR_IO,
                   "the job failed (%.*s); `dais job show %.*s --log` shows its log, `dais job "
                   "retry %.*s` runs it again",
                   SLICE_ARGS(job_member(error, "code")), SLICE_ARGS(id), SLICE_ARGS(id));
}

static bool stop_following(struct following *f)
{
    clear_line(f);
    fprintf(stderr,
            "not waiting any longer, the job goes on\n  dais job watch %.*s    follows it again\n"
            "  dais job cancel %.*s   ends it\n",
            SLICE_ARGS(f->id), SLICE_ARGS(f->id));
    f->r->exit_code = 130;
    return true;
}

/* Nobody runs it: waiting would hold the lock that `dais serve` needs. */
static bool tell_unserved(struct following *f, struct err *e)
{
    if (args_has(f->r->args, "--json"))
        request_print_members(f->r, "job");
    return err_set(e, ERR_UNREACHABLE,
                   "no server runs here, so the job waits: it begins with `dais serve`; then "
                   "`dais job watch %.*s` follows it",
                   SLICE_ARGS(f->id));
}

/* True: it may be back in a moment. */
static bool is_away(struct following *f, const struct err *e)
{
    if (e->code != ERR_UNREACHABLE && e->code != ERR_UNAVAILABLE)
        return false;
    if (!f->away_ms) {
        f->away_ms = clock_mono_ms();
        print_line(f, SLICE("the server is away; waiting for it, the job is kept"));
        f->last[0] = '\0';
    }
    return clock_mono_ms() - f->away_ms < AWAY_MS;
}

static void begin(struct following *f, struct request *r, struct slice id)
{
    bool is_json = args_has(r->args, "--json");
    *f = (struct following){.r = r,
                            .id = arena_dup(&r->arena, id),
                            .log = !args_has(r->args, "--log") ? NULL
                                   : is_json                   ? stderr
                                                               : stdout,
                            .is_tty = isatty(STDERR_FILENO),
                            .begun_ms = clock_mono_ms()};
}

bool job_follow(struct request *r, struct slice id, struct err *e)
{
    struct following f;
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    begin(&f, r, id);
    sigaction(SIGINT, &action, NULL);
    while (!was_interrupted) {
        const struct json *job;
        bool has_more = false;
        struct arena_mark mark = arena_mark(&r->arena);
        bool is_seen = look(&f, &job, &has_more, e);
        if (is_seen && job_is_over(job) && !has_more)
            return end(&f, job, e);
        if (is_seen && r->is_unserved && !has_more)
            return tell_unserved(&f, e);
        if (!is_seen && !is_away(&f, e)) {
            clear_line(&f);
            return false;
        }
        if (is_seen)
            tell(&f, job);
        arena_rewind(&r->arena, mark);
        r->needs_server = !r->is_unserved;
        if (!has_more)
            poll(NULL, 0, LOOK_MS);
    }
    return stop_following(&f);
}

bool job_show_log(struct request *r, struct slice id, struct err *e)
{
    struct following f;
    const struct json *job;
    begin(&f, r, id);
    for (bool has_more = true; has_more;) {
        struct arena_mark mark = arena_mark(&r->arena);
        if (!look(&f, &job, &has_more, e))
            return false;
        arena_rewind(&r->arena, mark);
    }
    return true;
}
