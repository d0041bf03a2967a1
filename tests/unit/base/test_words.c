/* Words: many scripts, cut and folded; what a search box means; FTS5 asked for it. */
#include "unit.h"
#include "base/words.h"
#include "base/words_query.h"

#include <sqlite3.h>

static const struct {
    const char *text, *words;
} cuts[] = {
    {"", ""},
    {" \t\n.,;!?", ""},
    {"Hello, World", "hello world"},
    {"a1 B2-c3_d4", "a1 b2 c3 d4"},
    {"don't l’école rock'n'roll", "don t l ecole rock n roll"},
    {"п’ять п\xca\xbcять", "п ять п ять"}, /* the letter apostrophe like the others */
    {"Straße STRASSE ẞ", "strasse strasse ss"},
    {"éèêë E\xcc\x81", "eeee e"}, /* composed and not */
    {"Ångström naïve Łódź", "angstrom naive lodz"},
    {"Ørsted Æsir œuvre Þór ħ", "orsted aesir oeuvre thor h"},
    {"İstanbul ISTANBUL ısı", "istanbul istanbul isi"},
    {"Tiếng Việt", "tieng viet"},
    {"Ёлка ЙОД", "елка иод"},
    {"Ὀδυσσεύς ΟΔΥΣΣΕΥΣ ᾳ", "οδυσσευσ οδυσσευσ α"},
    {"ﬁne ＡＢＣ１２ x² Ⅷ ①", "fine abc12 x2 viii 1"},
    {"½", "½"},
    {"١٢٣ ۴۵ ४२ ๓", "123 45 42 3"},
    {"مُحَمَّد أحمد محـمد", "محمد احمد محمد"},
    {"שָׁלוֹם", "שלום"},
    {"हिन्दी क\xe0\xa4\xbc क़", "हिन्दी क\xe0\xa4\xbc क\xe0\xa4\xbc"},
    {"தமிழ் বাংলা", "தமிழ் বাংলা"},
    {"東京都", "東 京 都"},
    {"iPhone用ケース3", "iphone 用 ケ ー ス 3"},
    {"ガ ｶﾞ カ", "カ\xe3\x82\x99 カ\xe3\x82\x99 カ"},
    {"학교에",
     "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xa8 \xe1\x84\x80\xe1\x85\xad \xe1\x84\x8b\xe1\x85\xa6"},
    {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xa8", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xa8"},
    {"ที่นี่", "ที่ นี่"},
    {"so\xc2\xad"
     "ft می\xe2\x80\x8cخواهم e\xef\xb8\x8f zero\xe2\x80\x8bwidth",
     "soft میخواهم e zero width"},
    {"👍🏽 1\xef\xb8\x8f\xe2\x83\xa3 a😀b", "1 a b"},
    {"\xee\x80\x80x", "\xee\x80\x80x"}, /* private use */
    {"\xcc\x81 \xe0\xa4\xbe", "\xe0\xa4\xbe"},
    {"𝐁𝐨𝐥𝐝 𐐀", "bold 𐐨"},
    /* malformed bytes separate */
    {"a\xff"
     "b\xc3 c\xed\xa0\x80"
     "d\xe2\x82",
     "a b c d"},
    {"\xc0\x80\xf4\x90\x80\x80z", "z"},
};

static void assert_bytes(const struct buf *got, const char *want)
{
    assert_string_equal(got->data ? got->data : "", want);
}

static void test_cuts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        struct buf got, again;
        buf_init(&got, 1000);
        buf_init(&again, 1000);
        words_add(&got, slice_from(cuts[i].text));
        assert_bytes(&got, cuts[i].words);
        words_add(&again, buf_slice(&got)); /* what is folded folds to itself */
        assert_bytes(&again, cuts[i].words);
        buf_done(&got);
        buf_done(&again);
    }
}

static void test_long_words_are_cut(void **state)
{
    (void)state;
    char text[500];
    struct words w;
    struct slice word;
    memset(text, 'x', sizeof text);
    memcpy(text + 63, "ж", 2); /* ends at byte 65 */
    text[300] = ' ';
    words_init(&w, (struct slice){text, sizeof text});
    assert_true(words_cut(&w, &word));
    assert_int_equal(word.len, 63); /* and no x from behind it */
    assert_true(words_cut(&w, &word));
    assert_int_equal(word.len, WORDS_BYTES_MAX);
    assert_false(words_cut(&w, &word));
}

