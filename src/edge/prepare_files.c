/* Files and folders on their way into the data folder: on stable storage before anything is taken
 * away, and never over something that is there. */
#include "edge/prepare_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 128

/* ---- looking ----------------------------------------------------------------------------------
 */

bool path_put(char to[PATH_BYTES], struct err *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(to, PATH_BYTES, fmt, args);
    va_end(args);
    return (n >= 0 && n < PATH_BYTES) || err_set(e, ERR_IO, "its path is too long");
}

bool path_real(const char *path, char ret[PATH_BYTES])
{
    char part[PATH_BYTES], real[PATH_BYTES];
    size_t n = strlen(path), at = n;
    if (n >= sizeof part)
        return false;
    memcpy(part, path, n + 1);
    while (!realpath(at ? part : ".", real)) {
        if (!at) /* the present folder itself was removed */
            return false;
        while (at && part[at - 1] != '/')
            at--;
        while (at > 1 && part[at - 1] == '/')
            at--;
        part[at] = '\0';
    }
    const char *rest = path + at;
    while (*rest == '/')
        rest++;
    const char *slash = *rest && strcmp(real, "/") != 0 ? "/" : "";
    int len = snprintf(ret, PATH_BYTES, "%s%s%s", real, slash, rest);
    return len > 0 && len < PATH_BYTES;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool is_empty(DIR *dir)
{
    for (struct dirent *it; (it = readdir(dir));) {
        if (!is_dots(it->d_name))
            return false;
    }
    return true;
}

bool thing_at(const char *path, enum thing *ret, struct err *e)
{
    struct stat st;
    *ret = THING_NONE;
    if (lstat(path, &st) != 0)
        return errno == ENOENT || err_set_sys(e, ERR_IO, "%s cannot be looked at", path);
    *ret = S_ISREG(st.st_mode)   ? THING_FILE
           : S_ISLNK(st.st_mode) ? THING_LINK
           : S_ISDIR(st.st_mode) ? THING_FOLDER
                                 : THING_OTHER;
    DIR *dir = *ret == THING_FOLDER ? opendir(path) : NULL;
    if (dir && is_empty(dir))
        *ret = THING_EMPTY;
    if (dir)
        closedir(dir);
    return true;
}

/* ---- stable storage ---------------------------------------------------------------------------
 */

static bool sync_folder_of(const char *path, struct err *e)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash > path ? (int)(slash - path) : 1, path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool fine = fd >= 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return fine || err_set_sys(e, ERR_IO, "writing to %s failed", folder);
}

bool folders_make(const char *path, mode_t mode, struct err *e)
{
    char part[PATH_BYTES];
    struct stat st;
    size_t n = strlen(path);
    must(n < sizeof part);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i])
            continue;
        part[i] = '\0';
        bool is_new = mkdir(part, mode) == 0;
        if (!is_new && (stat(part, &st) != 0 || !S_ISDIR(st.st_mode)))
            return err_set_sys(e, ERR_IO, "the folder %s cannot be made", part);
        if (is_new && !sync_folder_of(part, e))
            return false;
        part[i] = path[i];
    }
    return true;
}

