/* How `dais job` tells of jobs: one, one that ended, a list, and their logs. */
#include "cli/job_impl.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <string.h>
#include <unistd.h>

#define TITLE_WIDTH "%-9s "
#define VALUE_CHARS 2000 /* of JSON on a terminal */
#define CELL_CHARS  60
#define SECONDS_LEN 19 /* 2026-01-02T03:04:05 */

struct slice job_member(const struct json *job, const char *key)
{
    return json_str(json_find(job, slice_from(key)));
}

bool job_is_over(const struct json *job)
{
    struct slice state = job_member(job, "state");
    return slice_is(state, "succeeded") || slice_is(state, "failed") ||
           slice_is(state, "cancelled");
}

void job_add_time(struct buf *to, int64_t ms)
{
    long long s = (long long)(ms / 1000);
    if (ms < 1000)
        buf_printf(to, "%lld ms", (long long)ms);
    else if (ms < 10000)
        buf_printf(to, "%lld.%lld s", s, (long long)(ms % 1000 / 100));
    else if (s < 60)
        buf_printf(to, "%lld s", s);
    else if (s < 3600)
        buf_printf(to, "%lld min %lld s", s / 60, s % 60);
    else
        buf_printf(to, "%lld h %lld min", s / 3600, s % 3600 / 60);
}

/* 0: it has none. */
static int64_t time_of(const struct json *job, const char *key)
{
    struct slice text = job_member(job, key);
    int64_t ms;
    return text.len && clock_parse_rfc3339(text.ptr, text.len, &ms) ? ms : 0;
}

static int64_t number_of(const struct json *job, const char *key)
{
    int64_t n = 0;
    return json_i64(json_find(job, slice_from(key)), &n) ? n : 0;
}

/* Of a whole sentence, so many characters of it. */
static struct slice shortened(struct slice s, size_t chars)
{
    size_t at = 0;
    while (at < s.len && chars-- > 0) {
        size_t n = utf8_length(slice_skip(s, at));
        at += n ? n : 1;
    }
    return slice_first(s, at);
}

static void print_shown(FILE *to, struct slice s)
{
    struct buf shown;
    buf_init(&shown, 4u << 20);
    cli_add_shown(&shown, s);
    fprintf(to, "%.*s", SLICE_ARGS(buf_slice(&shown)));
    buf_done(&shown);
}

/* ---- one ------------------------------------------------------------------------------------- */

static const char *color_of(struct slice state)
{
    enum cli_style style = slice_is(state, "succeeded")   ? STYLE_GREEN
                           : slice_is(state, "failed")    ? STYLE_RED
                           : slice_is(state, "cancelled") ? STYLE_YELLOW
                                                          : STYLE_OFF;
    return style == STYLE_OFF ? "" : cli_style(stdout, style);
}

static void add_progress(const struct json *job, struct buf *to)
{
    double progress;
    const struct json *value = json_find(job, SLICE("progress"));
    if (json_type(value) == JSON_NUMBER && json_double(value, &progress, NULL))
        buf_printf(to, ", %d %%", (int)(progress * 100));
}

/* "after 1.3 s", "for 12 s, 40 %", "begins in 2 min 5 s": what belongs to its state. */
static void add_when(const struct json *job, struct buf *to)
{
    struct slice state = job_member(job, "state");
    int64_t now = clock_wall_ms(), due = time_of(job, "due"), started = time_of(job, "started");
    if (slice_is(state, "queued") && due > now) {
        buf_add_str(to, ", begins in ");
        job_add_time(to, due - now);
    } else if (slice_is(state, "running") && started) {
        buf_add_str(to, " for ");
        job_add_time(to, now > started ? now - started : 0);
        add_progress(job, to);
    } else if (json_bool(json_find(job, SLICE("cached")))) {
        buf_add_str(to, " at once: its result was known");
    } else if (job_is_over(job) && started) {
        buf_add_str(to, " after ");
        job_add_time(to, number_of(job, "run_ms"));
    }
}

static void print_state(const struct json *job)
{
    struct slice state = job_member(job, "state");
    struct buf when;
    buf_init(&when, 256);
    add_when(job, &when);
    printf("%s%.*s%s%.*s", color_of(state), SLICE_ARGS(state),
           *color_of(state) ? cli_style(stdout, STYLE_OFF) : "", SLICE_ARGS(buf_slice(&when)));
    buf_done(&when);
}

static void print_text(const char *title, struct slice text)
{
    if (!text.len)
        return;
    printf(TITLE_WIDTH, title);
    print_shown(stdout, text);
    printf("\n");
}

/* JSON of people's making may hold what drives a terminal; our writer escapes controls. A person
 * reads the beginning of what is long; what is written to a file is whole. */
static void print_json(const char *title, const struct json *value)
{
    struct json_writer w;
    struct buf out;
    if (!value || json_type(value) == JSON_NULL)
        return;
    buf_init(&out, 8u << 20);
    json_writer_init(&w, &out, 2);
    json_write_value(&w, value);
    struct slice all = buf_slice(&out);
    struct slice part = isatty(STDOUT_FILENO) ? shortened(all, VALUE_CHARS) : all;
    printf(TITLE_WIDTH, title);
    print_shown(stdout, part);
    if (part.len < all.len)
        printf("... (%zu bytes; --json shows all)", all.len);
    printf("\n");
    buf_done(&out);
}

