/* Verified: whatever is wrong with a backup is told, and nothing that is not. Pruned: what no
 * backup names goes, and nothing else. */
#include "keep_test.h"

#define ONE   "20201120T030000Z-aaaa"
#define TWO   "20201121T030000Z-bbbb"
#define THREE "20201122T030000Z-cccc"
#define LATER "20901122T030000Z-dddd"

static uint64_t told, progress_contents, stop_after;

static void hear_lost(void *user, struct slice hash, const struct err *why)
{
    (void)user;
    assert_true(keep_hash_check(hash) && why->msg[0]);
    told++;
}

static void hear_progress(void *user, uint64_t rows, uint64_t contents, uint64_t all)
{
    (void)user;
    (void)rows;
    assert_true(contents <= all);
    progress_contents = contents;
}

static bool should_stop(void *user)
{
    (void)user;
    return stop_after && !--stop_after;
}

static const struct keep_hearer hearer = {
    .progress = hear_progress, .lost = hear_lost, .should_stop = should_stop};
static const struct keep_hearer deaf;

static struct keep_verdict verify(const struct keep_entry *entry)
{
    struct keep_verdict ret, again;
    told = stop_after = 0;
    OK(keep_verify(rig.k, entry, &deaf, &again, &rig.e));
    OK(keep_verify(rig.k, entry, &hearer, &ret, &rig.e));
    assert_memory_equal(&ret, &again, sizeof ret);
    return ret;
}

/* It says what is wrong, with these words. */
static void is_wrong(const struct keep_entry *entry, const char *words)
{
    struct keep_verdict v = verify(entry);
    if (!strstr(v.why, words))
        fail_msg("\"%s\" instead of \"%s\"", v.why, words);
    assert_true(v.damaged || v.missing);
}

/* ---- verifying ------------------------------------------------------------------------------- */

static void nothing_is_wrong(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("a", "b", "")), none;
    (void)state;
    struct keep_verdict v = verify(&entry);
    assert_string_equal(v.why, "");
    assert_true(v.rows == 4 && v.contents == 3 && !v.damaged && !v.missing && !told);
    assert_int_equal(progress_contents, 3);
    assert_false(is_there(content_path("loose"))); /* which nobody needs */
    none = make_backup(TWO, (const char *const[]){NULL});
    assert_string_equal(verify(&none).why, "");
}

static void rows_that_changed(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("a", "b"));
    struct slice good = read_from(ONE ".jsonl.gz");
    char *bytes = arena_alloc(&rig.a, good.len);
    (void)state;
    for (size_t i = 0; i < good.len; i++) {
        memcpy(bytes, good.ptr, good.len);
        bytes[i] ^= 0x10;
        write_to(ONE ".jsonl.gz", (struct slice){bytes, good.len});
        struct keep_verdict v = verify(&entry);
        assert_true(v.why[0] && v.damaged == 1);
    }
    write_to(ONE ".jsonl.gz", slice_first(good, good.len - 1));
    is_wrong(&entry, "cut off");
    make_rows(TWO, TEXTS("a", "b", "c")); /* another's, and good */
    assert_int_equal(rename(path_of(TWO ".jsonl.gz"), path_of(ONE ".jsonl.gz")), 0);
    is_wrong(&entry, "more rows");
    make_rows(TWO, TEXTS("a", "c"));
    assert_int_equal(rename(path_of(TWO ".jsonl.gz"), path_of(ONE ".jsonl.gz")), 0);
    is_wrong(&entry, "another one than was written");
    assert_int_equal(unlink(path_of(ONE ".jsonl.gz")), 0);
    is_wrong(&entry, "missing");
    assert_int_equal(symlink(path_of(TWO ".jsonl.gz"), path_of(ONE ".jsonl.gz")), 0);
    is_wrong(&entry, "no file");
}

static void entries_that_say_something_else(void **state)
{
    struct keep_entry is = make_backup(ONE, TEXTS("a", "b")), entry;
    (void)state;
    entry = is, entry.rows++;
    is_wrong(&entry, "fewer rows");
    entry = is, entry.rows--;
    is_wrong(&entry, "more rows");
    entry = is, entry.tables++;
    is_wrong(&entry, "fewer rows");
    entry = is, entry.tables--;
    is_wrong(&entry, "more rows");
    entry = is, entry.rows_bytes++;
    is_wrong(&entry, "another one");
    entry = is, entry.rows_hash[5] ^= 1;
    is_wrong(&entry, "another one");
    entry = is, entry.contents++;
    is_wrong(&entry, "other contents");
    entry = is, entry.content_bytes++;
    is_wrong(&entry, "other contents");
    assert_string_equal(verify(&is).why, "");
}

