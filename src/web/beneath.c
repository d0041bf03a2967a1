/* openat2 with RESOLVE_BENEATH, and a walk by components where it does not exist. */
#include "web/beneath_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ALWAYS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static _Atomic bool has_no_openat2;

static bool is_upwards(const char *name, size_t len)
{
    return len == 2 && name[0] == '.' && name[1] == '.';
}

int beneath_walk(int root, const char *rel, int flags)
{
    int at = root, fd = -1;
    if (*rel == '/') /* an absolute path is not beneath anything */
        return errno = EXDEV, -1;
    for (;;) {
        const char *end = strchrnul(rel, '/');
        size_t len = (size_t)(end - rel);
        char name[NAME_MAX + 1];
        fd = -1;
        if (len > NAME_MAX) {
            errno = ENAMETOOLONG;
            break;
        }
        if (is_upwards(rel, len)) {
            errno = EXDEV;
            break;
        }
        memcpy(name, len ? rel : ".", len ? len : 1);
        name[len ? len : 1] = 0;
        bool is_last = !*end;
        fd = openat(at, name,
                    is_last ? flags | O_NOFOLLOW | ALWAYS
                            : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || is_last)
            break;
        if (at != root)
            close(at);
        at = fd;
        rel = end + 1;
    }
    int saved = errno;
    if (at != root)
        close(at);
    errno = saved;
    return fd;
}

int beneath_open(int root, const char *rel, int flags)
{
    int all =
        flags & O_PATH ? flags | O_CLOEXEC : flags | ALWAYS; /* it refuses what has no sense */
    struct open_how how = {
        .flags = (uint64_t)(unsigned)all,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    if (atomic_load_explicit(&has_no_openat2, memory_order_relaxed))
        return beneath_walk(root, rel, flags);
    /* EAGAIN: a rename elsewhere raced with the check of ".."; the kernel asks to try again. */
    for (int tries = 0; tries < 16; tries++) {
        long fd = syscall(SYS_openat2, root, rel, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if (errno == ENOSYS || errno == EPERM) { /* an old kernel, or a sandbox's filter */
            atomic_store_explicit(&has_no_openat2, errno == ENOSYS, memory_order_relaxed);
            return beneath_walk(root, rel, flags);
        }
        if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    return beneath_walk(root, rel, flags);
}

int beneath_open_file(int root, const char *rel, struct stat *ret)
{
    struct stat st;
    int fd = beneath_open(root, rel, O_RDONLY);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        errno = ENOENT;
        return -1;
    }
    *ret = st;
    return fd;
}
