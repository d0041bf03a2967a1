/* A proxy before the tests' Postgres: a thread a connection, which looks for BEGIN and COMMIT. */
#include "pg_proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static unsigned server_port;
static pthread_t accepter;
static _Atomic enum pg_cut cut_at;
static _Atomic int open_now;

static struct sockaddr_in address(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                .sin_port = htons((uint16_t)port)};
}

/* A Bind of the prepared statement `word`: B, four bytes of length, no portal, its name. */
static bool runs(const char *bytes, size_t n, const char *word)
{
    size_t len = strlen(word) + 1;
    for (size_t i = 0; i + 6 + len <= n; i++) {
        if (bytes[i] == 'B' && bytes[i + 5] == 0 && memcmp(bytes + i + 6, word, len) == 0)
            return true;
    }
    return false;
}

/* False: the connection is to be cut. */
static bool pass(int from, int to, bool is_client)
{
    static _Thread_local char bytes[1 << 16];
    ssize_t n = recv(from, bytes, sizeof bytes, 0);
    if (n <= 0)
        return false;
    enum pg_cut at = is_client ? cut_at : PG_CUT_NEVER;
    bool is_begin = at == PG_CUT_AT_BEGIN && runs(bytes, (size_t)n, "BEGIN");
    bool is_commit = at >= PG_CUT_AT_COMMIT && runs(bytes, (size_t)n, "COMMIT");
    if (is_begin || is_commit)
        cut_at = PG_CUT_NEVER;
    if (is_begin || (is_commit && at == PG_CUT_AT_COMMIT))
        return false;
    if (send(to, bytes, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    if (is_commit) /* until it was answered, so that it is done */
        (void)!recv(to, bytes, sizeof bytes, 0);
    return !is_commit;
}

static void *serve(void *arg)
{
    int client = *(int *)arg, server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = address(server_port);
    free(arg);
    bool fine = connect(server, (struct sockaddr *)&at, sizeof at) == 0;
    struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
    while (fine && poll(p, 2, -1) > 0) {
        if (p[0].revents)
            fine = pass(client, server, true);
        if (fine && p[1].revents)
            fine = pass(server, client, false);
    }
    close(client);
    close(server);
    open_now--;
    return NULL;
}

static void *accept_all(void *arg)
{
    pthread_t thread;
    (void)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
        int *own = malloc(sizeof *own);
        *own = fd;
        open_now++;
        pthread_create(&thread, NULL, serve, own);
        pthread_detach(thread);
    }
    return NULL;
}

unsigned pg_proxy_start(unsigned to_port)
{
    struct sockaddr_in at = address(0);
    socklen_t len = sizeof at;
    server_port = to_port;
    cut_at = PG_CUT_NEVER;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&at, &len) ||
        pthread_create(&accepter, NULL, accept_all, NULL)) {
        perror("the tests' proxy");
        exit(1);
    }
    return ntohs(at.sin_port);
}

void pg_proxy_cut(enum pg_cut where)
{
    cut_at = where;
}

void pg_proxy_stop(void)
{
    shutdown(listener, SHUT_RDWR);
    pthread_join(accepter, NULL);
    close(listener);
    for (int i = 0; open_now && i < 3000; i++) /* a test that failed leaves some open */
        usleep(1000);
}
