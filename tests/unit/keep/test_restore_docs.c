/* Collections that come back are whole: what follows from documents (keys of indexes, what is
 * unique, what is hidden, references, words) is made anew, on SQLite and on Postgres. */
#include "keep_rig.h"

#include <stdio.h>

static const char manifest[] =
    "app: t\n"
    "collections:\n"
    "  authors:\n"
    "    rules: { read: public, create: public, write: public, delete: public }\n"
    "  books:\n"
    "    rules: { read: public, create: public, write: public, delete: public }\n"
    "    indexes: [year]\n"
    "    unique: [isbn]\n"
    "    hidden: secret\n"
    "    search: [title]\n"
    "    versions: 5\n"
    "    refs: { by: authors }\n"
    "  secrets:\n"
    "    rules: { read: public, create: public }\n"
    "    hidden: secret\n";

static struct rig one, two;

struct app {
    struct rig *rig;
    struct docs *docs;
    struct db_slot *slot;
    struct subject who;
    struct identity identity;
};

static void open_app(struct app *app, struct rig *r, const struct db_options *o)
{
    struct problems p;
    rig_close(r);
    *app = (struct app){.rig = r, .identity = {.has_every_scope = true}};
    app->who.who = &app->identity;
    problems_init(&p, &r->a);
    struct manifest *m = manifest_parse(&r->a, slice_from(manifest), "dais.yaml", &p);
    app->docs = docs_new(m, &p);
    assert_false(problems_has_errors(&p));
    app->slot = db_slot_new(o);
    docs_attach(app->docs, app->slot);
    OK(docs_open(app->docs, &err));
}

static void close_app(struct app *app)
{
    docs_leave(app->docs);
    docs_free(app->docs);
    db_slot_free(app->slot);
}

static void tend_all(struct app *app)
{
    while (docs_tend(app->docs))
        ;
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    return docs_writing_apply(arg, c, e) && docs_writing_finish(arg, c, e);
}

static bool change(struct app *app, enum doc_op op, const char *coll, const char *id,
                   const char *text)
{
    struct json_doc body;
    struct doc_change ch = {
        .op = op, .coll = docs_find(app->docs, slice_from(coll)), .id = slice_from(id)};
    struct docs_writing w = {
        .docs = app->docs, .arena = &app->rig->a, .who = &app->who, .changes = &ch, .n = 1};
    assert_true(json_parse(&body, &app->rig->a, slice_from(text ? text : "{}"), NULL, &err));
    if (text)
        ch.body = json_root(&body);
    return docs_writing_plan(&w, &err) && db_write_now(docs_db(app->docs), run, &w, &err);
}

/* The ids of a list, one after the other; NULL with `err`. */
static const char *list_of(struct app *app, const char *coll, const struct docs_query *q)
{
    struct buf text, ids;
    struct json_doc doc;
    struct db_conn *c = db_conn_take(docs_db(app->docs), &err);
    assert_non_null(c);
    const struct docs_reading r = {
        .docs = app->docs, .conn = c, .arena = &app->rig->a, .who = &app->who};
    buf_init(&text, 1u << 20);
    buf_init(&ids, 1u << 10);
    bool fine = docs_list(&r, docs_find(app->docs, slice_from(coll)), q, &text, &err);
    if (fine) {
        assert_null(strstr(text.data, "not for you"));
        assert_true(json_parse(&doc, &app->rig->a, buf_slice(&text), NULL, &err));
        json_each (it, json_find(json_root(&doc), SLICE("items"))) {
            struct slice id = json_str(json_find(it.value, SLICE("id")));
            buf_add(&ids, slice_skip(id, id.len - 1));
        }
    }
    const char *ret = fine ? arena_cstr(&app->rig->a, buf_slice(&ids)) : NULL;
    buf_done(&ids);
    buf_done(&text);
    db_conn_give(c);
    return ret;
}

#define BOOK(id, title, year, isbn)                                                               \
    "{\"id\":\"00000000000000" id "\",\"title\":\"" title "\",\"year\":" year ",\"isbn\":\"" isbn \
    "\",\"by\":\"00000000000000z\",\"secret\":\"not for you\"}"
static void make_library(struct rig *r)
{
    struct app app;
    open_app(&app, r, &r->options);
    OK(change(&app, DOC_CREATE, "authors", "", "{\"id\":\"00000000000000z\"}"));
    OK(change(&app, DOC_CREATE, "books", "", BOOK("a", "War and Peace", "1869", "1")));
    OK(change(&app, DOC_CREATE, "books", "", BOOK("b", "Straße in Peace", "1812", "2")));
    OK(change(&app, DOC_CREATE, "books", "", BOOK("c", "The trash", "1900", "3")));
    OK(change(&app, DOC_CREATE, "books", "", BOOK("d", "Old", "1700", "4")));
    OK(change(&app, DOC_DELETE, "books", "00000000000000c", NULL));
    OK(change(&app, DOC_MERGE, "books", "00000000000000d", "{\"title\":\"New\"}"));
    OK(change(&app, DOC_CREATE, "secrets", "", BOOK("s", "Open", "1", "1")));
    close_app(&app);
}

static void expect_list(struct app *app, const struct docs_query *q, const char *ids)
{
    const char *is = list_of(app, "books", q);
    if (!is)
        fail_msg("%s", err.msg);
    assert_string_equal(is, ids);
}

