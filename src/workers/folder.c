/* The folder of a run: made, measured and removed, whatever its program has put there: links are
 * never followed, nothing recurses, and no depth of folders or lack of rights is in the way. */
#include "workers/workers_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX  40  /* of descriptors that are open at once */
#define ENTRY_COST 512 /* an empty file takes room too */

bool folder_make(const char *path, uid_t uid, gid_t gid, struct err *e)
{
    if (mkdir(path, 0700) != 0)
        return err_set_sys(e, ERR_IO, "making the folder of a job failed");
    if (uid && lchown(path, uid, gid) != 0) {
        err_set_sys(e, ERR_IO, "giving the folder of a job to its user failed");
        rmdir(path);
        return false;
    }
    return true;
}

bool folder_drop(const char *path)
{
    return rmdir(path) == 0 || errno == ENOENT;
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* The program may have taken its own rights away; as root that does not matter. */
static int open_folder(int at, const char *name, bool may_change)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(at, name, flags);
    if (fd < 0 && errno == EACCES && may_change && fchmodat(at, name, 0700, 0) == 0)
        fd = openat(at, name, flags);
    return fd;
}

/* ---- walking ------------------------------------------------------------------------------------
 */

/* A folder and those above it, each open. */
struct climb {
    DIR *dirs[DEPTH_MAX];
    char names[DEPTH_MAX][256]; /* of each but the first, in the one above it */
    int depth;                  /* of dirs; 0: over */
};

static bool climb_down(struct climb *c, int at, const char *name, bool may_change)
{
    size_t n = strlen(name);
    int fd = c->depth < DEPTH_MAX ? open_folder(at, name, may_change) : -1;
    if (fd < 0)
        return false;
    struct stat st;
    if (may_change && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
        (void)fchmod(fd, 0700);
    c->dirs[c->depth] = fdopendir(fd);
    if (!c->dirs[c->depth]) {
        close(fd);
        return false;
    }
    if (c->depth) {
        must(n < sizeof c->names[0]);
        memcpy(c->names[c->depth], name, n + 1);
    }
    c->depth++;
    return true;
}

static void climb_up(struct climb *c)
{
    closedir(c->dirs[--c->depth]);
}

static void climb_end(struct climb *c)
{
    while (c->depth)
        climb_up(c);
}

static int here(const struct climb *c)
{
    return dirfd(c->dirs[c->depth - 1]);
}

static struct dirent *next_entry(struct climb *c)
{
    struct dirent *it;
    do
        it = readdir(c->dirs[c->depth - 1]);
    while (it && is_dots(it->d_name));
    return it;
}

/* ---- removing -----------------------------------------------------------------------------------
 */

/* What is nested too deep to go down to is brought up, and met again there, under a name that the
 * program could not have taken. */
static bool bring_up(const struct climb *c, const char *name, unsigned *number)
{
    char id[ID_LEN + 1], to[sizeof id + 16];
    random_id(id);
    snprintf(to, sizeof to, ".dais-deep-%s", id);
    ++*number;
    return renameat(here(c), name, dirfd(c->dirs[0]), to) == 0;
}

static bool remove_entry(struct climb *c, const char *name, unsigned *number)
{
    if (unlinkat(here(c), name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return false;
    if (unlinkat(here(c), name, AT_REMOVEDIR) == 0)
        return true;
    if (c->depth < DEPTH_MAX)
        return climb_down(c, here(c), name, true);
    return bring_up(c, name, number);
}

/* Once through; *ret_left: something was brought up, or could not be removed. */
static void empty_once(struct climb *c, unsigned *number, bool *ret_failed)
{
    while (c->depth) {
        struct dirent *it = next_entry(c);
        if (it) {
            *ret_failed |= !remove_entry(c, it->d_name, number);
            continue;
        }
        int depth = c->depth - 1;
        climb_up(c);
        if (depth > 0)
            *ret_failed |= unlinkat(here(c), c->names[depth], AT_REMOVEDIR) != 0;
    }
}

bool folder_remove(const char *path, struct err *e)
{
    unsigned number = 0, before;
    bool has_failed;
    do { /* again while something came up: each time it is less deep */
        struct climb c = {0};
        before = number;
        has_failed = false;
        if (!climb_down(&c, AT_FDCWD, path, true))
            break;
        empty_once(&c, &number, &has_failed);
    } while (number > before && !has_failed);
    if (rmdir(path) == 0 || errno == ENOENT)
        return true;
    return err_set_sys(e, ERR_IO, "removing the folder of a job failed");
}

void folder_sweep(const char *path, struct slice but)
{
    char name[4096];
    struct err e;
    struct climb c = {0};
    if (!climb_down(&c, AT_FDCWD, path, false))
        return;
    for (struct dirent *it; (it = next_entry(&c));) {
        if (slice_starts(slice_from(it->d_name), but))
            continue;
        int n = snprintf(name, sizeof name, "%s/%s", path, it->d_name);
        if (n > 0 && (size_t)n < sizeof name && unlinkat(here(&c), it->d_name, 0) != 0 &&
            !folder_remove(name, &e))
            log_line(LOG_WARN, "what a job left behind could not be removed",
                     F_CSTR("folder", it->d_name), F_CSTR("why", e.msg));
    }
    climb_end(&c);
}

/* ---- measuring ----------------------------------------------------------------------------------
 */

void folder_measure(const char *path, uint64_t most, bool *ret_is_over)
{
    uint64_t bytes = 0;
    bool is_too_deep = false;
    struct climb c = {0};
    if (!climb_down(&c, AT_FDCWD, path, false))
        return;
    while (c.depth && bytes <= most && !is_too_deep) {
        struct stat st;
        struct dirent *it = next_entry(&c);
        if (!it) {
            climb_up(&c);
            continue;
        }
        if (fstatat(here(&c), it->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        bytes += (uint64_t)st.st_blocks * 512 + ENTRY_COST;
        if (S_ISDIR(st.st_mode) && !climb_down(&c, here(&c), it->d_name, false))
            is_too_deep = c.depth == DEPTH_MAX; /* one could hide there what one wants */
    }
    climb_end(&c);
    *ret_is_over = bytes > most || is_too_deep;
}

/* ---- can its user get there? --------------------------------------------------------------------
 */

/* All of those, as the bits of others. */
static bool may(const struct stat *st, uid_t uid, gid_t gid, mode_t what)
{
    unsigned shift = st->st_uid == uid ? 6 : st->st_gid == gid ? 3 : 0;
    return (st->st_mode >> shift & what) == what;
}

const char *worker_barrier(struct arena *a, const char *path, uid_t uid, gid_t gid)
{
    struct slice p = slice_from(path);
    for (ptrdiff_t at; (at = slice_rindex(p, '/')) > 0;) {
        struct stat st;
        p = slice_first(p, (size_t)at);
        const char *parent = arena_cstr(a, p);
        if (stat(parent, &st) == 0 && !may(&st, uid, gid, S_IXOTH))
            return parent;
    }
    return NULL;
}

static bool is_script(const char *path)
{
    char head[2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_read = fd >= 0 && read(fd, head, sizeof head) == sizeof head;
    if (fd >= 0)
        close(fd);
    return is_read && head[0] == '#' && head[1] == '!';
}

bool worker_may_run(const char *path, uid_t uid, gid_t gid)
{
    struct stat st;
    mode_t what = S_IXOTH | (is_script(path) ? S_IROTH : 0);
    return stat(path, &st) != 0 || may(&st, uid, gid, what);
}
