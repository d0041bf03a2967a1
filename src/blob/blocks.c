/* Blocks of what is in the object store, kept on the disk as long as there is room for them.
 *
 * A block is a file cache/KEY.N; as keys are never used twice, it is never stale. Who opened one
 * goes on reading it when it is removed. */
#include "blob/blob_impl.h"

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
    struct list link; /* of `lately` */
    uint64_t size;
    char name[]; /* the map's key */
};

struct fetching {
    struct list link;
    char name[BLOB_NAME_MAX];
};

static struct slice name_of(struct slice key, uint64_t block, char to[BLOB_NAME_MAX])
{
    int n = snprintf(to, BLOB_NAME_MAX, "%.*s.%" PRIu64, SLICE_ARGS(key), block);
    return (struct slice){to, (size_t)n};
}

/* ---- the list: with the lock ----------------------------------------------------------------- */

static void forget(struct blocks *c, struct cached *entry)
{
    map_remove(&c->by_name, slice_from(entry->name));
    list_remove(&entry->link);
    c->bytes -= entry->size;
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
    c->bytes += size;
}

static void drop(struct blob_store *s, struct cached *entry)
{
    unlinkat(s->cache_fd, entry->name, 0);
    forget(&s->cache, entry);
}

static void make_room(struct blob_store *s, uint64_t size)
{
    struct blocks *c = &s->cache;
    while (!list_is_empty(&c->lately) && c->bytes + size > s->cache_max)
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

bool blocks_open(struct blob_store *s, struct err *e)
{
    int fd = openat(s->cache_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return blob_failed(e, "looking at the cache of files");
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct slice name = slice_from(entry->d_name);
        if (is_block_name(name) && fstatat(s->cache_fd, entry->d_name, &st, 0) == 0)
            note(&s->cache, name, (uint64_t)st.st_size);
    }
    closedir(dir);
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

void blocks_take(struct blob_store *s, const char *draft, struct slice key, uint64_t block,
                 uint64_t size)
{
    char text[BLOB_NAME_MAX];
    struct slice name = name_of(key, block, text);
    pthread_mutex_lock(&s->cache.lock);
    make_room(s, size);
    if (renameat(s->drafts_fd, draft, s->cache_fd, text) == 0)
        note(&s->cache, name, size);
    else
        unlinkat(s->drafts_fd, draft, 0);
    pthread_mutex_unlock(&s->cache.lock);
}

void blocks_drop(struct blob_store *s, struct slice key)
{
    struct blocks *c = &s->cache;
    pthread_mutex_lock(&c->lock);
    list_each_safe (link, &c->lately) {
        struct cached *entry = container_of(link, struct cached, link);
        if (slice_starts(slice_from(entry->name), key))
            drop(s, entry);
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- one fetch at a time of each block ------------------------------------------------------- */

static bool is_under_way(const struct blocks *c, const char *name)
{
    list_each (link, &c->under_way) {
        if (!strcmp(container_of(link, struct fetching, link)->name, name))
            return true;
    }
    return false;
}

bool blocks_begin_fetch(struct blob_store *s, struct slice key, uint64_t block)
{
    struct fetching *f = mem_new(struct fetching);
    struct slice name = name_of(key, block, f->name);
    struct blocks *c = &s->cache;
    pthread_mutex_lock(&c->lock);
    while (is_under_way(c, f->name))
        pthread_cond_wait(&c->fetched, &c->lock);
    bool is_mine = !map_find(&c->by_name, name);
    if (is_mine)
        list_add(&c->under_way, &f->link);
    else
        free(f);
    pthread_mutex_unlock(&c->lock);
    return is_mine;
}

void blocks_end_fetch(struct blob_store *s, struct slice key, uint64_t block)
{
    char name[BLOB_NAME_MAX];
    struct blocks *c = &s->cache;
    name_of(key, block, name);
    pthread_mutex_lock(&c->lock);
    list_each_safe (link, &c->under_way) {
        struct fetching *f = container_of(link, struct fetching, link);
        if (strcmp(f->name, name))
            continue;
        list_remove(&f->link);
        free(f);
    }
    pthread_cond_broadcast(&c->fetched);
    pthread_mutex_unlock(&c->lock);
}
