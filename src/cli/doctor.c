/* The verb doctor: looks at a running site from outside and says what is wrong with it. */
#include "app/app.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/doctor_impl.h"

#include <signal.h>
#include <string.h>

static int run(const struct args *args);

const struct verb verb_doctor = {
    .name = "doctor",
    .summary = "Look at a running site and explain what it sends.",
    .usage = "headers URL [--websocket PATH] [--ca FILE] [--timeout SECONDS] [--json]\n"
             "       dais doctor storage [DIR...] [--data DIR] [--json]",
    .help =
        "headers  follows URL, explains each header that has to do with safety, asks as another\n"
        "         site would (Origin, preflight), and tries a WebSocket from its own and from\n"
        "         another site.\n\n"
        "  good      does its work           missing   ought to be there\n"
        "  note      to know, nothing to do  conflict  contradicts itself or another header\n"
        "  weak      could be better         bad       somebody can make use of it\n\n"
        "The exit code is 0; 10 when something is missing, in conflict or bad; 6 when nothing\n"
        "answers. It needs libcurl (apt-get install libcurl4).\n\n"
        "storage  writes a small object into the bucket that S3_BUCKET names, reads it and "
        "removes\n"
        "         it again, and says in a sentence what is wrong: keys, region, rights, address.\n"
        "         Beside a server or without one; the exit code is 10 when something is.\n",
    .run = run,
    .flags = {{"--websocket", "PATH", "Try the WebSocket there instead of at URL.", 0},
              {"--ca", "FILE", "Trust the certificates in FILE (PEM) and no others.", 0},
              {"--timeout", "SECONDS", "How long each answer may take; default 10.", 0},
              {"--data", "DIR", "Of storage: where data is, as for `dais serve`.", 0},
              {"--json", NULL, "Print the result as JSON.", 0}},
    .max_words = 1 + APP_DIRS_MAX,
};

#define EXIT_FOUND 10

static const enum cli_style styles[] = {
#define X(id, word, style) style,
    VERDICT_MAP(X)
#undef X
};

static const char *const groups[] = {"The way here",    "What the page may do", "Cookies",
                                     "Copies and size", "What it tells",        "Other sites"};

/* ---- text --------------------------------------------------------------------------------------
 */

#define WIDTH     92
#define INDENT    12
#define VALUE_MAX 160

/* What a stranger's server sent, for a terminal: only what can be seen, and not too much of it. */
static void print_safe(struct slice s, size_t max)
{
    for (size_t i = 0; i < s.len && i < max; i++)
        putchar(s.ptr[i] >= 0x20 && s.ptr[i] < 0x7f ? s.ptr[i] : '?');
    if (s.len > max)
        printf("...");
}

static void print_wrapped(struct slice text)
{
    struct slice word;
    size_t column = INDENT;
    printf("%*s", INDENT, "");
    while (slice_cut(&text, ' ', &word)) {
        if (column > INDENT && column + 1 + word.len > WIDTH) {
            printf("\n%*s", INDENT, "");
            column = INDENT;
        }
        column += (column > INDENT) + word.len;
        if (column > INDENT + word.len)
            putchar(' ');
        print_safe(word, 400);
    }
    putchar('\n');
}

static void print_finding(const struct finding *f)
{
    printf("  %s%-*s%s%s%s%s", cli_style(stdout, styles[f->verdict]), INDENT - 2,
           verdict_word(f->verdict), cli_style(stdout, STYLE_OFF), cli_style(stdout, STYLE_BOLD),
           f->subject, cli_style(stdout, STYLE_OFF));
    if (f->value.len) {
        printf("%s  ", cli_style(stdout, STYLE_DIM));
        print_safe(f->value, VALUE_MAX);
        printf("%s", cli_style(stdout, STYLE_OFF));
    }
    putchar('\n');
    print_wrapped(f->text);
}

static void print_group(const struct report *r, const char *group)
{
    bool is_first = true;
    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->items[i].group, group) != 0)
            continue;
        if (is_first)
            printf("\n%s\n", group);
        is_first = false;
        print_finding(&r->items[i]);
    }
}

static void print_counts(const struct report *r)
{
    bool is_first = true;
    putchar('\n');
    for (int v = VERDICT_COUNT - 1; v >= 0; v--) {
        if (!r->counts[v])
            continue;
        printf("%s%s%u %s%s", is_first ? "" : ", ", cli_style(stdout, styles[v]), r->counts[v],
               verdict_word((enum verdict)v), cli_style(stdout, STYLE_OFF));
        is_first = false;
    }
    putchar('\n');
}