static void write_rows(const char *name, struct slice lines, struct keep_entry *entry)
{
    int fd = open(path_of(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct pack_out *p = pack_out_new(fd);
    OK(pack_out_add(p, lines, &rig.e));
    OK(pack_out_end(p, &entry->rows_bytes, entry->rows_hash, &rig.e));
    pack_out_free(p);
    close(fd);
}

/* Their file is what the entry says, but what is in it is none of ours. */
static void rows_that_are_none(void **state)
{
    static const char *const lines[][2] = {
        {"", "cut off"},
        {"{\"table\":\"c_a\",\"columns\":[\"id\"],\"kinds\":\"t\"}\n", "cut off"},
        {"nonsense\n", "Line 1"},
        {"{\"table\":\"dais_blobs\",\"columns\":[\"hash\"],\"kinds\":\"t\"}\n[\"x\"]\n"
         "{\"end\":\"dais_blobs\",\"rows\":1}\n{\"tables\":1,\"rows\":1}\n",
         "no column"},
        {"{\"table\":\"dais_blobs\",\"columns\":[\"hash\",\"blob_key\",\"size\",\"loose_at\"],"
         "\"kinds\":\"ttii\"}\n[\"../../../../etc/passwd\",\"x\",1,null]\n"
         "{\"end\":\"dais_blobs\",\"rows\":1}\n{\"tables\":1,\"rows\":1}\n",
         "names none"},
        {"{\"table\":\"dais_blobs\",\"columns\":[\"hash\",\"blob_key\",\"size\",\"loose_at\"],"
         "\"kinds\":\"ttii\"}\n"
         "[\"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\",\"x\",-1,null]\n"
         "{\"end\":\"dais_blobs\",\"rows\":1}\n{\"tables\":1,\"rows\":1}\n",
         "names none"},
    };
    struct keep_entry entry = make_backup(ONE, TEXTS("a"));
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        write_rows(ONE ".jsonl.gz", S(lines[i][0]), &entry);
        entry.tables = entry.rows = 1;
        is_wrong(&entry, lines[i][1]);
    }
}

static const char *aside(const char *text)
{
    return arena_cstr(&rig.a, arena_printf(&rig.a, "%s.damaged", content_path(text)));
}

/* Else the next backup would be as damaged as this one. */
static void a_damaged_content_is_set_aside(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("aa", "bb"));
    struct keep_verdict v;
    (void)state;
    write_to(content_path("aa"), S("AA"));
    v = verify(&entry);
    assert_true(v.damaged == 1 && v.aside == 1 && !v.missing);
    assert_true(is_there(aside("aa")) && !is_there(content_path("aa")));
    assert_true(is_there(content_path("bb")) && !is_there(aside("bb")));
    assert_false(content_has(rig.k, S(hash_of("aa")), 2));
    write_content("aa");
    v = verify(&entry);
    assert_true(!v.why[0] && !v.damaged && !v.aside);
}

/* Whoever writes there may have put a good one in its place just now. */
static void while_somebody_writes_nothing_is_set_aside(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("aa"));
    struct keep *writer = rig.k;
    (void)state;
    write_to(content_path("aa"), S("AA"));
    rig.k = keep_open(rig.path, false, &rig.e);
    struct keep_verdict v = verify(&entry);
    assert_true(v.damaged == 1 && !v.aside && is_there(content_path("aa")));
    keep_close(writer);
    v = verify(&entry);
    assert_true(v.damaged == 1 && v.aside == 1 && is_there(aside("aa")));
}

/* Rows that lie about a length do not push a good content out. */
static void a_good_content_is_not_set_aside(void **state)
{
    (void)state;
    make_backup(ONE, TEXTS("aa"));
    assert_false(content_set_aside(rig.k, S(hash_of("aa"))));
    assert_true(is_there(content_path("aa")));
    assert_false(content_set_aside(rig.k, S(hash_of("of none"))));
}