static void test_a_full_buf_ends_it(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    words_add(&b, SLICE("one two three four"));
    assert_true(b.full);
    buf_done(&b);
}

static void test_texts_stand_apart(void **state)
{
    (void)state;
    struct buf b;
    struct words_vector v = {0};
    buf_init(&b, 1000);
    words_add(&b, SLICE("one two"));
    words_add(&b, SLICE("..."));
    words_add(&b, SLICE("three"));
    assert_bytes(&b, "one two \xc2\xb7 three");
    buf_clear(&b);
    words_add_vector(&b, &v, SLICE("One, two"));
    words_add_vector(&b, &v, SLICE("two"));
    assert_bytes(&b, "'one':1 'two':2 'two':4");
    buf_done(&b);
}

static void test_what_a_vector_holds(void **state)
{
    (void)state;
    struct buf text, b;
    struct words_vector v = {0};
    buf_init(&text, 4 << 20);
    buf_init(&b, 8 << 20);
    for (size_t i = 0; i < 400000; i++)
        buf_printf(&text, "w%zu ", i);
    words_add_vector(&b, &v, buf_slice(&text));
    assert_false(b.full);
    assert_true(slice_search(buf_slice(&b), SLICE("'w16382':16383 'w16383' 'w16384' ")) > 0);
    assert_int_equal(v.position, 16383);
    assert_true(v.bytes > 1000000 && v.bytes < 1000100);
    assert_true(b.data[b.len - 1] == '\'');
    buf_done(&text);
    buf_done(&b);
}

static const struct {
    const char *text, *fts5, *tsquery;
} queries[] = {
    {"War", "(\"war\")", "('war')"},
    {" war\tpeace ", "(\"war\" AND \"peace\")", "('war') & ('peace')"},
    {"\"War and Peace\"", "(\"war and peace\")", "('war' <-> 'and' <-> 'peace')"},
    {"„war peace“x", "(\"war peace\" AND \"x\")", "('war' <-> 'peace') & ('x')"},
    {"«à b» “c d”", "(\"a b\" AND \"c d\")", "('a' <-> 'b') & ('c' <-> 'd')"},
    {"\"never closed", "(\"never closed\")", "('never' <-> 'closed')"},
    {"libr*", "(\"libr\" *)", "('libr':*)"},
    {"\"new yo\"* \"new yo*\"", "(\"new yo\" * AND \"new yo\" *)",
     "('new' <-> 'yo':*) & ('new' <-> 'yo':*)"},
    {"-film noir -\"le clé\"", "(\"noir\") NOT \"film\" NOT \"le cle\"",
     "!('film') & ('noir') & !('le' <-> 'cle')"},
    {"-ab* c", "(\"c\") NOT \"ab\" *", "!('ab':*) & ('c')"},
    {"don't 3.14", "(\"don t\" AND \"3 14\")", "('don' <-> 't') & ('3' <-> '14')"},
    {"東京　タワ", "(\"東 京\" AND \"タ ワ\")", "('東' <-> '京') & ('タ' <-> 'ワ')"},
    {"a & b - c () *", "(\"a\" AND \"b\" AND \"c\")", "('a') & ('b') & ('c')"},
    {"x OR y NEAR(z) col:w", "(\"x\" AND \"or\" AND \"y\" AND \"near z\" AND \"col w\")",
     "('x') & ('or') & ('y') & ('near' <-> 'z') & ('col' <-> 'w')"},
    {"a'b\\c\"d:*|!e\"", "(\"a b c\" AND \"d e\")", "('a' <-> 'b' <-> 'c') & ('d' <-> 'e')"},
    {"\xff-x\xff", "(\"x\")", "('x')"},
};

static void test_queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        struct arena a;
        struct words_query q;
        struct err e;
        struct buf b;
        arena_init(&a, 1 << 16);
        buf_init(&b, 1000);
        assert_true(words_query_parse(&a, slice_from(queries[i].text), &q, &e));
        words_query_fts5(&q, &b);
        assert_bytes(&b, queries[i].fts5);
        buf_clear(&b);
        words_query_tsquery(&q, &b);
        assert_bytes(&b, queries[i].tsquery);
        buf_done(&b);
        arena_done(&a);
    }
}

