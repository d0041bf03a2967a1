/* Copies of trees: what they keep, what is noticed afterwards, and when they are given up. */
#include "unit.h"
#include "edge/prepare_impl.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char root[64], from[80], to[80];
};

static void write_at(const struct place *p, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", p->from, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void start(struct place *p)
{
    char path[200];
    struct err e;
    snprintf(p->root, sizeof p->root, "/tmp/dais-prepare-XXXXXX");
    assert_non_null(mkdtemp(p->root));
    snprintf(p->from, sizeof p->from, "%s/from", p->root);
    snprintf(p->to, sizeof p->to, "%s/to", p->root);
    snprintf(path, sizeof path, "%s/a/b", p->from);
    assert_true(folders_make(path, 0755, &e));
    write_at(p, "a/b/file", "1234");
    write_at(p, "other", "56");
    snprintf(path, sizeof path, "%s/fifo", p->from);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/link", p->from);
    assert_int_equal(symlink("/nowhere", path), 0);
}

static void finish(const struct place *p)
{
    struct err e;
    enum thing left;
    assert_true(thing_remove(p->root, &e));
    assert_true(thing_at(p->root, &left, &e));
    assert_int_equal(left, THING_NONE);
}

static bool copies(const struct place *p)
{
    struct err e;
    return thing_copy(p->from, p->to, NULL, &e) && thing_is_copied(p->from, p->to, &e);
}

static void test_a_copy(void **state)
{
    struct place p;
    struct buf text;
    char path[200];
    (void)state;
    start(&p);
    assert_true(copies(&p));
    assert_true(copies(&p)); /* over a rest of the first */
    buf_init(&text, 100);
    snprintf(path, sizeof path, "%s/a/b/file", p.to);
    assert_true(file_read(path, &text));
    assert_string_equal(text.data, "1234");
    snprintf(path, sizeof path, "%s/fifo",
             p.to); /* holds nothing, and is none of the app's state */
    assert_int_equal(access(path, F_OK), -1);
    buf_done(&text);
    finish(&p);
}

static void add_file(const struct place *p)
{
    write_at(p, "a/b/new", "");
}

static void grow(const struct place *p)
{
    write_at(p, "a/b/file", "12345");
}

static void rewrite(const struct place *p)
{
    write_at(p, "other", "65");
}

static void take_away(const struct place *p)
{
    char path[200];
    snprintf(path, sizeof path, "%s/other", p->from);
    assert_int_equal(unlink(path), 0);
}

static void turn(const struct place *p)
{
    take_away(p);
    char path[200];
    snprintf(path, sizeof path, "%s/other", p->from);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void test_what_changes_afterwards_is_noticed(void **state)
{
    static void (*const changes[])(const struct place *) = {add_file, grow, rewrite, take_away,
                                                            turn};
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        struct place p;
        struct err e;
        start(&p);
        assert_true(copies(&p));
        changes[i](&p);
        assert_false(thing_is_copied(p.from, p.to, &e));
        finish(&p);
    }
}

static void test_it_is_given_up(void **state)
{
    struct patience patience = {0};
    _Atomic bool is_draining = true;
    struct place p;
    struct err e;
    (void)state;
    start(&p);
    patience.is_draining = &is_draining;
    assert_false(thing_copy(p.from, p.to, &patience, &e));
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    is_draining = false;
    assert_true(thing_copy(p.from, p.to, &patience, &e));
    patience.is_stopped = true;
    assert_false(thing_copy(p.from, p.to, &patience, &e));
    finish(&p);
}

static void test_nothing_is_replaced(void **state)
{
    struct place p;
    struct err e;
    enum thing found;
    (void)state;
    start(&p);
    assert_true(folders_make(p.to, 0700, &e));
    assert_false(thing_rename(p.from, p.to, &e));
    assert_int_equal(rmdir(p.to), 0);
    assert_true(thing_rename(p.from, p.to, &e));
    assert_true(thing_at(p.to, &found, &e));
    assert_int_equal(found, THING_FOLDER);
    assert_false(thing_rename(p.from, p.to, &e));
    finish(&p);
}

/* Folders in folders in folders: refused, not followed to the end of the stack. */
static void test_depth(void **state)
{
    struct place p;
    struct err e;
    int at;
    (void)state;
    start(&p);
    at = open(p.from, O_DIRECTORY);
    for (int i = 0; i < 140; i++) {
        assert_int_equal(mkdirat(at, "d", 0700), 0);
        int below = openat(at, "d", O_DIRECTORY);
        close(at);
        at = below;
    }
    close(at);
    assert_false(thing_copy(p.from, p.to, NULL, &e));
    assert_non_null(strstr(e.msg, "nested more than"));
    assert_true(thing_remove(p.to, &e)); /* what was copied can be removed again */
    char line[200];
    snprintf(line, sizeof line, "%s/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d", p.from);
    char moved[100];
    snprintf(moved, sizeof moved, "%s/rest", p.root);
    assert_true(thing_rename(line, moved, &e));
    assert_true(thing_remove(moved, &e));
    finish(&p);
}

TESTS(cmocka_unit_test(test_a_copy), cmocka_unit_test(test_what_changes_afterwards_is_noticed),
      cmocka_unit_test(test_it_is_given_up), cmocka_unit_test(test_nothing_is_replaced),
      cmocka_unit_test(test_depth))