static void contents_that_changed(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("aa", "bb", "cc", "dd"));
    struct keep_verdict v;
    (void)state;
    write_to(content_path("aa"), S("AA"));
    write_to(content_path("bb"), S("b"));
    assert_int_equal(unlink(path_of(content_path("cc"))), 0);
    v = verify(&entry);
    assert_true(v.damaged == 2 && v.missing == 1 && v.contents == 4 && told == 3);
    assert_non_null(strstr(v.why, "other bytes"));
    assert_int_equal(unlink(path_of(aside("aa"))), 0);
    assert_int_equal(symlink("/etc/passwd", path_of(content_path("aa"))), 0);
    v = verify(&entry);
    assert_true(v.damaged == 2 && v.missing == 1 && told == 3);
}

/* What was lost when it was made is no news. */
static void contents_that_were_lost(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("aa", "bb", "cc"));
    struct keep_verdict v;
    (void)state;
    entry.lost = 1;
    assert_string_equal(verify(&entry).why, "");
    assert_int_equal(unlink(path_of(content_path("bb"))), 0);
    v = verify(&entry);
    assert_string_equal(v.why, "");
    assert_true(v.missing == 1 && told == 1 && !v.damaged);
    assert_int_equal(unlink(path_of(content_path("cc"))), 0);
    v = verify(&entry);
    assert_true(v.missing == 2 && told == 2);
    assert_non_null(strstr(v.why, "missing"));
    entry.lost = 2;
    write_to(content_path("aa"), S("AA"));
    is_wrong(&entry, "other bytes");
}

static void stopped_it_says_nothing(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("a", "b", "c"));
    struct keep_verdict v;
    (void)state;
    stop_after = 2;
    NOT(keep_verify(rig.k, &entry, &hearer, &v, &rig.e), ERR_UNAVAILABLE);
    OK(keep_verify(rig.k, &entry, NULL, &v, &rig.e)); /* nobody listens */
}

static void removed_meanwhile_it_is_not_damaged(void **state)
{
    struct keep_entry entry = make_backup(ONE, TEXTS("a"));
    struct keep_verdict v;
    (void)state;
    OK(keep_drop(rig.k, ONE, &rig.e));
    NOT(keep_verify(rig.k, &entry, &deaf, &v, &rig.e), ERR_NOT_FOUND);
}

/* ---- pruning --------------------------------------------------------------------------------- */

static uint64_t prune(int64_t daily)
{
    uint64_t n = 99;
    OK(keep_prune(rig.k, &(struct keep_rule){.daily = daily}, &deaf, &n, &rig.e));
    return n;
}

static bool has(const char *text)
{
    return is_there(content_path(text));
}

static void what_no_backup_names_goes(void **state)
{
    struct keep_entry entry;
    (void)state;
    make_backup(ONE, TEXTS("a", "b", "c"));
    make_backup(TWO, TEXTS("b", "c", "d"));
    entry = make_backup(THREE, TEXTS("c", "d", "e"));
    write_content("nobody's");
    write_content("loose");
    assert_int_equal(prune(3), 0);
    assert_true(has("a") && has("b") && has("c") && has("d") && has("e"));
    assert_false(has("nobody's") || has("loose"));
    assert_int_equal(prune(2), 1);
    assert_false(is_there(ONE ".json") || is_there(ONE ".jsonl.gz") || has("a"));
    assert_true(has("b") && has("c") && has("d") && has("e"));
    assert_int_equal(prune(0), 1);
    assert_false(has("b"));
    assert_string_equal(verify(&entry).why, "");
    OK(keep_drop(rig.k, THREE, &rig.e));
    assert_int_equal(prune(0), 0);
    assert_false(has("c") || has("d") || has("e"));
}

/* A clock that was wrong for a while: what it made is neither the newest nor in another's place. */
static void one_of_the_future_pushes_none_out(void **state)
{
    (void)state;
    make_backup(ONE, TEXTS("a"));
    make_backup(TWO, TEXTS("b"));
    make_backup(LATER, TEXTS("c"));
    assert_int_equal(prune(1), 1);
    assert_true(is_there(TWO ".json") && is_there(LATER ".json"));
    assert_true(has("b") && has("c"));
    assert_false(has("a"));
}

