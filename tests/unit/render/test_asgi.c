/* From a command line to the Python application in it: how shells cut words, and what is refused.
 */
#include "unit.h"
#include "render/asgi_impl.h"

static struct asgi find(struct arena *a, const char *command)
{
    struct asgi found;
    asgi_find(a, slice_from(command), &found);
    return found;
}

static void expect(const char *command, const char *module, const char *name)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    struct asgi found = find(&a, command);
    assert_int_equal(found.is_found, module != NULL);
    if (module) {
        assert_true(slice_is(found.module, module));
        assert_true(slice_is(found.name, name));
    }
    arena_done(&a);
}

static void test_servers(void **state)
{
    (void)state;
    expect("uvicorn main:app", "main", "app");
    expect("exec .venv/bin/uvicorn a.b.c:d --host 127.0.0.1 --port $PORT", "a.b.c", "d");
    expect("exec /usr/bin/python3 -u -m uvicorn src.main:app", "src.main", "app");
    expect("uv run hypercorn 'x:y'", "x", "y");
    expect("gunicorn -b 127.0.0.1:8000 -w 1 m:app", "m", "app");
    expect("A=1 B=\"two words\" exec daphne m:app", "m", "app");
    expect("set -e\nmkdir -p x; cd x\nuvicorn m:app", "m", "app");
    expect("(cd x && uvicorn m:app)", "m", "app");
}

static void test_what_is_none(void **state)
{
    (void)state;
    expect("", NULL, NULL);
    expect("exec .venv/bin/python -m story_gen.cli.api --port $PORT", NULL, NULL);
    expect("node server.js m:app", NULL, NULL);
    expect("uvicorn --host 127.0.0.1:8000", NULL, NULL);
    expect("uvicorn m:", NULL, NULL);
    expect("uvicorn :app", NULL, NULL);
    expect("uvicorn m.:app", NULL, NULL);
    expect("uvicorn m:9", NULL, NULL);
    expect("echo uvicorn m:app", NULL, NULL);
    expect("uvicorn 'm:app", "m", "app"); /* a shell would refuse it; nobody gets here with it */
    expect("uvicorn $(", NULL, NULL);
    expect("&&;;||", NULL, NULL);
}

static void test_what_stands_around_it(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    struct asgi f = find(
        &a, "mkdir -p state/x && cd ./back && PYTHONPATH=lib:$X D=\"$(realpath a b)\" E='it is' "
            "exec uvicorn m:app --app-dir=src --factory");
    assert_true(slice_is(f.dir, "back"));
    assert_int_equal(f.made.n, 1);
    assert_true(slice_is(f.made.items[0].s, "state/x"));
    assert_int_equal(f.folders.n, 2);
    assert_true(slice_is(f.folders.items[0].s, "back/lib"));
    assert_true(slice_is(f.folders.items[1].s, "back/src"));
    assert_int_equal(f.env.n, 1);
    assert_true(slice_is(f.env.items[0].key.s, "E"));
    assert_true(slice_is(f.env.items[0].value.s, "it is"));
    assert_int_equal(f.asked.n, 1);
    assert_true(slice_is(f.asked.items[0].s, "D"));
    assert_true(f.is_factory);
    assert_false(f.is_wsgi);
    assert_int_equal(f.others.n, 0);
    f = find(&a, "./migrate.sh && gunicorn m:app");
    assert_int_equal(f.others.n, 1);
    assert_true(slice_is(f.others.items[0].s, "./migrate.sh"));
    assert_true(f.is_wsgi);
    assert_false(find(&a, "gunicorn -k uvicorn.workers.UvicornWorker m:app").is_wsgi);
    arena_done(&a);
}

/* More words than there is room for: what is beyond is not seen, and nothing is overrun. */
static void test_very_long_commands(void **state)
{
    (void)state;
    struct arena a;
    struct buf long_one;
    arena_init(&a, 8 << 20);
    buf_init(&long_one, 1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_add_str(&long_one, "a && ");
    buf_add_str(&long_one, "uvicorn m:app");
    struct asgi found;
    asgi_find(&a, buf_slice(&long_one), &found);
    assert_false(found.is_found);
    buf_done(&long_one);
    arena_done(&a);
}

TESTS(cmocka_unit_test(test_servers), cmocka_unit_test(test_what_is_none),
      cmocka_unit_test(test_what_stands_around_it), cmocka_unit_test(test_very_long_commands))
