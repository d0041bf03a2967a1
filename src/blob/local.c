/* Blobs as files of a folder: blobs/ab/KEY, where ab are the first letters of the key. */
#include "blob/blob_impl.h"

#include "base/mem.h"
#include "base/must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

static unsigned hex_value(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10) & 15;
}

unsigned blob_shelf(const char *key)
{
    return hex_value(key[0]) * 16 + hex_value(key[1]);
}

/* The folder "ab", there after a power cut as well. Who finds it made cannot know whether it was
 * flushed: another thread may be about to, an earlier process may have failed to. So each process
 * does it once. -1 with e. */
static int open_shelf(struct blob_store *s, const char *key, struct err *e)
{
    char name[3] = {key[0], key[1], '\0'};
    _Atomic bool *is_safe = &s->shelf_is_safe[blob_shelf(key)];
    bool is_new = mkdirat(s->blobs_fd, name, 0700) == 0, fine = is_new || errno == EEXIST;
    if (fine && (is_new || !*is_safe)) {
        fine = fsync(s->blobs_fd) == 0;
        *is_safe = fine;
    }
    int fd = fine ? openat(s->blobs_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
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
    if (fstat(fd, &st) != 0) {
        blob_failed(e, "looking at a stored file");
        close(fd);
        return BLOB_GONE;
    }
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != size) {
        close(fd);
        err_set(e, ERR_DAMAGED, "This file is damaged: it is not as long as it was.");
        return BLOB_GONE;
    }
    *ret = (struct blob_piece){.fd = fd, .at = offset, .len = size - offset};
    return BLOB_HERE;
}

bool local_look(struct blob_store *s, struct slice key, uint64_t size, struct err *e)
{
    struct blob_piece piece;
    if (local_find(s, key, size, 0, &piece, e) != BLOB_HERE)
        return false;
    close(piece.fd);
    return true;
}

bool local_verify(struct blob_store *s, struct slice key, uint64_t size, const struct blob_sink *to,
                  struct err *e)
{
    struct blob_piece piece;
    struct sha256 sum;
    uint64_t read_size = 0;
    if (local_find(s, key, size, 0, &piece, e) != BLOB_HERE)
        return false;
    sha256_init(&sum);
    bool fine = blob_copy_more(piece.fd, to, &sum, &read_size, e);
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

/* Its own descriptor: another's position in the folder is not moved. NULL with e. */
static DIR *open_list(int at, const char *name, struct err *e)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir)
        return dir;
    blob_failed(e, "listing stored files");
    if (fd >= 0)
        close(fd);
    return NULL;
}

/* NULL at the end, where *ret_fine says whether it was one. */
static const char *next_name(DIR *dir, bool *ret_fine, struct err *e)
{
    errno = 0;
    const struct dirent *entry = readdir(dir);
    *ret_fine = entry || errno == 0 || blob_failed(e, "listing stored files");
    return entry ? entry->d_name : NULL;
}

static bool is_shelf(struct slice name)
{
    static const char hex[] = "0123456789abcdef";
    return name.len == 2 && strchr(hex, name.ptr[0]) && strchr(hex, name.ptr[1]);
}

/* The next folder of two letters behind `after`, in their order; "" when there is none. */
static bool next_shelf(struct blob_store *s, struct slice after, char ret[3], struct err *e)
{
    DIR *dir = open_list(s->blobs_fd, ".", e);
    bool fine = dir != NULL;
    ret[0] = '\0';
    for (const char *text; fine && (text = next_name(dir, &fine, e));) {
        struct slice name = slice_from(text);
        if (is_shelf(name) && slice_cmp(name, after) > 0 &&
            (!ret[0] || slice_cmp(name, slice_from(ret)) < 0))
            memcpy(ret, text, 3);
    }
    if (dir)
        closedir(dir);
    return fine;
}

#define PAGE 1000

/* The first names of a folder behind one, in their order: a heap whose top is the last of them. */
struct page {
    char (*names)[BLOB_KEY_LEN + 1];
    size_t n;
};

static void swap_names(struct page *p, size_t a, size_t b)
{
    char held[BLOB_KEY_LEN + 1];
    memcpy(held, p->names[a], sizeof held);
    memcpy(p->names[a], p->names[b], sizeof held);
    memcpy(p->names[b], held, sizeof held);
}

static void sink(struct page *p)
{
    for (size_t at = 0, next; (next = 2 * at + 1) < p->n; at = next) {
        if (next + 1 < p->n && strcmp(p->names[next + 1], p->names[next]) > 0)
            next++;
        if (strcmp(p->names[at], p->names[next]) >= 0)
            return;
        swap_names(p, at, next);
    }
}

static void add_name(struct page *p, const char *name)
{
    if (p->n == PAGE) {
        if (strcmp(name, p->names[0]) < 0) {
            memcpy(p->names[0], name, BLOB_KEY_LEN + 1);
            sink(p);
        }
        return;
    }
    size_t at = p->n++;
    memcpy(p->names[at], name, BLOB_KEY_LEN + 1);
    for (; at && strcmp(p->names[at], p->names[(at - 1) / 2]) > 0; at = (at - 1) / 2)
        swap_names(p, at, (at - 1) / 2);
}

/* One that went meanwhile, or is no file, is none. */
static bool look_at(int folder, const char *name, struct arena *a, struct blob_item *ret)
{
    struct stat st;
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    *ret = (struct blob_item){
        .key = arena_dup(a, slice_from(name)),
        .size = (uint64_t)st.st_size,
        .modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
    };
    return true;
}

static bool list_shelf(struct blob_store *s, const char *shelf, struct slice after, struct arena *a,
                       struct page *p, struct blob_item **ret, size_t *ret_n, struct err *e)
{
    DIR *dir = open_list(s->blobs_fd, shelf, e);
    bool fine = dir != NULL;
    for (const char *name; fine && (name = next_name(dir, &fine, e));) {
        /* What lies on another's shelf would lead the walk there. */
        if (blob_key_is_good(slice_from(name)) &&
            slice_starts(slice_from(name), slice_from(shelf)) &&
            slice_cmp(slice_from(name), after) > 0)
            add_name(p, name);
    }
    if (fine)
        *ret = arena_alloc(a, (p->n + 1) * sizeof **ret);
    for (size_t i = 0; fine && i < p->n; i++)
        *ret_n += look_at(dirfd(dir), p->names[i], a, &(*ret)[*ret_n]);
    if (dir)
        closedir(dir);
    return fine;
}

/* `after` is a folder that is done, or the last key of a page of one that is not. */
bool local_walk(struct blob_store *s, struct slice after, struct arena *a, struct blob_item **ret,
                size_t *ret_n, struct slice *ret_next, struct err *e)
{
    struct page p = {0};
    char shelf[3] = "";
    bool goes_on = blob_key_is_good(after);
    *ret = NULL;
    *ret_n = 0;
    *ret_next = SLICE("");
    if (goes_on)
        memcpy(shelf, after.ptr, 2);
    else if (!next_shelf(s, after, shelf, e))
        return false;
    if (!shelf[0])
        return true;
    p.names = mem_alloc(PAGE * sizeof *p.names);
    bool fine = list_shelf(s, shelf, goes_on ? after : SLICE(""), a, &p, ret, ret_n, e);
    if (fine)
        *ret_next = arena_dup(a, slice_from(p.n == PAGE ? p.names[0] : shelf));
    free(p.names);
    return fine;
}