/* Of which nobody knows what it names. */
static void beside_one_that_cannot_be_read_no_content_goes(void **state)
{
    (void)state;
    make_backup(ONE, TEXTS("a"));
    make_backup(TWO, TEXTS("b"));
    struct slice rows = read_from(ONE ".jsonl.gz"), entry = read_from(ONE ".json");
    write_content("nobody's");
    write_to(ONE ".json", S("{"));
    assert_int_equal(prune(1), 0);
    assert_true(has("a") && has("nobody's") && is_there(ONE ".jsonl.gz"));
    write_to(ONE ".json", entry);
    char *zeros = arena_zalloc(&rig.a, rows.len);
    memcpy(zeros, rows.ptr, 30);
    write_to(ONE ".jsonl.gz", (struct slice){zeros, rows.len});
    assert_int_equal(prune(2), 0);
    assert_true(has("a") && has("nobody's"));
    assert_int_equal(unlink(path_of(ONE ".jsonl.gz")), 0);
    assert_int_equal(prune(2), 0);
    assert_true(has("a") && has("nobody's"));
    assert_int_equal(prune(1), 0); /* nor does it go itself: somebody may find its rows again */
    assert_true(has("a") && has("nobody's") && is_there(ONE ".json"));
    write_to(ONE ".jsonl.gz", (struct slice){zeros, rows.len});
    assert_int_equal(prune(1), 1); /* which the rule does not need: it need not be read */
    assert_false(has("a") || has("nobody's") || is_there(ONE ".json"));
}

static void what_was_set_aside_goes_when_nobody_names_it(void **state)
{
    (void)state;
    make_backup(ONE, TEXTS("a"));
    write_to(content_path("a"), S("A"));
    assert_true(content_set_aside(rig.k, S(hash_of("a"))));
    assert_int_equal(prune(1), 0);
    assert_true(is_there(aside("a")));
    make_backup(TWO, TEXTS("b"));
    assert_int_equal(prune(1), 1);
    assert_false(is_there(aside("a")));
}

static void many_are_found_again(void **state)
{
    const char *texts[3001];
    struct keep_entry entry;
    (void)state;
    for (size_t i = 0; i < 3000; i++)
        texts[i] = arena_cstr(&rig.a, arena_printf(&rig.a, "content %zu", i));
    texts[1500] = NULL;
    make_backup(ONE, texts);
    texts[1500] = "content 1500";
    texts[3000] = NULL;
    make_backup(TWO, texts + 1000);
    entry = make_backup(THREE, texts);
    for (size_t i = 0; i < 1000; i++) {
        char text[32];
        snprintf(text, sizeof text, "other %zu", i);
        write_content(text);
    }
    assert_int_equal(prune(3), 0);
    assert_string_equal(verify(&entry).why, "");
    assert_false(has("other 0") || has("other 500") || has("other 999"));
}

static void stopped_in_the_middle(void **state)
{
    uint64_t n;
    (void)state;
    make_backup(ONE, TEXTS("a"));
    make_backup(TWO, TEXTS("b"));
    make_backup(THREE, TEXTS("c"));
    stop_after = 2;
    NOT(keep_prune(rig.k, &(struct keep_rule){0}, &hearer, &n, &rig.e), ERR_UNAVAILABLE);
    assert_int_equal(n, 1); /* the oldest */
    assert_false(is_there(ONE ".json"));
    assert_true(is_there(TWO ".json") && has("a"));
    assert_int_equal(prune(0), 1);
    assert_false(has("a") || has("b"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(TEST(nothing_is_wrong), TEST(rows_that_changed), TEST(entries_that_say_something_else),
      TEST(rows_that_are_none), TEST(a_damaged_content_is_set_aside),
      TEST(while_somebody_writes_nothing_is_set_aside), TEST(a_good_content_is_not_set_aside),
      TEST(contents_that_changed), TEST(contents_that_were_lost), TEST(stopped_it_says_nothing),
      TEST(removed_meanwhile_it_is_not_damaged), TEST(what_no_backup_names_goes),
      TEST(one_of_the_future_pushes_none_out), TEST(beside_one_that_cannot_be_read_no_content_goes),
      TEST(what_was_set_aside_goes_when_nobody_names_it), TEST(many_are_found_again),
      TEST(stopped_in_the_middle))
