/* Forms with files: events, names, limits, and what is refused. (Cuts: tests/fuzz/.) */
#include "unit.h"

#include "wire/wire.h"

/* The events as text: N=name F=filename T=type, [data], and what became of it at the end. */
static enum io run(const char *form, size_t len, size_t step, struct buf *to, struct err *e)
{
    struct multipart m;
    struct multipart_event ev;
    enum io io = IO_MORE;
    multipart_init(&m, SLICE("b"));
    for (size_t at = 0; at < len && io != IO_FAIL; at += step) {
        struct slice in = {form + at, step < len - at ? step : len - at};
        while ((io = multipart_next(&m, &in, &ev, e)) == IO_OK) {
            if (ev.kind == MULTIPART_PART)
                buf_printf(to, "N=%.*s %s=%.*s T=%.*s[", SLICE_ARGS(ev.part.name),
                           ev.part.is_file ? "F" : "-", SLICE_ARGS(ev.part.filename),
                           SLICE_ARGS(ev.part.type));
            else if (ev.kind == MULTIPART_DATA)
                buf_add(to, ev.data);
            else
                buf_add_char(to, ']');
        }
    }
    multipart_done(&m);
    return io;
}

#define HEAD_A "Content-Disposition: form-data; name=\"a\""

static void test_forms(void **state)
{
    static const struct {
        const char *form, *told;
    } rows[] = {
        {"--b--", ""},
        {"--b--\r\nwhatever follows", ""},
        {"before\r\n--b--", ""},
        {"--b\r\n" HEAD_A "\r\n\r\nx\r\n--b--", "N=a -= T=[x]"},
        {"--b \t\r\n" HEAD_A "\r\n\r\n\r\n--b--\r\n", "N=a -= T=[]"},
        {"--b\r\n" HEAD_A "\r\n\r\n--b--\r\n", "N=a -= T=[]"},
        {"--b\r\n" HEAD_A "\r\n\r\n\r\n\r\n--b--\r\n", "N=a -= T=[\r\n]"},
        {"--b\r\n" HEAD_A "\r\n\r\n--\r\n--\r\r\n\r\n--c\r\n--b--",
         "N=a -= T=[--\r\n--\r\r\n\r\n--c]"},
        {"--b\r\n" HEAD_A "; filename=\"x.txt\"\r\nCONTENT-type: text/plain\r\n\r\n1\r\n--b\r\n"
         "content-disposition:form-data;name=z\r\n\r\n2\r\n--b--",
         "N=a F=x.txt T=text/plain[1]N=z -= T=[2]"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t step = 1; step < 200; step = step * 2 + 1) {
            struct buf told;
            struct err e = {0};
            buf_init(&told, 4096);
            assert_int_equal(run(rows[i].form, strlen(rows[i].form), step, &told, &e), IO_EOF);
            assert_string_equal(told.data ? told.data : "", rows[i].told);
            buf_done(&told);
        }
    }
}

static void check_head(const char *head, const char *expected)
{
    struct buf form, told;
    struct err e = {0};
    buf_init(&form, 1 << 16);
    buf_init(&told, 1 << 16);
    buf_printf(&form, "--b\r\n%s\r\n\r\n\r\n--b--", head);
    enum io io = run(form.data, form.len, form.len, &told, &e);
    if (expected) {
        assert_int_equal(io, IO_EOF);
        assert_string_equal(told.data, expected);
    } else {
        if (io != IO_FAIL)
            fail_msg("accepted: %s", head);
        assert_int_equal(e.code, ERR_MALFORMED);
    }
    buf_done(&form);
    buf_done(&told);
}

#define DISPOSITION "Content-Disposition: form-data; name=a"

static void test_names(void **state)
{
    (void)state;
    check_head(DISPOSITION "; filename=x", "N=a F=x T=[]");
    check_head(DISPOSITION "; filename=\"\"", "N=a F= T=[]");
    check_head(DISPOSITION "; filename=\"a;b\\\"c\\\\d\"", "N=a F=a;b\"c\\d T=[]");
    check_head(DISPOSITION "; filename=\"C:\\Users\\x.txt\"", "N=a F=C:\\Users\\x.txt T=[]");
    check_head(DISPOSITION "; filename=\"a%22b%0d%0ac%41\"", "N=a F=a\"b%0d%0ac%41 T=[]");
    check_head(DISPOSITION "; filename=\"a\tb\"", "N=a F=a_b T=[]");
    check_head(DISPOSITION "; filename=x; filename*=utf-8'de'%c3%a4%0d%0a%00.png",
               "N=a F=\xc3\xa4___.png T=[]");
    check_head(DISPOSITION "; filename*=UTF-8''y; filename=x", "N=a F=y T=[]");
    check_head("Content-Disposition: form-data; name=\"\xc3\xbc\"; other=1", "N=\xc3\xbc -= T=[]");
}

