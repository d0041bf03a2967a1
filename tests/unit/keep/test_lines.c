/* Rows as lines: there and back whatever is in them, and nothing else is read. */
#include "keep_test.h"

static const struct keep_table notes = {
    .name = SLICE_INIT("c_notes"),
    .columns = {{SLICE_INIT("id"), KIND_TEXT},
                {SLICE_INIT("n"), KIND_NUMBER},
                {SLICE_INIT("x"), KIND_BYTES}},
    .n = 3,
};

/* Reads all lines of the text; the last one's failure is in rig.e. */
static bool read_all(struct keep_reader *r, struct slice text)
{
    struct slice line;
    enum keep_line is;
    while (slice_cut(&text, '\n', &line)) {
        if (!keep_reader_line(r, line, &is, &rig.e))
            return false;
    }
    return true;
}

static bool read_text(const char *text, bool *ret_over)
{
    struct keep_reader r;
    keep_reader_init(&r);
    bool fine = read_all(&r, S(text));
    *ret_over = r.is_over;
    keep_reader_done(&r);
    return fine;
}

static bool cells_are(const struct keep_table *t, const struct keep_cell *a,
                      const struct keep_cell *b)
{
    for (size_t i = 0; i < t->n; i++) {
        if (a[i].is_null != b[i].is_null || (!a[i].is_null && a[i].number != b[i].number) ||
            (!a[i].is_null && !slice_eq(a[i].bytes, b[i].bytes)))
            return false;
    }
    return true;
}

static void there_and_back(void **state)
{
    static const struct slice texts[] = {
        SLICE_INIT(""),
        SLICE_INIT("plain"),
        SLICE_INIT("two\nlines \"quoted\" \\ \t\x01\x7f"),
        SLICE_INIT("a\0b"),
        SLICE_INIT("\xc3\xa4\xe2\x80\xa8\xf0\x9f\x98\x80"),
        SLICE_INIT("no utf-8 \xff\xc3"),
        SLICE_INIT("\xed\xa0\x80"), /* a surrogate */
        SLICE_INIT("{\"b\":\"YQ\"}"),
    };
    static const int64_t numbers[] = {0, -1, INT64_MIN, INT64_MAX, 1ll << 53};
    struct keep_reader r;
    struct buf line;
    enum keep_line is;
    (void)state;
    keep_reader_init(&r);
    buf_init(&line, KEEP_LINE_MAX);
    keep_line_table(&line, &notes);
    OK(read_all(&r, buf_slice(&line)));
    assert_true(slice_is(r.table.name, "c_notes") && r.table.n == 3 &&
                slice_is(r.table.columns[2].name, "x") && r.table.columns[2].kind == KIND_BYTES);
    for (size_t i = 0; i < 16 * 5; i++) {
        struct slice text = texts[i % 8], bytes = texts[(i + 3) % 8];
        struct keep_cell cells[] = {
            {.bytes = text, .is_null = i % 7 == 3},
            {.number = numbers[i % 5], .is_null = i % 11 == 3},
            {.bytes = bytes, .is_null = i % 13 == 3},
        };
        buf_clear(&line);
        keep_line_row(&line, &notes, cells);
        struct slice all = buf_slice(&line);
        assert_int_equal(slice_index(all, '\n'), all.len - 1);
        assert_false(line.full);
        OK(keep_reader_line(&r, slice_first(all, all.len - 1), &is, &rig.e));
        assert_int_equal(is, LINE_ROW);
        assert_true(cells_are(&notes, cells, r.cells));
    }
    buf_clear(&line);
    keep_line_end(&line, notes.name, 80);
    keep_line_last(&line, 1, 80);
    OK(read_all(&r, buf_slice(&line)));
    assert_true(r.is_over && r.all_rows == 80 && r.tables == 1);
    buf_done(&line);
    keep_reader_done(&r);
}

#define TABLE "{\"table\":\"c_a\",\"columns\":[\"id\",\"n\",\"x\"],\"kinds\":\"tib\"}\n"
#define NEXT  "{\"table\":\"c_b\",\"columns\":[\"id\"],\"kinds\":\"t\"}\n"
#define ROW   "[\"a\",1,{\"b\":\"YQ\"}]\n"
#define END   "{\"end\":\"c_a\",\"rows\":1}\n"
#define LAST  "{\"tables\":1,\"rows\":1}\n"