static void assert_refused(struct slice text, const char *why)
{
    struct arena a;
    struct words_query q = {.n_terms = 7};
    struct err e = {0};
    arena_init(&a, 1 << 16);
    assert_false(words_query_parse(&a, text, &q, &e));
    assert_int_equal(e.code, ERR_MALFORMED);
    assert_non_null(strstr(e.msg, why));
    assert_int_equal(q.n_terms, 7);
    arena_done(&a);
}

static void assert_repeated_refused(const char *part, size_t times, const char *why)
{
    struct buf b;
    buf_init(&b, 100000);
    for (size_t i = 0; i < times; i++)
        buf_add_str(&b, part);
    assert_refused(buf_slice(&b), why);
    buf_done(&b);
}

static void test_refused(void **state)
{
    (void)state;
    assert_refused(SLICE(""), "no word");
    assert_refused(SLICE(" \"\" * - !? \"..\" -*"), "no word");
    assert_refused(SLICE("-a"), "leave out");
    assert_refused(SLICE("-a -\"b c\""), "leave out");
    assert_repeated_refused("a ", 21, "at most 20 words");
    assert_repeated_refused("京", 101, "at most 100 words");
    assert_repeated_refused("x", 1025, "at most 1024 bytes; this one has 1025");
}

/* FTS5 itself. */
static sqlite3_int64 ask(sqlite3 *db, const char *sql, struct slice value)
{
    sqlite3_stmt *stmt;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    sqlite3_bind_text(stmt, 1, value.len ? value.ptr : "", (int)value.len, SQLITE_STATIC);
    int code = sqlite3_step(stmt);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        fail_msg("%s: %s", sqlite3_errmsg(db), value.ptr);
    sqlite3_int64 n = code == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    return n;
}

static sqlite3_int64 found(sqlite3 *db, const char *text)
{
    struct arena a;
    struct words_query q;
    struct err e;
    struct buf b;
    arena_init(&a, 1 << 16);
    buf_init(&b, 20000);
    assert_true(words_query_parse(&a, slice_from(text), &q, &e));
    words_query_fts5(&q, &b);
    sqlite3_int64 n = ask(db, "SELECT sum(rowid) FROM t WHERE t MATCH ?1", buf_slice(&b));
    buf_done(&b);
    arena_done(&a);
    return n;
}

static void test_fts5(void **state)
{
    (void)state;
    static const char *const texts[] = {"War and Peace", "Peace and war; Straße", "東京都庁へ",
                                        "京東 the don’t", "학교에서 NEW YORK"};
    sqlite3 *db;
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    (void)ask(db, "CREATE VIRTUAL TABLE t USING fts5(a, content='', tokenize='ascii')", SLICE(""));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buf b;
        buf_init(&b, 1000);
        words_add(&b, slice_from(texts[i]));
        words_add(&b, SLICE("other field"));
        (void)ask(db, "INSERT INTO t(rowid, a) SELECT 1 << (SELECT count(*) FROM t), ?1",
                  buf_slice(&b));
        buf_done(&b);
    }
    assert_int_equal(found(db, "peace WAR"), 3);
    assert_int_equal(found(db, "\"war and peace\""), 1);
    assert_int_equal(found(db, "war -\"war and\""), 2);
    assert_int_equal(found(db, "strasse"), 2);
    assert_int_equal(found(db, "京"), 12);
    assert_int_equal(found(db, "東京"), 4);
    assert_int_equal(found(db, "don't"), 8);
    assert_int_equal(found(db, "\"new yo\"*"), 16);
    assert_int_equal(found(db, "\"new yo\""), 0);
    assert_int_equal(found(db, "학교"), 16);
    assert_int_equal(found(db, "other*"), 31);
    assert_int_equal(found(db, "\"peace other\""), 0); /* not into the next field */
    assert_int_equal(found(db, "peace -other"), 0);
    sqlite3_close(db);
}

TESTS(cmocka_unit_test(test_cuts), cmocka_unit_test(test_long_words_are_cut),
      cmocka_unit_test(test_a_full_buf_ends_it), cmocka_unit_test(test_texts_stand_apart),
      cmocka_unit_test(test_what_a_vector_holds), cmocka_unit_test(test_queries),
      cmocka_unit_test(test_refused), cmocka_unit_test(test_fts5))