bool parent_make(const char *path, mode_t mode, struct err *e)
{
    char parent[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    must(slash && strlen(path) < sizeof parent);
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    return folders_make(parent, mode, e);
}

bool link_make(const char *target, const char *path, struct err *e)
{
    if (symlink(target, path) != 0)
        return err_set_sys(e, ERR_IO, "the link %s cannot be made", path);
    return sync_folder_of(path, e);
}

bool file_replace(const char *path, struct slice text, mode_t mode, struct err *e)
{
    char part[PATH_BYTES];
    snprintf(part, sizeof part, "%s.dais-partial", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    bool fine = fd >= 0 && fchmod(fd, mode) == 0 && fd_write_all(fd, text) && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    if (!fine || rename(part, path) != 0)
        return err_set_sys(e, ERR_IO, "writing %s failed", path);
    return sync_folder_of(path, e);
}

static int rename_anew(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    struct stat st;
    if (errno != EINVAL && errno != ENOSYS) /* a file system that cannot promise it */
        return -1;
    errno = EEXIST;
    return lstat(to, &st) == 0 ? -1 : rename(from, to);
}

bool thing_rename(const char *from, const char *to, struct err *e)
{
    if (rename_anew(from, to) == 0) /* it happened: errno is no error of ours any more */
        return sync_folder_of(to, e) && sync_folder_of(from, e);
    int why = errno;
    if (why == EBUSY)
        err_set(e, ERR_IO,
                "%s is a mount point: what is on it is kept anyway; take it off `persist`", from);
    else
        err_set_sys(e, ERR_IO, "moving %s to %s failed", from, to);
    errno = why;
    return false;
}

/* ---- trees ------------------------------------------------------------------------------------
 * One entry of a folder at a time, by descriptors, so that paths are never too long and links never
 * followed. Folders come after what is in them. */

struct walk {
    const struct patience *patience; /* may be NULL */
    dev_t device; /* of folders: a mount within would be moved with its contents, and stay. Files
                     in the layers of an image have another one than their folder. */
    struct err *e;
};

static bool is_given_up(const struct walk *w)
{
    return w->patience && patience_is_over(w->patience) &&
           !err_set(w->e, ERR_UNAVAILABLE, "the server is stopping; it is done at the next start");
}

static bool failed(const struct walk *w, const char *what, const char *name)
{
    return err_set_sys(w->e, ERR_IO, "%s %s failed", what, name);
}

static bool copy_bytes(const struct walk *w, int from, int to, const char *name)
{
    char *room = mem_alloc(256u << 10);
    ssize_t n = 0;
    bool fine = true;
    while (fine && !is_given_up(w) && (n = fd_read(from, room, 256u << 10)) > 0)
        fine = fd_write_all(to, (struct slice){room, (size_t)n}) || failed(w, "writing", name);
    free(room);
    if (is_given_up(w))
        return false;
    return fine && (n == 0 || failed(w, "reading", name));
}

/* Owner, mode and times, then the contents, are on stable storage. */
static bool finish_copy(const struct walk *w, int fd, const struct stat *st, const char *name)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};
    bool is_owned = geteuid() != 0 || fchown(fd, st->st_uid, st->st_gid) == 0;
    if (is_owned && fchmod(fd, st->st_mode & 07777) == 0 && futimens(fd, times) == 0 &&
        fsync(fd) == 0)
        return true;
    return failed(w, "writing", name);
}

static bool copy_file(const struct walk *w, int from_dir, const char *from, int to_dir,
                      const char *to, const struct stat *st)
{
    int in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int out = in < 0 ? -1 : openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool fine = out >= 0 ? copy_bytes(w, in, out, from) && finish_copy(w, out, st, from)
                         : failed(w, "copying", from);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return fine;
}

static bool copy_link(const struct walk *w, int from_dir, const char *from, int to_dir,
                      const char *to)
{
    char target[PATH_BYTES];
    ssize_t n = readlinkat(from_dir, from, target, sizeof target - 1);
    if (n < 0)
        return failed(w, "reading", from);
    target[n] = '\0';
    return symlinkat(target, to_dir, to) == 0 || failed(w, "copying", from);
}

static bool copy_thing(const struct walk *w, int from_dir, const char *from, int to_dir,
                       const char *to, int depth);