static void what_is_written_is_this(void **state)
{
    struct buf to;
    bool is_over;
    (void)state;
    buf_init(&to, 4096);
    keep_line_table(
        &to, &(struct keep_table){
                 .name = S("c_a"),
                 .columns = {{S("id"), KIND_TEXT}, {S("n"), KIND_NUMBER}, {S("x"), KIND_BYTES}},
                 .n = 3});
    keep_line_row(&to, &notes,
                  (struct keep_cell[]){{.bytes = S("a")}, {.number = 1}, {.bytes = S("a")}});
    keep_line_end(&to, S("c_a"), 1);
    keep_line_last(&to, 1, 1);
    assert_string_equal(to.data, TABLE ROW END LAST);
    buf_done(&to);
    OK(read_text(TABLE ROW END LAST, &is_over));
    assert_true(is_over);
    OK(read_text(TABLE ROW END, &is_over));
    assert_false(is_over);
    OK(read_text("{\"tables\":0,\"rows\":0}", &is_over));
    assert_true(is_over);
    OK(read_text(TABLE "[null,null,null]\n" END NEXT "{\"end\":\"c_b\",\"rows\":0}\n"
                       "{\"tables\":2,\"rows\":1}",
                 &is_over));
}

static void any_other_is_refused(void **state)
{
    static const char *const wrong[] = {
        /* their order */
        ROW,
        END,
        LAST,
        TABLE TABLE,
        TABLE NEXT,
        TABLE ROW LAST,
        TABLE ROW END ROW,
        TABLE ROW END TABLE,
        TABLE ROW END END,
        TABLE ROW END LAST LAST,
        TABLE ROW END LAST NEXT,
        TABLE ROW END "{\"table\":\"dais_blobs\",\"columns\":[\"id\"],\"kinds\":\"t\"}",
        /* counts */
        TABLE END,
        TABLE ROW ROW END,
        TABLE ROW "{\"end\":\"c_a\",\"rows\":\"1\"}",
        TABLE ROW "{\"end\":\"c_b\",\"rows\":1}",
        TABLE ROW END "{\"tables\":2,\"rows\":1}",
        TABLE ROW END "{\"tables\":1,\"rows\":2}",
        TABLE ROW END "{\"tables\":1}",
        TABLE ROW "{\"end\":\"c_a\"}",
        /* names and columns */
        "{\"table\":\"C_a\",\"columns\":[\"id\"],\"kinds\":\"t\"}",
        "{\"table\":\"c_a; DROP TABLE x\",\"columns\":[\"id\"],\"kinds\":\"t\"}",
        "{\"table\":\"\",\"columns\":[\"id\"],\"kinds\":\"t\"}",
        "{\"table\":\"1a\",\"columns\":[\"id\"],\"kinds\":\"t\"}",
        "{\"table\":\"a234567890123456789012345678901234567890123456789012345678901234\","
        "\"columns\":[\"id\"],\"kinds\":\"t\"}",
        "{\"table\":\"c_a\",\"columns\":[\"i\\\"d\"],\"kinds\":\"t\"}",
        "{\"table\":\"c_a\",\"columns\":[\"i\\u0000\"],\"kinds\":\"t\"}",
        "{\"table\":\"c_a\",\"columns\":[\"id\",\"id\"],\"kinds\":\"tt\"}",
        "{\"table\":\"c_a\",\"columns\":[],\"kinds\":\"\"}",
        "{\"table\":\"c_a\",\"columns\":[\"id\"],\"kinds\":\"tt\"}",
        "{\"table\":\"c_a\",\"columns\":[\"id\"],\"kinds\":\"\"}",
        "{\"table\":\"c_a\",\"columns\":[\"id\"],\"kinds\":\"x\"}",
        "{\"table\":\"c_a\",\"columns\":[1],\"kinds\":\"t\"}",
        "{\"table\":\"c_a\",\"columns\":{\"id\":1},\"kinds\":\"t\"}",
        "{\"table\":\"c_a\",\"columns\":[\"id\"],\"kinds\":\"t\",\"more\":1}",
        "{\"table\":\"c_a\",\"columns\":[\"id\"]}",
        /* cells */
        TABLE "[]",
        TABLE "[\"a\",1]",
        TABLE "[\"a\",1,null,null]",
        TABLE "[1,1,null]",
        TABLE "[\"a\",\"1\",null]",
        TABLE "[\"a\",1.5,null]",
        TABLE "[\"a\",9223372036854775808,null]",
        TABLE "[\"a\",1,\"YQ\"]",
        TABLE "[\"a\",1,{\"b\":\"Y\"}]",
        TABLE "[\"a\",1,{\"b\":\"YR\"}]",
        TABLE "[\"a\",1,{\"b\":\"YQ==\"}]",
        TABLE "[\"a\",1,{\"b\":1}]",
        TABLE "[\"a\",1,{\"c\":\"YQ\"}]",
        TABLE "[\"a\",1,{\"b\":\"YQ\",\"c\":1}]",
        TABLE "[\"a\",1,{}]",
        TABLE "[\"a\",1,[]]",
        TABLE "[true,1,null]",
        TABLE "[{\"b\":\"YQ\"},1,null]", /* which is UTF-8 */
        TABLE "[\"a\",1,{\"b\":[]}]",
        TABLE "[\"a\",1,{\"b\":{}}]",
        /* JSON */
        "",
        " ",
        "x",
        "1",
        "null",
        "\"table\"",
        "{}",
        "[",
        TABLE "[\"a\",1,null",
        TABLE ROW "\n",
        TABLE "[\"a\",1,null] []",
        TABLE "[\"\xff\",1,null]",
    };
    bool is_over;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *text = wrong[i][0] ? wrong[i] : "\n";
        rig.e = (struct err){0};
        if (read_text(text, &is_over))
            fail_msg("%s was read", text);
        if (rig.e.code != ERR_DAMAGED || !slice_starts(S(rig.e.msg), S("Line ")))
            fail_msg("%s: %s", text, rig.e.msg);
    }
    read_text(TABLE ROW ROW "[]", &is_over);
    assert_true(slice_starts(S(rig.e.msg), S("Line 4 of")));
}

