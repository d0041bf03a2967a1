/* What becomes of blobs that nobody names any more, and of damaged ones, on either database. */
#include "files_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

RIG_OF("app: t\nfiles: { own: {} }\n")

#define HOUR (3600 * 1000LL)

static void tend_at(int64_t now_ms)
{
    rig.files->order->sweep_ms = rig.files->order->walk_ms = 0;
    while (files_tend(rig.files, now_ms))
        ;
}

static void test_sweep(void **unused)
{
    int64_t now = clock_wall_ms();
    (void)unused;
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(put("own", "b", "two"));
    OK(put("own", "c", "two"));
    OK(drop("own", "a"));
    OK(drop("own", "b"));
    assert_int_equal(blobs_on_disk(), 2);
    tend_at(now);
    assert_int_equal(blobs_on_disk(), 2); /* not for long enough */
    OK(put("own", "a", "one"));           /* and it is needed again */
    tend_at(now + 2 * HOUR);
    assert_int_equal(blobs_on_disk(), 2);
    OK(drop("own", "a"));
    tend_at(now + 2 * HOUR);
    assert_int_equal(blobs_on_disk(), 1);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_blobs"), 1);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_blobs WHERE loose_at IS NULL"), 1);
    OK(get("own", "c", NULL));
}

static void keep_alone(const char *content)
{
    struct blob_draft d;
    OK(blob_draft_open(&d, rig.store, 0, &err));
    OK(blob_draft_add(&d, S(content), &err));
    blob_draft_seal(&d);
    OK(blob_keep(&d, "text/plain", &err));
    blob_draft_drop(&d);
}

static void test_orphans(void **unused)
{
    int64_t now = clock_wall_ms();
    (void)unused;
    rig_be("ada");
    keep_alone("nobody's");
    tend_at(now + 48 * HOUR);
    assert_int_equal(blobs_on_disk(), 1); /* this database knows of none: it may be the wrong one */
    OK(put("own", "a", "one"));
    keep_alone("one");
    assert_int_equal(blobs_on_disk(), 3);
    tend_at(now + 23 * HOUR);
    assert_int_equal(blobs_on_disk(), 3);
    tend_at(now + 48 * HOUR);
    assert_int_equal(blobs_on_disk(), 1);
}

/* The store's descriptor of that folder is a file's from now on. Which one; *ret_kept: what it was.
 */
static int break_folder(const char *name, int *ret_kept)
{
    char link[32], to[300];
    size_t len = strlen(name);
    for (int fd = 3; fd < 256; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, to, sizeof to);
        if (n <= (ssize_t)len || memcmp(to + n - len, name, len) != 0)
            continue;
        int file = open("/dev/null", O_RDONLY);
        *ret_kept = dup(fd);
        assert_int_equal(dup2(file, fd), fd);
        close(file);
        return fd;
    }
    fail_msg("the store has no %s open", name);
    return -1;
}

static void mend_folder(int fd, int kept)
{
    assert_int_equal(dup2(kept, fd), fd);
    close(kept);
}

/* One whose bytes nobody can remove does not keep those behind it, and what uploads left behind
 * does not make it walk again and again. */
static void test_lasting_failures(void **unused)
{
    struct file a;
    char path[300];
    int64_t now = clock_wall_ms();
    (void)unused;
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(put("own", "b", "two"));
    OK(put("own", "c", "three"));
    OK(get("own", "a", &a));
    snprintf(path, sizeof path, "%s/blobs/%.2s/%.*s", rig.blobs, a.key.ptr, SLICE_ARGS(a.key));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    OK(drop("own", "a"));
    OK(drop("own", "b"));
    tend_at(now + 2 * HOUR);
    assert_int_equal(blobs_on_disk(), 1);
    snprintf(rig.files->order->walked, 1200, "00"); /* the store is ours already */
    int kept, fd = break_folder("/drafts", &kept);
    assert_false(blob_clean(rig.store, 0, &err));
    tend_at(now + 4 * HOUR);
    assert_int_equal(rig.files->order->walk_ms, now + 28 * HOUR);
    mend_folder(fd, kept);
}

