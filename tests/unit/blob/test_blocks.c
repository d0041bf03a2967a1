/* The cache of an object store: what makes room, who fetches, and folders that others empty. */
#include "unit.h"

#include "blob/blob_impl.h"
#include "blob_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS 8

struct rig {
    char dir[64];
    struct aws_chain *chain;
    struct s3 *s3; /* nobody is there, and nobody is asked */
    struct blob_store *store;
    struct err e;
};

static void open_store(struct rig *r)
{
    r->store = blob_store_new(
        &(struct blob_options){
            .dir = r->dir, .s3 = r->s3, .place = SLICE("a/"), .free_min = 1, .cache_max = 1000},
        &r->e);
    assert_non_null(r->store);
}

static int setup(void **state)
{
    const struct aws_keys keys = {.id = SLICE("id"), .secret = SLICE("secret")};
    struct rig *r = calloc(1, sizeof *r);
    snprintf(r->dir, sizeof r->dir, "/tmp/dais-blocks-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    r->chain = aws_chain_new(NULL, &keys);
    r->s3 = s3_new(&(struct s3_options){.bucket = SLICE("bucket"),
                                        .endpoint = SLICE("http://127.0.0.1:1"),
                                        .chain = r->chain,
                                        .call_ms = 100},
                   &r->e);
    assert_non_null(r->s3);
    open_store(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    blob_store_free(r->store);
    s3_free(r->s3);
    aws_chain_free(r->chain);
    remove_all(r->dir);
    free(r);
    return 0;
}

static struct slice key_of(int i, char to[BLOB_KEY_LEN + 1])
{
    snprintf(to, BLOB_KEY_LEN + 1, "%064d-%012d", i, i);
    return (struct slice){to, BLOB_KEY_LEN};
}

static void take(struct rig *r, int i, uint64_t block, size_t size)
{
    char key[BLOB_KEY_LEN + 1], bytes[1001] = "";
    struct blob_draft d;
    assert_true(blob_draft_open(&d, r->store, size, &r->e));
    assert_true(blob_draft_add(&d, (struct slice){bytes, size}, &r->e));
    blocks_take(r->store, d.name, key_of(i, key), block, size);
    d.name[0] = '\0';
    blob_draft_drop(&d);
}

static bool has(struct rig *r, int i, uint64_t block)
{
    char key[BLOB_KEY_LEN + 1];
    int fd = blocks_find(r->store, key_of(i, key), block);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static uint64_t bytes_in(struct rig *r)
{
    struct blob_stats s;
    blob_stats(r->store, &s);
    return s.cache_bytes;
}

static void longest_ago_goes_first(void **state)
{
    struct rig *r = *state;
    take(r, 1, 0, 400);
    take(r, 2, 0, 300);
    take(r, 3, 7, 300);
    assert_int_equal(bytes_in(r), 1000);
    assert_true(has(r, 1, 0)); /* now the latest */
    take(r, 4, 0, 301);
    assert_true(has(r, 1, 0) && has(r, 4, 0));
    assert_false(has(r, 2, 0) || has(r, 3, 7));
    take(r, 5, 0, 1000);
    assert_false(has(r, 1, 0) || has(r, 4, 0));
    assert_int_equal(bytes_in(r), 1000);
    take(r, 5, 0, 1000); /* the same again is counted once */
    assert_int_equal(bytes_in(r), 1000);
    assert_true(has(r, 5, 0));
}

static void all_blocks_of_one_go(void **state)
{
    struct rig *r = *state;
    char key[BLOB_KEY_LEN + 1];
    take(r, 1, 0, 100);
    take(r, 1, 3, 100);
    take(r, 2, 0, 100);
    char kept = 0;
    int fd = blocks_find(r->store, key_of(1, key), 3);
    blocks_drop(r->store, key_of(1, key));
    assert_int_equal(pread(fd, &kept, 1, 99), 1); /* who reads it goes on */
    close(fd);
    assert_false(has(r, 1, 0) || has(r, 1, 3));
    assert_true(has(r, 2, 0));
    assert_int_equal(bytes_in(r), 100);
}

static void next_process_finds_them(void **state)
{
    struct rig *r = *state;
    char path[256];
    take(r, 1, 0, 100);
    take(r, 2, 5, 200);
    snprintf(path, sizeof path, "%s/cache/stranger", r->dir);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    blob_store_free(r->store);
    open_store(r);
    assert_int_equal(bytes_in(r), 300);
    assert_true(has(r, 1, 0) && has(r, 2, 5));
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/cache/.boot", r->dir);
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "another\n", 8), 8);
    close(fd);
    blob_store_free(r->store);
    open_store(r);
    assert_int_equal(bytes_in(r), 0);
    assert_false(has(r, 1, 0) || has(r, 2, 5));
    take(r, 1, 0, 100);
    blob_store_free(r->store);
    open_store(r);
    assert_true(has(r, 1, 0));
}

static void an_emptied_folder(void **state)
{
    struct rig *r = *state;
    char path[256], key[BLOB_KEY_LEN + 1];
    take(r, 1, 0, 100);
    take(r, 2, 0, 100);
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/cache/%s.0", r->dir, key_of(i, key).ptr);
        assert_int_equal(unlink(path), 0);
    }
    assert_false(has(r, 1, 0));
    assert_int_equal(bytes_in(r), 100);
    take(r, 1, 0, 100);
    assert_true(has(r, 1, 0));
    snprintf(path, sizeof path, "%s/cache", r->dir);
    remove_all(path);
    take(r, 3, 0, 100);
    assert_true(has(r, 3, 0));
    assert_false(has(r, 1, 0));
}

