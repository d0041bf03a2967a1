/* The header of a rendered file: where it goes, and what it notices. */
#include "render/render_impl.h"
#include "unit.h"

static struct buf made(const char *path, const char *text)
{
    struct buf to;
    buf_init(&to, 1u << 20);
    if (!header_add(slice_from(path), slice_from(text), &to))
        fail_msg("%s", path);
    assert_int_equal(header_look(buf_slice(&to)), HEADER_INTACT);
    return to;
}

static void begins(const char *path, const char *text, const char *start)
{
    struct buf to = made(path, text);
    if (strncmp(to.data, start, strlen(start)) != 0)
        fail_msg("%s: %s", path, to.data);
    buf_done(&to);
}

static void places(void **state)
{
    (void)state;
    begins("a.yml", "x: 1\n", "# Made by `dais render`");
    begins("docker/app.Dockerfile", "FROM x\n", "# Made by");
    begins("docker/app.Dockerfile", "# syntax=docker/dockerfile:1\nFROM x\n",
           "# syntax=docker/dockerfile:1\n# Made by");
    begins("run.sh", "#!/bin/sh\necho\n", "#!/bin/sh\n# Made by");
    begins("run.sh", "#!/bin/sh", "#!/bin/sh\n# Made by");
    begins("cloud-init.yaml", "#cloud-config\na: 1\n", "#cloud-config\n# Made by");
    begins("a.md", "# Title\n", "<!-- Made by");
    begins("a.html", "<!doctype html>\n", "<!-- Made by");
    begins("a.json", "{\"d\": \"dais-header\"}\n", "{\"d\": \"Made by `dais render`");
    begins("a.yml", "", "# Made by");
}

static void ambiguous_json(void **state)
{
    struct buf to;
    (void)state;
    buf_init(&to, 1000);
    assert_false(header_add(SLICE("a.json"), SLICE("[\"dais-header\", \"dais-header\"]"), &to));
    buf_done(&to);
}

static void edits(void **state)
{
    (void)state;
    struct buf to = made("a.yml", "x: 1\ny: 2\n");
    for (size_t i = 0; i < to.len; i++) { /* one bit anywhere: never intact */
        to.data[i] ^= 1;
        if (header_look(buf_slice(&to)) == HEADER_INTACT)
            fail_msg("byte %zu", i);
        to.data[i] ^= 1;
    }
    assert_int_equal(header_look(buf_slice(&to)), HEADER_INTACT);
    assert_int_equal(header_look(slice_first(buf_slice(&to), to.len - 1)), HEADER_EDITED);
    assert_int_equal(header_look(slice_first(buf_slice(&to), 150)), HEADER_NONE);
    buf_add_str(&to, "\n");
    assert_int_equal(header_look(buf_slice(&to)), HEADER_EDITED);
    buf_done(&to);
}

static void carriage_returns(void **state)
{
    (void)state;
    struct buf to = made("a.yml", "x: 1\n\ny: 2\n"), crlf;
    buf_init(&crlf, 1000);
    for (size_t i = 0; i < to.len; i++) {
        if (to.data[i] == '\n')
            buf_add_char(&crlf, '\r');
        buf_add_char(&crlf, to.data[i]);
    }
    assert_int_equal(header_look(buf_slice(&crlf)), HEADER_INTACT);
    buf_done(&crlf);
    buf_done(&to);
}

static void none(void **state)
{
    (void)state;
    assert_int_equal(header_look(SLICE("")), HEADER_NONE);
    assert_int_equal(header_look(SLICE("x: 1\n")), HEADER_NONE);
    assert_int_equal(header_look(SLICE("# dais-sha256:")), HEADER_NONE);
    assert_int_equal(header_look(SLICE("# dais-sha256:0123")), HEADER_NONE);
    assert_int_equal(header_look(SLICE("# dais-sha256:"
                                       "ABCDEFGHabcdef0123456789abcdef0123456789abcdef0123456789"
                                       "abcdef01")),
                     HEADER_NONE);
}

/* Values may look like a header, before it or behind it, and the header may come late in JSON. */
static void look_alikes(void **state)
{
#define LOOK "dais-sha256:0000000000000000000000000000000000000000000000000000000000000000"
    (void)state;
    struct buf late, to;
    buf_init(&late, 1u << 20);
    buf_add_str(&late, "{\"a\": \"" LOOK "\", \"b\": \"");
    for (int i = 0; i < 2000; i++)
        buf_add_str(&late, "long ");
    buf_add_str(&late, "\", \"d\": \"dais-header\", \"e\": \"" LOOK "\"}\n");
    to = made("a.json", late.data);
    assert_non_null(strstr(to.data, "{\"a\": \"" LOOK "\"")); /* it is not touched */
    assert_non_null(strstr(to.data, "\"e\": \"" LOOK "\""));
    to.data[2] = 'A';
    assert_int_equal(header_look(buf_slice(&to)), HEADER_EDITED);
    buf_done(&to);
    buf_done(&late);
    to = made("run.sh", "#!/bin/" LOOK "\n# " LOOK "\n");
    buf_done(&to);
}

static void full(void **state)
{
    struct buf to;
    (void)state;
    buf_init(&to, 100);
    assert_true(header_add(SLICE("a.yml"), SLICE("x"), &to));
    assert_true(to.full);
    buf_done(&to);
}

TESTS(cmocka_unit_test(places), cmocka_unit_test(ambiguous_json), cmocka_unit_test(edits),
      cmocka_unit_test(carriage_returns), cmocka_unit_test(none), cmocka_unit_test(look_alikes),
      cmocka_unit_test(full))
