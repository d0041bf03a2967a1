/* Listening sockets: bind, accept in bounded bursts, pause when descriptors run out. */
#include "net/net_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG  4096
#define BURST    64  /* accepted per turn, so that open connections get theirs */
#define PAUSE_MS 100 /* when there is no descriptor left */

struct door { /* one loop's side of a listener */
    struct watch watch;
    struct timer pause;
    struct listener *owner;
    struct loop *loop;
    int fd;
    bool is_open;
};

struct listener {
    struct listen_options options;
    struct address address;
    struct door *doors;
    unsigned n;
    bool is_unix;
    bool is_taken; /* somebody else's: a socket file is theirs, too */
};

/* ---- binding
 * ------------------------------------------------------------------------------------- */

static bool bind_failed(const struct address *a, struct err *e)
{
    char text[ADDRESS_TEXT_LEN];
    int why = errno;
    address_text(a, text);
    struct stat st;
    if (why == EADDRINUSE && a->sa.any.sa_family == AF_UNIX && lstat(a->path, &st) == 0 &&
        !S_ISSOCK(st.st_mode))
        return err_set(e, ERR_IO,
                       "%s is there already and is no socket; remove it, or choose another path "
                       "with --listen",
                       a->path);
    if (why == EADDRINUSE)
        return err_set(e, ERR_IO,
                       "%s is in use by another program; stop it, or choose another address with "
                       "--listen or DAIS_LISTEN",
                       text);
    if (why == EACCES)
        return err_set(e, ERR_IO,
                       "no permission to listen on %s; ports below 1024 need root or "
                       "CAP_NET_BIND_SERVICE",
                       text);
    errno = why;
    return err_set_sys(e, ERR_IO, "listening on %s failed", text);
}

static int bound_socket(const struct address *a, struct err *e)
{
    int on = 1, off = 0, family = a->sa.any.sa_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        bind_failed(a, e);
        return -1;
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited by what is accepted */
    if (family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->sa.v6.sin6_addr))
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, &a->sa.any, a->len) != 0 || listen(fd, BACKLOG) != 0) {
        bind_failed(a, e);
        close(fd);
        return -1;
    }
    return fd;
}

/* With SO_REUSEPORT a second dais of the same user would bind the same port and silently share
 * its connections: so ask first, without it, whether somebody is there. */
static bool is_free(const struct address *a, struct err *e)
{
    int on = 1, off = 0;
    int fd = socket(a->sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* bound_socket reports it */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->sa.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    bool fine = bind(fd, &a->sa.any, a->len) == 0 || bind_failed(a, e);
    close(fd);
    return fine;
}

static bool has_v6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* A path may be longer than sun_path: bind through the folder's descriptor. */
bool unix_address(const char *path, struct sockaddr_un *ret, int *ret_dir, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char dir[256];
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    *ret_dir = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_dir < 0)
        return err_set_sys(e, ERR_IO, "opening the folder of the unix socket %s failed", path);
    int n = snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/%s", *ret_dir, name);
    if (n < 0 || (size_t)n >= sizeof ret->sun_path) {
        close(*ret_dir);
        return err_set(e, ERR_USAGE, "the name of the unix socket %s is too long", path);
    }
    return true;
}

/* A socket file that nobody answers is left over from a crash and goes. Connecting to any other
 * file is refused too, and that one stays. */
static bool unix_is_stale(const struct sockaddr_un *un)
{
    struct stat st;
    if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); /* busy: EAGAIN */
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)un, sizeof *un) != 0 &&
                 errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return stale;
}

static int bound_unix(const struct address *a, int mode, struct err *e)
{
    struct sockaddr_un un;
    int dir;
    if (!unix_address(a->path, &un, &dir, e))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && unix_is_stale(&un))
        unlink(un.sun_path);
    mode_t was = umask(0777 & ~(unsigned)(mode ? mode : 0600));
    bool fine =
        fd >= 0 && bind(fd, (struct sockaddr *)&un, sizeof un) == 0 && listen(fd, BACKLOG) == 0;
    umask(was);
    if (!fine) {
        bind_failed(a, e);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    close(dir);
    return fd;
}

static bool bind_doors(struct listener *ln, struct address *a, int unix_mode, struct err *e)
{
    if (ln->is_unix) {
        ln->doors[0].fd = bound_unix(a, unix_mode, e);
        return ln->doors[0].fd >= 0;
    }
    if (!is_free(a, e))
        return false;
    for (unsigned i = 0; i < ln->n; i++) {
        int fd = ln->doors[i].fd = bound_socket(a, e);
        if (fd < 0)
            return false;
        socklen_t len = sizeof a->sa.room; /* port 0 becomes the one the kernel chose */
        getsockname(fd, &a->sa.any, &len);
    }
    return true;
}

static struct listener *listener_make(struct loops *ls, const struct address *a,
                                      const struct listen_options *options)
{
    struct listener *ln = mem_new(struct listener);
    ln->options = *options;
    ln->is_unix = a->sa.any.sa_family == AF_UNIX;
    ln->n = ln->is_unix ? 1 : loops_count(ls);
    ln->doors = mem_zalloc(ln->n * sizeof *ln->doors);
    for (unsigned i = 0; i < ln->n; i++) {
        ln->doors[i].owner = ln;
        ln->doors[i].fd = -1;
        ln->doors[i].loop = loops_get(ls, i);
    }
    return ln;
}

