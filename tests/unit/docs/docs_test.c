/* What tests of documents share: an app from a manifest's text, its database, who asks, and rows.
 */
#include "docs_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct err err;

void rig_start(struct rig *r, const char *manifest)
{
    struct problems p;
    *r = (struct rig){0};
    arena_init(&r->a, 1u << 30);
    problems_init(&p, &r->a);
    r->manifest = manifest_parse(&r->a, slice_from(manifest), "dais.yaml", &p);
    assert_non_null(r->manifest);
    r->docs = docs_new(r->manifest, &p);
    assert_false(problems_has_errors(&p));
    snprintf(r->folder, sizeof r->folder, "/tmp/dais-docs-XXXXXX");
    assert_non_null(mkdtemp(r->folder));
    snprintf(r->path, sizeof r->path, "%s/app.db", r->folder);
    const char *url = getenv("DAIS_TEST_DATABASE");
    r->schema = arena_printf(&r->a, "docs_test_%d_%s", (int)getpid(), r->folder + 15);
    for (size_t i = 0; i < r->schema.len; i++)
        if (r->schema.ptr[i] >= 'A' &&
            r->schema.ptr[i] <= 'Z') /* names of schemas are lower case */
            ((char *)(uintptr_t)r->schema.ptr)[i] |= 0x20;
    r->options = (struct db_options){.url = slice_from(url),
                                     .path = r->path,
                                     .schema = r->schema,
                                     .read_ms = 120000,
                                     .migrations = docs_migrations};
    r->slot = db_slot_new(&r->options);
    docs_attach(r->docs, r->slot);
    if (!docs_open(r->docs, &err))
        fail_msg("%s", err.msg);
    rig_be(r, "");
}

void rig_stop(struct rig *r)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock", "-journal"};
    char path[128];
    rig_rest(r);
    docs_leave(r->docs);
    docs_free(r->docs);
    db_slot_free(r->slot);
    arena_done(&r->a);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", r->path, ends[i]);
        unlink(path);
    }
    rmdir(r->folder);
}

void rig_be(struct rig *r, const char *user)
{
    struct json_doc doc;
    r->identity = (struct identity){
        .is_signed_in = *user != 0, .has_every_scope = true, .id = slice_from(user)};
    r->who = (struct subject){.who = &r->identity};
    struct slice text = arena_printf(&r->a, "{\"id\":\"%s\",\"roles\":[]}", user);
    assert_true(json_parse(&doc, &r->a, text, NULL, &err));
    if (*user)
        r->who.context.user = json_root(&doc);
}

struct docs_reading *rig_read(struct rig *r)
{
    if (!r->conn)
        r->conn = db_conn_take(docs_db(r->docs), &err);
    assert_non_null(r->conn);
    r->reading =
        (struct docs_reading){.docs = r->docs, .conn = r->conn, .arena = &r->a, .who = &r->who};
    return &r->reading;
}

void rig_rest(struct rig *r)
{
    if (r->conn)
        db_conn_give(r->conn);
    r->conn = NULL;
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    return docs_writing_apply(arg, c, e) && docs_writing_finish(arg, c, e);
}

bool rig_add(struct rig *r, const char *coll, const struct slice *texts, size_t n)
{
    struct docs_writing w = {.docs = r->docs, .arena = &r->a, .who = &r->who, .n = n};
    rig_rest(r);
    w.changes = arena_zalloc(&r->a, n * sizeof *w.changes);
    for (size_t i = 0; i < n; i++) {
        struct json_doc doc;
        if (!json_parse(&doc, &r->a, texts[i], NULL, &err))
            return false;
        w.changes[i] = (struct doc_change){.op = DOC_CREATE,
                                           .coll = docs_find(r->docs, slice_from(coll)),
                                           .body = json_root(&doc)};
        w.changes[i].id = json_str(json_find(json_root(&doc), SLICE("id")));
    }
    return docs_writing_plan(&w, &err) && db_write_now(docs_db(r->docs), run, &w, &err);
}

static void free_buf(void *arg)
{
    buf_done(arg);
}

const struct json *rig_list(struct rig *r, const char *coll, const struct docs_query *q)
{
    struct buf *to = arena_new(&r->a, struct buf);
    struct json_doc doc;
    buf_init(to, 64u << 20);
    arena_defer(&r->a, free_buf, to);
    if (!docs_list(rig_read(r), docs_find(r->docs, slice_from(coll)), q, to, &err))
        return NULL;
    if (!json_parse(&doc, &r->a, buf_slice(to), NULL, &err))
        fail_msg("%s: %.*s", err.msg, SLICE_ARGS(slice_first(buf_slice(to), 2000)));
    return json_root(&doc);
}
