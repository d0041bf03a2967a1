/* What is kept beside rows stays true in places that requests reach by chance only: a walk that
 * pauses at a row that is found, references while rows are made anew. */
#include "docs/list_impl.h"
#include "docs_test.h"

static struct rig rig;

static const char manifest[] = "app: t\n"
                               "collections:\n"
                               "  c: { rules: { read: public, create: public } }\n"
                               "  authors: { rules: { read: public, create: public } }\n"
                               "  books: { rules: { read: public, create: public, write: public },"
                               " refs: { by: authors } }\n";

static int start(void **unused)
{
    (void)unused;
    rig_start(&rig, manifest);
    return 0;
}

static int stop(void **unused)
{
    (void)unused;
    rig_stop(&rig);
    return 0;
}

static void add(const char *coll, const char *text)
{
    struct slice s = slice_from(text);
    if (!rig_add(&rig, coll, &s, 1))
        fail_msg("%s", err.msg);
}

static struct doc_coll *coll_of(const char *name)
{
    return (struct doc_coll *)(uintptr_t)docs_find(rig.docs, slice_from(name));
}

/* ---- walks ----------------------------------------------------------------------------------- */

static void a_walk_pauses_behind_what_it_found(void **unused)
{
    struct plan p;
    struct walk w;
    const struct asked asked = {.filter = SLICE("a = 1")};
    (void)unused;
    add("c", "{\"id\":\"00000000000000a\",\"a\":0}");
    add("c", "{\"id\":\"00000000000000b\",\"a\":1}");
    add("c", "{\"id\":\"00000000000000c\",\"a\":0}");
    add("c", "{\"id\":\"00000000000000d\",\"a\":1}");
    assert_true(plan_make(&p, rig_read(&rig), coll_of("c"), &asked, &err));
    walk_init(&w, &p, &p.order, NULL, false, 10);
    w.pause_at = 2;
    assert_int_equal(walk_next(&w, &err), DB_ROW);
    assert_int_equal(walk_next(&w, &err), DB_END);
    assert_true(w.is_paused);
    assert_true(slice_is(w.place.id, "00000000000000c"));
    walk_done(&w);
}

/* ---- references ------------------------------------------------------------------------------ */

static bool forget_all(void *arg, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, SLICE("DELETE FROM dais_refs"), e);
    (void)arg;
    return s && db_run(s, NULL, e);
}

static bool apply(void *arg, struct db_conn *c, struct err *e)
{
    return docs_writing_apply(arg, c, e) && docs_writing_finish(arg, c, e);
}

static bool change(enum doc_op op, const char *coll, const char *id, const char *body)
{
    struct json_doc doc;
    struct doc_change ch = {.op = op, .coll = coll_of(coll), .id = slice_from(id)};
    struct docs_writing w = {
        .docs = rig.docs, .arena = &rig.a, .who = &rig.who, .changes = &ch, .n = 1};
    assert_true(json_parse(&doc, &rig.a, slice_from(body), NULL, &err));
    ch.body = json_root(&doc);
    rig_rest(&rig);
    rig.who.is_console = true;
    return docs_writing_plan(&w, &err) && db_write_now(docs_db(rig.docs), apply, &w, &err);
}

/* As of a document of before the manifest had references, changed while it is looked through: the
 * work on the rows passes it over, as it has another version then. */
static void references_of_before_are_kept_by_changes_too(void **unused)
{
    (void)unused;
    add("authors", "{\"id\":\"author000000000a\"}");
    add("books", "{\"id\":\"book00000000000a\",\"by\":\"author000000000a\"}");
    assert_true(db_write_now(docs_db(rig.docs), forget_all, NULL, &err));
    atomic_store(&coll_of("books")->is_filling, true);
    assert_true(change(DOC_MERGE, "books", "book00000000000a", "{\"n\":1}"));
    atomic_store(&coll_of("books")->is_filling, false);
    assert_false(change(DOC_DELETE, "authors", "author000000000a", "null"));
    assert_int_equal(err.code, ERR_EXISTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_pauses_behind_what_it_found),
        cmocka_unit_test(references_of_before_are_kept_by_changes_too),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
