/* Blobs as files of a folder: blobs/ab/KEY, where ab are the first letters of the key. */
#include "blob/blob_impl.h"

#include "base/must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "ab/KEY", below blobs/. */
static const char *name_of(struct slice key, char to[BLOB_NAME_MAX])
{
    snprintf(to, BLOB_NAME_MAX, "%.2s/%.*s", key.ptr, SLICE_ARGS(key));
    return to;
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* The folder "ab", there after a power cut as well. -1 with e. */
static int open_shelf(struct blob_store *s, const char *key, struct err *e)
{
    char name[3] = {key[0], key[1], '\0'};
    bool is_new = mkdirat(s->blobs_fd, name, 0700) == 0;
    int fd = -1;
    if ((is_new && fsync(s->blobs_fd) == 0) || (!is_new && errno == EEXIST))
        fd = openat(s->blobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        blob_failed(e, "making a folder for a file");
    return fd;
}

bool local_keep(struct blob_draft *d, struct err *e)
{
    struct blob_store *s = d->store;
    if (fdatasync(d->fd) != 0)
        return blob_failed(e, "flushing a file to the disk");
    int shelf = open_shelf(s, d->key, e);
    if (shelf < 0)
        return false;
    bool fine = renameat(s->drafts_fd, d->name, shelf, d->key) == 0;
    if (fine)
        d->name[0] = '\0';
    if (!fine || fsync(shelf) != 0) {
        blob_failed(e, "moving a file to its place");
        if (fine) /* whether it is there after a power cut, nobody knows: it was not kept */
            unlinkat(shelf, d->key, 0);
        fine = false;
    }
    close(shelf);
    return fine;
}

/* ---- reading --------------------------------------------------------------------------------- */

enum blob_found local_find(struct blob_store *s, struct slice key, uint64_t size, uint64_t offset,
                           struct blob_piece *ret, struct err *e)
{
    char name[BLOB_NAME_MAX];
    struct stat st;
    int fd =
        openat(s->blobs_fd, name_of(key, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno == ENOENT)
            err_set(e, ERR_NOT_FOUND, "The bytes of this file are missing from the store.");
        else
            blob_failed(e, "opening a stored file");
        return BLOB_GONE;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
        close(fd);
        err_set(e, ERR_DAMAGED, "This file is damaged: it is not as long as it was.");
        return BLOB_GONE;
    }
    *ret = (struct blob_piece){.fd = fd, .at = offset, .len = size - offset};
    return BLOB_HERE;
}

bool local_verify(struct blob_store *s, struct slice key, uint64_t size, struct err *e)
{
    struct blob_piece piece;
    struct sha256 sum;
    uint64_t read_size = 0;
    if (local_find(s, key, size, 0, &piece, e) != BLOB_HERE)
        return false;
    sha256_init(&sum);
    bool fine = blob_hash_more(piece.fd, &sum, &read_size, e);
    close(piece.fd);
    if (fine && (read_size != size || !blob_sum_is(&sum, key)))
        return err_set(e, ERR_DAMAGED, "The bytes are not those that were stored.");
    return fine;
}

/* ---- keeping order --------------------------------------------------------------------------- */

bool local_remove(struct blob_store *s, struct slice key, struct err *e)
{
    char name[BLOB_NAME_MAX];
    if (unlinkat(s->blobs_fd, name_of(key, name), 0) == 0 || errno == ENOENT)
        return true;
    return blob_failed(e, "removing a stored file");
}

bool local_quarantine(struct blob_store *s, struct slice key, struct err *e)
{
    char from[BLOB_NAME_MAX], to[BLOB_NAME_MAX];
    snprintf(to, sizeof to, "damaged/%.*s", SLICE_ARGS(key));
    if (mkdirat(s->dir_fd, "damaged", 0700) != 0 && errno != EEXIST)
        return blob_failed(e, "making the folder for damaged files");
    if (renameat(s->blobs_fd, name_of(key, from), s->dir_fd, to) == 0 || errno == ENOENT)
        return true;
    return blob_failed(e, "moving a damaged file aside");
}

/* The next folder of two letters behind `after`, in their order; "" when there is none. */
static bool next_shelf(struct blob_store *s, struct slice after, char ret[3], struct err *e)
{
    int fd = openat(s->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return blob_failed(e, "listing stored files");
    }
    ret[0] = '\0';
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct slice name = slice_from(entry->d_name);
        bool is_next = name.len == 2 && name.ptr[0] != '.' && slice_cmp(name, after) > 0;
        if (is_next && (!ret[0] || slice_cmp(name, slice_from(ret)) < 0))
            memcpy(ret, name.ptr, 3);
    }
    closedir(dir);
    return true;
}

struct shelf_items {
    struct arena *arena;
    struct blob_item *items;
    size_t n, room;
};

static bool add_item(struct shelf_items *to, int folder, const char *name)
{
    struct stat st;
    if (!blob_key_is_good(slice_from(name)) || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    if (to->n == to->room) {
        size_t room = to->room ? 2 * to->room : 64;
        void *grown = arena_try_grow(to->arena, to->items, to->room * sizeof *to->items,
                                     room * sizeof *to->items);
        if (!grown)
            return false;
        to->items = grown;
        to->room = room;
    }
    to->items[to->n++] = (struct blob_item){
        .key = arena_dup(to->arena, slice_from(name)),
        .size = (uint64_t)st.st_size,
        .modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
    };
    return true;
}

bool local_walk(struct blob_store *s, struct slice after, struct arena *a, struct blob_item **ret,
                size_t *ret_n, struct slice *ret_next, struct err *e)
{
    struct shelf_items found = {.arena = a};
    char shelf[3];
    *ret = NULL;
    *ret_n = 0;
    *ret_next = SLICE("");
    if (!next_shelf(s, after, shelf, e))
        return false;
    if (!shelf[0])
        return true;
    int fd = openat(s->blobs_fd, shelf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return blob_failed(e, "listing stored files");
    }
    bool fits = true;
    for (struct dirent *entry; fits && (entry = readdir(dir));)
        fits = add_item(&found, fd, entry->d_name);
    closedir(dir);
    if (!fits)
        return err_set(e, ERR_OVER_BUDGET, "There are too many files to be listed at once.");
    *ret = found.items;
    *ret_n = found.n;
    *ret_next = arena_dup(a, slice_from(shelf));
    return true;
}
