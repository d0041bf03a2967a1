/* The verb job: what is queued, runs and ran; adding, ending and repeating. */
#include "cli/job_impl.h"

#include "manifest/manifest.h"

#include <errno.h>
#include <string.h>

static int run(const struct args *args);

const struct verb verb_job = {
    .name = "job",
    .summary = "List, show, run, repeat and cancel jobs, with their progress.",
    .usage = "list [DIR...] | show|watch|retry|cancel ID [DIR...] | run TYPE [DIR...]",
    .help =
        "list    the newest ones, or those of --state and --type; --after goes on from a job\n"
        "show    one: its state, times, input, result and error; with --log its log instead\n"
        "watch   follows one until it is over: a line of progress, with --log what it writes\n"
        "run     adds one of this type and follows it; with --detach only adds it\n"
        "retry   queues one that failed or was cancelled again\n"
        "cancel  ends one, whether it waits or runs; exit code 1 if it had ended otherwise\n\n"
        "The input of `run` is JSON: --input '{...}', --input @FILE, or --input - for standard\n"
        "input. It is checked against the job's schema. In an app with accounts a job added here\n"
        "is the app's own, unless --user names one. Several IDs of `retry` and `cancel` have\n"
        "commas between them. Interrupting `run` and `watch` leaves the job running.\n\n"
        "A running server is asked. Without one the command works on the data folder itself, and\n"
        "what it queues begins with `dais serve`.\n\n"
        "Exit codes of run and watch: 0 the job succeeded, 11 it failed or was cancelled, 6 no\n"
        "server is there to run it, 130 interrupted. Progress is told on standard error; the log,\n"
        "the end and --json on standard output (with --json the log, too, on standard error).\n",
    .run = run,
    .flags = {{"--input", "JSON", "run: what it works on; `@FILE` and `-` are read.", 0},
              {"--user", "USER", "run: whose it is, by address or id.", 0},
              {"--delay", "TIME", "run: not before then: 10m, 2h.", 0},
              {"--priority", "N", "run: -100 to 100; higher goes first.", 0},
              {"--detach", NULL, "run: do not wait for its end.", 'd'},
              {"--log", NULL, "show, watch, run: what it writes to its log.", 0},
              {"--state", "STATE", "list: queued, running, succeeded, failed or cancelled.", 0},
              {"--type", "TYPE", "list: only this job of dais.yaml.", 0},
              {"--limit", "N", "list: how many, 1 to 1000; 30.", 0},
              {"--after", "ID", "list: those older than this one.", 0},
              {"--app", "NAME", "Which app, where several have jobs.", 0},
              {"--json", NULL, "Print the result as JSON.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0}},
    .min_words = 1,
    .max_words = APP_DIRS_MAX + 2,
};

#define INPUT_MAX  (1u << 20)
#define NUMBER_MAX 1000000

/* ---- the words ------------------------------------------------------------------------------- */

static const char *id_of(const struct request *r)
{
    return r->args->words[1];
}

bool job_read_number(const struct request *r, const char *flag, int64_t *ret_value, struct err *e)
{
    const char *text = args_flag(r->args, flag);
    struct slice digits = slice_from(text ? text : "");
    uint64_t n;
    if (!text)
        return true;
    bool is_minus = slice_starts(digits, SLICE("-"));
    if (!slice_to_u64(slice_skip(digits, is_minus), &n) || n > NUMBER_MAX)
        return err_set(e, ERR_USAGE, "%s is a whole number", flag);
    *ret_value = is_minus ? -(int64_t)n : (int64_t)n;
    return true;
}

static bool show(struct request *r, struct err *e)
{
    if (args_has(r->args, "--log"))
        return job_show_log(r, slice_from(id_of(r)), e);
    request_str(r, "id", id_of(r));
    if (!request_send(r, "job.show", e))
        return false;
    if (!request_print_json(r))
        job_print(request_found(r, "job"));
    return true;
}

static bool watch(struct request *r, struct err *e)
{
    return job_follow(r, slice_from(id_of(r)), e);
}

static bool read_input(struct request *r, struct buf *to, struct err *e)
{
    const char *given = args_flag(r->args, "--input");
    bool is_file = given[0] == '@', is_stdin = strcmp(given, "-") == 0;
    if (!is_file && !is_stdin) {
        buf_add_str(to, given);
        return true;
    }
    FILE *f = is_stdin ? stdin : fopen(given + 1, "re");
    if (!f)
        return err_set_sys(e, ERR_USAGE, "%s cannot be read", given + 1);
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0 && !to->full)
        buf_add(to, (struct slice){piece, n});
    bool is_read = !ferror(f) || err_set_sys(e, ERR_USAGE, "%s cannot be read", given + is_file);
    if (!is_stdin)
        fclose(f);
    if (!is_read)
        return false;
    return !to->full || err_set(e, ERR_USAGE, "the input is larger than 1 MB");
}

static bool write_input(struct request *r, struct err *e)
{
    struct buf text;
    struct json_doc doc;
    if (!args_flag(r->args, "--input"))
        return true;
    buf_init(&text, INPUT_MAX);
    bool fine = read_input(r, &text, e);
    if (fine && !json_parse(&doc, &r->arena, arena_dup(&r->arena, buf_slice(&text)), NULL, e)) {
        err_prefix(e, "in --input");
        e->code = ERR_USAGE;
        fine = false;
    }
    if (fine) {
        json_write_key(&r->w, SLICE("input"));
        json_write_value(&r->w, json_root(&doc));
    }
    buf_done(&text);
    return fine;
}

static bool write_delay(struct request *r, struct err *e)
{
    const char *text = args_flag(r->args, "--delay");
    int64_t ms;
    if (!text)
        return true;
    if (!duration_parse(slice_from(text), &ms))
        return err_set(e, ERR_USAGE, "--delay is a time, such as 90s, 10m or 2h");
    json_write_key(&r->w, SLICE("delay_ms"));
    json_write_i64(&r->w, ms);
    return true;
}

/* What its schema does not take, all of it. */
static bool tell_refused(struct request *r, struct err *e)
{
    json_each (it, request_found(r, "errors")) {
        struct buf line;
        struct slice pointer = job_member(it.value, "pointer");
        buf_init(&line, 64u << 10);
        buf_add_str(&line, "  ");
        cli_add_shown(&line, pointer.len ? pointer : SLICE("the input"));
        buf_add_str(&line, " ");
        cli_add_shown(&line, job_member(it.value, "message"));
        fprintf(stderr, "%.*s\n", SLICE_ARGS(buf_slice(&line)));
        buf_done(&line);
    }
    if (!args_has(r->args, "--input"))
        return err_set(e, ERR_INVALID,
                       "`%s` needs an input, and --input is missing; nothing is queued", id_of(r));
    return err_set(e, ERR_INVALID,
                   "the input is not what the schema of `%s` says; nothing is queued", id_of(r));
}

static bool write_priority(struct request *r, struct err *e)
{
    int64_t priority = 0;
    if (!job_read_number(r, "--priority", &priority, e))
        return false;
    json_write_key(&r->w, SLICE("priority"));
    json_write_i64(&r->w, priority);
    return true;
}

static bool add(struct request *r, struct err *e)
{
    request_str(r, "type", id_of(r));
    request_str(r, "user", args_flag(r->args, "--user"));
    if (!write_input(r, e) || !write_delay(r, e) || !write_priority(r, e) ||
        !request_send(r, "job.add", e))
        return false;
    if (request_found(r, "errors"))
        return tell_refused(r, e);
    struct slice id = arena_dup(&r->arena, job_member(request_found(r, "job"), "id"));
    if (!args_has(r->args, "--detach"))
        return job_follow(r, id, e);
    if (!request_print_json(r))
        printf("queued %.*s\n", SLICE_ARGS(id));
    if (r->is_unserved)
        fprintf(stderr, "no server runs here; it begins with `dais serve`\n");
    return true;
}

/* Prints how it went, unless that is done as JSON; false: it is not as was asked. */
typedef bool change_told(const struct json *job, bool is_json);

/* One after the other; one that cannot be does not keep the rest from it. */
static bool change(struct request *r, const char *command, change_told *tell)
{
    struct slice rest = slice_from(id_of(r)), id;
    while (slice_cut(&rest, ',', &id)) {
        struct err why = {0};
        request_again(r);
        json_write_key(&r->w, SLICE("id"));
        json_write_str(&r->w, slice_trim(id));
        if (!request_send(r, command, &why))
            r->exit_code = cli_fail(r->args, &why);
        else if (!tell(request_found(r, "job"), request_print_json(r)))
            r->exit_code = err_exit(ERR_USAGE);
    }
    return true;
}

static bool tell_queued(const struct json *job, bool is_json)
{
    if (!is_json)
        printf("queued %.*s\n", SLICE_ARGS(job_member(job, "id")));
    return true;
}

static bool retry(struct request *r, struct err *e)
{
    (void)e;
    return change(r, "job.retry", tell_queued);
}

/* One that was over stays as it is; one that runs has a moment to end. */
static bool tell_cancelled(const struct json *job, bool is_json)
{
    struct slice state = job_member(job, "state"), id = job_member(job, "id");
    bool is_cancelled = slice_is(state, "cancelled"), is_over = job_is_over(job) && !is_cancelled;
    if (is_over)
        fprintf(stderr, "%.*s is not cancelled: it was over already and has %.*s\n", SLICE_ARGS(id),
                SLICE_ARGS(state));
    else if (!is_json)
        printf("cancelled %.*s%s\n", SLICE_ARGS(id),
               is_cancelled ? "" : ": what runs of it is being ended");
    return !is_over;
}

static bool cancel(struct request *r, struct err *e)
{
    (void)e;
    return change(r, "job.cancel", tell_cancelled);
}

static const struct {
    const char *word;
    bool (*run)(struct request *r, struct err *e);
    const char *needs; /* NULL: nothing */
} actions[] = {{"list", job_list, NULL}, {"show", show, "an ID"},   {"watch", watch, "an ID"},
               {"run", add, "a TYPE"},   {"retry", retry, "an ID"}, {"cancel", cancel, "an ID"}};

static int run(const struct args *args)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        struct request r;
        struct err e = {0};
        if (strcmp(args->words[0], actions[i].word) != 0)
            continue;
        if (actions[i].needs && (args->n_words < 2 || !*args->words[1]))
            return cli_usage_error(args, "%s is missing", actions[i].needs);
        request_init(&r, args, actions[i].needs ? 2 : 1);
        int code = actions[i].run(&r, &e) ? r.exit_code : cli_fail(args, &e);
        request_done(&r);
        return code;
    }
    return cli_usage_error(
        args, "`%s` is not known; choose list, show, watch, run, retry or cancel", args->words[0]);
}
