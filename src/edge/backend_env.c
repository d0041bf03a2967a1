/* Where a backend's process listens, and the environment it is told so in. */
#include "edge/backend_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_MAX   256
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

static void add_env(struct instance *i, size_t *n, const char *name, struct slice value)
{
    must(*n < ENV_MAX - 1);
    i->env[(*n)++] = arena_printf(&i->of->arena, "%s=%.*s", name, SLICE_ARGS(value)).ptr;
}

static void add_number(struct instance *i, size_t *n, const char *name, unsigned value)
{
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    add_env(i, n, name, slice_from(text));
}

/* These and nothing else of ours: secrets of dais stay with dais. */
void instance_env(struct instance *i)
{
    static const char *const passed[] = {"PATH", "HOME", "LANG", "TZ"};
    const struct pairs *own = &i->of->own_env;
    size_t n = 0;
    i->env = arena_alloc(&i->of->arena, ENV_MAX * sizeof *i->env);
    for (size_t k = 0; k < sizeof passed / sizeof *passed; k++) {
        const char *value = getenv(passed[k]);
        if (value)
            add_env(i, &n, passed[k], slice_from(value));
    }
    if (i->address.path[0])
        add_env(i, &n, "DAIS_SOCKET", slice_from(i->address.path));
    else
        add_number(i, &n, "PORT", ntohs(i->address.sa.v4.sin_port));
    add_number(i, &n, "DAIS_INSTANCE", i->number);
    for (size_t k = 0; k < own->n && n < ENV_MAX - 1; k++)
        add_env(i, &n, own->items[k].key.s.ptr, own->items[k].value.s);
    i->env[n] = NULL;
}
