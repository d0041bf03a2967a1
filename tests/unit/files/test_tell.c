/* Who follows changes of files is told of each of them once, in its write: of none that did not
 * happen, and not of what whoever made it may not read. */
#include "files_test.h"

#include <stdio.h>

static const char manifest[] =
    "app: t\n"
    "files:\n"
    "  own: {}\n"
    "  choice: { visibility: choice }\n"
    "  spaced: { scope: user }\n"
    "  small: { max: 10 }\n"
    "  box: { owner: false, rules: { create: public, write: public, delete: public } }\n";

/* ---- who is told writes it down, in the same transaction ------------------------------------- */

static const struct sql note = {"INSERT INTO told (n, line) VALUES (?, ?)", NULL};
static int64_t n_notes;
static bool refuses;

static bool on_change(void *user, struct db_conn *c, const struct change *ch, struct err *e)
{
    static const char *const kinds[] = {"created", "updated", "deleted"};
    char line[4096];
    assert_ptr_equal(user, &rig);
    assert_true(ch->is_file);
    if (refuses)
        return err_set(e, ERR_QUOTA, "No.");
    struct db_stmt *s = db_prepare(c, &note, e);
    if (!s)
        return false;
    ptrdiff_t end = slice_search(ch->text, SLICE(",\"created\":")),
              owner = slice_search(ch->text, SLICE("\"owner\":"));
    struct slice shown =
        end < 0 ? ch->text
                : slice_skip(slice_first(ch->text, (size_t)end), (size_t)(owner < 0 ? 0 : owner));
    snprintf(line, sizeof line, "%.*s.%s %.*s %.*s/%u %.*s", SLICE_ARGS(ch->of), kinds[ch->kind],
             SLICE_ARGS(ch->id), SLICE_ARGS(ch->by), ch->depth, SLICE_ARGS(shown));
    if (ch->text.len) {
        struct json_doc doc;
        assert_true(json_parse(&doc, &rig.a, ch->text, NULL, e));
        assert_true(slice_eq(json_str(json_find(json_root(&doc), SLICE("path"))), ch->id));
        assert_int_equal(json_str(json_find(json_root(&doc), SLICE("etag"))).len, 66);
    }
    db_bind_i64(s, 1, ++n_notes);
    db_bind_text(s, 2, slice_trim(slice_from(line)));
    return db_run(s, NULL, e);
}

static bool run_text(void *arg, struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare_text(c, slice_from(arg), e);
    return s && db_run(s, NULL, e);
}

static void sql(const char *text)
{
    char copy[200];
    snprintf(copy, sizeof copy, "%s", text);
    if (!written(run_text, copy))
        fail_msg("%s", err.msg);
}

static bool read_told(const struct files_reading *r, void *arg)
{
    struct buf *to = arg;
    struct db_stmt *s = db_prepare_text(r->conn, SLICE("SELECT line FROM told ORDER BY n"), &err);
    assert_non_null(s);
    while (db_step(s, &err) == DB_ROW) {
        buf_add(to, db_text(s, 0));
        buf_add_char(to, '\n');
    }
    db_reset(s);
    return true;
}

/* All that was told since, a line each, is this. */
static void assert_told(const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_true(read_with(read_told, &b));
    buf_add_char(&b, '\0');
    assert_string_equal(b.data, want);
    buf_done(&b);
    sql("DELETE FROM told");
}

static int start(void **unused)
{
    (void)unused;
    rig_start(manifest);
    refuses = false;
    files_on_change(rig.files, on_change, &rig);
    sql("CREATE TABLE told (n BIGINT, line TEXT)");
    rig_be("ada");
    return 0;
}

static int stop(void **unused)
{
    (void)unused;
    rig_stop();
    return 0;
}