/* A copy that is too short is not believed. */
static void a_short_copy(void **state)
{
    struct rig *r = *state;
    struct blob_piece piece;
    char key[BLOB_KEY_LEN + 1];
    take(r, 1, 0, 100);
    assert_int_equal(blob_find(r->store, key_of(1, key), 101, 0, &piece, &r->e), BLOB_REMOTE);
    assert_int_equal(bytes_in(r), 0);
    take(r, 1, 0, 100);
    assert_int_equal(blob_find(r->store, key_of(1, key), 100, 60, &piece, &r->e), BLOB_HERE);
    assert_int_equal(piece.at, 60);
    assert_int_equal(piece.len, 40);
    close(piece.fd);
}

/* ---- eight threads --------------------------------------------------------------------------- */

struct crowd {
    struct rig *rig;
    pthread_barrier_t barrier;
    _Atomic int arrived, fetched, there, waiting, told, failed, late;
    bool fails;
    struct waiting {
        struct blob_wait wait;
        struct crowd *crowd;
    } waits[THREADS + 1];
};

/* Code NONE of one that fails: it was over before anybody could be told. */
static void hear(struct blob_wait *w, const struct err *why)
{
    struct crowd *c = container_of(w, struct waiting, wait)->crowd;
    c->failed += why->code == ERR_UNAVAILABLE;
    c->late += why->code == ERR_NONE;
    c->told++;
}

static void wait_in(struct crowd *c, struct slice key)
{
    struct waiting *w = &c->waits[c->waiting++];
    *w = (struct waiting){.wait = {.fn = hear}, .crowd = c};
    blocks_await(c->rig->store, key, 0, &w->wait);
}

static void *want(void *arg)
{
    struct crowd *c = arg;
    struct blob_store *s = c->rig->store;
    char key[BLOB_KEY_LEN + 1];
    struct err why;
    pthread_barrier_wait(&c->barrier);
    c->arrived++;
    bool is_busy;
    struct fetching *f = blocks_begin_fetch(s, key_of(1, key), 0, &is_busy);
    if (!f && is_busy)
        wait_in(c, key_of(1, key));
    if (!f) {
        c->there += !is_busy;
        return NULL;
    }
    c->fetched++;
    while (c->arrived < THREADS)
        sched_yield();
    if (!c->fails)
        take(c->rig, 1, 0, 100);
    err_set(&why, ERR_UNAVAILABLE, "down");
    blocks_end_fetch(s, f, c->fails ? &why : NULL);
    return NULL;
}