static void test_refused_heads(void **state)
{
    static const char *const heads[] = {
        "X: y",
        "Content-Disposition: attachment; name=a",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; filename=x",
        "Content-Disposition: form-data; name=a; name=b",
        DISPOSITION "; filename=x; filename=y",
        DISPOSITION "; filename*=UTF-8''x; filename*=UTF-8''y",
        DISPOSITION "; filename*=latin1''x",
        DISPOSITION "; filename*=UTF-8''%zz",
        DISPOSITION "; filename*=UTF-8''%ff",
        DISPOSITION "; filename*=UTF-8",
        DISPOSITION "; filename=\"open",
        DISPOSITION "; filename",
        DISPOSITION "; ; x=y",
        DISPOSITION "\r\n" DISPOSITION,
        DISPOSITION "\r\n folded: x",
        DISPOSITION "\r\nno colon",
        DISPOSITION "\r\nX: a\rb",
        DISPOSITION "\nX: y",
        DISPOSITION "\r\nContent-Transfer-Encoding: base64",
        DISPOSITION "\r\nContent-Type: a/b\r\nContent-Type: a/c",
    };
    (void)state;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        check_head(heads[i], NULL);
}

static void test_limits(void **state)
{
    struct buf form, told;
    struct err e = {0};
    (void)state;
    buf_init(&form, 1 << 20);
    buf_init(&told, 1 << 20);
    buf_printf(&form, "--b\r\n" HEAD_A "\r\nX: %*s", MULTIPART_HEAD_MAX, "x");
    assert_int_equal(run(form.data, form.len, 100, &told, &e), IO_FAIL);
    assert_int_equal(e.code, ERR_HEADERS_TOO_LARGE);
    buf_clear(&form);
    buf_printf(&form, "%*s\r\n--b--", MULTIPART_IDLE_MAX + 1, "x");
    assert_int_equal(run(form.data, form.len, 100, &told, &e), IO_FAIL);
    buf_clear(&form);
    buf_printf(&form, "--b--%*s", MULTIPART_IDLE_MAX + 1, "x");
    assert_int_equal(run(form.data, form.len, 100, &told, &e), IO_FAIL);
    buf_clear(&form);
    buf_printf(&form, "--b--%*s", MULTIPART_IDLE_MAX, "x");
    assert_int_equal(run(form.data, form.len, 100, &told, &e), IO_EOF);
    assert_int_equal(run("--bx", 4, 4, &told, &e), IO_FAIL);
    assert_int_equal(run("--b -", 5, 5, &told, &e), IO_FAIL);
    assert_int_equal(run("--b\n", 4, 4, &told, &e), IO_FAIL);
    buf_done(&form);
    buf_done(&told);
}

static void test_boundaries(void **state)
{
    static const struct {
        const char *type, *boundary;
        enum err_code code;
    } rows[] = {
        {"multipart/form-data; boundary=abc", "abc", ERR_NONE},
        {"Multipart/Form-Data;charset=x; Boundary=\"a b'c\"", "a b'c", ERR_NONE},
        {"multipart/form-data; boundary=12345678901234567890123456789012345678901234567890"
         "12345678901234567890",
         "1234567890123456789012345678901234567890123456789012345678901234567890", ERR_NONE},
        {"multipart/form-data; boundary=12345678901234567890123456789012345678901234567890"
         "123456789012345678901",
         NULL, ERR_MALFORMED},
        {"multipart/mixed; boundary=abc", NULL, ERR_MEDIA_TYPE},
        {"", NULL, ERR_MEDIA_TYPE},
        {"multipart/form-data", NULL, ERR_MALFORMED},
        {"multipart/form-data; boundary=", NULL, ERR_MALFORMED},
        {"multipart/form-data; boundary=\"\"", NULL, ERR_MALFORMED},
        {"multipart/form-data; boundary=\"a \"", NULL, ERR_MALFORMED},
        {"multipart/form-data; boundary=a; boundary=a", NULL, ERR_MALFORMED},
        {"multipart/form-data; boundary=a*b", NULL, ERR_MALFORMED},
        {"multipart/form-data; boundary=a x", NULL, ERR_MALFORMED},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char room[MULTIPART_BOUNDARY_MAX];
        struct slice found;
        struct err e = {0};
        bool fine = multipart_boundary(slice_from(rows[i].type), room, &found, &e);
        assert_int_equal(e.code, rows[i].code);
        assert_int_equal(fine, rows[i].boundary != NULL);
        if (fine)
            assert_true(slice_is(found, rows[i].boundary));
    }
}

TESTS(cmocka_unit_test(test_forms), cmocka_unit_test(test_names),
      cmocka_unit_test(test_refused_heads), cmocka_unit_test(test_limits),
      cmocka_unit_test(test_boundaries))
