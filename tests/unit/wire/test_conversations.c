/* Runs every conversation of tests/wire (all .txt) through the engines: whole, byte by byte and cut
 * at every point; all three must tell the same story.
 *
 * A conversation, one command a line ('#' starts a comment line):
 *   limits LINE HEAD HEADERS    instead of the defaults
 *   send TEXT                   bytes; \r \n \t \0 \\ \s (space) and \xHH; no line end is added
 *   send*N TEXT                 the same N times
 *   expect FACT                 a line of the story, at or after the one expected before
 * The story has, per request, the lines: "method M", "target T", "path P", "query Q", "host H",
 * "version 1.x", "keep_alive yes|no", "body none|chunked|N", "expect_continue yes", "upgrade yes",
 * "header NAME: VALUE" each, "data BYTES" (if any), "end"; and last one of "error ERR_X",
 * "more" (inside a request), "done" (between two), "close" (what follows is ignored).
 * The last line must be expected. DAIS_WIRE_TESTS names another folder. */
#include "unit.h"

#include "base/base.h"
#include "wire/wire.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define SPLIT_ALL_BYTES 3000 /* longer inputs are cut at 200 points */

/* ---- one side of a connection: bytes are fed, the story grows
 * ------------------------------------ */

struct talk {
    struct h1_limits limits;
    struct h1_header headers[H1_HEADERS];
    struct h1_request rq;
    struct chunked chunked;
    uint64_t left;
    size_t scanned;
    enum { AT_HEAD, AT_CHUNKED, AT_LENGTH, AT_OVER } at;
    struct buf data, story;
};

static const char *code_name(enum err_code code)
{
    static const char *const names[] = {
#define X(name, status, slug, exit, title) #name,
        ERR_MAP(X)
#undef X
    };
    return names[code];
}

static void tell(struct buf *story, const char *key, struct slice bytes)
{
    buf_printf(story, bytes.len ? "%s " : "%s", key);
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (c < 0x20 || c >= 0x7f)
            buf_printf(story, "\\x%02x", c);
        else
            buf_add_char(story, (char)c);
    }
    buf_add_char(story, '\n');
}

static void tell_head(struct talk *t)
{
    struct h1_request *rq = &t->rq;
    tell(&t->story, "method", rq->method_text);
    if (rq->method != METHOD_OTHER)
        assert_true(slice_is(rq->method_text, http_method_name(rq->method)));
    tell(&t->story, "target", rq->target);
    tell(&t->story, "path", rq->path);
    tell(&t->story, "query", rq->query);
    tell(&t->story, "host", rq->host);
    buf_printf(&t->story, "version 1.%d\n", rq->minor);
    buf_printf(&t->story, "keep_alive %s\n", rq->keep_alive ? "yes" : "no");
    if (rq->has_length)
        buf_printf(&t->story, "body %llu\n", (unsigned long long)rq->content_length);
    else
        buf_printf(&t->story, "body %s\n", rq->chunked ? "chunked" : "none");
    if (rq->expect_continue)
        buf_add_str(&t->story, "expect_continue yes\n");
    if (rq->upgrade)
        buf_add_str(&t->story, "upgrade yes\n");
    for (uint32_t i = 0; i < rq->n_headers; i++) {
        char key[64];
        snprintf(key, sizeof key, "header %.*s:", SLICE_ARGS(slice_first(rq->headers[i].name, 40)));
        tell(&t->story, key, rq->headers[i].value);
    }
}

static void end_message(struct talk *t)
{
    if (t->data.len > 0)
        tell(&t->story, "data", buf_slice(&t->data));
    buf_clear(&t->data);
    buf_add_str(&t->story, "end\n");
    t->at = t->rq.keep_alive ? AT_HEAD : AT_OVER;
    t->scanned = 0;
}

static enum io step_head(struct talk *t, struct slice *in, struct err *e)
{
    t->rq.headers = t->headers;
    enum io io = h1_parse_request(&t->rq, *in, &t->scanned, &t->limits, e);
    if (io != IO_OK)
        return io;
    *in = slice_skip(*in, t->rq.head_len);
    tell_head(t);
    chunked_init(&t->chunked);
    t->left = t->rq.content_length;
    t->at = t->rq.chunked ? AT_CHUNKED : AT_LENGTH;
    return IO_OK;
}