static bool copy_entries(const struct walk *w, int from, int to, int depth)
{
    int fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    bool fine = dir || failed(w, "reading", "a folder");
    for (struct dirent *it; fine && (errno = 0, it = readdir(dir));) {
        if (!is_dots(it->d_name))
            fine = copy_thing(w, from, it->d_name, to, it->d_name, depth + 1);
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    return fine;
}

static bool copy_folder(const struct walk *w, int from_dir, const char *from, int to_dir,
                        const char *to, const struct stat *st, int depth)
{
    if (mkdirat(to_dir, to, 0700) != 0)
        return failed(w, "making", to);
    int in = openat(from_dir, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int out = openat(to_dir, to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool fine = in >= 0 && out >= 0
                    ? copy_entries(w, in, out, depth) && finish_copy(w, out, st, from)
                    : failed(w, "copying", from);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return fine;
}

/* Sockets and pipes hold nothing; a device is refused. */
static bool copy_thing(const struct walk *w, int from_dir, const char *from, int to_dir,
                       const char *to, int depth)
{
    struct stat st;
    if (is_given_up(w))
        return false;
    if (depth > DEPTH_MAX)
        return err_set(w->e, ERR_IO, "its folders are nested more than %d deep", DEPTH_MAX);
    if (fstatat(from_dir, from, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return failed(w, "looking at", from);
    if (S_ISDIR(st.st_mode) && st.st_dev != w->device)
        return err_set(w->e, ERR_IO, "%s in it is a mount point, which cannot be moved", from);
    if (S_ISREG(st.st_mode))
        return copy_file(w, from_dir, from, to_dir, to, &st);
    if (S_ISLNK(st.st_mode))
        return copy_link(w, from_dir, from, to_dir, to);
    if (S_ISDIR(st.st_mode))
        return copy_folder(w, from_dir, from, to_dir, to, &st, depth);
    return S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) ||
           err_set(w->e, ERR_IO, "%s in it is a device, which cannot be moved", from);
}

static bool walk_init(struct walk *w, const char *path, const struct patience *patience,
                      struct err *e)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return err_set_sys(e, ERR_IO, "%s cannot be looked at", path);
    *w = (struct walk){patience, st.st_dev, e};
    return true;
}

bool thing_copy(const char *from, const char *to, const struct patience *patience, struct err *e)
{
    struct walk w;
    return thing_remove(to, e) && walk_init(&w, from, patience, e) &&
           copy_thing(&w, AT_FDCWD, from, AT_FDCWD, to, 0) && sync_folder_of(to, e);
}

/* ---- comparing --------------------------------------------------------------------------------
 */

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool is_copied(int from_dir, const char *from, int to_dir, const char *to, int depth);

static bool are_entries_copied(int from_dir, const char *from, int to_dir, const char *to,
                               int depth)
{
    int in = openat(from_dir, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int out = openat(to_dir, to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = in >= 0 && out >= 0 ? fdopendir(in) : NULL;
    bool same = dir != NULL;
    for (struct dirent *it; same && (it = readdir(dir));)
        same = is_dots(it->d_name) || is_copied(in, it->d_name, out, it->d_name, depth + 1);
    if (dir)
        closedir(dir);
    else if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return same;
}

/* A write since then shows in the size or the time; what was added or taken away, in the folder's
 * time. */
static bool is_copied(int from_dir, const char *from, int to_dir, const char *to, int depth)
{
    struct stat a, b;
    if (depth > DEPTH_MAX || fstatat(from_dir, from, &a, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (S_ISFIFO(a.st_mode) || S_ISSOCK(a.st_mode))
        return true;
    if (fstatat(to_dir, to, &b, AT_SYMLINK_NOFOLLOW) != 0 ||
        (a.st_mode & S_IFMT) != (b.st_mode & S_IFMT))
        return false;
    if (S_ISLNK(a.st_mode))
        return a.st_size == b.st_size;
    if (!is_same_time(&a.st_mtim, &b.st_mtim))
        return false;
    return S_ISREG(a.st_mode) ? a.st_size == b.st_size
                              : are_entries_copied(from_dir, from, to_dir, to, depth);
}

bool thing_is_copied(const char *from, const char *to, struct err *e)
{
    return is_copied(AT_FDCWD, from, AT_FDCWD, to, 0) || err_set(e, ERR_IO, "%s has changed", from);
}

/* ---- removing ---------------------------------------------------------------------------------
 */

static bool remove_thing(const struct walk *w, int dir, const char *name, int depth);

static bool remove_entries(const struct walk *w, int fd, int depth)
{
    DIR *dir = fdopendir(fd);
    bool fine = dir || failed(w, "reading", "a folder");
    for (struct dirent *it; fine && (it = readdir(dir));)
        fine = is_dots(it->d_name) || remove_thing(w, fd, it->d_name, depth + 1);
    if (dir)
        closedir(dir);
    else
        close(fd);
    return fine;
}

static bool remove_thing(const struct walk *w, int dir, const char *name, int depth)
{
    struct stat st;
    if (depth > DEPTH_MAX)
        return err_set(w->e, ERR_IO, "its folders are nested more than %d deep", DEPTH_MAX);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT || failed(w, "looking at", name);
    if (S_ISDIR(st.st_mode) && st.st_dev != w->device)
        return err_set(w->e, ERR_IO, "%s in it is a mount point", name);
    if (!S_ISDIR(st.st_mode))
        return unlinkat(dir, name, 0) == 0 || failed(w, "removing", name);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && !(st.st_mode & S_IWUSR)) /* a copy of one that is read-only */
        (void)fchmod(fd, 0700);
    if (fd < 0 || !remove_entries(w, fd, depth))
        return fd >= 0 ? false : failed(w, "opening", name);
    return unlinkat(dir, name, AT_REMOVEDIR) == 0 || failed(w, "removing", name);
}

bool thing_remove(const char *path, struct err *e)
{
    struct walk w;
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return true;
    return walk_init(&w, path, NULL, e) && remove_thing(&w, AT_FDCWD, path, 0) &&
           sync_folder_of(path, e);
}