/* Each failure is followed by a longer pause, and then the walk goes on where it was. */
static void test_failing_walk(void **unused)
{
    const int64_t minute = 60 * 1000, now = clock_wall_ms();
    struct files_order *o = rig.files->order;
    int64_t at = now;
    (void)unused;
    snprintf(o->walked, sizeof o->walked, "7f");
    int kept, fd = break_folder("/blobs", &kept);
    for (int i = 0; i < 12; i++) {
        assert_false(files_tend(rig.files, at));
        assert_int_equal(o->walk_ms - at, minute << (i < 8 ? i : 8));
        assert_string_equal(o->walked, "7f");
        at = o->walk_ms;
        assert_false(files_tend(rig.files, at - 1));
        assert_int_equal(o->walk_ms, at);
    }
    mend_folder(fd, kept);
    while (files_tend(rig.files, at))
        ;
    assert_int_equal(o->walk_ms, at + 24 * HOUR);
    assert_string_equal(o->walked, "");
    assert_int_equal(o->n_failed, 0);
}

/* The next reading of the manifest goes on where this one is. */
static void test_order_is_kept(void **unused)
{
    struct files_order order = {0};
    struct problems p;
    int64_t now = clock_wall_ms();
    (void)unused;
    files_keep_order(rig.files, &order);
    while (files_tend(rig.files, now))
        ;
    assert_true(order.walk_ms > now && order.sweep_ms > now);
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(drop("own", "a"));
    assert_true(order.has_loose);
    int64_t due = order.walk_ms;
    problems_init(&p, &rig.a);
    struct files *next = files_new(rig.manifest, &p);
    files_attach(next, rig.slot, rig.store, SLICE("a secret of thirty-two characters"));
    files_keep_order(next, &order);
    assert_false(files_tend(next, now + 1));
    assert_int_equal(order.walk_ms, due);
    files_keep_order(rig.files, NULL);
    files_free(next);
}

/* What is stored under the file's key is something else from now on. */
static void spoil(const struct file *f)
{
    char path[300];
    snprintf(path, sizeof path, "%s/blobs/%.2s/%.*s", rig.blobs, f->key.ptr, SLICE_ARGS(f->key));
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && write(fd, "X", 1) == 1);
    close(fd);
}

static struct {
    unsigned n;
    char text[400];
} heard;

static void hear(void *user, const struct files_finding *f)
{
    (void)user;
    heard.n++;
    snprintf(heard.text, sizeof heard.text, "%.*s/%.*s %s", SLICE_ARGS(f->bucket),
             SLICE_ARGS(f->path), err_slug(f->code));
}

static void test_verify(void **unused)
{
    const struct files_hearer to = {.finding = hear};
    struct files_verdict v;
    struct file f;
    (void)unused;
    heard.n = 0;
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(put("own", "b", "two"));
    OK(put("own", "c", "three"));
    OK(drop("own", "c"));
    OK(files_verify(rig.store, files_db(rig.files), &to, &v, &err));
    assert_true(v.files == 2 && v.blobs == 3 && v.unneeded == 1 && !v.damaged && !v.missing);
    assert_true(v.bytes == 11 && !heard.n);
    OK(get("own", "b", &f));
    spoil(&f);
    OK(files_verify(rig.store, files_db(rig.files), &to, &v, &err));
    assert_true(v.damaged == 1 && !v.missing && heard.n == 1);
    assert_string_equal(heard.text, "own/b damaged");
    OK(get("own", "a", &f));
    OK(blob_remove(rig.store, f.key, &err));
    OK(files_verify(rig.store, files_db(rig.files), &to, &v, &err));
    assert_true(v.damaged == 1 && v.missing == 1 && heard.n == 3);
}

