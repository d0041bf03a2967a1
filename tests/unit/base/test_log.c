/* Log lines: valid and single whatever their values hold; cutting, flushing, rotation. */
#include "base/json.h"
#include "base/log.h"
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[96];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/dais-log-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x.log", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char name[128];
    assert_true(log_setup(LOG_INFO, LOG_TEXT, NULL));
    unlink(path);
    for (int i = 1; i <= 6; i++) {
        snprintf(name, sizeof name, "%s.%d", path, i);
        unlink(name);
    }
    return rmdir(dir);
}

static char *read_file(const char *name, size_t *ret_len)
{
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    char *text = calloc(1, 1 << 24);
    *ret_len = fread(text, 1, (1 << 24) - 1, f);
    fclose(f);
    return text;
}

static const struct slice hostile[] = {
    SLICE_INIT(""),
    SLICE_INIT("plain"),
    SLICE_INIT("a\nlevel=error msg=forged"),
    SLICE_INIT("a\r\n{\"time\":\"x\"}"),
    SLICE_INIT("\",\"level\":\"error"),
    SLICE_INIT("\\"),
    SLICE_INIT("\\\""),
    SLICE_INIT("\0\x01\x1f\x7f"),
    SLICE_INIT("\033[2J\033]0;title\a"),
    SLICE_INIT("\xc2\x9b"
               "31m"),
    SLICE_INIT("\x9b"
               "31m"),
    SLICE_INIT("\xff\xfe\xc0\xaf\xed\xa0\x80"),
    SLICE_INIT("caf\xc3"),
    SLICE_INIT("x user=admin"),
    SLICE_INIT("\xe2\x80\xae"
               "evil\xe2\x80\xa8line\xe2\x81\xa6"),
    SLICE_INIT("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
};
#define HOSTILE (sizeof hostile / sizeof *hostile)

static void json_lines_are_valid(void **state)
{
    (void)state;
    struct buf b;
    assert_true(log_setup(LOG_INFO, LOG_JSON, path));
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < HOSTILE; i++) {
        const struct log_field fields[] = {F_STR("v", hostile[i]), F_INT("n", INT64_MIN)};
        buf_clear(&b);
        log_add(&b, LOG_WARN, "hostile \"text\"\n", fields, 2);
        assert_int_equal(slice_index(buf_slice(&b), '\n'), (ptrdiff_t)b.len - 1);
        struct arena a;
        struct json_doc doc;
        struct err e = {0};
        arena_init(&a, 1 << 16);
        if (!json_parse(&doc, &a, buf_slice(&b), NULL, &e))
            fail_msg("%s: %s", b.data, e.msg);
        const struct json *v = json_root(&doc);
        assert_int_equal(json_len(v), 5);
        assert_true(slice_is(json_str(json_find(v, SLICE("level"))), "warn"));
        assert_true(slice_is(json_str(json_find(v, SLICE("msg"))), "hostile \"text\"\n"));
        assert_true(slice_is(json_num_text(json_find(v, SLICE("n"))), "-9223372036854775808"));
        if (i < 9) /* those that are UTF-8 are kept as they are */
            assert_true(slice_eq(json_str(json_find(v, SLICE("v"))), hostile[i]));
        arena_done(&a);
    }
    buf_done(&b);
}

static void text_lines_cannot_be_forged(void **state)
{
    (void)state;
    static const char *const want[HOSTILE] = {
        "\"\"",
        "plain",
        "\"a?level=error msg=forged\"",
        "\"a??{\\\"time\\\":\\\"x\\\"}\"",
        "\"\\\",\\\"level\\\":\\\"error\"",
        "\"\\\\\"",
        "\"\\\\\\\"\"",
        "????",
        "?[2J?]0;title?",
        "??31m",
        "?31m",
        "???????",
        "caf?",
        "\"x user=admin\"",
        "???evil???line???",
        "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
    };
    struct buf b;
    assert_true(log_setup(LOG_INFO, LOG_TEXT, path));
    buf_init(&b, 1 << 16);
    for (size_t i = 0; i < HOSTILE; i++) {
        const struct log_field fields[] = {F_STR("v", hostile[i]), F_INT("n", -7)};
        char line[200];
        buf_clear(&b);
        log_add(&b, LOG_INFO, "hello\nworld", fields, 2);
        snprintf(line, sizeof line, "info  hello?world v=%s n=-7\n", want[i]);
        assert_true(b.len > 9);
        assert_string_equal(b.data + 9, line);
    }
    buf_done(&b);
}

static void long_lines_are_cut_between_fields(void **state)
{
    (void)state;
    char *noise = malloc(100000);
    memset(noise, '\x01', 100000); /* six bytes each once escaped */
    for (int json = 0; json < 2; json++) {
        assert_true(log_setup(LOG_INFO, json ? LOG_JSON : LOG_TEXT, path));
        for (size_t room = 10; room < 30000; room = room * 3 / 2) {
            struct buf b;
            struct log_field f[20];
            buf_init(&b, room);
            for (int i = 0; i < 20; i++)
                f[i] = F_STR("k", ((struct slice){noise, (size_t)i * 100}));
            static const char *const keys[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j",
                                               "k", "l", "m", "n", "o", "p", "q", "r", "s", "t"};
            for (int i = 0; i < 20; i++)
                f[i].key = keys[i];
            log_add(&b, LOG_INFO, "long", f, 20);
            assert_false(b.full);
            assert_true(b.len <= 8192);
            if (b.len == 0) {
                assert_true(room < 200);
            } else {
                assert_int_equal(b.data[b.len - 1], '\n');
                if (json)
                    assert_true(json_validate(buf_slice(&b), NULL, NULL));
                if (room < 6000 || json)
                    assert_non_null(strstr(b.data, json ? ",\"cut\":true}" : " cut=true\n"));
            }
            buf_done(&b);
        }
    }
    free(noise);
}

