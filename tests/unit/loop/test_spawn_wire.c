/* The messages of the spawner: what goes in comes out, what is too large or damaged is refused. */
#include "unit.h"
#include "loop/spawn_impl.h"

#include <stdlib.h>

static struct run_request rq;

static const char *const two_args[] = {"prog", "", NULL};
static const char *const two_vars[] = {"A=1", "B=", NULL};

static void run_round_trip(void **state)
{
    (void)state;
    struct process_opts o = {.argv = two_args,
                             .env = two_vars,
                             .cwd = "/tmp",
                             .wall_ms = 7,
                             .nice = -3,
                             .uid = 65534,
                             .gid = 65533,
                             .err.kind = STDIO_STDOUT};
    struct buf b;
    struct err e = {0};
    buf_init(&b, WIRE_RUN_MAX);
    assert_true(wire_run_encode(&o, &b, &e));
    assert_true(wire_run_decode(buf_slice(&b), &rq));
    assert_string_equal(rq.cwd, "/tmp");
    assert_string_equal(rq.argv[0], "prog");
    assert_string_equal(rq.argv[1], "");
    assert_null(rq.argv[2]);
    assert_string_equal(rq.env[1], "B=");
    assert_null(rq.env[2]);
    assert_int_equal(rq.spec.wall_ms, 7);
    assert_int_equal(rq.spec.nice, -3);
    assert_int_equal(rq.spec.umask, 022);
    assert_int_equal(rq.spec.gid, 65533);
    buf_done(&b);
}

static void shell_becomes_argv(void **state)
{
    (void)state;
    struct process_opts o = {.shell = "exit 3"};
    struct buf b;
    buf_init(&b, WIRE_RUN_MAX);
    assert_true(wire_run_encode(&o, &b, NULL));
    assert_true(wire_run_decode(buf_slice(&b), &rq));
    assert_string_equal(rq.argv[0], "/bin/sh");
    assert_string_equal(rq.argv[2], "exit 3");
    assert_string_equal(rq.cwd, "/");
    assert_null(rq.env[0]);
    buf_done(&b);
}

/* Every prefix and every changed length byte is refused or still within bounds (ASan looks). */
static void damaged_is_refused(void **state)
{
    (void)state;
    struct process_opts o = {.argv = two_args, .env = two_vars};
    struct buf b;
    buf_init(&b, WIRE_RUN_MAX);
    assert_true(wire_run_encode(&o, &b, NULL));
    for (size_t n = 0; n < b.len; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, b.data, n);
        assert_false(wire_run_decode((struct slice){.ptr = copy, .len = n}, &rq));
        free(copy);
    }
    for (size_t at = 0; at < b.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            b.data[at] = (char)(b.data[at] ^ 1 << bit);
            wire_run_decode(buf_slice(&b), &rq);
            b.data[at] = (char)(b.data[at] ^ 1 << bit);
        }
    assert_true(wire_run_decode(buf_slice(&b), &rq));
    buf_done(&b);
}

static void refused(const struct process_opts *o, const char *sentence)
{
    struct buf b;
    struct err e = {0};
    buf_init(&b, WIRE_RUN_MAX);
    assert_false(wire_run_encode(o, &b, &e));
    assert_int_equal(e.code, ERR_INVALID);
    if (!strstr(e.msg, sentence))
        fail_msg("expected \"%s\" in \"%s\"", sentence, e.msg);
    buf_done(&b);
}

static void wrong_options(void **state)
{
    (void)state;
    const char *const none[] = {NULL}, *const bad[] = {"NAME", NULL};
    refused(&(struct process_opts){0}, "either a list or a shell line");
    refused(&(struct process_opts){.argv = none}, "no command");
    refused(&(struct process_opts){.shell = "a", .argv = two_args}, "either");
    refused(&(struct process_opts){.shell = "a", .env = bad}, "no name");
    refused(&(struct process_opts){.shell = "a", .cwd = "x"}, "not an absolute path");
    refused(&(struct process_opts){.shell = "a", .n_fds = 17}, "Too many descriptors");
    refused(&(struct process_opts){.shell = "a", .uid = 5}, "needs a group");
    refused(&(struct process_opts){.shell = "a", .out.kind = STDIO_STDOUT}, "standard error");
}

/* 128 KB fit exactly; one byte more is a sentence. */
static void size_limit(void **state)
{
    (void)state;
    size_t rest = PROCESS_MAX_BYTES - sizeof "prog" - sizeof "/";
    char *large = malloc(rest + 1);
    memset(large, 'x', rest);
    large[rest - 1] = large[rest] = '\0';
    const char *const argv[] = {"prog", large, NULL};
    struct process_opts o = {.argv = argv};
    struct buf b;
    buf_init(&b, WIRE_RUN_MAX);
    assert_true(wire_run_encode(&o, &b, NULL));
    assert_true(wire_run_decode(buf_slice(&b), &rq));
    large[rest - 1] = 'x';
    refused(&o, "131073 bytes");
    const char **many = calloc(PROCESS_MAX_STRINGS + 2, sizeof *many);
    for (size_t i = 0; i <= PROCESS_MAX_STRINGS; i++)
        many[i] = "a";
    refused(&(struct process_opts){.argv = many}, "too many arguments");
    many[PROCESS_MAX_STRINGS] = NULL;
    buf_clear(&b);
    assert_true(wire_run_encode(&(struct process_opts){.argv = many}, &b, NULL));
    assert_true(wire_run_decode(buf_slice(&b), &rq));
    free(many);
    free(large);
    buf_done(&b);
}

static void small_round_trip(void **state)
{
    (void)state;
    char bytes[WIRE_SMALL_MAX];
    struct wire_small in = {.kind = WIRE_EVENT}, out;
    in.event = (struct process_event){
        .kind = EVENT_ENDED, .reason = PROCESS_TIMEOUT, .exit_code = -1, .signal = 9};
    size_t n = wire_small_encode(&in, bytes);
    assert_true(wire_small_decode((struct slice){.ptr = bytes, .len = n}, &out));
    assert_int_equal(out.event.reason, PROCESS_TIMEOUT);
    assert_int_equal(out.event.signal, 9);
    for (size_t less = 0; less < n; less++)
        assert_false(wire_small_decode((struct slice){.ptr = bytes, .len = less}, &out));
    in = (struct wire_small){.kind = WIRE_CANCEL, .value = 1234};
    n = wire_small_encode(&in, bytes);
    assert_true(wire_small_decode((struct slice){.ptr = bytes, .len = n}, &out));
    assert_int_equal(out.value, 1234);
    bytes[4] = 77;
    assert_false(wire_small_decode((struct slice){.ptr = bytes, .len = n}, &out));
    in = (struct wire_small){.kind = WIRE_RENEW, .value = INT64_MAX / 3};
    n = wire_small_encode(&in, bytes);
    assert_true(wire_small_decode((struct slice){.ptr = bytes, .len = n}, &out));
    assert_true(out.value == INT64_MAX / 3);
}

TESTS(cmocka_unit_test(run_round_trip), cmocka_unit_test(shell_becomes_argv),
      cmocka_unit_test(damaged_is_refused), cmocka_unit_test(wrong_options),
      cmocka_unit_test(size_limit), cmocka_unit_test(small_round_trip))
