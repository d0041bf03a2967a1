/* The failing disk and memory of the torture tests. */
#include "shaky.h"

#include <sqlite3.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- when to fail -------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    enum shaky_kind kind;
    unsigned left;
    bool is_armed, for_good, has_failed;
} plan;

void shaky_arm(enum shaky_kind kind, unsigned n, bool for_good)
{
    pthread_mutex_lock(&lock);
    plan.kind = kind;
    plan.left = n;
    plan.for_good = for_good;
    plan.has_failed = false;
    plan.is_armed = true;
    pthread_mutex_unlock(&lock);
}

bool shaky_disarm(void)
{
    pthread_mutex_lock(&lock);
    bool has_failed = plan.has_failed;
    plan.is_armed = false;
    pthread_mutex_unlock(&lock);
    return has_failed;
}

static bool fails_now(enum shaky_kind kind)
{
    pthread_mutex_lock(&lock);
    bool fails = false;
    if (plan.is_armed && plan.kind == kind) {
        if (plan.left)
            plan.left--;
        fails = plan.left == 0 && (plan.for_good || !plan.has_failed);
        plan.has_failed |= fails;
    }
    pthread_mutex_unlock(&lock);
    return fails;
}

/* ---- what a power cut leaves --------------------------------------------------------------- */

#define FILES_MAX 16

struct change { /* not waited for yet */
    struct change *next;
    sqlite3_int64 at;
    int len; /* -1: cut here */
    unsigned char bytes[];
};

struct image {
    unsigned char *bytes;
    size_t len, cap;
};

struct kept {
    char path[300];
    struct image image;
    struct change *first, **last;
};
static struct kept kept[FILES_MAX];

static void keep_change(struct image *to, const struct change *c)
{
    size_t end = (size_t)c->at + (c->len > 0 ? (size_t)c->len : 0);
    if (end > to->cap) {
        to->cap = end * 2;
        to->bytes = realloc(to->bytes, to->cap);
    }
    if (end > to->len)
        memset(to->bytes + to->len, 0, end - to->len);
    if (end > to->len || c->len < 0)
        to->len = end;
    if (c->len > 0)
        memcpy(to->bytes + c->at, c->bytes, (size_t)c->len);
}

static void drop_changes(struct kept *k, bool are_kept)
{
    for (struct change *c; (c = k->first);) {
        k->first = c->next;
        if (are_kept)
            keep_change(&k->image, c);
        free(c);
    }
    k->last = &k->first;
}

static struct kept *kept_of(const char *path, bool is_new)
{
    struct kept *k = NULL;
    for (int i = 0; i < FILES_MAX && !k; i++) {
        if (strcmp(kept[i].path, path) == 0)
            k = &kept[i];
    }
    for (int i = 0; i < FILES_MAX && !k && is_new; i++) {
        if (!kept[i].path[0])
            k = &kept[i];
    }
    if (k && !k->path[0]) {
        snprintf(k->path, sizeof k->path, "%s", path);
        k->last = &k->first;
    }
    return k;
}

static void forget(const char *path)
{
    struct kept *k = kept_of(path, false);
    if (!k)
        return;
    drop_changes(k, false);
    free(k->image.bytes);
    memset(k, 0, sizeof *k);
}

static void add_change(struct kept *k, sqlite3_int64 at, const void *bytes, int len)
{
    struct change *c = malloc(sizeof *c + (len > 0 ? (size_t)len : 0));
    c->next = NULL;
    c->at = at;
    c->len = len;
    if (len > 0)
        memcpy(c->bytes, bytes, (size_t)len);
    *k->last = c;
    k->last = &c->next;
}

static void write_left(const char *path, const char *to, unsigned *luck)
{
    struct kept *k = kept_of(path, false);
    remove(to);
    if (!k)
        return;
    struct image left = {malloc(k->image.len + 1), k->image.len, k->image.len};
    if (left.len)
        memcpy(left.bytes, k->image.bytes, left.len);
    for (struct change *c = k->first; c && *luck; c = c->next) {
        *luck = *luck * 1664525u + 1013904223u;
        if (*luck >> 31)
            keep_change(&left, c);
        *luck |= 1;
    }
    FILE *file = fopen(to, "wb");
    fwrite(left.bytes, 1, left.len, file);
    fclose(file);
    free(left.bytes);
}

void shaky_crash(const char *path, const char *to, unsigned luck)
{
    char log[320], to_log[320];
    snprintf(log, sizeof log, "%s-wal", path);
    snprintf(to_log, sizeof to_log, "%s-wal", to);
    pthread_mutex_lock(&lock);
    write_left(path, to, &luck);
    write_left(log, to_log, &luck);
    pthread_mutex_unlock(&lock);
}

/* ---- the VFS ------------------------------------------------------------------------------- */

struct file {
    sqlite3_file base;
    struct kept *kept; /* NULL: a temporary file */
    sqlite3_file *real;
};
static sqlite3_vfs *real_vfs, shaky_vfs;

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)(void *)f)->real;
}

