/* Reading and writing whole files, where a signal is no failure. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int file_open(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = EISDIR;
    return -1;
}

/* In pieces: the size that a file tells is not always what there is to read, as in /proc. */
static bool add_all(int fd, struct buf *to)
{
    char piece[16384];
    ssize_t n;
    while ((n = fd_read(fd, piece, sizeof piece)) > 0) {
        buf_add(to, (struct slice){piece, (size_t)n});
        if (to->full)
            return errno = EFBIG, false;
    }
    return n == 0;
}

bool file_read(const char *path, struct buf *to)
{
    size_t before = to->len;
    int fd = file_open(path);
    if (fd < 0)
        return false;
    bool fine = add_all(fd, to);
    int why = errno;
    if (!fine)
        buf_truncate(to, before);
    close(fd);
    errno = why;
    return fine;
}

ssize_t fd_read(int fd, char *to, size_t max)
{
    size_t done = 0;
    while (done < max) {
        ssize_t n = read(fd, to + done, max - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

bool fd_write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = slice_skip(bytes, (size_t)n);
    }
    return true;
}