#define OK(call)                                \
    do {                                        \
        if (!(call))                            \
            fail_msg("%s: %s", #call, err.msg); \
    } while (0)
#define ADAS " \"owner\":\"ada\",\"public\":false\n"

/* ---- tests ----------------------------------------------------------------------------------- */

static void each_way_of_changing_is_told_once(void **unused)
{
    (void)unused;
    OK(put("own", "a", "1"));
    OK(put("own", "a", "2"));
    OK(put("own", "a", "2"));
    OK(change("own", "a", "b/c", -1));
    OK(drop("own", "b/c"));
    assert_told("own.created a ada/0" ADAS "own.updated a ada/0" ADAS "own.updated a ada/0" ADAS
                "own.deleted a ada/0" ADAS "own.created b/c ada/0" ADAS
                "own.deleted b/c ada/0" ADAS);
    OK(put("choice", "a", "1"));
    OK(change("choice", "a", "", 1));
    assert_told("choice.created a ada/0" ADAS
                "choice.updated a ada/0 \"owner\":\"ada\",\"public\":true\n");
}

static void what_does_not_happen_is_not_told(void **unused)
{
    (void)unused;
    OK(put("own", "a", "1"));
    OK(put("own", "b", "1"));
    assert_told("own.created a ada/0" ADAS "own.created b ada/0" ADAS);
    assert_false(put("small", "a", "far too large for it"));
    assert_false(drop("own", "c"));
    assert_false(change("own", "a", "b", -1));
    rig_be("bob");
    assert_false(put("own", "a", "1"));
    assert_false(drop("own", "a"));
    assert_told("");
}

static void who_follows_can_refuse(void **unused)
{
    struct file f;
    (void)unused;
    refuses = true;
    assert_false(put("own", "a", "1"));
    assert_int_equal(err.code, ERR_QUOTA);
    refuses = false;
    assert_false(get("own", "a", &f));
    OK(put("own", "a", "1"));
    refuses = true;
    assert_false(drop("own", "a"));
    assert_false(change("own", "a", "b", -1));
    refuses = false;
    OK(get("own", "a", &f));
    assert_int_equal(number("SELECT files FROM dais_file_use WHERE owner = 'ada'"), 1);
}

static void no_more_is_shown_than_may_be_read(void **unused)
{
    (void)unused;
    OK(put("box", "a", "1")); /* they sent it themselves */
    OK(put("box", "a", "2"));
    OK(change("box", "a", "b", -1));
    OK(drop("box", "b"));
    assert_told("box.created a ada/0" ADAS "box.updated a ada/0\nbox.deleted a ada/0\n"
                "box.created b ada/0\nbox.deleted b ada/0\n");
    rig_be("");
    OK(put("box", "a", "1"));
    OK(drop("box", "a"));
    assert_told("box.created a /0 \"owner\":null,\"public\":false\n"
                "box.deleted a /0\n");
}

static void the_depth_goes_along(void **unused)
{
    (void)unused;
    rig.identity.depth = 2;
    OK(put("own", "a", "1"));
    assert_told("own.created a ada/2" ADAS);
}

static void whoever_leaves_is_told_of(void **unused)
{
    struct sending s = {.bucket = "spaced", .space = "ada", .path = "s", .content = SLICE("1")};
    bool more = true;
    (void)unused;
    OK(put("own", "a", "1"));
    OK(put_sent(&s, NULL));
    sql("DELETE FROM told");
    while (more)
        assert_true(files_adopt_owner(rig.files, SLICE("ada"), SLICE("bob"), &more, &err));
    assert_told("own.updated a /0 \"owner\":\"bob\",\"public\":false\n"
                "spaced.updated s /0 \"owner\":\"bob\",\"public\":false\n");
    sql("UPDATE dais_files SET bucket = 'gone' WHERE bucket = 'spaced'");
    for (more = true; more;)
        assert_true(files_purge_owner(rig.files, SLICE("bob"), &more, &err));
    assert_told("own.deleted a /0\n"); /* what it was goes with them */
    assert_int_equal(number("SELECT COUNT(*) FROM dais_files"), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(T(each_way_of_changing_is_told_once), T(what_does_not_happen_is_not_told),
      T(who_follows_can_refuse), T(no_more_is_shown_than_may_be_read), T(the_depth_goes_along),
      T(whoever_leaves_is_told_of))
