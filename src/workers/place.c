/* Where the runs of an app have their folders: made and looked at again before each run, as whoever
 * tidies up may have taken it away, and somebody else may have made one of that name since. */
#include "workers/workers_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 3 /* another server that stops may take away what is empty */

static bool fail(const struct crew_place *p, const char *name, const char *why, const char *next,
                 struct err *e)
{
    return err_set(e, ERR_IO, "the folder of jobs %s/%s cannot be used: %s %s; %s", p->base,
                   p->rest, name, why, next);
}

static bool fail_sys(const struct crew_place *p, const char *name, struct err *e)
{
    int number = errno;
    char why[100];
    snprintf(why, sizeof why, "cannot be made (%s)", strerror(number));
    (void)fail(p, name, why, "the server's user needs room and the right to write there", e);
    if (e)
        e->sys_errno = number;
    return false;
}

/* Ours alone? What lies in a folder of somebody else's can be exchanged by him. */
static const char *fault_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return "cannot be looked at";
    if (st.st_uid != geteuid())
        return "belongs to another user";
    return st.st_mode & 022 ? "may be written to by others" : NULL;
}

static const char *fault_at(int at, const char *name)
{
    struct stat st;
    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return NULL;
    return S_ISLNK(st.st_mode) ? "is a link" : S_ISDIR(st.st_mode) ? NULL : "is no folder";
}

/* One folder down; -1: e. */
static int go_down(const struct crew_place *p, int at, const char *name, bool is_last,
                   struct err *e)
{
    static const char away[] = "remove it or rename it";
    bool is_strict = p->is_shared || is_last;
    mode_t mode = p->is_shared ? 0711 : 0700;
    bool is_new = mkdirat(at, name, mode) == 0;
    if (!is_new && errno != EEXIST)
        return fail_sys(p, name, e) - 1;
    const char *fault = is_strict ? fault_at(at, name) : NULL;
    if (fault)
        return fail(p, name, fault, away, e) - 1;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (is_strict ? O_NOFOLLOW : 0));
    if (fd < 0)
        return fail_sys(p, name, e) - 1;
    fault = p->is_shared ? fault_of(fd) : NULL;
    if (!fault && p->is_shared && fchmod(fd, mode) != 0) /* whatever the umask is */
        fault = "cannot be opened for the user of jobs";
    if (!fault)
        return fd;
    (void)fail(p, name, fault, away, e);
    close(fd);
    return -1;
}

static bool make_once(const struct crew_place *p, struct err *e)
{
    struct slice rest = slice_from(p->rest);
    int at = open(p->base, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return fail_sys(p, p->base, e);
    while (rest.len) {
        char name[256];
        ptrdiff_t end = slice_index(rest, '/');
        size_t n = end < 0 ? rest.len : (size_t)end;
        snprintf(name, sizeof name, "%.*s", SLICE_ARGS(slice_first(rest, n)));
        int next = go_down(p, at, name, end < 0, e);
        close(at);
        if (next < 0)
            return false;
        at = next;
        rest = slice_skip(rest, end < 0 ? n : n + 1);
    }
    bool fine = faccessat(at, ".", W_OK | X_OK, AT_EACCESS) == 0 || fail_sys(p, p->rest, e);
    close(at);
    return fine;
}

bool crew_place_make(const struct crew_place *p, struct err *e)
{
    struct err why = {0};
    for (int i = 0; i < TRIES; i++) {
        if (make_once(p, &why))
            return true;
        if (why.sys_errno != ENOENT)
            break;
    }
    if (e)
        *e = why;
    return false;
}

void crew_place_leave(const struct crew_place *p)
{
    char path[4096];
    size_t base = strlen(p->base);
    int n = snprintf(path, sizeof path, "%s/%s", p->base, p->rest);
    if (n < 0 || (size_t)n >= sizeof path)
        return;
    while (strlen(path) > base && rmdir(path) == 0 && p->is_shared)
        *strrchr(path, '/') = 0;
}
