/* Connections of our own to others. */
#include "net/net_impl.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

static int begin(int fd, const struct address *a, struct err *e)
{
    struct sockaddr_un un;
    int dir, rc;
    if (a->sa.any.sa_family != AF_UNIX)
        return connect(fd, &a->sa.any, a->len);
    if (!unix_address(a->path, &un, &dir, e))
        return -1;
    rc = connect(fd, (const struct sockaddr *)&un, sizeof un);
    int was = errno;
    close(dir);
    errno = was;
    return rc;
}

int address_connect(const struct address *a, struct err *e)
{
    char text[ADDRESS_TEXT_LEN];
    int one = 1, family = a->sa.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (fd >= 0 && (begin(fd, a, e) == 0 || errno == EINPROGRESS))
        return fd;
    address_text(a, text);
    err_set(e, ERR_UNREACHABLE, "%s does not answer: %s", text, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}
