/* Contents: taken from a store and given back to one, checked on both ways, swept. */
#include "keep_test.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>

static struct blob_store *store;

static int begin(void **state)
{
    char dir[128];
    start(state);
    snprintf(dir, sizeof dir, "%s/files", rig.dir);
    store = blob_store_new(&(struct blob_options){.dir = dir, .free_min = 1}, &rig.e);
    assert_non_null(store);
    return 0;
}

static int end(void **state)
{
    blob_store_free(store);
    return stop(state);
}

struct stored {
    char key[BLOB_KEY_LEN + 1], hash[BLOB_HASH_LEN + 1];
    uint64_t size;
};

static struct stored put(struct slice bytes)
{
    struct blob_draft d;
    struct stored ret = {.size = bytes.len};
    OK(blob_draft_open(&d, store, bytes.len, &rig.e) && blob_draft_add(&d, bytes, &rig.e));
    blob_draft_seal(&d);
    OK(blob_keep(&d, "text/plain", &rig.e));
    memcpy(ret.key, d.key, sizeof ret.key);
    memcpy(ret.hash, d.hash, sizeof ret.hash);
    blob_draft_drop(&d);
    return ret;
}

static bool take(const struct stored *s)
{
    return content_take(rig.k, store, S(s->key), S(s->hash), s->size, NULL, &rig.e);
}

static const char *place_of(const struct stored *s)
{
    return arena_cstr(&rig.a, arena_printf(&rig.a, "contents/%.2s/%s", s->hash, s->hash));
}

static bool has_drafts(void)
{
    bool has = false;
    DIR *dir = opendir(path_of("contents"));
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        has |= slice_ends(S(entry->d_name), S(".draft"));
    closedir(dir);
    return has;
}

static struct slice noise(size_t n)
{
    char *to = arena_alloc(&rig.a, n + 1);
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(i * 2654435761u >> 13);
    return (struct slice){to, n};
}

static void there_and_back(void **state)
{
    static const size_t sizes[] = {0, 1, 4096, (2u << 20) + 1, 9u << 20};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct stored s = put(noise(sizes[i]));
        char key[BLOB_KEY_LEN + 1] = "";
        assert_false(content_has(rig.k, S(s.hash), s.size));
        NOT(content_verify(rig.k, S(s.hash), s.size, &rig.e), ERR_NOT_FOUND);
        NOT(content_give(rig.k, store, S(s.hash), s.size, key, &rig.e), ERR_NOT_FOUND);
        OK(take(&s));
        assert_true(content_has(rig.k, S(s.hash), s.size));
        assert_false(content_has(rig.k, S(s.hash), s.size + 1));
        assert_true(slice_eq(read_from(place_of(&s)), noise(sizes[i])));
        OK(content_verify(rig.k, S(s.hash), s.size, &rig.e));
        OK(content_give(rig.k, store, S(s.hash), s.size, key, &rig.e));
        assert_string_not_equal(key, s.key);
        assert_true(slice_starts(S(key), S(s.hash)));
        OK(blob_verify(store, S(key), s.size, &rig.e));
        OK(take(&s)); /* again is fine */
    }
    assert_false(has_drafts());
    struct blob_stats stats;
    blob_stats(store, &stats);
    assert_int_equal(stats.drafts_open, 0);
}

/* Whether who put it there has flushed its folder, or was killed before that, nobody can tell. */
static void what_is_found_is_flushed_too(void **state)
{
    struct stored s = put(S("left by one that was killed"));
    unsigned shelf = (unsigned)strtoul(arena_cstr(&rig.a, slice_first(S(s.hash), 2)), NULL, 16);
    (void)state;
    OK(take(&s));
    keep_close(rig.k);
    rig.k = keep_open(rig.path, true, &rig.e);
    assert_non_null(rig.k);
    assert_false(rig.k->shelf_is_new[shelf]);
    assert_true(content_has(rig.k, S(s.hash), s.size));
    assert_true(rig.k->shelf_is_new[shelf]);
}

static void what_the_store_has_not(void **state)
{
    struct stored s = put(S("bytes")), other = put(S("other"));
    char path[512];
    (void)state;
    memcpy(s.key, other.key, sizeof s.key); /* a row that is damaged */
    NOT(take(&s), ERR_DAMAGED);
    s = put(S("bytes"));
    snprintf(path, sizeof path, "%s/files/blobs/%.2s/%s", rig.dir, s.key, s.key);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "B", 1, 0), 1);
    close(fd);
    NOT(take(&s), ERR_DAMAGED);
    assert_int_equal(truncate(path, 4), 0);
    NOT(take(&s), ERR_DAMAGED);
    assert_int_equal(unlink(path), 0);
    NOT(take(&s), ERR_NOT_FOUND);
    assert_false(is_there(place_of(&s)));
    assert_false(has_drafts());
    memcpy(s.hash, "../..", 5);
    NOT(take(&s), ERR_DAMAGED);
}

