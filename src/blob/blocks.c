/* Blocks of what is in the object store, kept on the disk as long as there is room for them.
 *
 * A block is a file cache/KEY.N; as keys are never used twice, it is never stale. Who opened one
 * goes on reading it when it is removed. Blocks are not flushed to the disk, so those of an earlier
 * boot of the machine are not believed: a power cut may have left any of them full of zeros. */
#include "blob/blob_impl.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/must.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cached {
    struct list link;  /* of `lately` */
    struct list shelf; /* of one of `by_shelf` */
    uint64_t size;
    char name[]; /* the map's key */
};

struct fetching {
    struct list link;
    struct list waiting; /* of struct blob_wait */
    char name[BLOB_NAME_MAX];
};

static struct slice name_of(struct slice key, uint64_t block, char to[BLOB_NAME_MAX])
{
    int n = snprintf(to, BLOB_NAME_MAX, "%.*s.%" PRIu64, SLICE_ARGS(key), block);
    return (struct slice){to, (size_t)n};
}

/* ---- the list: with the lock ----------------------------------------------------------------- */

static struct list *shelf_of(struct blocks *c, struct slice key)
{
    return &c->by_shelf[blob_shelf(key.ptr)];
}

static void forget(struct blocks *c, struct cached *entry)
{
    map_remove(&c->by_name, slice_from(entry->name));
    list_remove(&entry->link);
    list_remove(&entry->shelf);
    c->bytes -= entry->size;
    c->n--;
    free(entry);
}

static void note(struct blocks *c, struct slice name, uint64_t size)
{
    struct cached *old = map_find(&c->by_name, name);
    if (old)
        forget(c, old);
    struct cached *entry = mem_alloc(sizeof *entry + name.len + 1);
    *entry = (struct cached){.size = size};
    memcpy(entry->name, name.ptr, name.len);
    entry->name[name.len] = '\0';
    map_put(&c->by_name, (struct slice){entry->name, name.len}, entry);
    list_add(&c->lately, &entry->link);
    list_add(shelf_of(c, name), &entry->shelf);
    c->bytes += size;
    c->n++;
}

static void drop(struct blob_store *s, struct cached *entry)
{
    unlinkat(s->cache_fd, entry->name, 0);
    forget(&s->cache, entry);
}

static void make_room(struct blob_store *s, uint64_t size)
{
    struct blocks *c = &s->cache;
    while (!list_is_empty(&c->lately) && (c->bytes + size > s->cache_max || c->n >= BLOCKS_MAX))
        drop(s, container_of(c->lately.next, struct cached, link));
}

/* ---- opening --------------------------------------------------------------------------------- */

/* What is not a block of ours stays where it is. */
static bool is_block_name(struct slice name)
{
    uint64_t block;
    return name.len > BLOB_KEY_LEN + 1 && name.ptr[BLOB_KEY_LEN] == '.' &&
           blob_key_is_good(slice_first(name, BLOB_KEY_LEN)) &&
           slice_to_u64(slice_skip(name, BLOB_KEY_LEN + 1), &block) && name.len < BLOB_NAME_MAX;
}

