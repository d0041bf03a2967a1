/* Reading files for rendering: whole, or only their digest. */
#include "render/render_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (64 << 10)

/* Never waits for the writer of a FIFO. -1 with errno; what is no file is EISDIR. */
static int open_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = EISDIR;
    return -1;
}

static void close_quietly(int fd)
{
    int kept = errno;
    close(fd);
    errno = kept;
}

bool whole_file_read(const char *path, struct buf *to)
{
    int fd = open_file(path);
    ssize_t n = 1;
    if (fd < 0)
        return false;
    while (n > 0 || (n < 0 && errno == EINTR)) {
        char *at = buf_reserve(to, PIECE);
        n = at ? read(fd, at, PIECE) : -1;
        errno = at ? errno : EFBIG;
        if (n > 0)
            buf_grew(to, (size_t)n);
    }
    close_quietly(fd);
    return n == 0;
}

bool digest_of_file(const char *path, char ret[SHA256_HEX_LEN + 1])
{
    char piece[PIECE];
    struct sha256 h;
    int fd = open_file(path);
    ssize_t n = 1;
    if (fd < 0)
        return false;
    sha256_init(&h);
    while (n > 0 || (n < 0 && errno == EINTR)) {
        n = read(fd, piece, sizeof piece);
        sha256_add(&h, (struct slice){piece, n > 0 ? (size_t)n : 0});
    }
    close_quietly(fd);
    sha256_end_hex(&h, ret);
    return n == 0;
}
