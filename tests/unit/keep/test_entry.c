/* Entries of backups: there and back, and whatever is not one is refused. */
#include "keep_test.h"

#define NAME "20261122T030000Z-k3v9"
#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct keep_entry entry_of(void)
{
    static const struct slice steps[] = {SLICE_INIT("documents"), SLICE_INIT("files")};
    return (struct keep_entry){
        .name = NAME,
        .app = S("my-notes"),
        .made_by = S("dais 0.1.0"),
        .made_ms = 1795316400123,
        .is_sqlite = true,
        .is_of_restore = true,
        .steps = steps,
        .n_steps = 2,
        .tables = 12,
        .rows = 3456,
        .rows_bytes = 78901,
        .rows_hash = HASH,
        .contents = 17,
        .content_bytes = 1ull << 50,
        .lost = 3,
        .secret_mark = HASH,
    };
}

static struct slice text_of(const struct keep_entry *entry)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    keep_entry_write(entry, &text);
    struct slice copy = arena_dup(&rig.a, buf_slice(&text));
    buf_done(&text);
    return copy;
}

/* Without its end, which is the digest of all before it. */
static struct slice body_of(struct slice text)
{
    return slice_first(text, (size_t)(strstr(text.ptr, ",\"digest\":") - text.ptr));
}

/* The text of the entry above, with another `to` for its `from`, and the digest of that. */
static struct slice with(const char *from, const char *to)
{
    struct keep_entry entry = entry_of();
    struct buf text;
    buf_init(&text, 4u << 20);
    buf_add_replacing(&text, body_of(text_of(&entry)), S(from), S(to));
    keep_entry_seal(&text);
    struct slice copy = arena_dup(&rig.a, buf_slice(&text));
    buf_done(&text);
    return copy;
}

static bool read_it(struct slice text, struct keep_entry *ret)
{
    return keep_entry_read(S(NAME), text, &rig.a, ret, &rig.e);
}

static void there_and_back(void **state)
{
    struct keep_entry is = entry_of(), back;
    (void)state;
    for (int i = 0; i < 2; i++) {
        OK(read_it(text_of(&is), &back));
        assert_string_equal(back.name, NAME);
        assert_true(slice_eq(back.app, is.app) && slice_eq(back.made_by, is.made_by));
        assert_int_equal(back.made_ms, is.made_ms);
        assert_int_equal(back.is_sqlite, is.is_sqlite);
        assert_int_equal(back.is_of_restore, is.is_of_restore);
        assert_int_equal(back.n_steps, is.n_steps);
        for (size_t at = 0; at < is.n_steps; at++)
            assert_true(slice_eq(back.steps[at], is.steps[at]));
        assert_true(back.tables == is.tables && back.rows == is.rows &&
                    back.rows_bytes == is.rows_bytes && back.contents == is.contents &&
                    back.content_bytes == is.content_bytes && back.lost == is.lost);
        assert_string_equal(back.rows_hash, is.rows_hash);
        assert_string_equal(back.secret_mark, is.secret_mark);
        assert_string_equal(back.why_damaged, "");
        assert_true(slice_eq(text_of(&is), text_of(&back)));
        is = (struct keep_entry){
            .name = NAME, .app = S("a"), .made_by = S("b"), .rows_hash = HASH}; /* the least */
    }
}

static void what_is_none_is_refused(void **state)
{
    static const struct {
        const char *from, *to;
    } wrong[] = {
        {"{\"format\":1", "{\"format\":0"},
        {"{\"format\":1", "{\"format\":\"1\""},
        {"{\"format\":1,", "{"},
        {"\"my-notes\"", "\"\""},
        {"\"my-notes\"", "\"../notes\""},
        {"\"my-notes\"", "\"My\""},
        {"\"my-notes\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""},
        {"\"my-notes\"", "7"},
        {"\"dais 0.1.0\"", "\"\""},
        {"\"dais 0.1.0\"", "\"dais\\u001b[2J\""},
        {"\"dais 0.1.0\"", "\"dais\\n0.1\""},
        {"T03:00:00.123Z", "T03:00:00Z"},
        {"T03:00:00.123Z", "T25:00:00.123Z"},
        {"2026-11-22", "2026-02-30"},
        {"2026-11-22", "1969-11-22"},
        {"\"sqlite\"", "\"mysql\""},
        {"\"of_restore\":true", "\"of_restore\":1"},
        {"\"of_restore\":true,", ""},
        {"\"tables\":12", "\"tables\":-1"},
        {"\"tables\":12", "\"tables\":1.5"},
        {"\"rows\":3456", "\"rows\":\"3456\""},
        {"\"rows\":3456", "\"rows\":9007199254740993"},
        {"\"rows_bytes\":78901", "\"rows_bytes\":null"},
        {"\"rows_sha256\":\"0", "\"rows_sha256\":\"G"},
        {"\"rows_sha256\":\"0", "\"rows_sha256\":\"A"},
        {"\"rows_sha256\":\"0", "\"rows_sha256\":\""},
        {"\"rows_sha256\":\"" HASH, "\"rows_sha256\":\""},
        {"\"contents\":17", "\"contents\":99999999999999999999999"},
        {"\"content_bytes\":1", "\"content_bytes\":-1"},
        {"\"lost\":3", "\"lost\":18"},
        {"\"lost\":3,", ""},
        {"\"secret_mark\":\"0", "\"secret_mark\":\"00"},
        {"\"secret_mark\":\"" HASH "\",", ""},
        {"\"documents\"", "\"\""},
        {"\"documents\"", "3"},
        {"\"documents\"", "\"a\\u0000b\""},
        {"[\"documents\",\"files\"]", "{}"},
        {"\"steps\":[\"documents\",\"files\"]", "\"step\":[]"},
        {"]", "]} x"},
        {"]", ""},
        {"\"app\"", "\"rows\""}, /* twice */
    };
    struct keep_entry back = {.rows = 77};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct slice text = with(wrong[i].from, wrong[i].to);
        if (slice_eq(text, with("", "")))
            fail_msg("%s is not in it", wrong[i].from);
        rig.e = (struct err){0};
        if (read_it(text, &back))
            fail_msg("%s was taken for %s", wrong[i].to, wrong[i].from);
        assert_int_equal(rig.e.code, ERR_DAMAGED);
        assert_true(rig.e.msg[0]);
    }
    assert_int_equal(back.rows, 77); /* untouched */
    NOT(read_it(S(""), &back), ERR_DAMAGED);
    NOT(read_it(S("[]"), &back), ERR_DAMAGED);
}

