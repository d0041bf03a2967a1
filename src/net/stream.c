/* The plain stream: a non-blocking socket and nothing between. */
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <unistd.h>

static enum io after(ssize_t n, size_t *ret_n)
{
    if (n > 0) {
        *ret_n = (size_t)n;
        return IO_OK;
    }
    if (n == 0)
        return IO_EOF;
    return errno == EAGAIN || errno == EWOULDBLOCK ? IO_MORE : IO_FAIL;
}

static enum io plain_read(struct stream *s, char *to, size_t n, size_t *ret_n)
{
    ssize_t got;
    do
        got = recv(s->fd, to, n, 0);
    while (got < 0 && errno == EINTR);
    return after(got, ret_n);
}

static enum io plain_write(struct stream *s, const struct iovec *iov, int n_iov, bool more,
                           size_t *ret_n)
{
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t sent;
    do {
        if (n_iov == 1) {
            sent = send(s->fd, iov->iov_base, iov->iov_len, flags);
        } else {
            /* sendmsg only reads through the pointer. */
            struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                                 .msg_iovlen = (size_t)n_iov};
            sent = sendmsg(s->fd, &msg, flags);
        }
    } while (sent < 0 && errno == EINTR);
    return after(sent, ret_n);
}

static enum io plain_send_file(struct stream *s, int fd, uint64_t offset, size_t n, size_t *ret_n)
{
    off_t at = (off_t)offset;
    ssize_t sent;
    do
        sent = sendfile(s->fd, fd, &at, n);
    while (sent < 0 && errno == EINTR);
    return after(sent, ret_n); /* IO_EOF: the file became shorter */
}

static enum io plain_to_pipe(struct stream *s, int pipe, size_t n, size_t *ret_n)
{
    ssize_t moved;
    do
        moved = splice(s->fd, NULL, pipe, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (moved < 0 && errno == EINTR);
    return after(moved, ret_n);
}

static enum io plain_from_pipe(struct stream *s, int pipe, size_t n, bool more, size_t *ret_n)
{
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
    ssize_t moved;
    do
        moved = splice(pipe, NULL, s->fd, NULL, n, flags);
    while (moved < 0 && errno == EINTR);
    return after(moved, ret_n);
}

static void plain_shut(struct stream *s)
{
    shutdown(s->fd, SHUT_WR);
}

static void plain_done(struct stream *s)
{
    close(s->fd);
    s->fd = -1;
}

static const struct stream_ops plain = {
    .name = "plain",
    .read = plain_read,
    .write = plain_write,
    .send_file = plain_send_file,
    .to_pipe = plain_to_pipe,
    .from_pipe = plain_from_pipe,
    .shut = plain_shut,
    .done = plain_done,
};

void stream_plain(struct stream *s, int fd)
{
    *s = (struct stream){.ops = &plain, .fd = fd};
}
