/* Errors, must(), heap memory, random bytes and ids. */
#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void set_keeps_all(void **state)
{
    (void)state;
    struct err e = {0};
    assert_false(err_set(&e, ERR_NOT_FOUND, "no %s called %d", "thing", 7));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_string_equal(e.msg, "no thing called 7");
    assert_string_equal(e.where, "set_keeps_all");
    assert_int_equal(e.sys_errno, 0);
    errno = ENOENT;
    assert_false(err_set_sys(&e, ERR_IO, "open %s", "x"));
    assert_string_equal(e.msg, "open x: No such file or directory");
    assert_int_equal(e.sys_errno, ENOENT);
    assert_false(err_set(NULL, ERR_IO, "kept nowhere"));
    assert_false(err_prefix(NULL, "kept nowhere"));
}

static void arguments_may_be_the_old_message(void **state)
{
    (void)state;
    struct err e;
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_BAD_GATEWAY, "outer: %s", e.msg);
    assert_string_equal(e.msg, "outer: inner");
    err_prefix(&e, "while %s", e.msg);
    assert_string_equal(e.msg, "while outer: inner: outer: inner");
    assert_int_equal(e.code, ERR_BAD_GATEWAY);
}

static void long_messages_are_cut(void **state)
{
    (void)state;
    struct err e;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&e, ERR_IO, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    err_set_at(&e, ERR_IO, EACCES, __func__, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    err_prefix(&e, "%s", text);
    assert_int_equal(strlen(e.msg), sizeof e.msg - 1);
    err_set(&e, ERR_IO, "short");
    err_prefix(&e, "%.200s", text);
    assert_string_equal(e.msg + 200, ": short");
}

/* What scripts and browsers rely on. */
static void the_table_is_complete(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_in_range(err_status((enum err_code)i), 200, 599);
        assert_true(err_title((enum err_code)i)[0]);
        for (const char *c = err_slug((enum err_code)i); *c; c++)
            assert_true((*c >= 'a' && *c <= 'z') || *c == '_');
        assert_true(err_exit((enum err_code)i) >= 0 && err_exit((enum err_code)i) < 126);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(err_slug((enum err_code)i), err_slug((enum err_code)j));
    }
    assert_int_equal(err_status(ERR_JSON), 400);
    assert_int_equal(err_exit(ERR_NONE), 0);
    assert_int_equal(err_exit(ERR_LOCKED), 4);
    assert_int_equal(err_status(ERR_STALE), 412);
}

/* Runs fn in a child; returns its wait status and what it said. */
static int in_child(void (*fn)(void), char *said, size_t n)
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], 2);
        dup2(fds[1], 1);
        signal(SIGABRT, SIG_DFL);
        fn();
        _exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    ssize_t got;
    while (len < n - 1 && (got = read(fds[0], said + len, n - 1 - len)) > 0)
        len += (size_t)got;
    said[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void break_a_promise(void)
{
    volatile int two = 2;
    must_context("req-17", "route");
    must(two == 2);
    must(two == 3);
}

static void run_out_of_memory(void)
{
    mem_failed(12345);
}

static void must_ends_the_process(void **state)
{
    (void)state;
    char said[2000];
    int status = in_child(break_a_promise, said, sizeof said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "two == 3"));
    assert_non_null(strstr(said, "break_a_promise"));
    assert_non_null(strstr(said, "request req-17, step route"));
    status = in_child(run_out_of_memory, said, sizeof said);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "out of memory (12345 bytes wanted)"));
}

static void memory(void **state)
{
    (void)state;
    char *p = mem_alloc(0), *q = mem_strdup("abc"), *z = mem_zalloc(64);
    assert_string_equal(q, "abc");
    for (int i = 0; i < 64; i++)
        assert_int_equal(z[i], 0);
    q = mem_realloc(q, 1000);
    assert_string_equal(q, "abc");
    free(p);
    free(q);
    free(z);
}

static void random_bytes_differ(void **state)
{
    (void)state;
    unsigned seen[256] = {0};
    unsigned char b[64], big[1000];
    for (int i = 0; i < 1000; i++) {
        random_bytes(b, 1 + (size_t)i % sizeof b);
        seen[b[0]]++;
    }
    for (int i = 0; i < 256; i++)
        assert_true(seen[i] < 40);
    random_bytes(big, sizeof big);
    random_bytes(b, 0);
    assert_memory_not_equal(big, big + 500, 500);
}

static void print_id(void)
{
    unsigned char bytes[16];
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        dprintf(1, "%02x", bytes[i]);
}

static void a_child_does_not_repeat_its_parent(void **state)
{
    (void)state;
    char said[100], mine[40];
    unsigned char bytes[16];
    random_bytes(bytes, 1); /* the pool has bytes now */
    assert_int_equal(in_child(print_id, said, sizeof said), 0);
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(mine + 2 * i, 3, "%02x", bytes[i]);
    assert_int_equal(strlen(said), 32);
    assert_string_not_equal(said, mine);
}

static void ids_sort_by_time_and_differ(void **state)
{
    (void)state;
    char was[ID_LEN + 1] = "", now[ID_LEN + 1];
    for (int i = 0; i < 5000; i++) {
        random_id(now);
        assert_int_equal(strlen(now), ID_LEN);
        assert_int_equal(strspn(now, "0123456789abcdefghijklmnopqrstuv"), ID_LEN);
        assert_true(memcmp(was, now, 10) <= 0);
        assert_string_not_equal(was, now);
        memcpy(was, now, sizeof was);
    }
}

TESTS(cmocka_unit_test(set_keeps_all), cmocka_unit_test(arguments_may_be_the_old_message),
      cmocka_unit_test(long_messages_are_cut), cmocka_unit_test(the_table_is_complete),
      cmocka_unit_test(must_ends_the_process), cmocka_unit_test(memory),
      cmocka_unit_test(random_bytes_differ), cmocka_unit_test(a_child_does_not_repeat_its_parent),
      cmocka_unit_test(ids_sort_by_time_and_differ))
