/* Blobs in a folder: kept, found, verified, set aside, walked; and disks that fail. */
#include "unit.h"

#include "base/mem.h"
#include "blob/blob_impl.h"
#include "blob_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIG (8u * 1024 * 1024 + 1)

struct rig {
    char dir[64];
    struct blob_store *store;
    struct err e;
};

static struct blob_store *open_store(const char *dir, uint64_t free_min, struct err *e)
{
    return blob_store_new(&(struct blob_options){.dir = dir, .free_min = free_min}, e);
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    snprintf(r->dir, sizeof r->dir, "/tmp/dais-blob-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    r->store = open_store(r->dir, 1, &r->e);
    assert_non_null(r->store);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    struct blob_stats stats;
    if (r->store) {
        blob_stats(r->store, &stats);
        assert_int_equal(stats.drafts_open, 0);
    }
    blob_store_free(r->store);
    remove_all(r->dir);
    free(r);
    return 0;
}

/* Its folder, and what follows. */
static const char *path_of(struct rig *r, const char *folder, const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s/%s", r->dir, folder, name);
    return path;
}

static const char *blob_path(struct rig *r, const char *key)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", r->dir, key, key);
    return path;
}

static bool fill(struct rig *r, struct blob_draft *d, size_t size, char with)
{
    char piece[65536];
    memset(piece, with, sizeof piece);
    if (!blob_draft_open(d, r->store, size, &r->e))
        return false;
    for (size_t left = size; left;) {
        size_t n = left < sizeof piece ? left : sizeof piece;
        if (!blob_draft_add(d, (struct slice){piece, n}, &r->e))
            return false;
        left -= n;
    }
    blob_draft_seal(d);
    return true;
}

static void keep(struct rig *r, size_t size, char with, char key[BLOB_KEY_LEN + 1])
{
    struct blob_draft d;
    assert_true(fill(r, &d, size, with));
    assert_true(blob_keep(&d, "text/plain", &r->e));
    memcpy(key, d.key, BLOB_KEY_LEN + 1);
    blob_draft_drop(&d);
    blob_draft_drop(&d);
}

/* ---- what works ------------------------------------------------------------------------------ */

static void there_and_back(void **state)
{
    static const size_t sizes[] = {0, 1, 4096, BIG};
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char key[BLOB_KEY_LEN + 1], c;
        struct blob_piece piece;
        struct slice k = {key, BLOB_KEY_LEN};
        size_t size = sizes[i], at = size / 2;
        keep(r, size, 'a', key);
        assert_true(blob_key_is_good(k));
        assert_int_equal(blob_find(r->store, k, size, at, &piece, &r->e), BLOB_HERE);
        assert_int_equal(piece.at, at);
        assert_int_equal(piece.len, size - at);
        assert_int_equal(pread(piece.fd, &c, 1, (off_t)piece.at), size > at);
        close(piece.fd);
        assert_true(blob_verify(r->store, k, size, &r->e));
        assert_true(blob_remove(r->store, k, &r->e));
        assert_true(blob_remove(r->store, k, &r->e));
        assert_int_equal(blob_find(r->store, k, size, 0, &piece, &r->e), BLOB_GONE);
        assert_int_equal(r->e.code, ERR_NOT_FOUND);
        assert_false(blob_verify(r->store, k, size, &r->e));
        assert_int_equal(r->e.code, ERR_NOT_FOUND);
    }
}

/* What is past the page cache and what is in it are one file, whatever comes in which order. */
static void a_long_one(void **state)
{
    static const size_t tails[] = {1u << 20, 5 * MEM_PAGE, 777, 1u << 20, 2 * MEM_PAGE, 1};
    enum { LONG = 66, PIECE = 1u << 20 };
    struct rig *r = *state;
    struct blob_draft d;
    char *piece = mem_alloc_pages(PIECE);
    bool was_direct = false;
    assert_true(blob_draft_open(&d, r->store, 0, &r->e));
    for (unsigned i = 0; i < LONG + sizeof tails / sizeof *tails; i++) {
        memset(piece, (int)i + 1, PIECE);
        size_t n = i < LONG ? PIECE : tails[i - LONG];
        if (!blob_draft_add(&d, (struct slice){piece, n}, &r->e))
            fail_msg("%s", r->e.msg);
        was_direct |= d.is_direct;
        if (n % MEM_PAGE || d.size % MEM_PAGE) /* whole pages only, and where one begins */
            assert_false(d.is_direct);
    }
    if (!was_direct && !d.is_cached)
        fail_msg("it never tried");
    uint64_t size = d.size;
    blob_draft_seal(&d);
    assert_true(blob_keep(&d, "text/plain", &r->e));
    blob_draft_drop(&d);
    if (!blob_verify(r->store, slice_from(d.key), size, &r->e))
        fail_msg("%s", r->e.msg);
    free(piece);
}

