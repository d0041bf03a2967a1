/* What systemd and its like agree on with a service: sockets that are open already, and a word when
 * it serves. Nothing here matters to who starts dais by hand. */
#include "app/app_impl.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS_MAX 64

/* A variable with a number, which is then gone: it was meant for this process alone. */
static uint64_t take_number(const char *name)
{
    uint64_t n = 0;
    slice_to_u64(slice_from(getenv(name)), &n);
    unsetenv(name);
    return n;
}

unsigned systemd_sockets(void)
{
    uint64_t pid = take_number("LISTEN_PID"), n = take_number("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (pid != (uint64_t)getpid()) /* inherited from somebody they were for */
        return 0;
    n = n < SOCKETS_MAX ? n : SOCKETS_MAX;
    for (unsigned i = 0; i < n; i++)
        fcntl(SYSTEMD_FIRST + (int)i, F_SETFD, FD_CLOEXEC);
    return (unsigned)n;
}

/* Where it listens for words: "/path", or "@name" without a file. */
static struct {
    struct sockaddr_un address;
    socklen_t len;
} manager;

void systemd_meet(void)
{
    struct slice path = slice_from(getenv("NOTIFY_SOCKET"));
    struct sockaddr_un *un = &manager.address;
    un->sun_family = AF_UNIX;
    if (path.len > 1 && path.len < sizeof un->sun_path && (*path.ptr == '/' || *path.ptr == '@')) {
        memcpy(un->sun_path, path.ptr, path.len);
        if (*path.ptr == '@')
            un->sun_path[0] = '\0';
        manager.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len);
    }
    unsetenv("NOTIFY_SOCKET");
}

void systemd_tell(const char *state, unsigned patience_s)
{
    int fd = manager.len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    const struct timeval patience = {.tv_sec = patience_s};
    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL | (patience_s ? 0 : MSG_DONTWAIT),
               (const struct sockaddr *)&manager.address, manager.len) < 0)
        log_line(LOG_WARN, "the service manager could not be told", F_CSTR("state", state));
    close(fd);
}
