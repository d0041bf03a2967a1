/* What root's commands make in a data folder that is somebody else's belongs to them, as if they
 * had run the command: a server that is not root's could not use it.
 *
 * Whoever owns the folder may change it meanwhile, so nothing is reached by a path: each folder is
 * opened in the one above it, no link is followed, and only what is root's is given. */
#include "app/app_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 32

struct owner owner_of_data(const char *data_dir)
{
    char part[PATH_MAX];
    struct stat st;
    int len = snprintf(part, sizeof part, "%s", data_dir);
    size_t n = len > 0 && (size_t)len < sizeof part ? (size_t)len : 0;
    if (geteuid() != 0)
        return (struct owner){0};
    while (stat(n ? part : *data_dir == '/' ? "/" : ".", &st) != 0) {
        if (!n)
            return (struct owner){0};
        while (n && part[n - 1] == '/')
            n--;
        while (n && part[n - 1] != '/')
            n--;
        part[n] = '\0';
    }
    return (struct owner){st.st_uid, st.st_gid};
}

/* Of several names of a file another one may be elsewhere. */
static void give(int fd, const struct stat *st, const struct owner *to)
{
    bool is_ours = st->st_uid == 0 && (S_ISDIR(st->st_mode) || st->st_nlink == 1);
    bool is_plain = S_ISDIR(st->st_mode) || S_ISREG(st->st_mode);
    if (is_ours && is_plain && fchownat(fd, "", to->uid, to->gid, AT_EMPTY_PATH) != 0)
        log_line(LOG_WARN, "what was made could not be given to the owner of the data folder",
                 F_CSTR("reason", strerror(errno)));
}

static int open_below(int dir, const char *name, struct stat *ret)
{
    int fd = openat(dir, name, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, ret) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void give_all(int dir, const char *name, const struct owner *to, dev_t disk, int depth);

static void give_below(int dir, const struct owner *to, dev_t disk, int depth)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !list)
        close(fd);
    for (const struct dirent *one; list && (one = readdir(list));) {
        if (strcmp(one->d_name, ".") != 0 && strcmp(one->d_name, "..") != 0)
            give_all(dir, one->d_name, to, disk, depth + 1);
    }
    if (list)
        closedir(list);
}

static void give_all(int dir, const char *name, const struct owner *to, dev_t disk, int depth)
{
    struct stat st;
    int fd = depth < DEPTH_MAX ? open_below(dir, name, &st) : -1;
    if (fd < 0)
        return;
    if (st.st_dev == disk && S_ISDIR(st.st_mode))
        give_below(fd, to, disk, depth);
    if (st.st_dev == disk)
        give(fd, &st, to);
    close(fd);
}

/* The folders on the way to `below`, and all that is in the last one. */
static void give_path(int data, struct slice below, const struct owner *to, dev_t disk)
{
    int at = dup(data);
    struct slice part;
    while (at >= 0 && slice_cut(&below, '/', &part)) {
        char name[NAME_MAX + 1];
        struct stat st;
        snprintf(name, sizeof name, "%.*s", SLICE_ARGS(part));
        int next = part.len ? open_below(at, name, &st) : dup(at);
        if (next >= 0 && part.len && st.st_dev == disk)
            give(next, &st, to);
        close(at);
        at = next;
    }
    if (at >= 0) {
        give_below(at, to, disk, 0);
        close(at);
    }
}

void owner_give(const struct owner *to, const char *data_dir, const char *path)
{
    struct stat st;
    char *data = to->uid ? realpath(data_dir, NULL) : NULL;
    char *real = data ? realpath(path, NULL) : NULL;
    size_t n = data ? strlen(data) : 0;
    int fd = data ? open_below(AT_FDCWD, data, &st) : -1;
    bool is_inside = real && strncmp(real, data, n) == 0 && (!real[n] || real[n] == '/');
    if (fd >= 0 && is_inside) {
        give(fd, &st, to);
        give_path(fd, slice_from(real + n), to, st.st_dev);
    }
    if (fd >= 0)
        close(fd);
    free(real);
    free(data);
}