static void print_error(const struct json *job)
{
    const struct json *error = json_find(job, SLICE("error"));
    if (json_type(error) != JSON_OBJECT)
        return;
    printf(TITLE_WIDTH, "error");
    print_shown(stdout, job_member(error, "code"));
    printf(": ");
    print_shown(stdout, job_member(error, "message"));
    printf("\n");
}

void job_print(const struct json *job)
{
    struct slice owner = job_member(job, "owner");
    int64_t due = time_of(job, "due"), started = time_of(job, "started");
    print_text("id", job_member(job, "id"));
    print_text("type", job_member(job, "type"));
    printf(TITLE_WIDTH, "state");
    print_state(job);
    printf("\n");
    print_error(job);
    print_text("message", job_member(job, "message"));
    print_text("owner", owner.len ? owner : SLICE("the app itself"));
    print_json("attempt", json_find(job, SLICE("attempt")));
    if (number_of(job, "priority"))
        print_json("priority", json_find(job, SLICE("priority")));
    print_text("created", job_member(job, "created"));
    if (!started && due > time_of(job, "created"))
        print_text("due", job_member(job, "due"));
    print_text("started", job_member(job, "started"));
    print_text("ended", job_member(job, "ended"));
    print_json("input", json_find(job, SLICE("input")));
    print_json("result", json_find(job, SLICE("result")));
}

void job_print_end(const struct json *job)
{
    print_text("job", job_member(job, "id"));
    printf(TITLE_WIDTH, "state");
    print_state(job);
    printf("\n");
    print_error(job);
    print_json("result", json_find(job, SLICE("result")));
}

void job_print_log(FILE *to, struct slice text)
{
    struct buf shown;
    struct slice line;
    bool has_end = slice_ends(text, SLICE("\n"));
    if (has_end)
        text = slice_first(text, text.len - 1);
    for (bool has_more = true; has_more;) {
        ptrdiff_t at = slice_index(text, '\n');
        has_more = at >= 0;
        line = has_more ? slice_first(text, (size_t)at) : text;
        text = slice_skip(text, has_more ? (size_t)at + 1 : text.len);
        buf_init(&shown, 4u << 20);
        for (struct slice part; slice_cut(&line, '\t', &part);) {
            cli_add_shown(&shown, part);
            if (line.len)
                buf_add_char(&shown, '\t');
        }
        fprintf(to, "%.*s\n", SLICE_ARGS(buf_slice(&shown)));
        buf_done(&shown);
    }
}

/* ---- several --------------------------------------------------------------------------------- */

static void put(struct json_writer *w, const char *key, struct slice text)
{
    json_write_key(w, slice_from(key));
    json_write_str(w, text);
}

static void put_state(struct json_writer *w, const struct json *job)
{
    struct buf text;
    buf_init(&text, 256);
    buf_add(&text, job_member(job, "state"));
    if (slice_is(job_member(job, "state"), "running"))
        add_progress(job, &text);
    put(w, "state", buf_slice(&text));
    buf_done(&text);
}

static void put_took(struct json_writer *w, const struct json *job)
{
    struct buf text;
    int64_t now = clock_wall_ms(), started = time_of(job, "started"), due = time_of(job, "due");
    struct slice state = job_member(job, "state");
    buf_init(&text, 256);
    if (slice_is(state, "running") && started)
        job_add_time(&text, now > started ? now - started : 0);
    else if (job_is_over(job) && started)
        job_add_time(&text, number_of(job, "run_ms"));
    else if (slice_is(state, "queued") && due > now) {
        buf_add_str(&text, "in ");
        job_add_time(&text, due - now);
    }
    put(w, "took", buf_slice(&text));
    buf_done(&text);
}

static void put_row(struct json_writer *w, const struct json *job)
{
    const struct json *error = json_find(job, SLICE("error"));
    struct slice says = job_member(job, "message");
    if (json_type(error) == JSON_OBJECT)
        says = job_member(error, "message");
    json_write_object(w);
    put(w, "id", job_member(job, "id"));
    put(w, "type", job_member(job, "type"));
    put_state(w, job);
    put(w, "created", slice_first(job_member(job, "created"), SECONDS_LEN));
    put_took(w, job);
    json_write_key(w, SLICE("attempt"));
    json_write_value(w, json_find(job, SLICE("attempt")));
    put(w, "owner", job_member(job, "owner"));
    put(w, "says", shortened(says, CELL_CHARS));
    json_write_object_end(w);
}

void job_print_list(struct request *r, const struct json *items)
{
    static const struct cli_column columns[] = {
        {"ID", "id"},     {"TYPE", "type"},       {"STATE", "state"}, {"CREATED (UTC)", "created"},
        {"TIME", "took"}, {"ATTEMPT", "attempt"}, {"OWNER", "owner"}, {"SAYS", "says"},
        {NULL, NULL}};
    struct json_writer w;
    struct json_doc doc;
    struct buf rows;
    struct err unused;
    buf_init(&rows, 32u << 20);
    json_writer_init(&w, &rows, 0);
    json_write_array(&w);
    json_each (it, items)
        put_row(&w, it.value);
    json_write_array_end(&w);
    if (json_parse(&doc, &r->arena, buf_slice(&rows), NULL, &unused))
        cli_print_table(json_root(&doc), columns);
    buf_done(&rows);
}
