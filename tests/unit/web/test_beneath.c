/* Tests of opening beneath a folder: nothing leads out, nothing blocks, only regular files open. */
#include "fixture.h"
#include "web/beneath_impl.h"

#include <errno.h>

struct place {
    struct app app;
    int root;
};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    app_init(&p->app);
    PUT(&p->app, "secret.txt", "secret");
    PUT(&p->app, "web-other/x.txt", "secret");
    PUT(&p->app, "web/a.txt", "inside");
    PUT(&p->app, "web/sub/b.txt", "inside");
    assert_int_equal(symlink("../secret.txt", at(&p->app, "web/out.txt")), 0);
    assert_int_equal(symlink("/etc/passwd", at(&p->app, "web/absolute")), 0);
    assert_int_equal(symlink("..", at(&p->app, "web/up")), 0);
    assert_int_equal(symlink("/proc/self/root", at(&p->app, "web/magic")), 0);
    assert_int_equal(symlink("sub/b.txt", at(&p->app, "web/in.txt")), 0);
    assert_int_equal(symlink("loop", at(&p->app, "web/loop")), 0);
    assert_int_equal(mkfifo(at(&p->app, "web/fifo"), 0644), 0);
    assert_int_equal(mkdir(at(&p->app, "web/index.html"), 0755), 0);
    p->root = open(at(&p->app, "web"), O_RDONLY | O_DIRECTORY);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    close(p->root);
    app_done(&p->app);
    free(p);
    return 0;
}

static const char *const hostile[] = {"../secret.txt",
                                      "sub/../../secret.txt",
                                      "/etc/passwd",
                                      "//etc/passwd",
                                      "out.txt",
                                      "absolute",
                                      "up/secret.txt",
                                      "up/web/a.txt",
                                      "magic/etc/passwd",
                                      "loop",
                                      "fifo",
                                      "index.html",
                                      "sub",
                                      "sub/",
                                      "..",
                                      ".",
                                      "",
                                      "nothing",
                                      "a.txt/",
                                      "a.txt/b",
                                      "../web-other/x.txt",
                                      "sub/../../web/../secret.txt",
                                      "./../secret.txt",
                                      "sub/./../../secret.txt"};

static void nothing_outside_opens(void **state)
{
    struct place *p = *state;
    struct stat st;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        int fd = beneath_open_file(p->root, hostile[i], &st);
        if (fd >= 0)
            fail_msg("%s was opened", hostile[i]);
    }
}

static void the_walk_opens_no_more(void **state)
{
    struct place *p = *state;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        struct stat st;
        int fd = beneath_walk(p->root, hostile[i], O_RDONLY);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
            fail_msg("%s was opened", hostile[i]);
        if (fd >= 0)
            close(fd);
    }
    int fd = beneath_walk(p->root, "sub/b.txt", O_RDONLY);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(beneath_walk(p->root, "in.txt", O_RDONLY), -1); /* no link at all */
}

static void what_is_inside_opens(void **state)
{
    struct place *p = *state;
    static const char *const inside[] = {"a.txt", "sub/b.txt", "in.txt", "sub/../a.txt"};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
        struct stat st;
        int fd = beneath_open_file(p->root, inside[i], &st);
        assert_true(fd >= 0);
        assert_int_equal(st.st_size, 6);
        assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        close(fd);
    }
}

static void long_names_fail(void **state)
{
    struct place *p = *state;
    char name[5000];
    memset(name, 'a', sizeof name);
    name[sizeof name - 1] = 0;
    assert_int_equal(beneath_open(p->root, name, O_RDONLY), -1);
    assert_int_equal(beneath_walk(p->root, name, O_RDONLY), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
TESTS(TEST(nothing_outside_opens), TEST(the_walk_opens_no_more), TEST(what_is_inside_opens),
      TEST(long_names_fail))