static enum io step_body(struct talk *t, struct slice *in, struct err *e)
{
    struct slice data = slice_first(*in, t->left);
    enum io io = IO_OK;
    if (t->at == AT_CHUNKED) {
        io = chunked_next(&t->chunked, in, &data, e);
    } else if (t->left == 0) {
        io = IO_EOF;
    } else {
        *in = slice_skip(*in, data.len);
        t->left -= data.len;
        io = data.len ? IO_OK : IO_MORE;
    }
    if (io == IO_OK)
        buf_add(&t->data, data);
    if (io == IO_EOF) {
        end_message(t);
        io = IO_OK;
    }
    return io;
}

/* Feeds all of input up to `upto`; *at is what was consumed. False when the talk is over. */
static bool feed(struct talk *t, struct slice input, size_t upto, size_t *at)
{
    struct slice in = slice_skip(slice_first(input, upto), *at);
    struct err e = {0};
    enum io io = IO_OK;
    while (io == IO_OK && t->at != AT_OVER)
        io = t->at == AT_HEAD ? step_head(t, &in, &e) : step_body(t, &in, &e);
    *at = upto - in.len;
    if (io == IO_FAIL) {
        assert_int_not_equal(e.msg[0], 0);
        if (t->data.len > 0)
            tell(&t->story, "data", buf_slice(&t->data));
        buf_printf(&t->story, "error %s\n", code_name(e.code));
        return false;
    }
    return t->at != AT_OVER;
}

/* Cuts at `first`, then every `step` bytes; *story (owned by the caller) is filled. */
static void converse(const struct h1_limits *limits, struct slice input, size_t first, size_t step,
                     struct buf *story)
{
    struct talk t = {.limits = *limits};
    size_t at = 0, upto = first;
    buf_init(&t.data, 1 << 20);
    buf_init(&t.story, 1 << 22);
    bool open = feed(&t, input, upto, &at);
    while (open && upto < input.len) {
        upto = input.len - upto > step ? upto + step : input.len;
        open = feed(&t, input, upto, &at);
    }
    if (open && t.data.len > 0)
        tell(&t.story, "data", buf_slice(&t.data));
    if (open)
        buf_add_str(&t.story, t.at == AT_HEAD && at == input.len ? "done\n" : "more\n");
    else if (t.at == AT_OVER)
        buf_add_str(&t.story, "close\n");
    buf_done(&t.data);
    *story = t.story;
}

/* ---- files
 * ---------------------------------------------------------------------------------------- */

struct script {
    struct h1_limits limits;
    struct buf input;
    struct slice expects[64];
    size_t n_expects;
};

static void add_escaped(struct buf *to, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '\\') {
            buf_add_char(to, s.ptr[i]);
            continue;
        }
        must(++i < s.len);
        const char *from = "rnt0s\\", *to_byte = "\r\n\t\0 \\";
        const char *known = strchr(from, s.ptr[i]);
        if (known) {
            buf_add_char(to, to_byte[known - from]);
            continue;
        }
        must(s.ptr[i] == 'x' && i + 2 < s.len);
        char hex[3] = {s.ptr[i + 1], s.ptr[i + 2], 0};
        buf_add_char(to, (char)strtol(hex, NULL, 16));
        i += 2;
    }
}

static uint32_t take_number(struct slice *line)
{
    struct slice word;
    uint64_t n;
    must(slice_cut(line, ' ', &word) && slice_to_u64(word, &n) && n <= UINT32_MAX);
    return (uint32_t)n;
}

