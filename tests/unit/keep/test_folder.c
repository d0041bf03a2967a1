/* The folder of backups: who may write, what is listed of what lies in it, and what is not
 * followed.
 */
#include "keep_test.h"

#include "base/clock.h"

#define ONE   "20201120T030000Z-aaaa"
#define TWO   "20201121T030000Z-bbbb"
#define THREE "20201122T030000Z-cccc"

static unsigned mode_of(const char *name)
{
    struct stat st;
    assert_int_equal(lstat(path_of(name), &st), 0);
    return st.st_mode & 07777;
}

static struct keep_entry *list(size_t *ret_n)
{
    struct keep_entry *all = NULL;
    OK(keep_list(rig.k, &rig.a, &all, ret_n, &rig.e));
    return all;
}

static bool find(const char *name, struct keep_entry *ret)
{
    return keep_find(rig.k, S(name), &rig.a, ret, &rig.e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void made_for_its_owner_alone(void **state)
{
    (void)state;
    make_backup(ONE, TEXTS("a"));
    assert_int_equal(mode_of("."), 0700);
    assert_int_equal(mode_of("contents"), 0700);
    assert_int_equal(mode_of("lock"), 0600);
    assert_int_equal(mode_of(ONE ".json"), 0600);
    assert_int_equal(mode_of(ONE ".jsonl.gz"), 0600);
}

static void with_the_folders_above_it(void **state)
{
    (void)state;
    struct keep *k = keep_open(path_of("a/b//c/"), true, &rig.e);
    assert_non_null(k);
    assert_true(is_there("a/b/c/contents"));
    keep_close(k);
    k = keep_open(path_of("a/b/c"), true, &rig.e); /* again */
    assert_non_null(k);
    keep_close(k);
    write_to("file", S("x"));
    NOT(keep_open(path_of("file"), true, &rig.e), ERR_IO);
    NOT(keep_open(path_of("file/x"), true, &rig.e), ERR_IO);
    NOT(keep_open(path_of("file"), false, &rig.e), ERR_IO);
}

static void one_writes_and_others_read(void **state)
{
    size_t n;
    (void)state;
    NOT(keep_open(rig.path, true, &rig.e), ERR_LOCKED);
    make_backup(ONE, TEXTS("a"));
    struct keep *writer = rig.k;
    rig.k = keep_open(rig.path, false, &rig.e);
    assert_non_null(rig.k);
    list(&n);
    assert_int_equal(n, 1);
    keep_close(writer);
    writer = keep_open(rig.path, true, &rig.e); /* a reader is not in its way */
    assert_non_null(writer);
    keep_close(writer);
    NOT(keep_open(path_of("nowhere"), false, &rig.e), ERR_NOT_FOUND);
    assert_false(is_there("nowhere"));
}

/* One that was there before, as somebody made it. */
static void what_is_ours_becomes_private(void **state)
{
    (void)state;
    keep_close(rig.k);
    assert_int_equal(chmod(rig.path, 0777), 0);
    assert_int_equal(chmod(path_of("contents"), 0755), 0);
    rig.k = keep_open(rig.path, false, &rig.e);
    assert_non_null(rig.k);
    assert_int_equal(mode_of("."), 0777); /* a reader changes nothing */
    keep_close(rig.k);
    rig.k = keep_open(rig.path, true, &rig.e);
    assert_non_null(rig.k);
    assert_int_equal(mode_of("."), 0700);
    assert_int_equal(mode_of("contents"), 0700);
}

static void links_in_it_are_not_followed(void **state)
{
    char elsewhere[128];
    (void)state;
    keep_close(rig.k);
    rig.k = NULL;
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", rig.dir);
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    assert_int_equal(rmdir(path_of("contents")), 0);
    assert_int_equal(symlink(elsewhere, path_of("contents")), 0);
    NOT(keep_open(rig.path, true, &rig.e), ERR_USAGE);
    NOT(keep_open(rig.path, false, &rig.e), ERR_USAGE);
    assert_int_equal(unlink(path_of("contents")), 0);
    assert_int_equal(unlink(path_of("lock")), 0);
    snprintf(elsewhere, sizeof elsewhere, "%s/locked", rig.dir);
    assert_int_equal(symlink(elsewhere, path_of("lock")), 0);
    NOT(keep_open(rig.path, true, &rig.e), ERR_IO);
    assert_int_equal(access(elsewhere, F_OK), -1);
    assert_int_equal(unlink(path_of("lock")), 0);
    assert_int_equal(mkfifo(path_of("lock"), 0600), 0);
    NOT(keep_open(rig.path, true, &rig.e), ERR_USAGE);
    assert_int_equal(unlink(path_of("lock")), 0);
    rig.k = keep_open(rig.path, false, &rig.e); /* no contents: nobody misses them yet */
    assert_non_null(rig.k);
}

/* ---- listing --------------------------------------------------------------------------------- */

static void the_newest_first(void **state)
{
    struct keep_entry *all;
    size_t n;
    (void)state;
    list(&n);
    assert_int_equal(n, 0);
    make_backup(TWO, TEXTS("a"));
    make_backup(THREE, TEXTS("a", "b"));
    make_backup(ONE, TEXTS("a"));
    make_backup("20201121T030000Z-zzzz", TEXTS("a"));
    all = list(&n);
    assert_int_equal(n, 4);
    assert_string_equal(all[0].name, THREE);
    assert_string_equal(all[1].name, "20201121T030000Z-zzzz");
    assert_string_equal(all[2].name, TWO);
    assert_string_equal(all[3].name, ONE);
    assert_int_equal(all[0].contents, 2);
    assert_true(slice_is(all[0].app, "notes") && !all[0].why_damaged[0]);
}

static void others_may_lie_there(void **state)
{
    size_t n;
    (void)state;
    make_backup(ONE, TEXTS("a"));
    write_to("README.txt", S("mine"));
    write_to("notes.json", S("{}"));
    write_to(TWO ".json.draft", S("{}"));
    write_to(TWO ".json.bak", S("{}"));
    write_to(TWO ".jsonl.gz", S("")); /* without an entry there is no backup */
    write_to("." TWO ".json", S("{}"));
    write_to("20261322T030000Z-cccc.json", S("{}"));
    assert_int_equal(mkdir(path_of("more"), 0700), 0);
    list(&n);
    assert_int_equal(n, 1);
}

/* One of each sort of damage; none keeps the others from being listed. */
static void what_cannot_be_read_is_listed_as_that(void **state)
{
    static const char *const names[] = {
        "20201122T030000Z-0001", "20201122T030000Z-0002", "20201122T030000Z-0003",
        "20201122T030000Z-0004", "20201122T030000Z-0005", "20201122T030000Z-0006",
        "20201122T030000Z-0007",
    };
    static const char *const why[] = {"no JSON", "no file", "no file",   "no file",
                                      "longer",  "newer",   "\"format\""};
    struct keep_entry *all, one;
    size_t n;
    char *big = arena_zalloc(&rig.a, 2u << 20);
    (void)state;
    make_backup(ONE, TEXTS("a"));
    const char *at[7];
    for (size_t i = 0; i < 7; i++)
        at[i] = arena_cstr(&rig.a, arena_printf(&rig.a, "%s.json", names[i]));
    write_to(at[0], S("{\"format\":1,"));
    assert_int_equal(symlink(path_of(ONE ".json"), path_of(at[1])), 0);
    assert_int_equal(mkdir(path_of(at[2]), 0700), 0);
    assert_int_equal(mkfifo(path_of(at[3]), 0600), 0); /* nobody waits for who writes into it */
    memset(big, ' ', 2u << 20);
    write_to(at[4], (struct slice){big, 2u << 20});
    write_to(at[5], S("{\"format\":2}"));
    write_to(at[6], S("{}"));
    all = list(&n);
    assert_int_equal(n, 8);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(all[i].name, names[6 - i]);
        assert_int_equal(all[i].made_ms, keep_name_ms(S(names[6 - i])));
        if (!strstr(all[i].why_damaged, why[6 - i]))
            fail_msg("%s: %s", names[6 - i], all[i].why_damaged);
        NOT(find(names[i], &one), i == 5 ? ERR_USAGE : ERR_DAMAGED);
        assert_non_null(strstr(rig.e.msg, why[i]));
    }
    assert_string_equal(all[7].why_damaged, "");
    /* The newest is the newest: an older one in its place would be a surprise. */
    NOT(find("latest", &one), ERR_DAMAGED);
    assert_non_null(strstr(rig.e.msg, names[6]));
}

/* The command asks whether the newest is young enough, and reads no rows for that. */
static void without_its_rows_it_is_none(void **state)
{
    struct keep_entry *all, one;
    struct slice rows;
    size_t n;
    (void)state;
    make_backup(ONE, TEXTS("a"));
    rows = read_from(ONE ".jsonl.gz");
    write_to(ONE ".jsonl.gz", slice_first(rows, rows.len - 1));
    all = list(&n);
    assert_true(n == 1 && strstr(all[0].why_damaged, "not as long"));
    assert_int_equal(unlink(path_of(ONE ".jsonl.gz")), 0);
    all = list(&n);
    assert_true(n == 1 && strstr(all[0].why_damaged, "rows are missing"));
    assert_true(all[0].made_ms == keep_name_ms(S(ONE)) && !strcmp(all[0].name, ONE));
    NOT(find(ONE, &one), ERR_DAMAGED);
    assert_int_equal(symlink("lock", path_of(ONE ".jsonl.gz")), 0);
    all = list(&n);
    assert_true(n == 1 && strstr(all[0].why_damaged, "no file"));
    assert_int_equal(unlink(path_of(ONE ".jsonl.gz")), 0);
    write_to(ONE ".jsonl.gz", rows);
    OK(find(ONE, &one));
}

static void more_than_an_arena_has_room_for(void **state)
{
    struct keep_entry *all;
    struct arena small;
    size_t n;
    (void)state;
    make_backup(ONE, TEXTS("a"));
    make_backup(TWO, TEXTS("a"));
    arena_init(&small, 1000);
    NOT(keep_list(rig.k, &small, &all, &n, &rig.e), ERR_USAGE);
    arena_done(&small);
}

/* ---- finding --------------------------------------------------------------------------------- */

static void by_name(void **state)
{
    struct keep_entry is;
    (void)state;
    NOT(find("latest", &is), ERR_NOT_FOUND);
    NOT(find(ONE, &is), ERR_NOT_FOUND);
    make_backup(ONE, TEXTS("a"));
    make_backup(THREE, TEXTS("a"));
    OK(find("latest", &is));
    assert_string_equal(is.name, THREE);
    OK(find(ONE, &is));
    assert_string_equal(is.name, ONE);
    NOT(find("20201120T030000Z-aaab", &is), ERR_NOT_FOUND);
    assert_non_null(strstr(rig.e.msg, "nearest name is " ONE));
    NOT(find("../notes", &is), ERR_NOT_FOUND);
    assert_non_null(strstr(rig.e.msg, "newest one is " THREE));
    NOT(find("", &is), ERR_NOT_FOUND);
}

/* A backup made by hand that says so. */
static void put(const char *name, bool is_of_restore)
{
    struct keep_entry entry = make_rows(name, TEXTS("a"));
    entry.is_of_restore = is_of_restore;
    OK(keep_put(rig.k, &entry, &rig.e));
}

/* Who restores a second time wants the backup again, not what the first time has replaced. */
static void the_latest_is_none_of_a_restore(void **state)
{
    struct keep_entry is;
    (void)state;
    put(TWO, true);
    OK(find("latest", &is)); /* there is no other */
    assert_string_equal(is.name, TWO);
    put(ONE, false);
    OK(find("latest", &is));
    assert_string_equal(is.name, ONE);
    OK(find(TWO, &is));
    assert_true(is.is_of_restore);
}

/* What a clock has made that was ahead of time. */
static void the_latest_is_none_of_the_future(void **state)
{
    char soon[KEEP_NAME_LEN + 1], later[KEEP_NAME_LEN + 1];
    struct keep_entry is;
    (void)state;
    keep_name_make(clock_wall_ms() + 50 * 60 * 1000, soon);
    keep_name_make(clock_wall_ms() + 70 * 60 * 1000, later);
    put("29991122T030000Z-dddd", false);
    OK(find("latest", &is)); /* there is no other */
    put(later, false);
    put(ONE, true);
    OK(find("latest", &is));
    assert_string_equal(is.name, "29991122T030000Z-dddd");
    put(TWO, false);
    OK(find("latest", &is));
    assert_string_equal(is.name, TWO);
    put(soon, false);
    OK(find("latest", &is));
    assert_string_equal(is.name, soon);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void rows_are_written_once(void **state)
{
    struct keep_entry entry = make_rows(ONE, TEXTS("a"));
    size_t n;
    (void)state;
    assert_int_equal(keep_open_rows(rig.k, ONE, true, &rig.e), -1); /* there is one */
    assert_false(keep_has(rig.k, ONE));
    list(&n);
    assert_int_equal(n, 0);
    OK(keep_put(rig.k, &entry, &rig.e));
    assert_true(keep_has(rig.k, ONE));
    list(&n);
    assert_int_equal(n, 1);
    assert_false(is_there(ONE ".json.draft"));
    int fd = keep_open_rows(rig.k, ONE, false, &rig.e);
    assert_true(fd >= 0);
    close(fd);
    NOT(keep_open_rows(rig.k, TWO, false, &rig.e) >= 0, ERR_NOT_FOUND);
    assert_int_equal(symlink(path_of(ONE ".jsonl.gz"), path_of(TWO ".jsonl.gz")), 0);
    NOT(keep_open_rows(rig.k, TWO, false, &rig.e) >= 0, ERR_DAMAGED);
    NOT(keep_open_rows(rig.k, TWO, true, &rig.e) >= 0, ERR_IO);
}

static void what_is_dropped_is_gone(void **state)
{
    size_t n;
    (void)state;
    make_backup(ONE, TEXTS("a"));
    make_backup(TWO, TEXTS("a"));
    OK(keep_drop(rig.k, ONE, &rig.e));
    assert_false(is_there(ONE ".json") || is_there(ONE ".jsonl.gz"));
    assert_string_equal(list(&n)->name, TWO);
    assert_int_equal(n, 1);
    OK(keep_drop(rig.k, ONE, &rig.e));
}

static void what_the_killed_left_goes(void **state)
{
    (void)state;
    make_backup(ONE, TEXTS("a"));
    make_rows(TWO, TEXTS("a"));                  /* killed before its entry */
    write_to(THREE ".json.draft", S("{\"form")); /* killed while it was written */
    write_to("notes.json.draft", S("mine"));
    write_to("notes.jsonl.gz", S("mine"));
    const char *draft = arena_cstr(&rig.a, arena_printf(&rig.a, "contents/%s.draft", hash_of("b")));
    write_to(draft, S("b"));
    write_to("contents/mine.draft", S("mine"));
    keep_tidy(rig.k);
    assert_false(is_there(TWO ".jsonl.gz") || is_there(THREE ".json.draft") || is_there(draft));
    assert_true(is_there(ONE ".json") && is_there(ONE ".jsonl.gz") && is_there(content_path("a")) &&
                is_there("notes.json.draft") && is_there("notes.jsonl.gz") &&
                is_there("contents/mine.draft"));
    /* Rows whose entry is there in whatever state stay. */
    make_rows(TWO, TEXTS("a"));
    write_to(TWO ".json", S("{"));
    keep_tidy(rig.k);
    assert_true(is_there(TWO ".jsonl.gz"));
}

/* A draft that was left is not in the way of the next one of that name, nor followed. */
static void a_draft_that_is_a_link(void **state)
{
    struct keep_entry entry = make_rows(ONE, TEXTS("a"));
    (void)state;
    write_to("precious", S("mine"));
    assert_int_equal(symlink("precious", path_of(ONE ".json.draft")), 0);
    NOT(keep_put(rig.k, &entry, &rig.e), ERR_IO);
    assert_true(slice_is(read_from("precious"), "mine"));
    assert_false(keep_has(rig.k, ONE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(TEST(made_for_its_owner_alone), TEST(with_the_folders_above_it),
      TEST(one_writes_and_others_read), TEST(what_is_ours_becomes_private),
      TEST(links_in_it_are_not_followed), TEST(the_newest_first), TEST(others_may_lie_there),
      TEST(what_cannot_be_read_is_listed_as_that), TEST(without_its_rows_it_is_none),
      TEST(more_than_an_arena_has_room_for), TEST(by_name), TEST(the_latest_is_none_of_a_restore),
      TEST(the_latest_is_none_of_the_future), TEST(rows_are_written_once),
      TEST(what_is_dropped_is_gone), TEST(what_the_killed_left_goes), TEST(a_draft_that_is_a_link))
