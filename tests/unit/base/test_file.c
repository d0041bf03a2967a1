/* Whole files: what is read and written, what is none, limits, pieces that come late, signals. */
#include "base/file.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUCH (200u << 10) /* more than a pipe holds, and than one piece */

static char dir[64], path[96], much[MUCH];

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/dais-file-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/x", dir);
    for (size_t i = 0; i < MUCH; i++)
        much[i] = (char)(i * 7 + i / 251);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void write_file(size_t n)
{
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    assert_int_equal(fwrite(much, 1, n, to), n);
    fclose(to);
}

static void a_file_is_added_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 16384, 16385, MUCH};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf b;
        buf_init(&b, sizes[i] + 2); /* to the last byte of the limit */
        buf_add_str(&b, "ab");
        write_file(sizes[i]);
        assert_true(file_read(path, &b));
        assert_int_equal(b.len, sizes[i] + 2);
        assert_memory_equal(b.data + 2, much, sizes[i]);
        buf_done(&b);
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_true(file_read("/proc/self/stat", &b)); /* says that it is empty */
    assert_true(b.len > 10);
    buf_done(&b);
}

static void what_is_not_read_leaves_the_buf_alone(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 20000);
    buf_add_str(&b, "ab");
    assert_false(file_read(path, &b));
    assert_int_equal(errno, ENOENT);
    assert_false(file_read(dir, &b));
    assert_int_equal(errno, EISDIR);
    write_file(20000 - 1);
    assert_false(file_read(path, &b));
    assert_int_equal(errno, EFBIG);
    assert_string_equal(b.data, "ab");
    assert_false(b.full);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* nobody writes to it: not waited for */
    assert_false(file_read(path, &b));
    assert_int_equal(errno, EISDIR);
    assert_int_equal(b.len, 2);
    buf_done(&b);
}

static void on_signal(int number)
{
    (void)number;
}

struct writing {
    int fd;
    pthread_t reader;
};

/* In small pieces, with a signal for the one that waits for them between. */
static void *write_slowly(void *arg)
{
    const struct writing *w = arg;
    for (size_t at = 0; at < MUCH; at += 5000) {
        pthread_kill(w->reader, SIGUSR1);
        assert_true(fd_write_all(
            w->fd, (struct slice){much + at, MUCH - at < 5000 ? MUCH - at : (size_t)5000}));
    }
    close(w->fd);
    return NULL;
}

static void pieces_and_signals_are_no_end(void **state)
{
    static char got[MUCH + 1];
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART */
    int ends[2];
    pthread_t thread;
    (void)state;
    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(pipe(ends), 0);
    struct writing w = {ends[1], pthread_self()};
    pthread_create(&thread, NULL, write_slowly, &w);
    assert_int_equal(fd_read(ends[0], got, 7), 7);
    assert_int_equal(fd_read(ends[0], got + 7, sizeof got - 7), MUCH - 7);
    assert_int_equal(fd_read(ends[0], got, 1), 0);
    assert_memory_equal(got, much, MUCH);
    pthread_join(thread, NULL);
    close(ends[0]);
}

static void *read_slowly(void *arg)
{
    const struct writing *w = arg;
    char *got = malloc(MUCH + 1);
    size_t n = 0;
    ssize_t more;
    do { /* the writer waits, is woken by a signal, and finds room for a part */
        pthread_kill(w->reader, SIGUSR1);
        more = read(w->fd, got + n, MUCH + 1 - n < 3000 ? MUCH + 1 - n : 3000);
        n += more > 0 ? (size_t)more : 0;
    } while (more > 0);
    assert_int_equal(n, MUCH);
    assert_memory_equal(got, much, MUCH);
    free(got);
    return NULL;
}

static void all_is_written_whatever_the_signals(void **state)
{
    struct sigaction action = {.sa_handler = on_signal};
    int ends[2];
    pthread_t thread;
    (void)state;
    sigaction(SIGUSR1, &action, NULL);
    assert_int_equal(pipe(ends), 0);
    struct writing w = {ends[0], pthread_self()};
    pthread_create(&thread, NULL, read_slowly, &w);
    assert_true(fd_write_all(ends[1], (struct slice){much, MUCH}));
    close(ends[1]);
    pthread_join(thread, NULL);
    close(ends[0]);
}

static void what_fails_is_told(void **state)
{
    char c;
    (void)state;
    assert_int_equal(fd_read(-1, &c, 1), -1);
    assert_int_equal(errno, EBADF);
    assert_false(fd_write_all(-1, SLICE("a")));
    assert_int_equal(errno, EBADF);
    assert_true(fd_write_all(-1, SLICE("")));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TESTS(T(a_file_is_added_whole), T(what_is_not_read_leaves_the_buf_alone),
      T(pieces_and_signals_are_no_end), T(all_is_written_whatever_the_signals),
      T(what_fails_is_told))
