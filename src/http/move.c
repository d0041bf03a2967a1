/* Large bodies from one socket to another by way of a pipe: the bytes never come here.
 *
 * A loop has one pipe, which is empty between two steps: what the client does not take at once is
 * read back out of it and waits among the connection's bytes, like every other answer. */
#include "http/http_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static bool has_pipe(struct http_loop *hl)
{
    if (hl->pipe[0] >= 0)
        return true;
    if (pipe2(hl->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
        hl->pipe[0] = hl->pipe[1] = -1;
        return false; /* out of descriptors: bytes can still be copied */
    }
    fcntl(hl->pipe[1], F_SETPIPE_SZ, 2 * MOVE_BYTES); /* a page each, however full: so twice. It
                                                        may stay smaller: then less is moved */
    return true;
}

void move_done(struct http_loop *hl)
{
    if (hl->pipe[0] < 0)
        return;
    close(hl->pipe[0]);
    close(hl->pipe[1]);
    hl->pipe[0] = hl->pipe[1] = -1;
}

bool move_is_possible(struct conn *c)
{
    const struct flow *f = c->flow;
    struct source *s = f->tail.source;
    return f->tail.is_sized && f->sent == f->out.len && s->move && c->stream.ops->from_pipe &&
           s->movable(s) >= MOVE_LEAST && has_pipe(c->home);
}

/* As much as the client's socket has room for: what it does not take would lie here. A buffer of
 * the kernel holds about half its size in bytes. */
static size_t move_size(const struct conn *c)
{
    int size = 0, held = 0;
    socklen_t n = sizeof size;
    if (getsockopt(c->stream.fd, SOL_SOCKET, SO_SNDBUF, &size, &n) < 0 ||
        ioctl(c->stream.fd, SIOCOUTQ, &held) < 0 || size / 2 - held < (int)MOVE_LEAST)
        return MOVE_LEAST;
    size_t room = (size_t)(size / 2 - held);
    return room < MOVE_BYTES ? room : MOVE_BYTES;
}

/* The pipe is the next one's too. */
static void take_back(struct conn *c, size_t n)
{
    struct buf *out = &c->flow->out;
    char *at = buf_reserve(out, n);
    must(at);
    while (n) {
        ssize_t got = read(c->home->pipe[0], at, n);
        must(got > 0 || (got < 0 && errno == EINTR)); /* they are in there */
        if (got < 0)
            continue;
        buf_grew(out, (size_t)got);
        at += got;
        n -= (size_t)got;
    }
}

static enum io send_from_pipe(struct conn *c, size_t n, size_t *budget)
{
    enum io io = IO_OK;
    bool more = c->flow->tail.left > 0;
    while (n && io == IO_OK) {
        size_t sent = 0;
        io = c->stream.ops->from_pipe(&c->stream, c->home->pipe[0], n, more, &sent);
        n -= sent;
        c->home->bytes_out += sent;
        c->sent += sent;
        *budget -= sent < *budget ? sent : *budget;
    }
    if (n)
        take_back(c, n);
    return io;
}

enum io move_some(struct conn *c, size_t *budget)
{
    struct flow *f = c->flow;
    struct tail *t = &f->tail;
    size_t n = 0;
    if (*budget == 0)
        return IO_MORE;
    buf_clear(&f->out);
    f->sent = 0;
    t->is_dry = true; /* unless it wakes us while it looks */
    enum io io = t->source->move(t->source, c->home->pipe[1], move_size(c), &n);
    if (io == IO_MORE)
        return IO_OK;
    t->is_dry = false;
    if (io != IO_OK)
        return IO_FAIL; /* less than was promised */
    t->left -= n;
    if (c->exchange && c->exchange->waiter)
        c->exchange->bytes_out += n;
    io = send_from_pipe(c, n, budget);
    if (t->left == 0)
        out_end_tail(c->home, t);
    return io;
}
