/* Blobs in an object store, under PLACE/ab/KEY, with a cache of blocks on the disk.
 *
 * That an object is not there, or is another one, is believed when the store has said so twice,
 * AGAIN_MS apart and over connections of their own: whoever hears it marks the file as damaged, and
 * stores have answers that are off for a moment. */
#include "blob/blob_impl.h"

#include "base/mem.h"
#include "base/must.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OBJECT_NAME_MAX 512
#define AGAIN_MS        500

/* Letters of the hash in front: stores spread their load by the first bytes of names. */
static struct slice name_of(const struct blob_store *s, struct slice key, char to[OBJECT_NAME_MAX])
{
    int n = snprintf(to, OBJECT_NAME_MAX, "%s%.2s/%.*s", s->place, key.ptr, SLICE_ARGS(key));
    must(n > 0 && n < OBJECT_NAME_MAX);
    return (struct slice){to, (size_t)n};
}

/* ---- asking twice ---------------------------------------------------------------------------- */

/* Would this be a verdict? ERR_STALE is what a range of something else is told as. */
static bool is_verdict(const struct err *why)
{
    return why->code == ERR_NOT_FOUND || why->code == ERR_DAMAGED || why->code == ERR_STALE;
}

/* Before the second question, whose answer counts. */
static void wait_to_ask_again(struct blob_store *s)
{
    struct timespec t = {.tv_nsec = AGAIN_MS * 1000000L};
    s3_renew(s->s3);
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
}

/* ---- keeping --------------------------------------------------------------------------------- */