/* The limit is not at a page's end: half a sector would fit. */
static void a_long_one_does_not_fit(void **state)
{
    enum { FITS = 65, PIECE = 1u << 20 };
    struct rig *r = *state;
    struct blob_draft d;
    struct rlimit before, small;
    char *piece = mem_alloc_pages(PIECE);
    memset(piece, 'x', PIECE);
    getrlimit(RLIMIT_FSIZE, &before);
    small = (struct rlimit){FITS * PIECE + 700, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_true(blob_draft_open(&d, r->store, 0, &r->e));
    unsigned n = 0;
    while (n < 2 * FITS && blob_draft_add(&d, (struct slice){piece, PIECE}, &r->e))
        n++;
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(n, FITS);
    assert_int_equal(d.size, FITS * PIECE);
    blob_draft_drop(&d);
    free(piece);
}

/* Each has a place of its own: who removes one takes nothing from the other. */
static void same_content_twice(void **state)
{
    struct rig *r = *state;
    char one[BLOB_KEY_LEN + 1], two[BLOB_KEY_LEN + 1];
    keep(r, 10, 'a', one);
    keep(r, 10, 'a', two);
    assert_memory_equal(one, two, BLOB_HASH_LEN);
    assert_string_not_equal(one, two);
    assert_true(blob_remove(r->store, slice_from(one), &r->e));
    assert_true(blob_verify(r->store, slice_from(two), 10, &r->e));
}

static void drafts_leave_nothing(void **state)
{
    struct rig *r = *state;
    struct blob_draft d;
    struct blob_stats stats;
    assert_true(fill(r, &d, 100, 'a'));
    blob_stats(r->store, &stats);
    assert_int_equal(stats.drafts_open, 1);
    assert_int_equal(access(path_of(r, "drafts", d.name), F_OK), 0);
    char name[ID_LEN + 1];
    memcpy(name, d.name, sizeof name);
    blob_draft_drop(&d);
    assert_int_equal(access(path_of(r, "drafts", name), F_OK), -1);
    assert_true(rmdir(path_of(r, "drafts", "")) == 0);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void overwrite(struct rig *r, const char *key, off_t at, const char *with)
{
    int fd = open(blob_path(r, key), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, with, strlen(with), at), strlen(with));
    close(fd);
}

static void damage_is_seen(void **state)
{
    struct rig *r = *state;
    struct blob_piece piece;
    char key[BLOB_KEY_LEN + 1];
    struct slice k = {key, BLOB_KEY_LEN};
    keep(r, 5000, 'a', key);
    overwrite(r, key, 4000, "b");
    assert_false(blob_verify(r->store, k, 5000, &r->e));
    assert_int_equal(r->e.code, ERR_DAMAGED);
    overwrite(r, key, 4000, "a");
    assert_true(blob_verify(r->store, k, 5000, &r->e));
    overwrite(r, key, 5000, "a"); /* longer */
    assert_int_equal(blob_find(r->store, k, 5000, 0, &piece, &r->e), BLOB_GONE);
    assert_int_equal(r->e.code, ERR_DAMAGED);
    assert_int_equal(truncate(blob_path(r, key), 10), 0);
    assert_int_equal(blob_find(r->store, k, 5000, 0, &piece, &r->e), BLOB_GONE);
    assert_int_equal(r->e.code, ERR_DAMAGED);
    assert_true(blob_quarantine(r->store, k, &r->e));
    assert_true(blob_quarantine(r->store, k, &r->e));
    assert_int_equal(access(path_of(r, "damaged", key), F_OK), 0);
    assert_int_equal(blob_find(r->store, k, 5000, 0, &piece, &r->e), BLOB_GONE);
    assert_int_equal(r->e.code, ERR_NOT_FOUND);
}

/* What is at its name is no file: nothing waits, nothing is followed. */
static void odd_things_in_its_place(void **state)
{
    struct rig *r = *state;
    struct blob_piece piece;
    char key[BLOB_KEY_LEN + 1];
    struct slice k = {key, BLOB_KEY_LEN};
    keep(r, 5, 'a', key);
    const char *path = blob_path(r, key);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(blob_find(r->store, k, 0, 0, &piece, &r->e), BLOB_GONE);
    assert_int_equal(r->e.code, ERR_DAMAGED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(blob_find(r->store, k, 5, 0, &piece, &r->e), BLOB_GONE);
}

static void odd_keys(void **state)
{
    static const char *const bad[] = {
        "",
        "../../etc/passwd",
        "ab",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-0123456789a",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-0123456789abc",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef_0123456789ab",
        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef-0123456789ab",
        "g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-0123456789ab",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-01234567/9ab",
        "..23456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-0123456789ab",
    };
    struct rig *r = *state;
    struct blob_piece piece;
    assert_true(blob_key_is_good(
        SLICE("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-0123456789xz")));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice k = slice_from(bad[i]);
        assert_false(blob_key_is_good(k));
        assert_int_equal(blob_find(r->store, k, 1, 0, &piece, &r->e), BLOB_GONE);
        assert_int_equal(r->e.code, ERR_DAMAGED);
        assert_false(blob_verify(r->store, k, 1, &r->e));
        assert_false(blob_remove(r->store, k, &r->e));
        assert_false(blob_quarantine(r->store, k, &r->e));
    }
}

/* ---- disks that fail ------------------------------------------------------------------------- */

static void no_room(void **state)
{
    struct rig *r = *state;
    struct blob_draft d;
    blob_store_free(r->store);
    r->store = open_store(r->dir, UINT64_MAX, &r->e);
    assert_false(blob_draft_open(&d, r->store, 0, &r->e));
    assert_int_equal(r->e.code, ERR_FULL);
    blob_draft_drop(&d);
    assert_false(blob_ping(r->store, &r->e));
    blob_store_free(r->store);
    r->store = open_store(r->dir, 1, &r->e);
    assert_true(blob_ping(r->store, &r->e));
    assert_false(blob_draft_open(&d, r->store, UINT64_MAX - 1, &r->e));
    assert_int_equal(r->e.code, ERR_FULL);
    blob_draft_drop(&d);
}

/* A disk of this process's own. False: this machine does not let us. */
static bool mount_disk(const char *dir, const char *how)
{
    static bool is_apart;
    if (!is_apart && unshare(CLONE_NEWNS) != 0)
        return false;
    is_apart = true;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, how) == 0;
}

