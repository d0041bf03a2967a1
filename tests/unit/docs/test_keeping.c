/* What is kept beside rows stays true in places that requests reach by chance only: a walk that
 * pauses at a row that is found, references while rows are made anew. */
#include "docs/search_impl.h"
#include "docs_test.h"

#include <stdio.h>

static struct rig rig;

static const char manifest[] = "app: t\n"
                               "collections:\n"
                               "  c: { rules: { read: public, create: public } }\n"
                               "  found: { search: [a], rules: { read: public, create: public } }\n"
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

/* ---- search ---------------------------------------------------------------------------------- */

static bool run_text(struct db_conn *c, struct slice text, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, text, e);
    return s && db_run(s, NULL, e);
}

/* Between a write and its finish, in the same transaction, another manifest makes the index anew:
 * from all rows there are, so what was noted for the one before is not for it. */
static bool apply_around(void *arg, struct db_conn *c, struct err *e)
{
    struct search_state state;
    if (!docs_writing_apply(arg, c, e) ||
        !search_state_read(c, coll_of("found"), &rig.a, &state, e) ||
        !run_text(c, SLICE("DROP TABLE f_found"), e) ||
        !run_text(c, SLICE("CREATE VIRTUAL TABLE f_found USING fts5(w1, content='')"), e))
        return false;
    state.number++;
    state.is = SEARCH_BUILDING;
    state.position = SLICE("0");
    return search_state_write(c, coll_of("found"), &state, e) && docs_writing_finish(arg, c, e);
}

static bool count_found(void *arg, struct db_conn *c, struct err *e)
{
    int64_t *n = arg;
    struct db_stmt *s =
        db_prepare_text(c, SLICE("SELECT count(*) FROM f_found WHERE f_found MATCH 'old'"), e);
    bool fine = s && db_step(s, e) == DB_ROW;
    *n = fine ? db_i64(s, 0) : -1;
    if (s)
        db_reset(s);
    return fine;
}

static void words_go_to_the_index_that_they_were_noted_for(void **unused)
{
    struct json_doc body;
    struct doc_change ch = {.op = DOC_CREATE, .coll = coll_of("found")};
    struct docs_writing w = {
        .docs = rig.docs, .arena = &rig.a, .who = &rig.who, .changes = &ch, .n = 1};
    int64_t n = -1;
    (void)unused;
    if (!db_is_sqlite(docs_db(rig.docs)))
        skip();
    rig_rest(&rig);
    assert_true(json_parse(&body, &rig.a, SLICE("{\"a\":\"old\"}"), NULL, &err));
    ch.body = json_root(&body);
    assert_true(docs_writing_plan(&w, &err));
    assert_true(db_write_now(docs_db(rig.docs), apply_around, &w, &err));
    assert_true(db_write_now(docs_db(rig.docs), count_found, &n, &err));
    assert_int_equal(n, 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define MANY   20
#define VALUES 20000

/* A batch of changes to documents that are much larger than it. */
static size_t room_of_batch(enum doc_op op, bool *ret_fine)
{
    static char ids[MANY][20];
    struct doc_change changes[MANY];
    struct docs_writing w = {
        .docs = rig.docs, .arena = &rig.a, .who = &rig.who, .changes = changes, .n = MANY};
    struct json_doc body;
    assert_true(json_parse(&body, &rig.a, SLICE("{\"n\":1}"), NULL, &err));
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "large%010d", i);
        changes[i] = (struct doc_change){
            .op = op, .coll = coll_of("books"), .id = slice_from(ids[i]), .body = json_root(&body)};
    }
    rig_rest(&rig);
    assert_true(docs_writing_plan(&w, &err));
    size_t before = rig.a.used_bytes;
    *ret_fine = db_write_now(docs_db(rig.docs), apply, &w, &err);
    for (int i = 0; *ret_fine && i < MANY; i++)
        assert_true(slice_is(changes[i].doc.id, ids[i]));
    if (op == DOC_PUT)
        assert_true(slice_ends(changes[MANY - 1].doc.text, SLICE("\"n\":1}")));
    return rig.a.used_bytes - before;
}

static void a_batch_holds_one_document_at_a_time(void **unused)
{
    static const enum doc_op ops[] = {DOC_PUT, DOC_DELETE};
    struct buf large;
    bool fine;
    (void)unused;
    for (int i = 0; i < MANY; i++) {
        buf_init(&large, 1u << 20);
        buf_printf(&large, "{\"id\":\"large%010d\",\"l\":[0", i);
        for (int n = 0; n < VALUES; n++)
            buf_add_str(&large, ",0");
        buf_add_str(&large, "]}");
        struct slice text = arena_dup(&rig.a, buf_slice(&large));
        if (!rig_add(&rig, "books", &text, 1))
            fail_msg("%s", err.msg);
        buf_done(&large);
    }
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++) {
        assert_true(room_of_batch(ops[k], &fine) < VALUES * sizeof(struct json));
        assert_true(fine);
    }
    assert_true(room_of_batch(DOC_DELETE, &fine) < VALUES * sizeof(struct json));
    assert_false(fine);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_walk_pauses_behind_what_it_found),
        cmocka_unit_test(references_of_before_are_kept_by_changes_too),
        cmocka_unit_test(words_go_to_the_index_that_they_were_noted_for),
        cmocka_unit_test(a_batch_holds_one_document_at_a_time),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