bool remote_keep(struct blob_draft *d, const char *type, struct err *e)
{
    struct blob_store *s = d->store;
    struct slice key = slice_from(d->key);
    char name[OBJECT_NAME_MAX];
    if (!s3_put(s->s3, name_of(s, key, name), d->fd, d->size, slice_from(d->hash), type, e))
        return false;
    if (d->size <= BLOB_BLOCK) {
        blocks_take(s, d->name, key, 0, d->size);
        d->name[0] = '\0';
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t block_len(uint64_t size, uint64_t block)
{
    uint64_t left = size - block * BLOB_BLOCK;
    return left < BLOB_BLOCK ? left : BLOB_BLOCK;
}

enum blob_found remote_find(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                            struct blob_piece *ret, struct err *e)
{
    uint64_t block = offset / BLOB_BLOCK, at = offset % BLOB_BLOCK;
    struct stat st;
    int fd = blocks_find(s, key, block);
    (void)e;
    if (fd < 0)
        return BLOB_REMOTE;
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != block_len(size, block)) {
        close(fd); /* the copy is bad, the object need not be */
        blocks_drop(s, key);
        return BLOB_REMOTE;
    }
    *ret = (struct blob_piece){.fd = fd, .at = at, .len = block_len(size, block) - at};
    return BLOB_HERE;
}

/* The store knows without sending it. */
static bool look(struct blob_store *s, struct slice key, uint64_t size, struct err *e)
{
    char name[OBJECT_NAME_MAX];
    struct arena a;
    struct s3_object object = {0};
    arena_init(&a, 64u << 10);
    bool fine = s3_head(s->s3, name_of(s, key, name), &a, &object, e);
    arena_done(&a);
    if (fine && object.size != size)
        return err_set(e, ERR_DAMAGED, "The object is not as long as what was stored.");
    return fine;
}

bool remote_look(struct blob_store *s, struct slice key, uint64_t size, struct err *e)
{
    struct err why = {0};
    bool fine = look(s, key, size, &why);
    if (!fine && is_verdict(&why)) {
        wait_to_ask_again(s);
        fine = look(s, key, size, &why);
    }
    if (!fine && e)
        *e = why;
    return fine;
}

/* Bytes that do not come are another matter when there are not that many. */
static bool get(struct blob_store *s, struct slice key, uint64_t size, uint64_t at, uint64_t len,
                int fd, struct err *e)
{
    char name[OBJECT_NAME_MAX];
    struct err why = {0}, other = {0};
    if (s3_get(s->s3, name_of(s, key, name), at, len, fd, &why))
        return true;
    bool is_sure = why.code == ERR_NOT_FOUND || why.code == ERR_IO || why.code == ERR_FULL;
    if (!is_sure && !look(s, key, size, &other) && other.code == ERR_DAMAGED)
        why = other;
    if (e)
        *e = why;
    return false;
}

/* Into a draft, which is one block long when this is true. */
static bool fetch_block(struct blob_draft *d, struct slice key, uint64_t size, uint64_t block,
                        struct err *e)
{
    struct sha256 sum;
    uint64_t read_size = 0, len = block_len(size, block);
    if (len && !get(d->store, key, size, block * BLOB_BLOCK, len, d->fd, e))
        return false;
    if (size > BLOB_BLOCK)
        return true;
    sha256_init(&sum);
    if (!blob_hash_more(d->fd, &sum, &read_size, e))
        return false;
    if (read_size == size && blob_sum_is(&sum, key))
        return true;
    return err_set(e, ERR_DAMAGED, "The object store has other bytes than those that were stored.");
}

static bool empty(const struct blob_draft *d, struct err *e)
{
    return ftruncate(d->fd, 0) == 0 || blob_failed(e, "writing a file");
}

enum blob_fetched remote_fetch(struct blob_store *s, struct slice key, uint64_t size,
                               uint64_t offset, struct err *e)
{
    struct blob_draft d;
    uint64_t block = offset / BLOB_BLOCK;
    struct err why = {0};
    bool is_busy;
    struct fetching *f = blocks_begin_fetch(s, key, block, &is_busy);
    if (!f)
        return is_busy ? BLOB_FETCH_BUSY : BLOB_FETCHED;
    bool fine = blob_draft_open(&d, s, block_len(size, block), &why) &&
                fetch_block(&d, key, size, block, &why);
    if (!fine && is_verdict(&why)) {
        wait_to_ask_again(s);
        fine = empty(&d, &why) && fetch_block(&d, key, size, block, &why);
    }
    if (fine) {
        blocks_take(s, d.name, key, block, block_len(size, block));
        d.name[0] = '\0';
    }
    blob_draft_drop(&d);
    if (!fine && e)
        *e = why;
    blocks_end_fetch(s, f, fine ? NULL : &why);
    return fine ? BLOB_FETCHED : BLOB_FETCH_FAILED;
}

/* ---- keeping order --------------------------------------------------------------------------- */

bool remote_remove(struct blob_store *s, struct slice key, struct err *e)
{
    char name[OBJECT_NAME_MAX];
    blocks_drop(s, key);
    return s3_delete(s->s3, name_of(s, key, name), e);
}

/* The object itself is read, never the cache. */
static bool read_all(struct blob_store *s, struct slice key, uint64_t size,
                     const struct blob_sink *to, struct err *e)
{
    struct blob_draft d;
    bool fine = look(s, key, size, e) && blob_draft_open(&d, s, block_len(size, 0), e);
    if (!fine)
        return false;
    for (uint64_t at = 0; fine && at < size; at += BLOB_BLOCK) {
        uint64_t n;
        fine = empty(&d, e) && get(s, key, size, at, block_len(size, at / BLOB_BLOCK), d.fd, e) &&
               blob_copy_more(d.fd, to, &d.sum, &n, e);
    }
    if (fine && !blob_sum_is(&d.sum, key))
        fine = err_set(e, ERR_DAMAGED, "The bytes are not those that were stored.");
    blob_draft_drop(&d);
    return fine;
}

bool remote_verify(struct blob_store *s, struct slice key, uint64_t size,
                   const struct blob_sink *to, struct err *e)
{
    struct err why = {0};
    off_t start = to ? lseek(to->fd, 0, SEEK_CUR) : 0;
    bool fine = read_all(s, key, size, to, &why);
    if (!fine && is_verdict(&why)) {
        wait_to_ask_again(s);
        fine = (!to || lseek(to->fd, start, SEEK_SET) == start ||
                blob_failed(&why, "copying a stored file")) &&
               read_all(s, key, size, to, &why);
    }
    if (!fine && e)
        *e = why;
    return fine;
}

bool remote_walk(struct blob_store *s, struct slice after, struct arena *a, struct blob_item **ret,
                 size_t *ret_n, struct slice *ret_next, struct err *e)
{
    struct s3_page page;
    if (!s3_list(s->s3, slice_from(s->place), after, a, &page, e))
        return false;
    *ret = arena_alloc(a, (page.n + 1) * sizeof **ret);
    *ret_n = 0;
    *ret_next = page.next;
    for (size_t i = 0; i < page.n; i++) {
        struct slice name = page.items[i].key, key = slice_skip(name, strlen(s->place) + 3);
        if (!blob_key_is_good(key))
            continue; /* somebody else's */
        (*ret)[(*ret_n)++] = (struct blob_item){
            .key = key, .size = page.items[i].size, .modified_ms = page.items[i].modified_ms};
    }
    return true;
}

bool remote_clean(struct blob_store *s, int64_t before_ms, struct err *e)
{
    size_t n;
    return s3_abort_stale(s->s3, slice_from(s->place), before_ms, &n, e);
}

/* That there is no such object is what it should say: of one, and with words, as to HEAD a bucket
 * that is missing is answered like an object that is. */
bool remote_ping(struct blob_store *s, struct err *e)
{
    char name[OBJECT_NAME_MAX];
    struct blob_draft d;
    int n = snprintf(name, sizeof name, "%sready", s->place);
    bool fine =
        blob_draft_open(&d, s, 1, e) &&
        (s3_get(s->s3, (struct slice){name, (size_t)n}, 0, 1, d.fd, e) || e->code == ERR_NOT_FOUND);
    blob_draft_drop(&d);
    return fine;
}
