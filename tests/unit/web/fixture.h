/* What tests of the web room share: an app folder that dies with the test, a web over it, requests
 * without a connection. */
#pragma once
#include "unit.h"
#include "web/web_impl.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct app {
    char dir[64];
    struct arena arena;
    struct manifest *manifest;
    struct web *web;
};

static inline void put_file(const struct app *app, const char *rel, struct slice content)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", app->dir, rel);
    for (char *p = strchr(path + strlen(app->dir) + 1, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        mkdir(path, 0755);
        *p = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.ptr, content.len), (ssize_t)content.len);
    close(fd);
}
#define PUT(app, rel, text) put_file((app), (rel), SLICE(text))

static inline void put_large(const struct app *app, const char *rel, size_t n)
{
    char *data = malloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)('a' + i % 23);
    put_file(app, rel, (struct slice){data, n});
    free(data);
}

static inline const char *at(const struct app *app, const char *rel)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", app->dir, rel);
    return path;
}

static inline void app_init(struct app *app)
{
    memset(app, 0, sizeof *app);
    memcpy(app->dir, "/tmp/dais-web-XXXXXX", sizeof "/tmp/dais-web-XXXXXX");
    assert_non_null(mkdtemp(app->dir));
    arena_init(&app->arena, 16 << 20);
    mkdir(at(app, "web"), 0755);
}

/* `web_yaml` are lines below `web:`, indented by two. */
static inline struct web_options app_options(struct app *app, const char *web_yaml)
{
    struct problems problems;
    problems_init(&problems, &app->arena);
    struct slice text =
        arena_printf(&app->arena, "app: test\ntitle: Test\nweb:\n  root: web\n%s", web_yaml);
    app->manifest = manifest_parse(&app->arena, text, "dais.yaml", &problems);
    if (problems_has_errors(&problems)) {
        struct buf b;
        buf_init(&b, 65536);
        problems_print(&problems, &b);
        fail_msg("%s", b.data);
    }
    return (struct web_options){.conf = &app->manifest->web, .dir = slice_from(app->dir)};
}

static inline void app_open(struct app *app, const char *web_yaml)
{
    struct web_options o = app_options(app, web_yaml);
    app->web = web_new(&o);
}

/* What the background work does, at once. */
static inline void app_prepare(struct app *app)
{
    struct web *w = app->web;
    for (int compress = 0; compress < 2; compress++) {
        for (size_t i = 0; i < w->tree->n_files; i++) {
            struct web_file *f = w->tree->files[i];
            int root = w->tree->root_fds[f->root];
            if (compress)
                file_compress(f, &w->rules, root);
            else
                file_load(f, &w->rules, root);
        }
    }
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void app_done(struct app *app)
{
    web_unref(app->web);
    arena_done(&app->arena);
    nftw(app->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- requests ------------------------------------------------------------------------------- */

struct asked {
    struct req rq;
    struct h1_request h1;
    struct h1_header headers[32];
    struct arena arena;
    struct err error;
    char path[4096];
    bool ok;
    struct buf body; /* as a client gets it */
};

/* Parses the head, normalises, finds, handles. `head` ends with the blank line. */
static inline void ask_on(struct asked *a, struct web *w, struct loop *l, const char *head)
{
    size_t scanned = 0;
    memset(a, 0, sizeof *a);
    arena_init(&a->arena, 1 << 20);
    a->h1.headers = a->headers;
    struct h1_limits limits = {.line_bytes = 16384, .head_bytes = 16384, .headers = 32};
    assert_int_equal(h1_parse_request(&a->h1, slice_from(head), &scanned, &limits, &a->error),
                     IO_OK);
    a->rq.h1 = &a->h1;
    a->rq.method = a->h1.method;
    a->rq.query = a->h1.query;
    a->rq.arena = &a->arena;
    a->rq.loop = l;
    buf_init(&a->rq.res.head, 65536);
    buf_init(&a->body, 64 << 20);
    assert_true(path_normalise(a->h1.path, a->path, &a->rq.path, &a->error));
    const struct route *row = web_find(w, &a->rq);
    unsigned methods = row->methods | (row->methods & ON_GET ? ON_HEAD : 0);
    if (!(methods & (1u << a->rq.method))) {
        a->rq.res.status = 405;
        return;
    }
    a->ok = row->handle(&a->rq, &a->error);
    if (!a->ok)
        a->rq.res.status = err_status(a->error.code);
    buf_add(&a->rq.res.head, a->rq.res.prebuilt);
}

static inline void take_body(struct asked *a)
{
    struct res *res = &a->rq.res;
    if (res->kind == BODY_BYTES)
        buf_add(&a->body, res->bytes);
    if (res->kind == BODY_SHARED)
        buf_add(&a->body, (struct slice){res->shared->data + res->offset, res->length});
    if (res->kind == BODY_FILE) {
        char *to = buf_reserve(&a->body, res->length + 1);
        ssize_t n = pread(res->fd, to, res->length, (off_t)res->offset);
        buf_grew(&a->body, n > 0 ? (size_t)n : 0);
    }
    enum io io = IO_OK;
    while (res->kind == BODY_SOURCE && io == IO_OK) {
        struct buf piece;
        buf_init(&piece, 1000);
        io = res->source->pull(res->source, &piece, 1000);
        assert_false(piece.full);
        buf_add(&a->body, buf_slice(&piece));
        buf_done(&piece);
    }
}

static inline void asked_done(struct asked *a)
{
    struct res *res = &a->rq.res;
    if (res->kind == BODY_SHARED)
        shared_unref(res->shared);
    if (res->kind == BODY_FILE)
        close(res->fd);
    if (res->kind == BODY_SOURCE)
        res->source->close(res->source);
    buf_done(&res->head);
    buf_done(&a->body);
    arena_done(&a->arena);
}

static inline void ask(struct asked *a, struct app *app, const char *head)
{
    ask_on(a, app->web, NULL, head);
    take_body(a);
}

/* GET with further header lines ("" for none). */
static inline void get(struct asked *a, struct app *app, const char *target, const char *lines)
{
    static char head[16384];
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target, lines);
    ask(a, app, head);
}

static inline int status_of(struct app *app, const char *target, const char *lines)
{
    struct asked a;
    get(&a, app, target, lines);
    int status = a.rq.res.status;
    asked_done(&a);
    return status;
}

/* The value of a header of the answer; NULL when absent. Valid until the next call. */
static inline const char *header(struct asked *a, const char *name)
{
    static char value[8192];
    struct slice rest = buf_slice(&a->rq.res.head), line;
    while (slice_cut(&rest, '\n', &line)) {
        struct slice n;
        line = slice_trim(line);
        if (slice_cut(&line, ':', &n) && slice_eq_nocase(n, slice_from(name))) {
            line = slice_trim(line);
            snprintf(value, sizeof value, "%.*s", SLICE_ARGS(line));
            return value;
        }
    }
    return NULL;
}

static inline void keep_header(struct asked *a, const char *name, char *to, size_t room)
{
    const char *value = header(a, name);
    assert_non_null(value);
    size_t n = strlen(value) + 1;
    assert_true(n <= room);
    memcpy(to, value, n);
}

static inline void assert_header(struct asked *a, const char *name, const char *want)
{
    const char *got = header(a, name);
    if (got && want ? strcmp(got, want) != 0 : got != want)
        fail_msg("%s is \"%s\", not \"%s\"", name, got ? got : "absent", want ? want : "absent");
}

static inline void assert_body(struct asked *a, const char *want)
{
    assert_string_equal(a->body.data ? a->body.data : "", want);
}
