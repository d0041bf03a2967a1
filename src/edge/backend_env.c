/* Where a backend's process listens, and the environment it is told so in. */
#include "edge/backend_impl.h"
#include "edge/variables_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#define TRIES_MAX 100

static bool uses_socket(struct slice run)
{
    return slice_search(run, SLICE("DAIS_SOCKET")) >= 0;
}

/* A port that is free now. Somebody else may take it before the backend does; then it ends, says so
 * and is started again. */
static bool free_port(struct address *ret, struct err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool fine = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 &&
                getsockname(fd, (struct sockaddr *)&a, &n) == 0;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    if (!fine)
        return err_set_sys(e, ERR_IO, "finding a free port for the backend failed");
    *ret = (struct address){.sa.v4 = a, .len = sizeof a};
    return true;
}

/* Does one with a smaller number listen there? A port is given away again once it is closed. */
static bool is_taken(const struct instance *i)
{
    for (const struct instance *it = i->of->instances; it < i; it++) {
        if (it->address.sa.v4.sin_port == i->address.sa.v4.sin_port)
            return true;
    }
    return false;
}

static bool own_port(struct instance *i, struct err *e)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        if (!free_port(&i->address, e))
            return false;
        if (!is_taken(i))
            return true;
    }
    return err_set(e, ERR_IO, "there are too few free ports for the instances of the backend");
}

bool instance_address(struct instance *i, const struct backend_options *o, struct err *e)
{
    static _Atomic unsigned number;
    char text[400];
    if (o->to) {
        i->address = *o->to;
        return true;
    }
    if (!uses_socket(i->of->run))
        return own_port(i, e);
    snprintf(text, sizeof text, "unix:%s/%.*s-%d-%u.sock", o->socket_dir, SLICE_ARGS(i->of->app),
             (int)getpid(), atomic_fetch_add(&number, 1));
    return address_parse(&i->address, slice_from(text), e);
}

void instance_env(struct instance *i)
{
    struct arena *a = &i->of->arena;
    const char *where =
        i->address.path[0]
            ? arena_printf(a, "DAIS_SOCKET=%s", i->address.path).ptr
            : arena_printf(a, "PORT=%u", (unsigned)ntohs(i->address.sa.v4.sin_port)).ptr;
    const char *number = arena_printf(a, "DAIS_INSTANCE=%u", i->number).ptr;
    i->env = variables_make(a, (const char *[]){where, number, NULL}, &i->of->own_env);
}