/* A value of over 1 KB is cut before a character, not inside it. */
static void long_values_are_cut_between_characters(void **state)
{
    (void)state;
    assert_true(log_setup(LOG_INFO, LOG_JSON, path));
    for (size_t shift = 0; shift < 4; shift++) {
        struct buf b, v;
        buf_init(&b, 1 << 16);
        buf_init(&v, 1 << 16);
        for (size_t i = 0; i < shift; i++)
            buf_add_char(&v, 'x');
        while (v.len < 2000)
            buf_add_str(&v, "\xf0\x9f\x98\x80");
        const struct log_field f[] = {F_STR("v", buf_slice(&v))};
        log_add(&b, LOG_INFO, "m", f, 1);
        assert_true(json_validate(buf_slice(&b), NULL, NULL));
        assert_null(strstr(b.data, "\xef\xbf\xbd"));
        assert_true(b.len > 1000 && b.len < 1200);
        buf_done(&b);
        buf_done(&v);
    }
}

static void levels_filter_and_lines_arrive(void **state)
{
    (void)state;
    size_t n;
    assert_true(log_setup(LOG_WARN, LOG_AUTO, path)); /* a file: JSON */
    log_line(LOG_INFO, "quiet");
    log_line(LOG_ERROR, "loud", F_CSTR("why", "because"), F_INT("n", 3));
    log_line(LOG_WARN, "bare");
    char *text = read_file(path, &n);
    assert_null(strstr(text, "quiet"));
    assert_non_null(strstr(text, "\"msg\":\"loud\",\"why\":\"because\",\"n\":3}\n"));
    assert_non_null(strstr(text, "\"msg\":\"bare\"}\n"));
    free(text);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_false(log_setup(LOG_WARN, LOG_AUTO, "/nonexistent/dir/x.log"));
}

/* A buffer of many lines that gets full is written out, never cut. */
static void a_full_batch_is_flushed(void **state)
{
    (void)state;
    struct buf b;
    size_t n, lines = 0;
    assert_true(log_setup(LOG_INFO, LOG_JSON, path));
    buf_init(&b, 20000);
    for (int i = 0; i < 1000; i++) {
        const struct log_field f[] = {F_INT("i", i)};
        log_add(&b, LOG_INFO, "one of many", f, 1);
    }
    log_flush(&b);
    assert_int_equal(b.len, 0);
    buf_done(&b);
    char *text = read_file(path, &n);
    struct slice rest = {text, n}, line;
    while (slice_cut(&rest, '\n', &line)) {
        assert_true(json_validate(line, NULL, NULL));
        lines++;
    }
    assert_int_equal(lines, 1000);
    free(text);
}

static void *log_a_lot(void *arg)
{
    for (int i = 0; i < 2000; i++)
        log_line(LOG_INFO, "from a thread", F_CSTR("who", arg), F_INT("i", i));
    return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
    (void)state;
    pthread_t threads[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    size_t n, lines = 0;
    assert_true(log_setup(LOG_INFO, LOG_JSON, path));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_a_lot, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    char *text = read_file(path, &n);
    struct slice rest = {text, n}, line;
    while (slice_cut(&rest, '\n', &line)) {
        assert_true(json_validate(line, NULL, NULL));
        lines++;
    }
    assert_int_equal(lines, 8000);
    free(text);
}

/* Size of path.i, or of the file itself for 0; -1 when there is none. */
static long long size_of(int i)
{
    char name[128];
    struct stat st;
    if (i)
        snprintf(name, sizeof name, "%s.%d", path, i);
    else
        snprintf(name, sizeof name, "%s", path);
    return stat(name, &st) == 0 ? (long long)st.st_size : -1;
}

static void rotation_keeps_five(void **state)
{
    (void)state;
    struct buf b;
    assert_true(log_setup(LOG_INFO, LOG_JSON, path));
    buf_init(&b, 1 << 20);
    for (int round = 1; round <= 7; round++) {
        while (size_of(1) < 0 || size_of(0) > 5 << 20 || round > 1) { /* until it has moved */
            long long was = size_of(0);
            assert_true(was < 11 << 20);
            for (int i = 0; i < 4000; i++)
                log_add(&b, LOG_INFO, "filling the file until it has to be put aside", NULL, 0);
            log_flush(&b);
            if (size_of(0) < was)
                break;
        }
        for (int i = 1; i <= 6; i++)
            assert_int_equal(size_of(i) >= 10 << 20, i <= round && i <= 5);
    }
    buf_done(&b);
    log_line(LOG_INFO, "after");
    size_t n;
    char *text = read_file(path, &n);
    assert_non_null(strstr(text, "\"after\"")); /* the new file is the one being written */
    free(text);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TESTS(T(json_lines_are_valid), T(text_lines_cannot_be_forged), T(long_lines_are_cut_between_fields),
      T(long_values_are_cut_between_characters), T(levels_filter_and_lines_arrive),
      T(a_full_batch_is_flushed), T(threads_do_not_mix_lines), T(rotation_keeps_five))
