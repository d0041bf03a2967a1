/* The digest of a file, made as it is read. */
#include "base/file.h"
#include "render/render_impl.h"

#include <errno.h>
#include <unistd.h>

bool digest_of_file(const char *path, char ret[SHA256_HEX_LEN + 1])
{
    char piece[64 << 10];
    struct sha256 h;
    ssize_t n;
    int fd = file_open(path);
    if (fd < 0)
        return false;
    sha256_init(&h);
    while ((n = fd_read(fd, piece, sizeof piece)) > 0)
        sha256_add(&h, (struct slice){piece, (size_t)n});
    int why = errno;
    close(fd);
    errno = why;
    sha256_end_hex(&h, ret);
    return n == 0;
}