static void test_damage(void **unused)
{
    struct file f, again;
    struct err why;
    (void)unused;
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(put("own", "b", "one"));
    OK(get("own", "a", &f));
    err_set(&why, ERR_UNAVAILABLE, "The disk is away.");
    files_damaged(rig.files, f.hash, f.key, &why);
    OK(get("own", "a", &f));
    assert_false(f.is_damaged);
    spoil(&f);
    err_set(&why, ERR_DAMAGED, "It is not what was stored.");
    files_damaged(rig.files, f.hash, f.key, &why);
    files_damaged(rig.files, f.hash, f.key, &why);
    OK(get("own", "b", &again));
    assert_true(again.is_damaged);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_events WHERE kind = 'data.damaged'"), 1);
    assert_int_equal(blobs_on_disk(), 0);
    OK(put("own", "c", "one")); /* the same content comes again: all are whole */
    OK(get("own", "a", &again));
    assert_false(again.is_damaged || slice_eq(again.key, f.key));
    files_damaged(rig.files, f.hash, f.key, &why); /* of the key of before */
    OK(get("own", "a", &again));
    assert_false(again.is_damaged);
}

static void test_recount(void **unused)
{
    (void)unused;
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(put("own", "b", "three"));
    OK(files_recount(rig.files, &err));
    assert_int_equal(number("SELECT bytes FROM dais_file_use WHERE owner = 'ada'"), 8);
    assert_int_equal(number("SELECT files FROM dais_file_use WHERE owner = 'ada'"), 2);
    OK(drop("own", "a"));
    OK(drop("own", "b"));
    OK(files_recount(rig.files, &err));
    assert_int_equal(number("SELECT COUNT(*) FROM dais_file_use"), 0);
}

static void test_recheck(void **unused)
{
    struct file f;
    enum files_recheck did;
    char damaged[150];
    (void)unused;
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(get("own", "a", &f));
    spoil(&f);
    snprintf(damaged, sizeof damaged, "%s/damaged", rig.blobs);
    close(open(damaged, O_WRONLY | O_CREAT, 0600)); /* where the folder has to be */
    NOT(files_recheck(rig.files, f.key, &did, &err), ERR_IO);
    assert_int_equal(did, FILES_NOTHING);
    assert_int_equal(unlink(damaged), 0);
    OK(put("own", "a", "two"));
    OK(get("own", "a", &f));
    spoil(&f);
    OK(files_recheck(rig.files, f.key, &did, &err));
    assert_int_equal(did, FILES_SET_ASIDE);
    OK(files_recheck(rig.files, f.key, &did, &err));
    assert_int_equal(did, FILES_NOTHING);
}

static bool run_forget(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql forget = {"DELETE FROM dais_file_use", NULL};
    struct db_stmt *s = db_prepare(c, &forget, e);
    (void)arg;
    return s && db_run(s, NULL, e);
}

/* Who has files and no sum could store beyond any quota: that is told as well. */
static void test_missing_sum(void **unused)
{
    const struct files_hearer to = {.finding = hear};
    struct files_verdict v;
    (void)unused;
    heard.n = 0;
    rig_be("ada");
    OK(put("own", "a", "one"));
    OK(written(run_forget, NULL));
    OK(files_verify(rig.store, files_db(rig.files), &to, &v, &err));
    assert_true(v.damaged == 1 && heard.n == 1);
    assert_string_equal(heard.text, "own/ damaged");
    OK(files_recount(rig.files, &err));
    OK(files_verify(rig.store, files_db(rig.files), &to, &v, &err));
    assert_true(!v.damaged && heard.n == 1);
}

/* It goes on in the middle, maybe hours later: whose the store is by then is asked again. */
static void test_failed_walk_asks_again(void **unused)
{
    struct files_order *o = rig.files->order;
    bool is_ours = false;
    int64_t now = clock_wall_ms() + 48 * HOUR;
    (void)unused;
    rig_be("ada");
    OK(put("own", "a", "one"));
    keep_alone("another's");
    OK(blob_claim(rig.store, S("another database's name"), &is_ours, &err));
    assert_true(is_ours);
    snprintf(o->walked, sizeof o->walked, "00");
    o->n_failed = 1;
    assert_false(files_tend(rig.files, now));
    assert_int_equal(o->n_failed, 2);
    assert_string_equal(o->walked, "00");
    assert_int_equal(blobs_on_disk(), 2);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
TESTS(T(test_sweep), T(test_orphans), T(test_lasting_failures), T(test_failing_walk),
      T(test_order_is_kept), T(test_verify), T(test_damage), T(test_recount), T(test_recheck),
      T(test_missing_sum), T(test_failed_walk_asks_again))
