/* The store of secrets: what is put comes back; what somebody changed, exchanged or took away is
 * seen; a write that is cut off leaves the old store or the new one. */
#include "keys/keys.h"
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ONE "8f1c5be09d3a47627f60a1d9e24b83c5d07e6f12"
#define TWO "2b9d0c6e7a15f384c8e1903b5d7f2a460b8cde91"

struct fix {
    struct arena a;
    struct vault v;
    struct root_secret one, two;
    struct buf text;
    struct err e;
    char dir[64];
};

static void put(struct fix *f, const char *app, const char *name, const char *value)
{
    const struct vault_entry it = {slice_from(app), slice_from(name), slice_from(value), 1234};
    assert_true(vault_put(&f->v, &it, &f->e));
}

static int setup(void **state)
{
    struct fix *f = calloc(1, sizeof *f);
    arena_init(&f->a, 1u << 28);
    vault_init(&f->v, &f->a);
    buf_init(&f->text, 1u << 24);
    assert_true(root_secret_from(&f->one, SLICE(ONE), &f->e));
    assert_true(root_secret_from(&f->two, SLICE(TWO), &f->e));
    snprintf(f->dir, sizeof f->dir, "/tmp/dais-vault-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    put(f, "notes", "KEY", "hunter22");
    put(f, "notes", "OTHER", "another one\nof two lines");
    put(f, "shop", "KEY", "of the shop");
    put(f, "", "SMTP_URL", "smtp://me:pass@mail");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"secrets.json", "secret", "secret.next"};
    struct fix *f = *state;
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        unlink(path);
    }
    int left = rmdir(f->dir); /* fails when something was left beside them */
    buf_done(&f->text);
    arena_done(&f->a);
    free(f);
    return left;
}

static void expect(const struct vault *v, const char *app, const char *name, const char *value)
{
    const struct vault_entry *it = vault_find(v, slice_from(app), slice_from(name));
    assert_non_null(it);
    assert_true(slice_is(it->value, value));
    assert_int_equal(it->set_ms, 1234);
}

static void expect_all(const struct vault *v)
{
    assert_int_equal(v->n, 4);
    expect(v, "notes", "KEY", "hunter22");
    expect(v, "notes", "OTHER", "another one\nof two lines");
    expect(v, "shop", "KEY", "of the shop");
    expect(v, "", "SMTP_URL", "smtp://me:pass@mail");
}

static void test_what_is_put_comes_back_and_is_not_in_the_text(void **state)
{
    struct fix *f = *state;
    struct vault v;
    vault_write(&f->v, &f->one, &f->text);
    assert_true(slice_search(buf_slice(&f->text), SLICE("hunter22")) < 0);
    assert_true(slice_search(buf_slice(&f->text), SLICE("aHVudGVyMjI")) < 0);
    assert_true(vault_read(&v, &f->a, buf_slice(&f->text), &f->one, &f->e));
    expect_all(&v);
    assert_true(vault_remove(&v, SLICE("notes"), SLICE("KEY")));
    assert_false(vault_remove(&v, SLICE("notes"), SLICE("KEY")));
    assert_null(vault_find(&v, SLICE("notes"), SLICE("KEY")));
    expect(&v, "shop", "KEY", "of the shop");
}

static void test_another_secret_opens_nothing_and_is_told(void **state)
{
    struct fix *f = *state;
    struct vault v;
    vault_write(&f->v, &f->one, &f->text);
    assert_false(vault_read(&v, &f->a, buf_slice(&f->text), &f->two, &f->e));
    assert_int_equal(f->e.code, ERR_FORBIDDEN);
}

/* Every byte of the file, changed one at a time: the store is refused, or says the same. */
static void test_any_byte_that_changes_is_seen(void **state)
{
    struct fix *f = *state;
    struct vault v;
    f->v.n = 1;
    vault_write(&f->v, &f->one, &f->text);
    for (size_t i = 0; i + 1 < f->text.len; i++) {
        struct arena a;
        struct err e;
        arena_init(&a, 1u << 22);
        char was = f->text.data[i];
        f->text.data[i] = was == 'A' ? 'B' : 'A';
        assert_false(vault_read(&v, &a, buf_slice(&f->text), &f->one, &e));
        f->text.data[i] = was;
        arena_done(&a);
    }
}

/* The text of the i-th entry. */
static struct slice entry(struct slice text, int i)
{
    ptrdiff_t at = slice_search(text, SLICE("{\"app\""));
    for (; i > 0; i--) {
        text = slice_skip(text, (size_t)at + 1);
        at = slice_search(text, SLICE("{\"app\""));
    }
    text = slice_skip(text, (size_t)at);
    return slice_first(text, (size_t)slice_index(text, '}') + 1);
}