static void print_text(const struct probes *p, const struct report *r)
{
    const struct fetch_answer *a = &p->all[PROBE_PAGE].answer;
    for (size_t i = 0; i < a->n_hops; i++) {
        printf("%d  ", a->hops[i].status);
        print_safe(slice_from(a->hops[i].url), 400);
        putchar('\n');
    }
    printf("%s%d  ", cli_style(stdout, STYLE_BOLD), a->status);
    print_safe(slice_from(a->url), 400);
    printf("%s  %s%s%s\n", cli_style(stdout, STYLE_OFF), cli_style(stdout, STYLE_DIM), a->ip,
           cli_style(stdout, STYLE_OFF));
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        print_group(r, groups[i]);
    print_counts(r);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static void write_str(struct json_writer *w, const char *key, struct slice value)
{
    json_write_key(w, slice_from(key));
    json_write_str(w, value);
}

static void write_hop(struct json_writer *w, const char *url, int status)
{
    write_str(w, "url", slice_from(url));
    json_write_key(w, SLICE("status"));
    json_write_i64(w, status);
}

static void write_finding(struct json_writer *w, const struct finding *f)
{
    json_write_object(w);
    write_str(w, "group", slice_from(f->group));
    write_str(w, "subject", slice_from(f->subject));
    write_str(w, "verdict", slice_from(verdict_word(f->verdict)));
    write_str(w, "value", f->value);
    write_str(w, "text", f->text);
    json_write_object_end(w);
}

static void write_result(struct json_writer *w, const struct probes *p, const struct report *r)
{
    const struct fetch_answer *a = &p->all[PROBE_PAGE].answer;
    json_write_object(w);
    json_write_key(w, SLICE("ok"));
    json_write_bool(w, report_is_fine(r));
    write_hop(w, a->url, a->status);
    write_str(w, "ip", slice_from(a->ip));
    json_write_key(w, SLICE("redirects"));
    json_write_array(w);
    for (size_t i = 0; i < a->n_hops; i++) {
        json_write_object(w);
        write_hop(w, a->hops[i].url, a->hops[i].status);
        json_write_object_end(w);
    }
    json_write_array_end(w);
    json_write_key(w, SLICE("counts"));
    json_write_object(w);
    for (int v = 0; v < VERDICT_COUNT; v++) {
        json_write_key(w, slice_from(verdict_word((enum verdict)v)));
        json_write_u64(w, r->counts[v]);
    }
    json_write_object_end(w);
    json_write_key(w, SLICE("findings"));
    json_write_array(w);
    for (size_t i = 0; i < r->n; i++)
        write_finding(w, &r->items[i]);
    json_write_array_end(w);
    json_write_object_end(w);
}

static void print_json(const struct probes *p, const struct report *r)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 16u << 20);
    json_writer_init(&w, &out, 0);
    write_result(&w, p, r);
    json_writer_done(&w);
    printf("%s\n", out.data);
    buf_done(&out);
}

/* ---- the verb ----------------------------------------------------------------------------------
 */

/* Whatever went wrong between here and there, to whoever asked it could not be reached. */
static int fail(const struct args *args, struct err *e)
{
    if (e->code == ERR_BAD_GATEWAY || e->code == ERR_GATEWAY_TIMEOUT)
        e->code = ERR_UNREACHABLE;
    return cli_fail(args, e);
}

static int headers(const struct args *args, uint32_t seconds)
{
    struct arena arena;
    struct err e;
    int code;
    arena_init(&arena, 16u << 20);
    struct probes *p = arena_new(&arena, struct probes);
    struct report *r = arena_new(&arena, struct report);
    p->arena = r->arena = &arena;
    p->websocket = args_flag(args, "--websocket");
    p->ca_file = args_flag(args, "--ca");
    p->max_ms = seconds * 1000;
    if (probes_run(p, args->words[1], &e)) {
        judge_headers(p, r);
        judge_others(p, r);
        if (args_has(args, "--json"))
            print_json(p, r);
        else
            print_text(p, r);
        code = report_is_fine(r) ? 0 : EXIT_FOUND;
    } else {
        code = fail(args, &e);
    }
    probes_done(p);
    arena_done(&arena);
    return code;
}

static int storage(const struct args *args)
{
    const struct app_options options = {
        .dirs = args->words + 1, .n_dirs = args->n_words - 1, .data = args_flag(args, "--data")};
    return app_check_storage(&options, args_has(args, "--json"));
}

static int run(const struct args *args)
{
    const char *path = args_flag(args, "--websocket"), *patience = args_flag(args, "--timeout");
    uint64_t seconds = 10;
    if (args->n_words == 0)
        return cli_usage_error(args, "say what to look at: headers URL, or storage");
    if (strcmp(args->words[0], "storage") == 0)
        return storage(args);
    if (strcmp(args->words[0], "headers") != 0)
        return cli_usage_error(args, "`%s` is not known; there is headers and storage",
                               args->words[0]);
    if (args->n_words > 2)
        return cli_usage_error(args, "headers looks at one URL, not also at more: `%s`",
                               args->words[2]);
    if (args->n_words == 1)
        return cli_usage_error(args, "headers needs a URL, such as https://example.com/");
    if (path && path[0] != '/')
        return cli_usage_error(args, "--websocket takes a path, such as /ws");
    if (patience &&
        (!slice_to_u64(slice_from(patience), &seconds) || seconds == 0 || seconds > 600))
        return cli_usage_error(args, "--timeout takes seconds, 1 to 600");
    signal(SIGPIPE, SIG_IGN); /* a server that closes early is no reason to end */
    return headers(args, (uint32_t)seconds);
}