/* Is the cache of this boot? It is from now on. */
static bool take_boot(struct blob_store *s)
{
    struct buf now, then;
    buf_init(&now, 256);
    buf_init(&then, 256);
    bool knows = file_read("/proc/sys/kernel/random/boot_id", &now) && now.len;
    int fd = openat(s->cache_fd, ".boot", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    char *to = fd < 0 ? NULL : buf_reserve(&then, 128);
    ssize_t n = to ? fd_read(fd, to, 128) : -1;
    buf_grew(&then, n > 0 ? (size_t)n : 0);
    bool is_same = knows && slice_eq(buf_slice(&now), buf_slice(&then));
    if (fd >= 0 && knows && !is_same && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0)
        (void)!fd_write_all(fd, buf_slice(&now)); /* else the next start empties it again */
    if (fd >= 0)
        close(fd);
    buf_done(&then);
    buf_done(&now);
    return is_same;
}

bool blocks_open(struct blob_store *s, struct err *e)
{
    int fd = openat(s->cache_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    if (!dir) {
        blob_failed(e, "looking at the cache of files");
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct slice name = slice_from(entry->d_name);
        if (is_block_name(name) && fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            note(&s->cache, name, (uint64_t)st.st_size);
    }
    closedir(dir);
    bool is_same = take_boot(s);
    while (!is_same && !list_is_empty(&s->cache.lately))
        drop(s, container_of(s->cache.lately.next, struct cached, link));
    make_room(s, 0);
    return true;
}

void blocks_done(struct blob_store *s)
{
    struct blocks *c = &s->cache;
    while (!list_is_empty(&c->lately))
        forget(c, container_of(c->lately.next, struct cached, link));
    map_done(&c->by_name);
}

/* ---- using it -------------------------------------------------------------------------------- */

int blocks_find(struct blob_store *s, struct slice key, uint64_t block)
{
    char text[BLOB_NAME_MAX];
    struct slice name = name_of(key, block, text);
    struct blocks *c = &s->cache;
    pthread_mutex_lock(&c->lock);
    struct cached *entry = map_find(&c->by_name, name);
    int fd = entry ? openat(s->cache_fd, text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd >= 0) {
        list_remove(&entry->link);
        list_add(&c->lately, &entry->link);
    } else if (entry) { /* somebody emptied the folder */
        forget(c, entry);
    }
    c->hits += fd >= 0;
    c->misses += fd < 0;
    pthread_mutex_unlock(&c->lock);
    return fd;
}

/* Somebody removed the folder itself: nothing in it is missed, but it is needed. */
static bool make_again(struct blob_store *s)
{
    struct stat st;
    if (fstat(s->cache_fd, &st) != 0 || st.st_nlink > 0)
        return false;
    if (mkdirat(s->dir_fd, "cache", 0700) != 0 && errno != EEXIST)
        return false;
    int fd = openat(s->dir_fd, "cache", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    close(s->cache_fd);
    s->cache_fd = fd;
    take_boot(s);
    return true;
}

void blocks_take(struct blob_store *s, const char *draft, struct slice key, uint64_t block,
                 uint64_t size)
{
    char text[BLOB_NAME_MAX];
    struct slice name = name_of(key, block, text);
    pthread_mutex_lock(&s->cache.lock);
    make_room(s, size);
    if (renameat(s->drafts_fd, draft, s->cache_fd, text) == 0 ||
        (make_again(s) && renameat(s->drafts_fd, draft, s->cache_fd, text) == 0))
        note(&s->cache, name, size);
    else
        unlinkat(s->drafts_fd, draft, 0);
    pthread_mutex_unlock(&s->cache.lock);
}

void blocks_drop(struct blob_store *s, struct slice key)
{
    struct blocks *c = &s->cache;
    pthread_mutex_lock(&c->lock);
    list_each_safe (link, shelf_of(c, key)) {
        struct cached *entry = container_of(link, struct cached, shelf);
        if (slice_starts(slice_from(entry->name), key))
            drop(s, entry);
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- one fetch at a time of each block ------------------------------------------------------- */

static struct fetching *find_fetching(const struct blocks *c, const char *name)
{
    list_each (link, &c->under_way) {
        struct fetching *f = container_of(link, struct fetching, link);
        if (!strcmp(f->name, name))
            return f;
    }
    return NULL;
}

struct fetching *blocks_begin_fetch(struct blob_store *s, struct slice key, uint64_t block,
                                    bool *ret_busy)
{
    struct fetching *mine = NULL;
    char text[BLOB_NAME_MAX];
    struct slice name = name_of(key, block, text);
    struct blocks *c = &s->cache;
    pthread_mutex_lock(&c->lock);
    *ret_busy = find_fetching(c, text) != NULL;
    if (!*ret_busy && !map_find(&c->by_name, name)) {
        mine = mem_new(struct fetching);
        memcpy(mine->name, text, name.len + 1);
        list_init(&mine->waiting);
        list_add(&c->under_way, &mine->link);
    }
    pthread_mutex_unlock(&c->lock);
    return mine;
}

static void tell(struct blob_wait *w, const struct err *why)
{
    static const struct err fine = {0};
    w->fn(w, why ? why : &fine);
}

void blocks_await(struct blob_store *s, struct slice key, uint64_t block, struct blob_wait *w)
{
    char text[BLOB_NAME_MAX];
    struct blocks *c = &s->cache;
    name_of(key, block, text);
    pthread_mutex_lock(&c->lock);
    struct fetching *f = find_fetching(c, text);
    if (f)
        list_add(&f->waiting, &w->link);
    pthread_mutex_unlock(&c->lock);
    if (!f)
        tell(w, NULL);
}

/* Those who wait for one that fails fail with it: asking a store that is down again, one after the
 * other, would keep the last of them waiting for minutes. */
void blocks_end_fetch(struct blob_store *s, struct fetching *f, const struct err *why)
{
    struct blocks *c = &s->cache;
    pthread_mutex_lock(&c->lock);
    list_remove(&f->link);
    pthread_mutex_unlock(&c->lock);
    for (struct list *link; (link = list_pop(&f->waiting));) /* nobody finds it any more */
        tell(container_of(link, struct blob_wait, link), why);
    free(f);
}