static void refused(struct fix *f, struct slice from, struct slice to)
{
    struct vault v;
    struct buf changed;
    buf_init(&changed, 1u << 24);
    buf_add_replacing(&changed, buf_slice(&f->text), from, to);
    assert_true(!slice_eq(buf_slice(&changed), buf_slice(&f->text)));
    assert_false(vault_read(&v, &f->a, buf_slice(&changed), &f->one, &f->e));
    assert_int_equal(f->e.code, ERR_IO);
    buf_done(&changed);
}

static void test_entries_cannot_be_exchanged_taken_away_or_doubled(void **state)
{
    struct fix *f = *state;
    vault_write(&f->v, &f->one, &f->text);
    struct slice first = arena_dup(&f->a, entry(buf_slice(&f->text), 0));
    struct slice third = arena_dup(&f->a, entry(buf_slice(&f->text), 2));
    struct slice gone = arena_printf(&f->a, "%.*s,", SLICE_ARGS(first));
    struct slice twice = arena_printf(&f->a, "%.*s,%.*s", SLICE_ARGS(first), SLICE_ARGS(first));
    refused(f, gone, SLICE(""));
    refused(f, first, twice);
    refused(f, third, first);
    refused(f, SLICE("\"app\":\"shop\""), SLICE("\"app\":\"shoq\""));
    refused(f, SLICE("\"name\":\"OTHER\""), SLICE("\"name\":\"OTHES\""));
    refused(f, SLICE("\"set\":1234"), SLICE("\"set\":1235"));
}

/* The seal is not what protects a box: the same file with a seal of its own is still refused. */
static void test_a_box_is_bound_to_its_app_and_name(void **state)
{
    struct fix *f = *state;
    struct vault v;
    struct buf other;
    buf_init(&other, 1u << 24);
    vault_write(&f->v, &f->one, &f->text);
    f->v.items[0].name = SLICE("KEX");
    vault_write(&f->v, &f->one, &other);
    struct slice box = entry(buf_slice(&other), 0), ours = entry(buf_slice(&f->text), 0);
    ptrdiff_t at = slice_search(box, SLICE("\"box\"")), own = slice_search(ours, SLICE("\"box\""));
    refused(f, arena_dup(&f->a, slice_skip(ours, (size_t)own)),
            arena_dup(&f->a, slice_skip(box, (size_t)at)));
    assert_true(vault_read(&v, &f->a, buf_slice(&other), &f->one, &f->e));
    buf_done(&other);
}

static void test_what_is_too_much_is_refused(void **state)
{
    struct fix *f = *state;
    struct buf large;
    char name[16];
    buf_init(&large, 1u << 20);
    while (large.len <= VAULT_VALUE_MAX)
        buf_add_char(&large, 'x');
    struct vault_entry it = {SLICE(""), SLICE("X"), buf_slice(&large), 0};
    assert_false(vault_put(&f->v, &it, &f->e));
    it.value = (struct slice){"a\0b", 3};
    assert_false(vault_put(&f->v, &it, &f->e));
    it = (struct vault_entry){SLICE(""), SLICE(""), SLICE("x"), 0};
    assert_false(vault_put(&f->v, &it, &f->e));
    it.name = slice_from(name);
    for (int i = 0; f->v.n < VAULT_MAX; i++) {
        snprintf(name, sizeof name, "N%d", i);
        it.name = slice_from(name);
        assert_true(vault_put(&f->v, &it, &f->e));
    }
    it.name = SLICE("ONE_MORE");
    assert_false(vault_put(&f->v, &it, &f->e));
    buf_done(&large);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void test_the_file_is_private_and_nothing_is_made_for_an_absent_one(void **state)
{
    struct fix *f = *state;
    struct vault v;
    struct stat st;
    char path[128];
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(""), &f->e));
    assert_int_equal(v.n, 0);
    snprintf(path, sizeof path, "%s/secret", f->dir);
    assert_int_equal(access(path, F_OK), -1);
    assert_true(vault_save(&f->v, f->dir, SLICE(""), &f->e));
    assert_int_equal(access(path, F_OK), 0);
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(""), &f->e));
    expect_all(&v);
    unlink(path);
    assert_false(vault_open(&v, &f->a, f->dir, SLICE(""), &f->e));
    assert_non_null(strstr(f->e.msg, "set DAIS_SECRET"));
    snprintf(path, sizeof path, "%s/secrets.json", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_a_wrong_dais_secret_is_named(void **state)
{
    struct fix *f = *state;
    struct vault v;
    assert_true(vault_save(&f->v, f->dir, SLICE(ONE), &f->e));
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(ONE), &f->e));
    expect_all(&v);
    assert_false(vault_open(&v, &f->a, f->dir, SLICE(TWO), &f->e));
    assert_int_equal(f->e.code, ERR_FORBIDDEN);
    assert_non_null(strstr(f->e.msg, "DAIS_SECRET does not open"));
    assert_true(vault_rotate(f->dir, SLICE(ONE), SLICE(TWO), &f->e));
    assert_false(vault_open(&v, &f->a, f->dir, SLICE(ONE), &f->e));
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(TWO), &f->e));
    expect_all(&v);
}

