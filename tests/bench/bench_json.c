/* How fast JSON is read, checked and written, in MB/s: make bench-json.
 *
 * Two compact documents with escapes and non-ASCII text, 1 KB and 100 KB. In every pass each task
 * runs once for SLICE_NS of processor time, one after the other; the median counts. */
#include "base/base.h"
#include "base/json.h"
#include "bench/bench_json_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PASSES   9
#define SLICE_NS 40000000

static struct buf text, out;
static struct arena arena, kept;
static struct json_doc doc;
static const struct peer *peer;
static void *peer_doc;

/* ---- documents ------------------------------------------------------------------------------- */
static void add_record(struct buf *b, unsigned i)
{
    buf_printf(
        b,
        "{\"id\":\"0k3v9q%06u\",\"title\":\"Revenue by region, part %u\",\"active\":%s,"
        "\"score\":%u.%02u,\"views\":%u,\"owner\":{\"name\":\"Zo\xc3\xab M\xc3\xbcller\","
        "\"email\":\"user%u@example.com\"},\"tags\":[\"chart\",\"q%u\","
        "\"\xe6\x97\xa5\xe6\x9c\xac\"],"
        "\"note\":\"first line\\nsecond \\\"line\\\" with a longer text that goes on for a while\","
        "\"parent\":null,\"points\":[%u,%u,-%u,1.5e3]}",
        i, i, i % 2 ? "true" : "false", i % 100, i % 97, i * 7919, i, i % 4 + 1, i * 31, i * 17,
        i * 3);
}

static void make_text(size_t size)
{
    buf_clear(&text);
    buf_add_char(&text, '[');
    for (unsigned i = 1; text.len < size - 300; i++) {
        buf_add_str(&text, i > 1 ? "," : "");
        add_record(&text, i);
    }
    buf_add_char(&text, ']');
}

/* ---- tasks ----------------------------------------------------------------------------------- */
static void run_parse(void)
{
    struct json_doc d;
    must(json_parse(&d, &arena, buf_slice(&text), NULL, NULL));
    arena_reset(&arena);
}

static void run_validate(void)
{
    must(json_validate(buf_slice(&text), NULL, NULL));
}

static void run_write(void)
{
    struct json_writer w;
    buf_clear(&out);
    json_writer_init(&w, &out, 0);
    json_write_value(&w, json_root(&doc));
    json_writer_done(&w);
    must(!out.full);
}

static void run_both(void)
{
    struct json_doc d;
    struct json_writer w;
    must(json_parse(&d, &arena, buf_slice(&text), NULL, NULL));
    buf_clear(&out);
    json_writer_init(&w, &out, 0);
    json_write_value(&w, json_root(&d));
    arena_reset(&arena);
}

static void run_copy(void)
{
    buf_clear(&out);
    buf_add(&out, buf_slice(&text));
}

static void run_peer_parse(void)
{
    must(peer->parse(text.data, text.len));
}

static void run_peer_write(void)
{
    must(peer->write(peer_doc) > 0);
}

/* ---- measuring ------------------------------------------------------------------------------- */
struct task {
    char name[40];
    void (*run)(void);
    const struct peer *peer;
    void *peer_doc;
    double mb_s[PASSES];
};

/* This thread's time on the processor: others may be at work on the machine. */
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void run_slice(struct task *t, unsigned pass)
{
    peer = t->peer;
    peer_doc = t->peer_doc;
    int64_t start = cpu_ns(), now;
    uint64_t n = 0;
    do {
        for (int i = 0; i < 16; i++, n++)
            t->run();
        now = cpu_ns();
    } while (now - start < SLICE_NS);
    t->mb_s[pass] = (double)n * (double)text.len * 1000 / (double)(now - start);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static size_t list_tasks(struct task *tasks)
{
    static const struct task own[] = {{.name = "dais parse", .run = run_parse},
                                      {.name = "dais validate", .run = run_validate},
                                      {.name = "dais write", .run = run_write},
                                      {.name = "dais parse + write", .run = run_both},
                                      {.name = "copy (memory speed)", .run = run_copy}};
    size_t n = sizeof own / sizeof *own;
    memcpy(tasks, own, sizeof own);
    for (const struct peer *p = peers; p->name; p++) {
        struct task *t = &tasks[n++];
        *t = (struct task){.run = run_peer_parse, .peer = p};
        snprintf(t->name, sizeof t->name, "%s parse", p->name);
        if (!p->write)
            continue;
        t = &tasks[n++];
        *t = (struct task){
            .run = run_peer_write, .peer = p, .peer_doc = p->load(text.data, text.len)};
        snprintf(t->name, sizeof t->name, "%s write", p->name);
    }
    return n;
}

static void measure(const char *title, size_t size)
{
    struct task tasks[16];
    make_text(size);
    arena_reset(&kept);
    must(json_parse(&doc, &kept, buf_slice(&text), NULL, NULL));
    size_t n = list_tasks(tasks);
    for (unsigned pass = 0; pass < PASSES; pass++) {
        for (size_t i = 0; i < n; i++)
            run_slice(&tasks[i], pass);
    }
    printf("%s (%zu bytes, %u values and keys)\n", title, text.len, doc.len);
    for (size_t i = 0; i < n; i++) {
        qsort(tasks[i].mb_s, PASSES, sizeof(double), by_value);
        double mid = tasks[i].mb_s[PASSES / 2];
        printf("  %-24s %8.0f MB/s %10.2f us   (%.0f to %.0f)\n", tasks[i].name, mid,
               (double)text.len / mid, tasks[i].mb_s[0], tasks[i].mb_s[PASSES - 1]);
    }
}

int main(void)
{
    buf_init(&text, 1 << 24);
    buf_init(&out, 1 << 24);
    arena_init(&arena, 1 << 26);
    arena_init(&kept, 1 << 26);
    measure("1 KB", 1000);
    measure("100 KB", 100000);
    arena_done(&kept);
    arena_done(&arena);
    buf_done(&out);
    buf_done(&text);
    return 0;
}
