/* Whoever leaves takes along what is theirs, whatever refers to it; and what is theirs can become
 * somebody else's. */
#include "docs/docs_impl.h"
#include "docs_test.h"

#include <stdio.h>

static struct rig rig;

#define RULES "rules: { read: public, create: public, write: public }"
static const char manifest[] =
    "app: t\n"
    "collections:\n"
    "  authors: { owner: true, versions: 3, trash: 30d, search: [name], " RULES " }\n"
    "  books: { owner: true, refs: { by: { to: authors, on_delete: restrict } }, " RULES " }\n"
    "  notes: { owner: true, refs: { on: { to: authors, on_delete: clear } }, " RULES " }\n"
    "  hints: { owner: true, refs: { on: { to: authors, on_delete: cascade } }, " RULES " }\n";

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

static void add(const char *user, const char *coll, struct slice text)
{
    rig_be(&rig, user);
    if (!rig_add(&rig, coll, &text, 1))
        fail_msg("%s", err.msg);
}

/* With a number of five digits for each # of the text. */
static void add_many(const char *user, const char *coll, const char *text, int n)
{
    for (int i = 0; i < n; i++) {
        struct buf b;
        buf_init(&b, 4096);
        buf_add_replacing(&b, slice_from(text), SLICE("#"), arena_printf(&rig.a, "%05d", i));
        add(user, coll, arena_dup(&rig.a, buf_slice(&b)));
        buf_done(&b);
    }
}

static int64_t count(const char *table, const char *where)
{
    struct slice text =
        arena_printf(&rig.a, "SELECT COUNT(*) FROM %s%s%s", table, *where ? " WHERE " : "", where);
    struct db_stmt *s = db_prepare_text(rig_read(&rig)->conn, text, &err);
    assert_non_null(s);
    assert_int_equal(db_step(s, &err), DB_ROW);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    rig_rest(&rig);
    return n;
}

/* How often it took. */
static int purge(const char *user)
{
    bool more = true;
    int rounds = 0;
    rig_rest(&rig);
    while (more) {
        if (!docs_purge_owner(rig.docs, slice_from(user), &more, &err))
            fail_msg("%s", err.msg);
        assert_true(++rounds < 100);
    }
    return rounds;
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    return docs_writing_apply(arg, c, e) && docs_writing_finish(arg, c, e);
}

static void trash(const char *user, const char *coll, const char *id)
{
    struct doc_change change = {
        .op = DOC_DELETE, .coll = docs_find(rig.docs, slice_from(coll)), .id = slice_from(id)};
    rig_be(&rig, user);
    rig_rest(&rig);
    struct docs_writing w = {
        .docs = rig.docs, .arena = &rig.a, .who = &rig.who, .changes = &change, .n = 1};
    if (!docs_writing_plan(&w, &err) || !db_write_now(docs_db(rig.docs), run, &w, &err))
        fail_msg("%s", err.msg);
}

static void all_of_one_goes_and_nothing_else(void **unused)
{
    (void)unused;
    add_many("ada", "notes", "{\"id\":\"0000000000#\",\"n\":\"#\"}", 230);
    add_many("bob", "notes", "{\"id\":\"1000000000#\",\"n\":\"#\"}", 7);
    add("ada", "authors", SLICE("{\"id\":\"000000000000001\",\"name\":\"Ida\"}"));
    trash("ada", "authors", "000000000000001");
    purge("ada");
    assert_int_equal(count("c_notes", ""), 7);
    assert_int_equal(count("c_authors", ""), 0);
    purge("nobody");
    assert_int_equal(count("c_notes", ""), 7);
}

/* Their own books hold their own authors: they go first. */
static void what_holds_goes_first(void **unused)
{
    (void)unused;
    add_many("ada", "authors", "{\"id\":\"0000000000#\",\"n\":\"#\"}", 150);
    add_many("ada", "books", "{\"id\":\"0000000000#\",\"by\":\"0000000000#\"}", 150);
    purge("ada");
    assert_int_equal(count("c_authors", ""), 0);
    assert_int_equal(count("c_books", ""), 0);
    assert_int_equal(count("dais_refs", ""), 0);
}

static void what_others_hold_is_nobodys(void **unused)
{
    (void)unused;
    add_many("ada", "authors", "{\"id\":\"0000000000#\",\"name\":\"Ida #\"}", 3);
    add("bob", "books", SLICE("{\"id\":\"000000000000009\",\"by\":\"000000000000001\"}"));
    add("bob", "notes", SLICE("{\"id\":\"000000000000009\",\"on\":\"000000000000002\"}"));
    add("bob", "hints", SLICE("{\"id\":\"000000000000009\",\"on\":\"000000000000002\"}"));
    purge("ada");
    assert_int_equal(count("c_authors", ""), 1);
    assert_int_equal(count("c_authors", "id = '000000000000001' AND owner IS NULL"), 1);
    assert_int_equal(count("c_authors", "body LIKE '%ada%'"), 0);
    assert_int_equal(count("h_authors", ""), 0);
    assert_int_equal(count("c_books", ""), 1);
    assert_int_equal(count("c_notes", "body NOT LIKE '%000000000000002%'"), 1);
    assert_int_equal(count("c_hints", ""), 0);
    const struct docs_query q = {.search = SLICE("Ida")};
    rig_be(&rig, "bob");
    assert_int_equal(json_len(json_find(rig_list(&rig, "authors", &q), SLICE("items"))), 1);
}

static void many_that_are_held_are_not_tried_again_and_again(void **unused)
{
    (void)unused;
    add_many("ada", "authors", "{\"id\":\"0000000000#\",\"name\":\"Ida #\"}", 420);
    add_many("bob", "books", "{\"id\":\"0000000000#\",\"by\":\"0000000000#\"}", 420);
    assert_int_equal(purge("ada"), 1);
    assert_int_equal(count("c_authors", "owner IS NULL"), 420);
}

static void they_change_hands(void **unused)
{
    bool more = true;
    (void)unused;
    add_many("local", "authors", "{\"id\":\"0000000000#\",\"name\":\"Ida #\"}", 120);
    add_many("bob", "authors", "{\"id\":\"1000000000#\",\"name\":\"Bob #\"}", 2);
    trash("local", "authors", "000000000000003");
    rig_rest(&rig);
    while (more)
        assert_true(docs_adopt_owner(rig.docs, SLICE("local"), SLICE("ada"), &more, &err));
    assert_int_equal(count("c_authors", "owner = 'ada'"), 120);
    assert_int_equal(count("c_authors", "owner = 'ada' AND body LIKE '%\"owner\":\"ada\"%'"), 120);
    assert_int_equal(count("c_authors", "owner = 'ada' AND deleted IS NOT NULL"), 1);
    assert_int_equal(count("c_authors", "owner = 'ada' AND version = 2"), 119);
    assert_int_equal(count("c_authors", "owner = 'bob' AND version = 1"), 2);
    const struct docs_query q = {.search = SLICE("Ida"), .limit = 1000};
    rig_be(&rig, "bob");
    assert_int_equal(json_len(json_find(rig_list(&rig, "authors", &q), SLICE("items"))), 119);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(T(all_of_one_goes_and_nothing_else), T(what_holds_goes_first), T(what_others_hold_is_nobodys),
      T(many_that_are_held_are_not_tried_again_and_again), T(they_change_hands))