static void open_disk(struct rig *r)
{
    blob_store_free(r->store);
    r->store = NULL;
    if (!mount_disk(r->dir, "size=4m"))
        skip();
    r->store = open_store(r->dir, 64 << 10, &r->e);
    assert_non_null(r->store);
}

static void full_disk(void **state)
{
    struct rig *r = *state;
    struct blob_draft d;
    char key[BLOB_KEY_LEN + 1];
    open_disk(r);
    keep(r, 100, 'k', key);
    assert_true(blob_draft_open(&d, r->store, 0, &r->e)); /* nobody said how long it is */
    char piece[65536] = {1};
    bool fine = true;
    for (int i = 0; fine && i < 128; i++)
        fine = blob_draft_add(&d, (struct slice){piece, sizeof piece}, &r->e);
    assert_false(fine);
    assert_int_equal(r->e.code, ERR_FULL);
    blob_draft_drop(&d);
    assert_true(blob_ping(r->store, &r->e));
    assert_true(blob_verify(r->store, slice_from(key), 100, &r->e));
    blob_store_free(r->store);
    r->store = NULL;
    umount2(r->dir, MNT_DETACH);
}

static void read_only_disk(void **state)
{
    struct rig *r = *state;
    struct blob_draft d;
    struct blob_piece piece;
    char key[BLOB_KEY_LEN + 1];
    open_disk(r);
    keep(r, 100, 'k', key);
    assert_true(fill(r, &d, 50, 'a'));
    close(d.fd); /* what is open for writing keeps a disk writable */
    d.fd = open("/dev/null", O_RDWR);
    assert_int_equal(mount(NULL, r->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    assert_false(blob_keep(&d, NULL, &r->e));
    blob_draft_drop(&d);
    assert_false(blob_draft_open(&d, r->store, 1, &r->e));
    assert_int_equal(r->e.code, ERR_UNAVAILABLE);
    blob_draft_drop(&d);
    assert_false(blob_ping(r->store, &r->e));
    assert_false(blob_remove(r->store, slice_from(key), &r->e));
    assert_int_equal(r->e.code, ERR_UNAVAILABLE);
    assert_int_equal(blob_find(r->store, slice_from(key), 100, 0, &piece, &r->e), BLOB_HERE);
    close(piece.fd);
    assert_true(blob_verify(r->store, slice_from(key), 100, &r->e));
    struct blob_store *again = open_store(r->dir, 1, &r->e); /* to read */
    assert_non_null(again);
    blob_store_free(again);
    blob_store_free(r->store);
    r->store = NULL;
    umount2(r->dir, MNT_DETACH);
}

static void folder_vanishes(void **state)
{
    struct rig *r = *state;
    struct blob_draft d;
    char key[BLOB_KEY_LEN + 1], path[128];
    keep(r, 10, 'a', key);
    assert_true(fill(r, &d, 10, 'a'));
    snprintf(path, sizeof path, "%s/blobs", r->dir);
    remove_all(path);
    assert_false(blob_keep(&d, NULL, &r->e));
    assert_int_equal(r->e.code, ERR_IO);
    blob_draft_drop(&d);
    assert_false(blob_ping(r->store, &r->e));
    assert_int_equal(r->e.code, ERR_UNAVAILABLE);
    remove_all(r->dir);
    assert_false(blob_draft_open(&d, r->store, 10, &r->e));
    blob_draft_drop(&d);
    assert_false(blob_ping(r->store, &r->e));
}

/* A shelf that somebody took away is made again, and one whose draft was is told of. */
static void shelf_and_draft_vanish(void **state)
{
    struct rig *r = *state;
    struct blob_draft d;
    char key[BLOB_KEY_LEN + 1], shelf[3] = "";
    keep(r, 10, 'a', key);
    memcpy(shelf, key, 2);
    assert_int_equal(unlink(blob_path(r, key)), 0);
    assert_int_equal(rmdir(path_of(r, "blobs", shelf)), 0);
    keep(r, 10, 'a', key);
    assert_true(blob_verify(r->store, slice_from(key), 10, &r->e));
    assert_true(fill(r, &d, 10, 'a'));
    assert_int_equal(unlink(path_of(r, "drafts", d.name)), 0);
    assert_false(blob_keep(&d, NULL, &r->e));
    blob_draft_drop(&d);
}

static void dir_is_no_folder(void **state)
{
    struct rig *r = *state;
    char path[128];
    snprintf(path, sizeof path, "%s/file", r->dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_null(open_store(path, 1, &r->e));
    assert_int_equal(r->e.code, ERR_IO);
    snprintf(path, sizeof path, "%s/no/such", r->dir);
    assert_null(open_store(path, 1, &r->e));
}

/* ---- order ----------------------------------------------------------------------------------- */

static void put_empty(struct rig *r, const char *shelf, const char *name)
{
    mkdir(path_of(r, "blobs", shelf), 0700);
    char rest[128];
    snprintf(rest, sizeof rest, "%s/%s", shelf, name);
    int fd = open(path_of(r, "blobs", rest), O_CREAT | O_EXCL | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void walk_sees_each_once(void **state)
{
    struct rig *r = *state;
    struct arena a;
    struct slice next = SLICE("");
    size_t n_all = 0, n_pages = 0;
    static bool seen[2500];
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < 2500; i++) { /* in no order */
        char name[BLOB_KEY_LEN + 1];
        int number = i * 7 % 2500, shelf = number % 5 ? 0xab : number % 2 ? 0 : 0xff;
        snprintf(name, sizeof name, "%02x%062d-%012d", shelf, number, number);
        put_empty(r, (char[]){name[0], name[1], 0}, name);
    }
    for (int i = 0; i < 1001; i++) { /* on another's shelf */
        char name[BLOB_KEY_LEN + 1];
        snprintf(name, sizeof name, "%064d-%012d", 9000 + i, i);
        put_empty(r, "fe", name);
    }
    put_empty(r, "ab", "stranger");
    put_empty(r, "zz", "0");
    close(open(path_of(r, "blobs", "file"), O_CREAT | O_WRONLY, 0600));
    arena_init(&a, 4u << 20);
    do {
        struct blob_item *items;
        size_t n;
        assert_true(blob_walk(r->store, next, &a, &items, &n, &next, &r->e));
        assert_true(n <= 1000);
        for (size_t i = 0; i < n; i++) {
            uint64_t number;
            assert_true(slice_to_u64(slice_skip(items[i].key, BLOB_HASH_LEN + 1), &number));
            assert_false(seen[number]);
            seen[number] = true;
            assert_int_equal(items[i].size, 0);
            assert_true(items[i].modified_ms > 0);
        }
        n_all += n;
        assert_true(++n_pages < 20);
    } while (next.len);
    arena_done(&a);
    assert_int_equal(n_all, 2500);
}

static void clean_takes_the_old(void **state)
{
    struct rig *r = *state;
    struct blob_draft old, new;
    const struct timespec then[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_true(fill(r, &old, 1, 'a') && fill(r, &new, 1, 'b'));
    assert_int_equal(futimens(old.fd, then), 0);
    assert_true(blob_clean(r->store, 2000 * 1000, &r->e));
    assert_int_equal(access(path_of(r, "drafts", old.name), F_OK), -1);
    assert_int_equal(access(path_of(r, "drafts", new.name), F_OK), 0);
    blob_draft_drop(&old);
    blob_draft_drop(&new);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
TESTS(TEST(there_and_back), TEST(a_long_one), TEST(a_long_one_does_not_fit),
      TEST(same_content_twice), TEST(drafts_leave_nothing), TEST(damage_is_seen),
      TEST(odd_things_in_its_place), TEST(odd_keys), TEST(no_room), TEST(full_disk),
      TEST(read_only_disk), TEST(folder_vanishes), TEST(shelf_and_draft_vanish),
      TEST(dir_is_no_folder), TEST(walk_sees_each_once), TEST(clean_takes_the_old))