/* What holds before anything was made anew. */
static void check_documents(struct app *app)
{
    expect_list(app, &(struct docs_query){.sort = SLICE("year")}, "dba");
    expect_list(app, &(struct docs_query){.filter = SLICE("year > 1800"), .sort = SLICE("-year")},
                "ab");
    expect_list(app, &(struct docs_query){.is_trash = true}, "c");
    assert_int_equal(rig_number(app->rig, "SELECT count(*) FROM h_books WHERE body LIKE '%Old%'"),
                     1);
    rig_close(app->rig);
}

static void check_what_follows(struct app *app)
{
    struct rig *r = app->rig;
    assert_int_equal(rig_number(r, "SELECT count(*) FROM dais_fields WHERE state = 'ready'"), 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM dais_fields"), 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM dais_indexes WHERE state = 'ready'"), 2);
    assert_int_equal(rig_number(r, "SELECT count(*) FROM c_books WHERE k1 IS NULL"), 0);
    assert_int_equal(
        rig_number(r,
                   "SELECT count(*) FROM dais_meta WHERE substr(name, 1, 4) IN ('fill', 'show')"),
        0);
    assert_int_equal(rig_number(app->rig, "SELECT count(*) FROM c_secrets WHERE shown IS NULL"), 0);
    rig_close(app->rig);
    expect_list(app, &(struct docs_query){.search = SLICE("peace"), .sort = SLICE("year")}, "ba");
    expect_list(app, &(struct docs_query){.search = SLICE("new")}, "d");
    expect_list(app, &(struct docs_query){.search = SLICE("trash")}, "");
    NOT(change(app, DOC_CREATE, "books", "", BOOK("e", "x", "1", "2")), ERR_EXISTS);
    NOT(change(app, DOC_DELETE, "authors", "00000000000000z", NULL), ERR_EXISTS);
    OK(change(app, DOC_RESTORE, "books", "00000000000000c", NULL));
    OK(change(app, DOC_CREATE, "books", "", BOOK("e", "A new peace", "1801", "5")));
    expect_list(app, &(struct docs_query){.filter = SLICE("year > 1800"), .sort = SLICE("year")},
                "ebac");
    expect_list(app, &(struct docs_query){.search = SLICE("peace"), .sort = SLICE("year")}, "eba");
}

/* What was there before has other documents, and other columns for the same fields. */
static void make_others(struct rig *r)
{
    struct app app;
    open_app(&app, r, &r->options);
    OK(change(&app, DOC_CREATE, "authors", "", "{\"id\":\"00000000000000z\"}"));
    OK(change(&app, DOC_CREATE, "books", "", BOOK("f", "Old peace", "1", "2")));
    close_app(&app);
    rig_say(r, "UPDATE dais_fields SET number = number + 7");
}

static void a_library_comes_back(bool from_sqlite, bool to_sqlite)
{
    struct app app;
    rig_start(&one, from_sqlite);
    rig_start(&two, to_sqlite);
    make_library(&one);
    make_others(&two);
    struct keep_entry entry = make_backup(&one);
    OK(bring_back(&two, &entry));
    open_app(&app, &two, &two.options);
    check_documents(&app);
    tend_all(&app);
    check_documents(&app);
    check_what_follows(&app);
    close_app(&app);
    rig_stop(&one);
    rig_stop(&two);
}

static void from_sqlite_to_sqlite(void **state)
{
    (void)state;
    a_library_comes_back(true, true);
}

static void from_sqlite_to_postgres(void **state)
{
    (void)state;
    a_library_comes_back(true, false);
}

static void from_postgres_to_sqlite(void **state)
{
    (void)state;
    a_library_comes_back(false, true);
}

static void from_postgres_to_postgres(void **state)
{
    (void)state;
    a_library_comes_back(false, false);
}

/* ---- made ready before anybody uses it --------------------------------------------------------
 */

static bool make_ready(void *user, const struct db_options *made, struct err *e)
{
    struct app app;
    (void)e;
    open_app(&app, user, made);
    tend_all(&app);
    close_app(&app);
    return true;
}

static void it_can_be_made_ready_first(bool is_sqlite)
{
    struct app app;
    rig_start(&one, true);
    rig_start(&two, is_sqlite);
    make_library(&one);
    struct keep_entry entry = make_backup(&one);
    rig_close(&two);
    struct keep_target target = target_of(&two);
    target.finish = make_ready;
    target.user = &two;
    struct keep *k = keep_of(false);
    OK(keep_restore(k, &entry, &target, NULL, &err));
    keep_close(k);
    open_app(&app, &two, &two.options);
    check_documents(&app);
    if (!is_sqlite) /* its words are looked at once more at the next opening */
        tend_all(&app);
    check_what_follows(&app);
    close_app(&app);
    rig_stop(&one);
    rig_stop(&two);
}

static void it_can_be_made_ready_first_on_sqlite(void **state)
{
    (void)state;
    it_can_be_made_ready_first(true);
}

static void it_can_be_made_ready_first_on_postgres(void **state)
{
    (void)state;
    it_can_be_made_ready_first(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_sqlite_to_sqlite),
        cmocka_unit_test(from_sqlite_to_postgres),
        cmocka_unit_test(from_postgres_to_sqlite),
        cmocka_unit_test(from_postgres_to_postgres),
        cmocka_unit_test(it_can_be_made_ready_first_on_sqlite),
        cmocka_unit_test(it_can_be_made_ready_first_on_postgres),
    };
    return cmocka_run_group_tests(tests, rig_begin, rig_end);
}