/* As many columns as there may be, each with the most values that a cell can be made of. */
static void many_columns(void **state)
{
    struct keep_table t = {.name = S("c_wide"), .n = KEEP_COLUMNS_MAX};
    struct keep_cell cells[KEEP_COLUMNS_MAX] = {0};
    struct buf to;
    bool is_over;
    (void)state;
    for (size_t i = 0; i < t.n; i++) {
        t.columns[i] = (struct keep_column){arena_printf(&rig.a, "k%zu", i), KIND_BYTES};
        cells[i].bytes = S("\xff");
    }
    buf_init(&to, 1u << 20);
    keep_line_table(&to, &t);
    keep_line_row(&to, &t, cells);
    OK(read_text(to.data, &is_over));
    buf_clear(&to);
    buf_add_str(&to, "{\"table\":\"c_wide\",\"columns\":[");
    for (size_t i = 0; i <= t.n; i++)
        buf_printf(&to, "%s\"k%zu\"", i ? "," : "", i);
    buf_printf(&to, "],\"kinds\":\"%065d\"}", 0);
    for (char *c = to.data; (c = strchr(c, '0')) && c[1] == '0'; c++)
        *c = 'b';
    NOT(read_text(to.data, &is_over), ERR_DAMAGED);
    buf_done(&to);
}

/* The longest line that there may be, in escapes and in bytes, and one byte more. */
static void long_lines(void **state)
{
    static const char *const forms[][3] = {
        {"[\"", "\\u0041", "\",1,null]"},
        {"[\"", "x", "\",1,null]"},
        {"[\"a\",1,{\"b\":\"", "\\u0041\\u0041\\u0041\\u0041", "\"}]"},
    };
    struct keep_reader r;
    struct buf to;
    enum keep_line is;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(forms[i][1]), ends = strlen(forms[i][0]) + strlen(forms[i][2]);
        keep_reader_init(&r);
        OK(read_all(&r, S(TABLE)));
        buf_init(&to, KEEP_LINE_MAX + 1);
        buf_add_str(&to, forms[i][0]);
        while (to.len + n + ends <= KEEP_LINE_MAX)
            buf_add_str(&to, forms[i][1]);
        buf_add_str(&to, forms[i][2]);
        OK(keep_reader_line(&r, buf_slice(&to), &is, &rig.e));
        while (to.len <= KEEP_LINE_MAX)
            buf_add_char(&to, ' ');
        NOT(keep_reader_line(&r, buf_slice(&to), &is, &rig.e), ERR_DAMAGED);
        buf_done(&to);
        keep_reader_done(&r);
    }
}

static void what_is_too_long_is_not_written(void **state)
{
    struct buf to;
    char *big = arena_alloc(&rig.a, 1000);
    (void)state;
    memset(big, '\x01', 1000); /* six bytes each */
    buf_init(&to, 5999);
    keep_line_row(&to, &notes,
                  (struct keep_cell[]){{.bytes = {big, 1000}}, {.number = 1}, {.is_null = true}});
    assert_true(to.full);
    buf_done(&to);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
TESTS(TEST(there_and_back), TEST(what_is_written_is_this), TEST(any_other_is_refused),
      TEST(many_columns), TEST(long_lines), TEST(what_is_too_long_is_not_written))