static void close_doors(struct listener *ln)
{
    for (unsigned i = 0; i < ln->n; i++) {
        if (ln->doors[i].fd >= 0)
            close(ln->doors[i].fd);
        ln->doors[i].fd = -1;
    }
}

struct listener *listener_open(struct loops *ls, const struct address *a,
                               const struct listen_options *options, struct err *e)
{
    struct address want = *a;
    if (want.sa.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&want.sa.v6.sin6_addr) &&
        !has_v6()) { /* a kernel without IPv6: every IPv4 address then */
        in_port_t port = want.sa.v6.sin6_port;
        want.sa.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        want.len = sizeof want.sa.v4;
    }
    struct listener *ln = listener_make(ls, &want, options);
    if (!bind_doors(ln, &want, options->unix_mode, e)) {
        close_doors(ln);
        free(ln->doors);
        free(ln);
        return NULL;
    }
    ln->address = want;
    return ln;
}

/* ---- taking what is listening already ----------------------------------------------------------
 */

static bool taken_address(int fd, struct address *ret, struct err *e)
{
    int type = 0, is_listening = 0;
    socklen_t n = sizeof type, m = sizeof is_listening;
    *ret = (struct address){.len = sizeof ret->sa.room};
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_STREAM ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &m) != 0 || !is_listening ||
        getsockname(fd, &ret->sa.any, &ret->len) != 0)
        return err_set(e, ERR_USAGE,
                       "descriptor %d was passed as a socket to serve and is none that listens",
                       fd);
    int family = ret->sa.any.sa_family;
    if (family != AF_UNIX && family != AF_INET && family != AF_INET6)
        return err_set(e, ERR_USAGE,
                       "descriptor %d was passed as a socket to serve and is of a family that dais "
                       "does not know; pass IP or unix sockets",
                       fd);
    if (family == AF_UNIX) {
        struct sockaddr_un un = {0};
        memcpy(&un, &ret->sa.room, sizeof un);
        snprintf(ret->path, sizeof ret->path, "%.*s", (int)sizeof un.sun_path, un.sun_path);
    }
    return true;
}

struct listener *listener_take(struct loops *ls, int fd, const struct listen_options *options,
                               struct err *e)
{
    struct address a;
    int on = 1;
    if (!taken_address(fd, &a, e)) {
        close(fd);
        return NULL;
    }
    struct listener *ln = listener_make(ls, &a, options);
    ln->is_taken = true;
    ln->address = a;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    if (!ln->is_unix)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ln->doors[0].fd = fd;
    for (unsigned i = 1; i < ln->n; i++) { /* epoll wants one for each loop */
        ln->doors[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (ln->doors[i].fd >= 0)
            continue;
        err_set_sys(e, ERR_IO, "sharing a passed socket between threads failed");
        listener_free(ln);
        return NULL;
    }
    return ln;
}

void listener_address(const struct listener *ln, struct address *ret)
{
    *ret = ln->address;
}

/* ---- accepting
 * ------------------------------------------------------------------------------------ */

static void on_pause_over(struct timer *t, struct loop *l)
{
    struct door *d = container_of(t, struct door, pause);
    (void)l;
    if (d->is_open)
        watch_want(&d->watch, WATCH_READ);
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct door *d)
{
    struct address peer = {.len = sizeof peer.sa.room};
    int fd = accept4(d->fd, &peer.sa.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        d->owner->options.on_accept(d->owner->options.user, d->owner, d->loop, fd, &peer);
        return true;
    }
    switch (errno) {
    case EINTR:
    case ECONNABORTED: /* that one left again: the next may be there */
    case EPROTO:
        return true;
    case EAGAIN:
        return false;
    default: /* no descriptors or memory: look again soon instead of spinning */
        log_line(LOG_WARN, "accepting paused", F_CSTR("why", strerror(errno)));
        if (d->is_open) {
            watch_want(&d->watch, 0);
            timer_set(&d->pause, d->loop, PAUSE_MS);
        }
        return false;
    }
}

static void on_ready(struct watch *w, int events)
{
    struct door *d = container_of(w, struct door, watch);
    (void)events;
    for (int i = 0; i < BURST && accept_one(d); i++)
        ;
}

void listener_start(struct listener *ln, struct loop *l)
{
    unsigned i = loop_index(l);
    if (i >= ln->n)
        return; /* a unix socket is accepted on loop 0 alone */
    struct door *d = &ln->doors[i];
    struct err e;
    d->pause.fn = on_pause_over;
    d->watch.on_ready = on_ready;
    must(watch_open(&d->watch, l, d->fd, &e));
    d->is_open = true;
    watch_want(&d->watch, WATCH_READ);
}

static void on_door_closed(struct watch *w)
{
    struct door *d = container_of(w, struct door, watch);
    close(d->fd);
    d->fd = -1;
}

void listener_stop(struct listener *ln, struct loop *l)
{
    unsigned i = loop_index(l);
    if (i >= ln->n || !ln->doors[i].is_open)
        return;
    struct door *d = &ln->doors[i];
    d->is_open = false;
    timer_off(&d->pause);
    watch_want(&d->watch, 0);
    for (int n = 0; n < BACKLOG && accept_one(d); n++)
        ; /* who is in the queue was promised an answer */
    watch_close(&d->watch, on_door_closed);
}

void listener_free(struct listener *ln)
{
    if (!ln)
        return;
    close_doors(ln);
    if (ln->is_unix && !ln->is_taken)
        unlink(ln->address.path);
    free(ln->doors);
    free(ln);
}