static void what_is_damaged_here(void **state)
{
    struct stored s = put(S("bytes"));
    char key[BLOB_KEY_LEN + 1];
    (void)state;
    OK(take(&s));
    write_to(place_of(&s), S("bytez"));
    NOT(content_verify(rig.k, S(s.hash), s.size, &rig.e), ERR_DAMAGED);
    NOT(content_give(rig.k, store, S(s.hash), s.size, key, &rig.e), ERR_DAMAGED);
    write_to(place_of(&s), S("byte"));
    NOT(content_verify(rig.k, S(s.hash), s.size, &rig.e), ERR_DAMAGED);
    NOT(content_give(rig.k, store, S(s.hash), s.size, key, &rig.e), ERR_DAMAGED);
    assert_false(content_has(rig.k, S(s.hash), s.size));
    OK(take(&s)); /* and it is whole again */
    OK(content_verify(rig.k, S(s.hash), s.size, &rig.e));
    struct blob_stats stats;
    blob_stats(store, &stats);
    assert_int_equal(stats.drafts_open, 0);
}

/* Somebody else's folder, made to lead elsewhere. */
static void what_was_set_aside_is_taken_anew(void **state)
{
    struct stored s = put(S("hello"));
    const char *aside = arena_cstr(&rig.a, arena_printf(&rig.a, "%s.damaged", place_of(&s)));
    (void)state;
    OK(take(&s));
    write_to(place_of(&s), S("jello"));
    assert_true(content_has(rig.k, S(s.hash), s.size)); /* so the next backup would leave it */
    assert_true(content_set_aside(rig.k, S(s.hash)));
    assert_true(is_there(aside) && !content_has(rig.k, S(s.hash), s.size));
    NOT(content_verify(rig.k, S(s.hash), s.size, &rig.e), ERR_DAMAGED);
    OK(take(&s));
    OK(content_verify(rig.k, S(s.hash), s.size, &rig.e));
    assert_false(is_there(aside));
}

static void links_are_not_followed(void **state)
{
    struct stored s = put(S("bytes"));
    char key[BLOB_KEY_LEN + 1], shelf[16];
    (void)state;
    write_to("elsewhere", S("bytes"));
    snprintf(shelf, sizeof shelf, "contents/%.2s", s.hash);
    OK(take(&s));
    assert_int_equal(unlink(path_of(place_of(&s))), 0);
    assert_int_equal(symlink(path_of("elsewhere"), path_of(place_of(&s))), 0);
    assert_false(content_has(rig.k, S(s.hash), 5));
    NOT(content_verify(rig.k, S(s.hash), 5, &rig.e), ERR_DAMAGED);
    NOT(content_give(rig.k, store, S(s.hash), 5, key, &rig.e), ERR_DAMAGED);
    OK(take(&s)); /* in its place, not through it */
    assert_true(content_has(rig.k, S(s.hash), 5));
    assert_true(slice_is(read_from("elsewhere"), "bytes"));
    /* A shelf that is a link to one where the content is. */
    assert_int_equal(rename(path_of(shelf), path_of("shelf")), 0);
    assert_int_equal(symlink(path_of("shelf"), path_of(shelf)), 0);
    assert_false(content_has(rig.k, S(s.hash), 5));
    NOT(content_verify(rig.k, S(s.hash), 5, &rig.e), ERR_DAMAGED);
    NOT(take(&s), ERR_IO);
    assert_int_equal(unlink(path_of(shelf)), 0);
    /* A FIFO: nobody waits for it. */
    assert_int_equal(mkdir(path_of(shelf), 0700), 0);
    assert_int_equal(mkfifo(path_of(place_of(&s)), 0600), 0);
    NOT(content_verify(rig.k, S(s.hash), 0, &rig.e), ERR_DAMAGED);
    assert_false(content_has(rig.k, S(s.hash), 0));
}

static void left_by_one_that_was_killed(void **state)
{
    struct stored s = put(S("bytes"));
    const char *draft = arena_cstr(&rig.a, arena_printf(&rig.a, "contents/%s.draft", s.hash));
    (void)state;
    write_to(draft, S("byt and more than that"));
    OK(take(&s));
    assert_true(slice_is(read_from(place_of(&s)), "bytes"));
    write_to("precious", S("mine"));
    assert_int_equal(symlink(path_of("precious"), path_of(draft)), 0);
    OK(take(&s));
    assert_true(slice_is(read_from("precious"), "mine"));
    assert_false(has_drafts());
}