static void read_command(struct script *sc, struct slice line)
{
    struct slice word = {0};
    if (line.len == 0 || line.ptr[0] == '#')
        return;
    slice_cut(&line, ' ', &word);
    if (slice_is(word, "limits")) {
        sc->limits.line_bytes = take_number(&line);
        sc->limits.head_bytes = take_number(&line);
        sc->limits.headers = take_number(&line);
        must(sc->limits.headers <= H1_HEADERS);
    } else if (slice_is(word, "expect")) {
        must(sc->n_expects < sizeof sc->expects / sizeof *sc->expects);
        sc->expects[sc->n_expects++] = line;
    } else {
        uint64_t times = 1;
        must(slice_starts(word, SLICE("send")));
        if (word.len > 4)
            must(word.ptr[4] == '*' && slice_to_u64(slice_skip(word, 5), &times));
        for (uint64_t i = 0; i < times; i++)
            add_escaped(&sc->input, line);
    }
    must(!sc->input.full);
}

static void read_script(const char *path, struct buf *text, struct script *sc)
{
    FILE *f = fopen(path, "r");
    must(f);
    char *at = buf_reserve(text, 1 << 16);
    must(at);
    buf_grew(text, fread(at, 1, 1 << 16, f));
    fclose(f);
    struct slice rest = buf_slice(text), line;
    must(rest.len > 0 && rest.ptr[0] == '#');
    while (rest.len > 0) {
        slice_cut(&rest, '\n', &line);
        read_command(sc, line);
    }
}

/* ---- checks
 * --------------------------------------------------------------------------------------- */

/* All expectations in order, the last one on the last line. */
static bool story_fits(const struct script *sc, struct slice story, struct slice *ret_missing)
{
    struct slice line = {0};
    for (size_t i = 0; i < sc->n_expects; i++) {
        *ret_missing = sc->expects[i];
        do {
            if (!slice_cut(&story, '\n', &line))
                return false;
        } while (!slice_eq(line, sc->expects[i]));
    }
    *ret_missing = SLICE("(the last line)");
    return sc->n_expects > 0 && story.len == 0;
}

static bool same_when_cut(const struct script *sc, struct slice input, struct slice story)
{
    size_t stride = input.len > SPLIT_ALL_BYTES ? input.len / 200 : 1;
    for (size_t first = 0; first <= input.len; first += stride) {
        /* The first round is byte by byte, the others are cut in two. */
        struct buf other;
        converse(&sc->limits, input, first, first == 0 ? 1 : input.len, &other);
        bool same = slice_eq(buf_slice(&other), story);
        if (!same)
            print_error("cut at %zu:\n%.*s", first, SLICE_ARGS(buf_slice(&other)));
        buf_done(&other);
        if (!same)
            return false;
    }
    return true;
}

static bool run_file(const char *path)
{
    struct script sc = {.limits = h1_default_limits};
    struct buf text, story;
    struct slice missing = {0};
    buf_init(&text, 1 << 17);
    buf_init(&sc.input, 1 << 20);
    read_script(path, &text, &sc);
    struct slice input = buf_slice(&sc.input);
    converse(&sc.limits, input, input.len, 1, &story);
    bool fits = story_fits(&sc, buf_slice(&story), &missing);
    if (!fits)
        print_error("%s: missing: %.*s\nthe story:\n%.*s", path, SLICE_ARGS(missing),
                    SLICE_ARGS(slice_first(buf_slice(&story), 4000)));
    else if (!same_when_cut(&sc, input, buf_slice(&story))) {
        print_error("%s: tells another story when cut\n", path);
        fits = false;
    }
    buf_done(&text);
    buf_done(&sc.input);
    buf_done(&story);
    return fits;
}

static void test_all_files(void **state)
{
    (void)state;
    const char *dir = getenv("DAIS_WIRE_TESTS");
    char pattern[4096];
    glob_t files;
    size_t failed = 0;
    snprintf(pattern, sizeof pattern, "%s/*.txt", dir ? dir : "tests/wire");
    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        failed += !run_file(files.gl_pathv[i]);
    print_message("%zu conversations, %zu failed\n", files.gl_pathc, failed);
    assert_true(files.gl_pathc >= 50);
    globfree(&files);
    assert_int_equal(failed, 0);
}

TESTS(cmocka_unit_test(test_all_files))
