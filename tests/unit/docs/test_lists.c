/* What lists promise beyond their rows: who sees the trash, what a loop may do, where pages end,
 * how long is too long, and sums that are exact. */
#include "docs/list_impl.h"
#include "docs/sum_impl.h"
#include "docs_test.h"

#include <stdio.h>

static struct rig rig;

static const char manifest[] =
    "app: t\n"
    "collections:\n"
    "  c:\n"
    "    indexes: [[a], [b, -u], [-u]]\n"
    "    hidden: [secret]\n"
    "    rules: { read: public, create: public, delete: \"a = 1 && secret = 's'\" }\n"
    "  mine: { owner: true, indexes: [[year]] }\n"
    "  no_delete: { rules: { read: public, create: public } }\n";

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

static bool run_text(void *arg, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, slice_from(arg), e);
    return s && db_run(s, NULL, e);
}

static void run(const char *sql)
{
    rig_rest(&rig);
    if (!db_write_now(docs_db(rig.docs), run_text, (void *)(uintptr_t)sql, &err))
        fail_msg("%s", err.msg);
}

/* Ids of a list's items, with spaces between them. */
static const char *ids(const char *coll, const struct docs_query *q)
{
    struct buf b;
    const struct json *page = rig_list(&rig, coll, q);
    if (!page)
        return err_slug(err.code);
    buf_init(&b, 1u << 20);
    json_each (it, json_find(page, SLICE("items"))) {
        buf_add_str(&b, b.len ? " " : "");
        buf_add(&b, slice_skip(json_str(json_find(it.value, SLICE("id"))), 14));
    }
    const char *text = arena_cstr(&rig.a, buf_slice(&b));
    buf_done(&b);
    return text;
}

#define IDS(coll, ...) ids(coll, &(struct docs_query){__VA_ARGS__})

static void test_trash(void **unused)
{
    (void)unused;
    add("c", "{\"id\":\"00000000000000a\",\"a\":1,\"secret\":\"s\"}");
    add("c", "{\"id\":\"00000000000000b\",\"a\":1,\"secret\":\"s\"}");
    add("c", "{\"id\":\"00000000000000c\",\"a\":1,\"secret\":\"t\"}");
    add("c", "{\"id\":\"00000000000000d\",\"a\":2}");
    run("UPDATE c_c SET deleted = '2026-01-02' WHERE id = '00000000000000a'");
    run("UPDATE c_c SET deleted = '2026-01-03' WHERE id = '00000000000000b'");
    run("UPDATE c_c SET deleted = '2026-01-04' WHERE id = '00000000000000c'");
    assert_string_equal(IDS("c", .is_trash = true), "b a");
    assert_string_equal(IDS("c", .is_trash = true, .sort = SLICE("id")), "a b");
    assert_string_equal(IDS("c", .filter = SLICE("id is not null")), "d");
    assert_string_equal(IDS("no_delete", .is_trash = true), "unauthenticated");
    struct docs_query q = {.is_trash = true, .limit = 1};
    q.after = json_str(json_find(rig_list(&rig, "c", &q), SLICE("next")));
    assert_string_equal(ids("c", &q), "a");
    q.is_trash = false;
    assert_string_equal(ids("c", &q), "malformed");
}

/* ---- loops ----------------------------------------------------------------------------------- */

static bool is_short_for(const char *coll, const struct docs_query *q)
{
    struct buf to;
    struct docs_reading *r = rig_read(&rig);
    r->is_on_loop = true;
    buf_init(&to, 1u << 20);
    bool fine = docs_list(r, docs_find(rig.docs, slice_from(coll)), q, &to, &err);
    buf_done(&to);
    if (!fine)
        assert_int_equal(err.code, ERR_OVER_BUDGET);
    return fine;
}
#define IS_SHORT(coll, f, s) \
    is_short_for(coll, &(struct docs_query){.filter = SLICE(f), .sort = SLICE(s)})

static void test_loops(void **unused)
{
    (void)unused;
    assert_true(IS_SHORT("c", "", ""));
    assert_true(IS_SHORT("c", "", "-id"));
    assert_true(IS_SHORT("c", "a = 1", ""));
    assert_true(IS_SHORT("c", "", "a"));
    assert_true(IS_SHORT("c", "a is null", "-id"));
    assert_true(IS_SHORT("c", "b = 'x'", "-u"));
    assert_true(IS_SHORT("c", "b = 'x'", "b,u"));
    assert_true(IS_SHORT("c", "b = 'x' && u > 3", "-u"));
    assert_true(IS_SHORT("c", "id = '00000000000000d'", "-u,b"));
    assert_true(IS_SHORT("c", "", "b,-u"));
    assert_true(IS_SHORT("c", "", "-b,u"));
    assert_true(IS_SHORT("c", "", "-u"));
    assert_false(IS_SHORT("c", "", "b,u"));
    assert_false(IS_SHORT("c", "", "b"));
    assert_false(IS_SHORT("c", "", "updated"));
    assert_false(IS_SHORT("c", "b = 'x'", ""));
    assert_false(IS_SHORT("c", "a = 1 && u = 2", ""));
    assert_false(IS_SHORT("c", "a > 1", ""));
    assert_false(IS_SHORT("c", "a ~ 'x'", ""));
    assert_false(IS_SHORT("c", "a in (1, 2)", ""));
    assert_false(IS_SHORT("c", "a = 1 || a = 2", "a"));
    assert_false(is_short_for("c", &(struct docs_query){.wants_total = true}));
    assert_false(is_short_for("c", &(struct docs_query){.limit = 101}));
    rig_be(&rig, "ann");
    assert_true(IS_SHORT("mine", "", ""));
    assert_true(IS_SHORT("mine", "", "-year"));
    assert_true(IS_SHORT("mine", "year = 3", ""));
    assert_false(IS_SHORT("mine", "", "-created"));
    rig_be(&rig, "");
}