/* ---- disks ----------------------------------------------------------------------------------- */

static void more_than_the_disk_has(void **state)
{
    struct stored s = put(S("bytes"));
    (void)state;
    s.size = 1ull << 60;
    NOT(take(&s), ERR_FULL);
    assert_false(has_drafts());
    const char *want = arena_cstr(
        &rig.a, arena_printf(&rig.a,
                             "There is not enough room on the disk of %s: 1099511627776 MB are "
                             "wanted, and 256 MB of it always stay free.",
                             rig.path));
    assert_string_equal(rig.e.msg, want);
}

/* Of which disk it is said: the backup has room enough. */
static void more_than_the_disk_of_files_has(void **state)
{
    struct blob_store *full;
    char dir[128], key[BLOB_KEY_LEN + 1];
    struct stored s = put(S("bytes"));
    (void)state;
    OK(take(&s));
    snprintf(dir, sizeof dir, "%s/full", rig.dir);
    full = blob_store_new(&(struct blob_options){.dir = dir, .free_min = 1ull << 60}, &rig.e);
    assert_non_null(full);
    NOT(content_give(rig.k, full, S(s.hash), s.size, key, &rig.e), ERR_FULL);
    assert_non_null(strstr(rig.e.msg, "bringing back the content"));
    blob_store_free(full);
}

/* A disk of our own, in a name space of this process; false: not allowed here. */
static bool mount_disk(const char *dir, const char *how)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", dir, "tmpfs", 0, how) == 0;
}

/* Some of it always stays free for others. */
static void the_last_bytes_are_not_ours(void **state)
{
    struct stored s = put(noise(3u << 20)), small = put(S("small"));
    char dir[128];
    (void)state;
    snprintf(dir, sizeof dir, "%s/disk", rig.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    if (!mount_disk(dir, "size=258m"))
        skip();
    keep_close(rig.k);
    rig.k = keep_open(dir, true, &rig.e);
    assert_non_null(rig.k);
    NOT(take(&s), ERR_FULL);
    assert_non_null(strstr(rig.e.msg, ": 3 MB are wanted"));
    OK(take(&small));
    keep_close(rig.k);
    rig.k = NULL;
    umount2(dir, MNT_DETACH);
}

/* ---- sweeping -------------------------------------------------------------------------------- */

struct asking {
    const char *needed;
    size_t n;
};

static bool is_needed(void *user, struct slice hash)
{
    struct asking *x = user;
    x->n++;
    return slice_is(hash, x->needed);
}

static void what_nobody_names_goes(void **state)
{
    struct stored a = put(S("a")), b = put(S("b")), c = put(S("c"));
    struct asking x = {a.hash, 0};
    (void)state;
    OK(take(&a) && take(&b) && take(&c));
    write_to("contents/README", S("mine"));
    const char *mine = arena_cstr(&rig.a, arena_printf(&rig.a, "contents/%.2s/mine", b.hash));
    write_to(mine, S("mine"));
    const char *odd = /* on another's shelf */
        arena_cstr(&rig.a, arena_printf(&rig.a, "contents/%.2s/%s", a.hash, b.hash));
    write_to(odd, S("b"));
    unlink(path_of(place_of(&c)));
    assert_int_equal(mkdir(path_of(place_of(&c)), 0700), 0);
    OK(contents_sweep(rig.k, is_needed, &x, &rig.e));
    assert_int_equal(x.n, 2);
    assert_true(is_there(place_of(&a)) && is_there(mine) && is_there(odd) &&
                is_there(place_of(&c)) && is_there("contents/README"));
    assert_false(is_there(place_of(&b)));
}

static void a_shelf_that_is_a_link_is_not_swept(void **state)
{
    struct stored a = put(S("a"));
    struct asking x = {"", 0};
    char shelf[16];
    (void)state;
    OK(take(&a));
    snprintf(shelf, sizeof shelf, "contents/%.2s", a.hash);
    assert_int_equal(rename(path_of(shelf), path_of("shelf")), 0);
    assert_int_equal(symlink(path_of("shelf"), path_of(shelf)), 0);
    OK(contents_sweep(rig.k, is_needed, &x, &rig.e));
    assert_int_equal(x.n, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
TESTS(TEST(there_and_back), TEST(what_is_found_is_flushed_too), TEST(what_the_store_has_not),
      TEST(what_is_damaged_here), TEST(what_was_set_aside_is_taken_anew),
      TEST(links_are_not_followed), TEST(left_by_one_that_was_killed), TEST(more_than_the_disk_has),
      TEST(more_than_the_disk_of_files_has), TEST(what_nobody_names_goes),
      TEST(a_shelf_that_is_a_link_is_not_swept), TEST(the_last_bytes_are_not_ours))