#define PASS(name, params, ...)                                          \
    static int on_##name params                                          \
    {                                                                    \
        return real_of(f)->pMethods->x##name(real_of(f), ##__VA_ARGS__); \
    }
PASS(Read, (sqlite3_file * f, void *to, int n, sqlite3_int64 at), to, n, at)
PASS(FileSize, (sqlite3_file * f, sqlite3_int64 *ret), ret)
PASS(Lock, (sqlite3_file * f, int level), level)
PASS(Unlock, (sqlite3_file * f, int level), level)
PASS(CheckReservedLock, (sqlite3_file * f, int *ret), ret)
PASS(FileControl, (sqlite3_file * f, int op, void *arg), op, arg)
PASS(SectorSize, (sqlite3_file * f))
PASS(DeviceCharacteristics, (sqlite3_file * f))
PASS(ShmMap, (sqlite3_file * f, int page, int size, int make, void volatile **ret), page, size,
     make, ret)
PASS(ShmLock, (sqlite3_file * f, int at, int n, int flags), at, n, flags)
PASS(ShmUnmap, (sqlite3_file * f, int del), del)

static void on_ShmBarrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int on_Close(sqlite3_file *f)
{
    int rc = real_of(f)->pMethods->xClose(real_of(f));
    free(real_of(f));
    return rc;
}

static int on_Write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    struct kept *k = ((struct file *)(void *)f)->kept;
    if (fails_now(SHAKY_FULL))
        return SQLITE_FULL;
    if (fails_now(SHAKY_IO_ERROR)) {
        real_of(f)->pMethods->xWrite(real_of(f), bytes, n / 2, at); /* half of it arrives */
        return SQLITE_IOERR_WRITE;
    }
    int rc = real_of(f)->pMethods->xWrite(real_of(f), bytes, n, at);
    pthread_mutex_lock(&lock);
    if (rc == SQLITE_OK && k)
        add_change(k, at, bytes, n);
    pthread_mutex_unlock(&lock);
    return rc;
}

static int on_Truncate(sqlite3_file *f, sqlite3_int64 size)
{
    struct kept *k = ((struct file *)(void *)f)->kept;
    if (fails_now(SHAKY_IO_ERROR))
        return SQLITE_IOERR_TRUNCATE;
    pthread_mutex_lock(&lock);
    if (k)
        add_change(k, size, NULL, -1);
    pthread_mutex_unlock(&lock);
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int on_Sync(sqlite3_file *f, int flags)
{
    struct kept *k = ((struct file *)(void *)f)->kept;
    (void)flags; /* the real disk need not wait: nobody cuts its power */
    bool fails = fails_now(SHAKY_IO_ERROR) || fails_now(SHAKY_SYNC);
    pthread_mutex_lock(&lock);
    if (k)
        drop_changes(k, !fails);
    pthread_mutex_unlock(&lock);
    return fails ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    2,
    on_Close,
    on_Read,
    on_Write,
    on_Truncate,
    on_Sync,
    on_FileSize,
    on_Lock,
    on_Unlock,
    on_CheckReservedLock,
    on_FileControl,
    on_SectorSize,
    on_DeviceCharacteristics,
    on_ShmMap,
    on_ShmLock,
    on_ShmBarrier,
    on_ShmUnmap,
    NULL,
    NULL,
};

static int on_Open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    struct file *mine = (struct file *)(void *)f;
    (void)vfs;
    mine->base.pMethods = NULL;
    mine->real = calloc(1, (size_t)real_vfs->szOsFile);
    int rc = real_vfs->xOpen(real_vfs, name, mine->real, flags, ret_flags);
    if (rc != SQLITE_OK) {
        free(mine->real);
        return rc;
    }
    mine->base.pMethods = &methods;
    pthread_mutex_lock(&lock);
    mine->kept = name ? kept_of(name, true) : NULL;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static int on_Delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    pthread_mutex_lock(&lock);
    forget(name);
    pthread_mutex_unlock(&lock);
    return real_vfs->xDelete(real_vfs, name, sync);
}

/* ---- memory -------------------------------------------------------------------------------- */

static sqlite3_mem_methods real_memory;

static void *on_malloc(int n)
{
    return fails_now(SHAKY_NO_MEMORY) ? NULL : real_memory.xMalloc(n);
}

static void *on_realloc(void *p, int n)
{
    return fails_now(SHAKY_NO_MEMORY) ? NULL : real_memory.xRealloc(p, n);
}

void shaky_install(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    sqlite3_mem_methods mine = real_memory;
    mine.xMalloc = on_malloc;
    mine.xRealloc = on_realloc;
    sqlite3_config(SQLITE_CONFIG_MALLOC, &mine);
    real_vfs = sqlite3_vfs_find(NULL);
    shaky_vfs = *real_vfs;
    shaky_vfs.zName = "shaky";
    shaky_vfs.szOsFile = sizeof(struct file);
    shaky_vfs.xOpen = on_Open;
    shaky_vfs.xDelete = on_Delete;
    sqlite3_vfs_register(&shaky_vfs, 1);
}