/* ---- too long, and pages --------------------------------------------------------------------- */

static const char numbers[] =
    "INSERT INTO c_no_delete (id, version, created, updated, body)"
    " WITH RECURSIVE x(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM x WHERE i < 200100)"
    " SELECT 'number-00' || i, 1, 'x', 'x', '{\"id\":\"number-00' || i || '\",\"v\":' || i || '}'"
    " FROM x";

static void test_too_long(void **unused)
{
    (void)unused;
    run(numbers);
    assert_string_equal(IDS("no_delete", .sort = SLICE("-w,v"), .filter = SLICE("z = 1 && y > 2")),
                        "over_budget");
    assert_non_null(strstr(err.msg, "`indexes: [[z, -w, v]]` of the collection no_delete"));
    assert_string_equal(IDS("no_delete", .filter = SLICE("z ~ 'x'")), "over_budget");
    assert_non_null(strstr(err.msg, "Narrow it down"));
    assert_string_equal(IDS("no_delete", .filter = SLICE("id > 'number-00200098' && v != 1")),
                        "9 0");
    assert_string_equal(IDS("no_delete", .limit = 1, .wants_total = true), "0");
}

static void test_pages(void **unused)
{
    (void)unused;
    const struct doc_coll *c = docs_find(rig.docs, SLICE("no_delete"));
    struct slice after = {0};
    struct docs_page page = {0};
    size_t n = 0, n_pages = 0;
    for (; !page.is_last; n_pages++) {
        struct arena_mark mark = arena_mark(&rig.a);
        if (!docs_page(rig_read(&rig), c, SLICE("v >= 199990"), after, 50, &page, &err))
            fail_msg("%s", err.msg);
        n += page.n;
        char last[DOC_ID_MAX];
        size_t len = page.next.len;
        memcpy(last, page.next.ptr, len);
        arena_rewind(&rig.a, mark);
        after = arena_dup(&rig.a, (struct slice){last, len});
    }
    assert_int_equal(n, 111);
    assert_true(n_pages > 4);            /* some of them empty: few among many */
    if (db_is_sqlite(docs_db(rig.docs))) /* the other ends a page for the time it takes, too */
        assert_true(n_pages < 12);
}

static bool run_key(void *arg, struct db_conn *c, struct err *e)
{
    return cursor_key_make(arg, c, e);
}

/* The key of cursors stays with the database. */
static void test_reopened(void **unused)
{
    (void)unused;
    unsigned char key[16];
    memcpy(key, rig.docs->cursor_key, sizeof key);
    assert_true(db_write_now(docs_db(rig.docs), run_key, rig.docs, &err));
    assert_memory_equal(key, rig.docs->cursor_key, sizeof key);
}

/* ---- sums ------------------------------------------------------------------------------------ */

static const char *sum_of(const char *list, bool is_mean)
{
    struct json_doc doc;
    struct sum s = {0};
    struct json_writer w;
    struct buf b;
    assert_true(json_parse(&doc, &rig.a, slice_from(list), NULL, &err));
    json_each (it, json_root(&doc))
        sum_add(&s, it.value);
    buf_init(&b, 1000);
    json_writer_init(&w, &b, 0);
    if (is_mean)
        sum_write_mean(&s, &w);
    else
        sum_write(&s, &w);
    const char *text = arena_cstr(&rig.a, buf_slice(&b));
    buf_done(&b);
    return text;
}

static void test_sums(void **unused)
{
    (void)unused;
    assert_string_equal(sum_of("[]", false), "0");
    assert_string_equal(sum_of("[]", true), "null");
    assert_string_equal(sum_of("[0.1,0.2]", false), "0.3");
    assert_string_equal(sum_of("[1,2,3]", false), "6");
    assert_string_equal(sum_of("[-0.5,0.25]", false), "-0.25");
    assert_string_equal(sum_of("[0.05,-0.05]", false), "0");
    assert_string_equal(sum_of("[0.001]", false), "0.001");
    assert_string_equal(sum_of("[9007199254740993,1]", false), "9007199254740994");
    assert_string_equal(sum_of("[18446744073709551616,-1]", false), "18446744073709551615");
    assert_string_equal(sum_of("[1e3,1e-3]", false), "1000.001");
    assert_string_equal(sum_of("[1e100,1]", false), "1e100");
    assert_string_equal(sum_of("[1e400]", false), "null");
    assert_string_equal(sum_of("[1,2]", true), "1.5");
    assert_string_equal(sum_of("[0.1,0.2,0.3]", true), "0.2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trash),    cmocka_unit_test(test_loops),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_pages),
        cmocka_unit_test(test_reopened), cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
