/* The benchmark's documents: written into an app's database by the code that serves it, many to a
 * transaction, or printed.
 *
 *   fill rows APP DATA COLLECTION COUNT    DATA: what DAIS_DATA is, or a postgres:// address
 *   fill print COUNT FIRST                 bodies, one a line, as a client would send them */
#include "docs/docs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK      2000
#define GROUPS     100
#define BODY_BYTES 762 /* so that what is stored has 1 KB */

static const char words[] =
    "river stone lantern winter garden copper signal meadow harbor violin thunder pepper orchard "
    "mirror saddle candle falcon ribbon anchor willow marble compass feather island ";

static int body_of(char *to, size_t size, uint64_t n)
{
    char text[BODY_BYTES + 1];
    for (size_t i = 0; i < BODY_BYTES; i++)
        text[i] = words[(i + n * 7) % (sizeof words - 1)];
    text[BODY_BYTES] = '\0';
    return snprintf(to, size,
                    "{\"title\":\"Document %08" PRIu64 "\",\"body\":\"%s\",\"rank\":%" PRIu64
                    ",\"group\":\"g%03u\",\"status\":\"%s\",\"tags\":[\"%.6s\",\"blue\"],"
                    "\"done\":%s,\"score\":%u.25}",
                    n, text, n, (unsigned)(n % GROUPS), n % 3 ? "open" : "closed", text,
                    n % 2 ? "true" : "false", (unsigned)(n % 100));
}

struct fill {
    struct docs *docs;
    const struct doc_coll *coll;
    const struct subject *who;
    uint64_t first, n;
};

static void fail(const char *what)
{
    fprintf(stderr, "fill: %s\n", what);
    exit(1);
}

static bool run_chunk(void *arg, struct db_conn *c, struct err *e)
{
    struct fill *f = arg;
    struct arena a;
    struct docs_writing w = {.docs = f->docs, .arena = &a, .who = f->who, .n = f->n};
    arena_init(&a, 1u << 30);
    w.changes = arena_zalloc(&a, f->n * sizeof *w.changes);
    for (size_t i = 0; i < f->n; i++) {
        char text[2000];
        struct json_doc body;
        int n = body_of(text, sizeof text, f->first + i);
        struct slice own = arena_dup(&a, (struct slice){text, (size_t)n});
        if (!json_parse(&body, &a, own, NULL, e))
            fail(e->msg);
        w.changes[i] =
            (struct doc_change){.op = DOC_CREATE,
                                .coll = f->coll,
                                .body = json_root(&body),
                                .id = arena_printf(&a, "bench%015" PRIu64, f->first + i)};
    }
    bool fine =
        docs_writing_plan(&w, e) && docs_writing_apply(&w, c, e) && docs_writing_finish(&w, c, e);
    arena_done(&a);
    return fine;
}

static void fill_rows(struct docs *docs, const char *coll, uint64_t count)
{
    const struct identity local = {
        .is_signed_in = true, .has_every_scope = true, .id = SLICE("local")};
    const struct subject who = {.who = &local, .is_console = true};
    struct fill f = {.docs = docs, .coll = docs_find(docs, slice_from(coll)), .who = &who};
    struct err e;
    if (!f.coll)
        fail("there is no such collection");
    if (!docs_open(docs, &e))
        fail(e.msg);
    for (; f.first < count; f.first += f.n) {
        f.n = count - f.first < CHUNK ? count - f.first : CHUNK;
        if (!db_write_now(docs_db(docs), run_chunk, &f, &e))
            fail(e.msg);
    }
    docs_leave(docs);
}

static void rows(const char *folder, const char *data, const char *coll, uint64_t count)
{
    struct arena a;
    struct problems problems;
    arena_init(&a, 64u << 20);
    problems_init(&problems, &a);
    const struct manifest *m = manifest_load(&a, folder, &problems);
    if (!m)
        fail("the manifest cannot be read");
    struct docs *docs = docs_new(m, &problems);
    struct db_options o = {.migrations = docs_migrations};
    if (strstr(data, "://")) {
        o.url = slice_from(data);
        o.schema = m->slug.s;
    } else
        o.path = arena_printf(&a, "%s/apps/%.*s/app.db", data, SLICE_ARGS(m->slug.s)).ptr;
    struct db_slot *slot = db_slot_new(&o);
    docs_attach(docs, slot);
    fill_rows(docs, coll, count);
    db_slot_free(slot);
    docs_free(docs);
    arena_done(&a);
}

static void print(uint64_t count, uint64_t first)
{
    for (uint64_t n = first; n < first + count; n++) {
        char text[2000];
        body_of(text, sizeof text, n);
        puts(text);
    }
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "rows") == 0)
        rows(argv[2], argv[3], argv[4], strtoull(argv[5], NULL, 10));
    else if (argc == 4 && strcmp(argv[1], "print") == 0)
        print(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    else
        fail("rows APP DATA COLLECTION COUNT, or print COUNT FIRST");
    return 0;
}
