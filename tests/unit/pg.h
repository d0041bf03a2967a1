/* A Postgres of the tests' own, below /tmp, on a free port; it ends with the process that made it.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct pg_server {
    char folder[40], url[160];
    unsigned port;
    bool waits_for_disk; /* set it before; tests that kill processes lose nothing without */
    pid_t pid;           /* 0: it does not run */
};

#define PG_PASSWORD "s3cret-of-the-tests"

/* From the main thread, whose end ends it. A failure ends the test program with its reason. */
void pg_server_make(struct pg_server *s);               /* and starts it */
void pg_server_start(struct pg_server *s);              /* returns when it answers */
void pg_server_stop(struct pg_server *s);               /* as an administrator would */
void pg_server_kill(struct pg_server *s);               /* with all its processes, at once */
void pg_server_signal(struct pg_server *s, int number); /* to all its processes */
/* The first value of the answer, in a connection of its own; "" without one. Free it. */
char *pg_server_ask(const struct pg_server *s, const char *sql);
unsigned pg_free_port(void);
/* A proxy's or another address of the same server. */
void pg_url_at(char *to, size_t size, unsigned port);
