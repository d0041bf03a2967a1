/* A small server for whatever lends keys: answers by method and path, and remembers who asked what.
 */
#include "unit.h"

#include "base/buf.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLOUD_ROUTES 8
#define CLOUD_ASKED  32

struct cloud_route {
    const char *line; /* "GET /path" */
    int status;
    char body[2048];
    bool waits; /* for cloud_let_go() */
};

struct cloud {
    struct cloud_route routes[CLOUD_ROUTES];
    size_t n_routes;
    char *asked[CLOUD_ASKED]; /* whole requests */
    size_t n_asked;
    bool may_go;
    int fd;
    char url[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t change;
};

static size_t cloud_read(int fd, char *to, size_t max)
{
    size_t len = 0, need = 0;
    while (len < max - 1) {
        ssize_t n = recv(fd, to + len, max - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        to[len] = '\0';
        const char *end = strstr(to, "\r\n\r\n"), *length = strcasestr(to, "content-length:");
        if (!end)
            continue;
        need = (size_t)(end - to) + 4 + (length ? strtoul(length + 15, NULL, 10) : 0);
        if (len >= need)
            break;
    }
    to[len] = '\0';
    return len;
}

static const struct cloud_route *cloud_find(const struct cloud *c, const char *asked)
{
    for (size_t i = 0; i < c->n_routes; i++) {
        size_t n = strlen(c->routes[i].line);
        if (!strncmp(asked, c->routes[i].line, n) && asked[n] == ' ')
            return &c->routes[i];
    }
    return NULL;
}

static void cloud_serve(struct cloud *c, int fd)
{
    static char text[65536];
    char answer[4096];
    if (!cloud_read(fd, text, sizeof text))
        return;
    pthread_mutex_lock(&c->lock);
    if (c->n_asked < CLOUD_ASKED)
        c->asked[c->n_asked++] = strdup(text);
    pthread_cond_broadcast(&c->change);
    const struct cloud_route *r = cloud_find(c, text);
    while (r && r->waits && !c->may_go)
        pthread_cond_wait(&c->change, &c->lock);
    const char *body = r ? r->body : "";
    int n = snprintf(answer, sizeof answer,
                     "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n%s",
                     r ? r->status : 404, strlen(body),
                     r && r->status == 302 ? "Location: /elsewhere\r\n" : "", body);
    pthread_mutex_unlock(&c->lock);
    (void)!send(fd, answer, (size_t)n, MSG_NOSIGNAL);
}

static void *cloud_main(void *arg)
{
    struct cloud *c = arg;
    int fd;
    while ((fd = accept(c->fd, NULL, NULL)) >= 0) {
        cloud_serve(c, fd);
        close(fd);
    }
    return NULL;
}

static void cloud_open(struct cloud *c)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->change, NULL);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(c->fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(c->fd, 64), 0);
    assert_int_equal(getsockname(c->fd, (struct sockaddr *)&at, &len), 0);
    snprintf(c->url, sizeof c->url, "http://127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&c->thread, NULL, cloud_main, c), 0);
}

/* Sets or replaces what is answered there. */
static void cloud_say(struct cloud *c, const char *line, int status, const char *body)
{
    pthread_mutex_lock(&c->lock);
    size_t i = 0;
    while (i < c->n_routes && strcmp(c->routes[i].line, line) != 0)
        i++;
    assert_in_range(i, 0, CLOUD_ROUTES - 1);
    c->n_routes = i == c->n_routes ? i + 1 : c->n_routes;
    c->routes[i].line = line;
    c->routes[i].status = status;
    snprintf(c->routes[i].body, sizeof c->routes[i].body, "%s", body);
    pthread_mutex_unlock(&c->lock);
}

static size_t cloud_asked(struct cloud *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->n_asked;
    pthread_mutex_unlock(&c->lock);
    return n;
}

static void cloud_close(struct cloud *c)
{
    shutdown(c->fd, SHUT_RDWR);
    pthread_join(c->thread, NULL);
    close(c->fd);
    for (size_t i = 0; i < c->n_asked; i++)
        free(c->asked[i]);
    pthread_cond_destroy(&c->change);
    pthread_mutex_destroy(&c->lock);
}