/* One letter of it, wherever it is. */
static void what_was_changed_is_refused(void **state)
{
    struct slice good = with("", "");
    struct keep_entry back;
    struct err e;
    char *text = arena_zalloc(&rig.a, good.len + 2);
    (void)state;
    for (size_t i = 0; i < good.len; i++) {
        memcpy(text, good.ptr, good.len);
        text[i] ^= 1;
        e = (struct err){0};
        if (keep_entry_read(S(NAME), (struct slice){text, good.len}, &rig.a, &back, &e))
            fail_msg("%s", text);
        assert_int_equal(e.code, ERR_DAMAGED);
    }
    for (size_t i = 0; i < good.len; i++)
        NOT(read_it(slice_first(good, i), &back), ERR_DAMAGED);
    memcpy(text, good.ptr, good.len);
    text[good.len] = '\n';
    NOT(read_it((struct slice){text, good.len + 1}, &back), ERR_DAMAGED);
    snprintf(text, good.len, "%.*s}\n", SLICE_ARGS(body_of(good)));
    NOT(read_it(S(text), &back), ERR_DAMAGED);
    assert_non_null(strstr(rig.e.msg, "\"digest\""));
    OK(read_it(good, &back));
}

static void later_ones_may_say_more(void **state)
{
    struct keep_entry back;
    (void)state;
    OK(read_it(with("{\"format\":1", "{\"colour\":{\"of\":[1]},\"format\":1"), &back));
    NOT(read_it(with("{\"format\":1", "{\"format\":2"), &back), ERR_USAGE);
    assert_non_null(strstr(rig.e.msg, "newer"));
}

static void amounts_are_bounded(void **state)
{
    struct keep_entry back;
    struct buf steps;
    struct arena small;
    (void)state;
    buf_init(&steps, 1u << 20);
    for (int i = 0; i < 999; i++)
        buf_add_str(&steps, "\"s\",");
    buf_add_str(&steps, "\"s\"");
    OK(read_it(with("\"documents\",\"files\"", steps.data), &back));
    assert_int_equal(back.n_steps, 1000);
    buf_add_str(&steps, ",\"s\"");
    NOT(read_it(with("\"documents\",\"files\"", steps.data), &back), ERR_DAMAGED);
    arena_init(&small, 64); /* a list that is full already */
    NOT(keep_entry_read(S(NAME), with("", ""), &small, &back, &rig.e), ERR_DAMAGED);
    arena_done(&small);
    buf_done(&steps);
}

static void names(void **state)
{
    static const char *const wrong[] = {
        "",
        "latest",
        "20261122T030000Z-k3v",
        "20261122T030000Z-k3v9x",
        "20261122T030000Z-K3v9",
        "20261122T030000Z_k3v9",
        "20261122T030000Z-../.",
        "2026112/T030000Z-k3v9",
        "20261322T030000Z-k3v9",
        "20260230T030000Z-k3v9",
        "20261122T240000Z-k3v9",
        "20261122 030000Z-k3v9",
        "-0261122T030000Z-k3v9",
        "20261122T0300 0Z-k3v9",
        "19691122T030000Z-k3v9",
    };
    char a[KEEP_NAME_LEN + 1], b[KEEP_NAME_LEN + 1];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (keep_name_check(S(wrong[i])))
            fail_msg("%s was taken for a name", wrong[i]);
    }
    assert_false(keep_name_check((struct slice){"20261122T030000Z-k3\0"
                                                "9",
                                                KEEP_NAME_LEN}));
    assert_true(keep_name_check(S(NAME)));
    assert_int_equal(keep_name_ms(S(NAME)), 1795316400000);
    for (int i = 0; i < 1000; i++) {
        keep_name_make(1795316400999, a);
        keep_name_make(0, b);
        assert_true(keep_name_check(S(a)) && slice_starts(S(a), S("20261122T030000Z-")));
        assert_true(keep_name_check(S(b)) && slice_starts(S(b), S("19700101T000000Z-")));
    }
    keep_name_make(1795316400999, b);
    assert_string_not_equal(a, b);
    assert_true(keep_hash_check(S(HASH)));
    assert_false(keep_hash_check(slice_skip(S(HASH), 1)));
    assert_false(
        keep_hash_check(S("../3456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(TEST(there_and_back), TEST(what_is_none_is_refused), TEST(what_was_changed_is_refused),
      TEST(later_ones_may_say_more), TEST(amounts_are_bounded), TEST(names))
