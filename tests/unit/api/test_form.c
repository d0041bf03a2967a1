/* A form with files, as it comes: for how long. */
#include "api/upload_impl.h"
#include "base/clock.h"
#include "unit.h"

#define BODY                                                         \
    "--b\r\nContent-Disposition: form-data; name=\"prefix\"\r\n\r\n" \
    "some/folder\r\n"

static void start(struct form *f, struct arena *a, int64_t ago_ms)
{
    arena_init(a, 1u << 20);
    *f = (struct form){.arena = a, .began_ms = clock_mono_ms() - ago_ms};
    multipart_init(&f->engine, SLICE("b"));
    buf_init(&f->value, FILE_PATH_MAX);
}

static void stop(struct form *f)
{
    multipart_done(&f->engine);
    buf_done(&f->value);
    arena_done(f->arena);
}

static void long_ones_end(void **unused)
{
    const int64_t hour = 3600 * 1000;
    struct form f;
    struct arena a;
    struct err e = {0};
    (void)unused;
    start(&f, &a, 11 * hour);
    assert_true(form_take(&f, SLICE(BODY), false, &e));
    f.began_ms -= 2 * hour;
    assert_false(form_take(&f, SLICE("--b--\r\n"), true, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    assert_string_equal(e.msg,
                        "The form took longer than 12 hours; send its files one by one with PUT.");
    stop(&f);
}

TESTS(cmocka_unit_test(long_ones_end))