static void run_crowd(struct crowd *c)
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&c->barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, want, c), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&c->barrier);
}

static void fetched_once(void **state)
{
    struct rig *r = *state;
    char key[BLOB_KEY_LEN + 1];
    for (int round = 0; round < 50; round++) {
        struct crowd c = {.rig = r};
        run_crowd(&c);
        assert_int_equal(c.fetched, 1);
        assert_int_equal(c.there + c.told, THREADS - 1);
        assert_int_equal(c.told, c.waiting);
        assert_int_equal(c.failed, 0);
        blocks_drop(r->store, key_of(1, key));
    }
}

/* Who waited fails with the one who asked, and does not ask again. */
static void failure_is_shared(void **state)
{
    struct rig *r = *state;
    for (int round = 0; round < 50; round++) {
        struct crowd c = {.rig = r, .fails = true};
        run_crowd(&c);
        assert_true(c.fetched >= 1);
        assert_int_equal(c.fetched + c.told, THREADS);
        assert_int_equal(c.told, c.waiting);
        assert_int_equal(c.failed + c.late, c.told);
        assert_false(has(r, 1, 0));
    }
}

static void *stir(void *arg)
{
    struct rig *r = arg;
    for (int i = 0; i < 300; i++) {
        char key[BLOB_KEY_LEN + 1];
        struct blob_piece piece;
        struct err e;
        switch (i % 4) {
        case 0:
            blocks_drop(r->store, key_of(i % 13, key));
            break;
        case 1:
            if (blob_find(r->store, key_of(i % 13, key), 90, 0, &piece, &e) == BLOB_HERE)
                close(piece.fd);
            break;
        default:
            take(r, i % 13, 0, 90);
        }
    }
    return NULL;
}

static void many_at_once(void **state)
{
    struct rig *r = *state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, stir, r), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(bytes_in(r) <= 1000);
    uint64_t sum = 0;
    for (int i = 0; i < 13; i++)
        sum += has(r, i, 0) ? 90 : 0;
    assert_int_equal(bytes_in(r), sum);
}

/* Nobody waits in a thread: they are told in the one that ends it, with why. */
static void told_by_whoever_ends_it(void **state)
{
    struct rig *r = *state;
    struct crowd c = {.rig = r};
    char key[BLOB_KEY_LEN + 1];
    struct err why;
    bool is_busy;
    struct fetching *f = blocks_begin_fetch(r->store, key_of(1, key), 0, &is_busy);
    assert_non_null(f);
    assert_int_equal(blob_fetch(r->store, key_of(1, key), 100, 0, &r->e), BLOB_FETCH_BUSY);
    for (int i = 0; i < THREADS; i++)
        wait_in(&c, key_of(1, key));
    assert_int_equal(c.told, 0);
    err_set(&why, ERR_UNAVAILABLE, "down");
    blocks_end_fetch(r->store, f, &why);
    assert_int_equal(c.failed, THREADS);
    wait_in(&c, key_of(2, key));
    assert_int_equal(c.late, 1);
}

/* Nobody is there: that is no damage. */
static void nobody_answers(void **state)
{
    struct rig *r = *state;
    char key[BLOB_KEY_LEN + 1];
    assert_int_equal(blob_fetch(r->store, key_of(1, key), 100, 0, &r->e), BLOB_FETCH_FAILED);
    assert_int_equal(r->e.code, ERR_UNAVAILABLE);
    assert_false(blob_verify(r->store, key_of(1, key), 100, &r->e));
    assert_int_equal(r->e.code, ERR_UNAVAILABLE);
    assert_false(blob_ping(r->store, &r->e));
    assert_true(blob_quarantine(r->store, key_of(1, key), &r->e));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
TESTS(TEST(longest_ago_goes_first), TEST(all_blocks_of_one_go), TEST(next_process_finds_them),
      TEST(an_emptied_folder), TEST(a_short_copy), TEST(fetched_once), TEST(failure_is_shared),
      TEST(many_at_once), TEST(told_by_whoever_ends_it), TEST(nobody_answers))
