/* One packet in or out of a SOCK_SEQPACKET socket, with descriptors; used on both sides. */
#include "loop/spawn_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Aligned room for the descriptors of one packet. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
};

bool packet_send(int sock, struct slice bytes, const int *fds, size_t n_fds)
{
    union control control;
    struct iovec iov = {.iov_base = (char *)(uintptr_t)bytes.ptr, .iov_len = bytes.len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    must(n_fds <= WIRE_FDS_MAX);
    if (n_fds) {
        memset(&control, 0, sizeof control);
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    ssize_t n;
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

/* Takes the descriptors out; more than fit are closed, so that nothing can leak. */
static size_t take_fds(struct msghdr *msg, int *fds, size_t max_fds, bool *ret_all)
{
    size_t n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= c->cmsg_len; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (n < max_fds) {
                fds[n++] = fd;
            } else {
                close(fd);
                *ret_all = false;
            }
        }
    }
    return n;
}

ssize_t packet_receive(int sock, char *to, size_t max, int *fds, size_t max_fds, size_t *ret_n_fds)
{
    union control control;
    struct iovec iov = {.iov_base = to, .iov_len = max};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof control.bytes};
    ssize_t n;
    /* ECONNRESET is told once, when the other side closed without reading our last command; what
     * it sent before is still there. */
    do
        n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n <= 0)
        return n;
    bool all = !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    size_t n_fds = take_fds(&msg, fds, max_fds, &all);
    if (!all) {
        while (n_fds)
            close(fds[--n_fds]);
        errno = EBADMSG;
        return -1;
    }
    if (ret_n_fds)
        *ret_n_fds = n_fds;
    return n;
}