static void test_a_rotation_that_is_cut_off_anywhere_is_finished(void **state)
{
    struct fix *f = *state;
    struct vault v;
    struct root_secret old, next, found;
    bool is_there;
    assert_true(vault_save(&f->v, f->dir, SLICE(""), &f->e));
    assert_true(root_secret_open(&old, f->dir, &f->e));
    /* after its first step: the old one is good, and the next rotation begins anew */
    assert_true(root_secret_make_next(&next, f->dir, &f->e));
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(""), &f->e));
    expect_all(&v);
    assert_true(root_secret_make_next(&next, f->dir, &f->e));
    /* after its second: the store is under the next one, which whoever opens it puts in its place
     */
    char path[128];
    snprintf(path, sizeof path, "%s/secrets.json", f->dir);
    vault_write(&f->v, &next, &f->text);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, f->text.data, f->text.len), f->text.len);
    close(fd);
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(""), &f->e));
    expect_all(&v);
    assert_true(root_secret_open(&found, f->dir, &f->e));
    assert_memory_equal(&found, &next, sizeof found);
    assert_true(root_secret_next(&found, f->dir, &is_there, &f->e));
    assert_false(is_there);
    /* and all of them */
    assert_true(vault_rotate(f->dir, SLICE(""), SLICE(""), &f->e));
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(""), &f->e));
    expect_all(&v);
    assert_true(root_secret_open(&found, f->dir, &f->e));
    assert_memory_not_equal(&found, &next, sizeof found);
}

#define ROTATIONS 60

struct rotating {
    const char *dir;
    _Atomic bool is_done;
    bool is_fine;
};

static void *rotate(void *arg)
{
    struct rotating *r = arg;
    struct err e;
    r->is_fine = true;
    for (int i = 0; i < ROTATIONS; i++) {
        int fd = vault_lock(r->dir, &e);
        r->is_fine &= fd >= 0 && vault_rotate(r->dir, SLICE(""), SLICE(""), &e);
        close(fd);
    }
    r->is_done = true;
    return NULL;
}

/* A server that starts meanwhile reads the store, and takes nothing from the rotation's hands. */
static void test_it_opens_while_a_rotation_goes_on(void **state)
{
    struct fix *f = *state;
    struct rotating r = {.dir = f->dir};
    pthread_t thread;
    int failed = 0;
    assert_true(vault_save(&f->v, f->dir, SLICE(""), &f->e));
    assert_int_equal(pthread_create(&thread, NULL, rotate, &r), 0);
    while (!r.is_done) {
        struct arena a;
        struct vault v;
        arena_init(&a, 1u << 20);
        failed += !vault_open(&v, &a, f->dir, SLICE(""), &f->e) || v.n != 4;
        arena_done(&a);
    }
    pthread_join(thread, NULL);
    assert_true(r.is_fine);
    assert_int_equal(failed, 0);
}

static void test_what_cannot_be_written_leaves_the_old_one(void **state)
{
    struct fix *f = *state;
    struct vault v;
    assert_true(vault_save(&f->v, f->dir, SLICE(ONE), &f->e));
    put(f, "notes", "KEY", "changed");
    assert_false(vault_save(&f->v, "/nowhere/at/all", SLICE(ONE), &f->e));
    assert_true(vault_open(&v, &f->a, f->dir, SLICE(ONE), &f->e));
    expect(&v, "notes", "KEY", "hunter22");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

TESTS(TEST(test_what_is_put_comes_back_and_is_not_in_the_text),
      TEST(test_another_secret_opens_nothing_and_is_told), TEST(test_any_byte_that_changes_is_seen),
      TEST(test_entries_cannot_be_exchanged_taken_away_or_doubled),
      TEST(test_a_box_is_bound_to_its_app_and_name), TEST(test_what_is_too_much_is_refused),
      TEST(test_the_file_is_private_and_nothing_is_made_for_an_absent_one),
      TEST(test_a_wrong_dais_secret_is_named),
      TEST(test_a_rotation_that_is_cut_off_anywhere_is_finished),
      TEST(test_it_opens_while_a_rotation_goes_on),
      TEST(test_what_cannot_be_written_leaves_the_old_one))
