/* A store: its folders, its room on the disk, and which place its blobs are in. */
#include "blob/blob_impl.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define READ_BYTES (1u << 20)

/* ---- opening --------------------------------------------------------------------------------- */

/* A folder that was just made is there after a power cut too: what is kept in it is to stay. */
static bool flush_parent(int fd)
{
    int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool fine = parent >= 0 && fsync(parent) == 0;
    int why = errno;
    if (parent >= 0)
        close(parent);
    errno = why;
    return fine;
}

static int open_folder(int at, const char *name, struct err *e)
{
    bool is_new = mkdirat(at, name, 0700) == 0;
    if (!is_new && errno != EEXIST) {
        err_set_sys(e, ERR_IO, "making the folder %s for files failed", name);
        return -1;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && (!is_new || flush_parent(fd)))
        return fd;
    err_set_sys(e, ERR_IO, "opening the folder %s of files failed", name);
    if (is_new) /* so that the next start makes and flushes it */
        unlinkat(at, name, AT_REMOVEDIR);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* What a reader needs of an object store is a place for drafts, which it makes like anybody. */
static bool open_to_read(struct blob_store *s, struct err *e)
{
    if ((s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0 &&
        (s->blobs_fd = openat(s->dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0)
        return true;
    return errno == ENOENT ? err_set(e, ERR_NOT_FOUND, "The folder %s is not there.", s->dir)
                           : err_set_sys(e, ERR_IO, "opening the folder %s failed", s->dir);
}

static bool open_folders(struct blob_store *s, struct err *e)
{
    if ((s->dir_fd = open_folder(AT_FDCWD, s->dir, e)) < 0 ||
        (s->drafts_fd = open_folder(s->dir_fd, "drafts", e)) < 0)
        return false;
    if (s->s3)
        return (s->cache_fd = open_folder(s->dir_fd, "cache", e)) >= 0;
    return (s->blobs_fd = open_folder(s->dir_fd, "blobs", e)) >= 0;
}

static void close_folder(int fd)
{
    if (fd >= 0)
        close(fd);
}

static char *cstr_of(struct slice s)
{
    char *copy = mem_alloc(s.len + 1);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct blob_store *blob_store_new(const struct blob_options *o, struct err *e)
{
    struct blob_store *s = mem_new(struct blob_store);
    *s = (struct blob_store){
        .dir = mem_strdup(o->dir),
        .place = cstr_of(o->place),
        .dir_fd = -1,
        .drafts_fd = -1,
        .blobs_fd = -1,
        .cache_fd = -1,
        .s3 = o->s3,
        .free_min = o->free_min ? o->free_min : BLOB_FREE_MIN,
        .cache_max = o->cache_max ? o->cache_max : BLOB_CACHE_MAX,
    };
    pthread_mutex_init(&s->cache.lock, NULL);
    map_init(&s->cache.by_name);
    list_init(&s->cache.lately);
    for (size_t i = 0; i < BLOB_SHELVES; i++)
        list_init(&s->cache.by_shelf[i]);
    list_init(&s->cache.under_way);
    bool is_bare = o->is_reader && !s->s3;
    if (is_bare ? open_to_read(s, e) : open_folders(s, e)) {
        if (!s->s3 || o->is_reader || blocks_open(s, e))
            return s;
    }
    blob_store_free(s);
    return NULL;
}

void blob_store_free(struct blob_store *s)
{
    if (!s)
        return;
    blocks_done(s);
    close_folder(s->drafts_fd);
    close_folder(s->blobs_fd);
    close_folder(s->cache_fd);
    close_folder(s->dir_fd);
    pthread_mutex_destroy(&s->cache.lock);
    free(s->place);
    free(s->dir);
    free(s);
}

bool blob_store_is_remote(const struct blob_store *s)
{
    return s->s3 != NULL;
}

void blob_stats(struct blob_store *s, struct blob_stats *ret)
{
    pthread_mutex_lock(&s->cache.lock);
    *ret = (struct blob_stats){
        .drafts_open = atomic_load(&s->drafts_open),
        .written_bytes = atomic_load(&s->written_bytes),
        .cache_hits = s->cache.hits,
        .cache_misses = s->cache.misses,
        .cache_bytes = s->cache.bytes,
    };
    pthread_mutex_unlock(&s->cache.lock);
}

/* ---- the disk -------------------------------------------------------------------------------- */

bool blob_failed(struct err *e, const char *what)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return err_set(e, ERR_FULL, "The disk with the files is full.");
    if (errno == EROFS)
        return err_set(e, ERR_UNAVAILABLE, "The disk with the files can only be read just now.");
    return err_set_sys(e, ERR_IO, "%s failed", what);
}

bool blob_has_room(const struct blob_store *s, uint64_t size, struct err *e)
{
    struct statvfs v;
    if (fstatvfs(s->drafts_fd, &v) != 0)
        return blob_failed(e, "asking how much room the disk has");
    uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    if (free_bytes >= s->free_min && free_bytes - s->free_min >= size)
        return true;
    return err_set(e, ERR_FULL, "There is not enough room on the disk for this file.");
}

/* A folder that somebody removed stays open, and takes nothing. */
static bool is_still_there(int fd, struct err *e)
{
    struct stat st;
    if (fd < 0 || (fstat(fd, &st) == 0 && st.st_nlink > 0))
        return true;
    return err_set(e, ERR_UNAVAILABLE,
                   "The folder of the stored files was removed; put it back and restart dais.");
}

bool blob_ping(struct blob_store *s, struct err *e)
{
    struct blob_draft d;
    if (!is_still_there(s->blobs_fd, e) || !is_still_there(s->drafts_fd, e))
        return false;
    bool fine = blob_draft_open(&d, s, 1, e) && blob_draft_add(&d, SLICE("."), e);
    blob_draft_drop(&d);
    return fine && (!s->s3 || remote_ping(s, e));
}

/* ---- keys ------------------------------------------------------------------------------------ */

static bool is_lower_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool blob_key_is_good(struct slice key)
{
    if (key.len != BLOB_KEY_LEN || key.ptr[BLOB_HASH_LEN] != '-')
        return false;
    for (size_t i = 0; i < key.len; i++) {
        if (i < BLOB_HASH_LEN ? !is_hex(key.ptr[i])
                              : i > BLOB_HASH_LEN && !is_lower_alnum(key.ptr[i]))
            return false;
    }
    return true;
}

/* Of a row, which may be damaged itself. */
bool blob_key_check(struct slice key, struct err *e)
{
    return blob_key_is_good(key) ||
           err_set(e, ERR_DAMAGED, "Where its bytes are is not known: its row is damaged.");
}

bool blob_sum_is(struct sha256 *sum, struct slice key)
{
    char hash[BLOB_HASH_LEN + 1];
    sha256_end_hex(sum, hash);
    return slice_eq(slice_from(hash), slice_first(key, BLOB_HASH_LEN));
}

static bool put(const struct blob_sink *to, struct slice bytes, struct err *e)
{
    return (!to->goes_on || to->goes_on(to->user, e)) &&
           (fd_write_all(to->fd, bytes) || blob_failed(e, "copying a stored file"));
}

/* From its start. What was read for this alone does not push others out of the page cache. */
bool blob_copy_more(int fd, const struct blob_sink *to, struct sha256 *sum, uint64_t *ret_size,
                    struct err *e)
{
    char *piece = mem_alloc(READ_BYTES);
    uint64_t at = 0;
    ssize_t n;
    bool fine = true;
    while (fine && ((n = pread(fd, piece, READ_BYTES, (off_t)at)) > 0 || n < 0)) {
        if (n < 0) {
            fine = errno == EINTR || blob_failed(e, "reading a stored file");
            continue;
        }
        struct slice bytes = {piece, (size_t)n};
        sha256_add(sum, bytes);
        fine = !to || put(to, bytes, e);
        posix_fadvise(fd, (off_t)at, n, POSIX_FADV_DONTNEED);
        at += bytes.len;
    }
    free(piece);
    *ret_size = at;
    return fine;
}

bool blob_hash_more(int fd, struct sha256 *sum, uint64_t *ret_size, struct err *e)
{
    return blob_copy_more(fd, NULL, sum, ret_size, e);
}

/* ---- one place or the other ------------------------------------------------------------------ */

bool blob_keep(struct blob_draft *d, const char *type, struct err *e)
{
    must(d->key[0]); /* it was sealed */
    bool fine = d->store->s3 ? remote_keep(d, type, e) : local_keep(d, e);
    if (fine)
        atomic_fetch_add(&d->store->written_bytes, d->size);
    return fine;
}

enum blob_found blob_find(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                          struct blob_piece *ret, struct err *e)
{
    must(offset <= size);
    if (!blob_key_check(key, e))
        return BLOB_GONE;
    return s->s3 ? remote_find(s, key, size, offset, ret, e)
                 : local_find(s, key, size, offset, ret, e);
}

enum blob_fetched blob_fetch(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                             struct err *e)
{
    must(s->s3 && offset <= size);
    return blob_key_check(key, e) ? remote_fetch(s, key, size, offset, e) : BLOB_FETCH_FAILED;
}

void blob_await(struct blob_store *s, struct slice key, uint64_t offset, struct blob_wait *w)
{
    blocks_await(s, key, offset / BLOB_BLOCK, w);
}

bool blob_remove(struct blob_store *s, struct slice key, struct err *e)
{
    if (!blob_key_check(key, e))
        return false;
    return s->s3 ? remote_remove(s, key, e) : local_remove(s, key, e);
}

bool blob_look(struct blob_store *s, struct slice key, uint64_t size, struct err *e)
{
    if (!blob_key_check(key, e))
        return false;
    return s->s3 ? remote_look(s, key, size, e) : local_look(s, key, size, e);
}

bool blob_verify(struct blob_store *s, struct slice key, uint64_t size, struct err *e)
{
    return blob_copy(s, key, size, NULL, e);
}

bool blob_copy(struct blob_store *s, struct slice key, uint64_t size, const struct blob_sink *to,
               struct err *e)
{
    if (!blob_key_check(key, e))
        return false;
    return s->s3 ? remote_verify(s, key, size, to, e) : local_verify(s, key, size, to, e);
}

bool blob_quarantine(struct blob_store *s, struct slice key, struct err *e)
{
    if (!blob_key_check(key, e))
        return false;
    if (!s->s3)
        return local_quarantine(s, key, e);
    blocks_drop(s, key);
    return true;
}

bool blob_walk(struct blob_store *s, struct slice after, struct arena *a, struct blob_item **ret,
               size_t *ret_n, struct slice *ret_next, struct err *e)
{
    return s->s3 ? remote_walk(s, after, a, ret, ret_n, ret_next, e)
                 : local_walk(s, after, a, ret, ret_n, ret_next, e);
}

/* ---- drafts of who is gone ------------------------------------------------------------------- */

static void remove_if_old(int folder, const char *name, int64_t before_ms)
{
    struct stat st;
    if (name[0] == '.' || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if ((int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000 < before_ms)
        unlinkat(folder, name, 0);
}

static bool clean_drafts(struct blob_store *s, int64_t before_ms, struct err *e)
{
    int fd = openat(s->drafts_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        blob_failed(e, "looking for drafts of files");
        close_folder(fd);
        return false;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        remove_if_old(s->drafts_fd, entry->d_name, before_ms);
    closedir(dir);
    return true;
}

bool blob_forget_drafts(struct blob_store *s, struct err *e)
{
    return clean_drafts(s, INT64_MAX, e);
}

bool blob_clean(struct blob_store *s, int64_t before_ms, struct err *e)
{
    return clean_drafts(s, before_ms, e) && (!s->s3 || remote_clean(s, before_ms, e));
}
