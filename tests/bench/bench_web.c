/* Nanoseconds of user code per answer of the web room: from a parsed head to a filled-in answer. */
#include "web/web_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 2000000

/*     name             request */
static const struct {
    const char *name, *head;
} cases[] = {
    {"1 KB from memory", "GET /app.js HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"1 KB, a browser", "GET /app.js HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n"
                        "Accept-Encoding: gzip, deflate, br, zstd\r\n\r\n"},
    {"1 KB, 304", "GET /app.js HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"a\", *\r\n\r\n"},
    {"1 KB, range", "GET /app.js HTTP/1.1\r\nHost: x\r\nRange: bytes=0-99\r\n\r\n"},
    {"deep link", "GET /some/deep/link HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"404", "GET /assets/missing.js HTTP/1.1\r\nHost: x\r\n\r\n"},
    {"300 KB from disk", "GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n"},
};

static void put(const char *dir, const char *name, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    char *data = mem_alloc(n);
    for (size_t i = 0; i < n; i++)
        data[i] = (char)('a' + i * 7 % 23);
    must(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    free(data);
    close(fd);
}

static void prepare(struct web *w)
{
    for (size_t i = 0; i < w->tree->n_files; i++) {
        struct web_file *f = w->tree->files[i];
        file_load(f, &w->rules, w->tree->root_fds[f->root]);
        file_compress(f, &w->rules, w->tree->root_fds[f->root]);
    }
}

static int answer(struct web *w, struct req *rq)
{
    struct err e;
    const struct route *row = web_find(w, rq);
    int status = row->handle(rq, &e) ? rq->res.status : err_status(e.code);
    struct res *res = &rq->res;
    if (res->kind == BODY_SHARED)
        shared_unref(res->shared);
    if (res->kind == BODY_FILE)
        close(res->fd);
    struct buf head = res->head;
    buf_clear(&head);
    *res = (struct res){.head = head};
    arena_reset(rq->arena);
    return status;
}

static void measure(struct web *w, const char *name, const char *text, int rounds)
{
    struct h1_header headers[32];
    struct h1_request h1 = {.headers = headers};
    struct h1_limits limits = {8192, 16384, 32};
    struct arena arena;
    struct err e;
    size_t scanned = 0;
    int status = 0;
    must(h1_parse_request(&h1, slice_from(text), &scanned, &limits, &e) == IO_OK);
    arena_init(&arena, 1 << 20);
    struct req rq = {.h1 = &h1, .method = h1.method, .path = h1.path, .arena = &arena};
    buf_init(&rq.res.head, 65536);
    for (int i = 0; i < rounds / 10; i++)
        status = answer(w, &rq);
    int64_t began = clock_mono_ns();
    for (int i = 0; i < rounds; i++)
        status = answer(w, &rq);
    printf("%-20s %3d %8.1f ns\n", name, status,
           (double)(clock_mono_ns() - began) / (double)rounds);
    buf_done(&rq.res.head);
    arena_done(&arena);
}

int main(void)
{
    char dir[] = "/tmp/dais-bench-XXXXXX", path[256];
    must(mkdtemp(dir));
    put(dir, "app.js", 1024);
    put(dir, "index.html", 600);
    put(dir, "large.bin", 300000);
    struct header_profile any = {.pattern = {.prefix = SLICE("/"), .wildcard = true},
                                 .hsts_ms = -1};
    struct web_conf conf = {.root.s = SLICE("."), .fallback.s = SLICE("index.html")};
    conf.headers.items = &any;
    conf.headers.n = 1;
    struct web *w = web_new(&(struct web_options){.conf = &conf, .dir = slice_from(dir)});
    prepare(w);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        measure(w, cases[i].name, cases[i].head, i == 6 ? ROUNDS / 10 : ROUNDS);
    web_unref(w);
    for (const char *const *name = (const char *const[]){"app.js", "index.html", "large.bin", NULL};
         *name; name++) {
        snprintf(path, sizeof path, "%s/%s", dir, *name);
        unlink(path);
    }
    return rmdir(dir) != 0;
}
