/* Wake-ups between processes: the thread of an open database, and what carries them (Postgres'
 * NOTIFY, or Redis). */
#pragma once
#include "db/db_impl.h"

#define EVERY_TOPIC ((1u << TOPIC_COUNT) - 1)

/* One at a time per database; on the ring's thread only. `why` is for the log: no passwords. */
struct ring_carrier {
    const char *name;
    /* Connects and listens; may block for some seconds. NULL: it cannot just now. */
    void *(*open)(struct db *db, struct buf *why);
    int (*fd)(void *line);                                      /* readable: call `receive` */
    bool (*send)(void *line, unsigned topics, struct buf *why); /* false: it is lost, close it */
    /* Without blocking; what others sent, not what we did. False: it is lost. */
    bool (*receive)(void *line, unsigned *ret_topics, struct buf *why);
    void (*close)(void *line);
};
extern const struct ring_carrier postgres_ring, redis_ring;

/* "jobs", for names of channels */
const char *topic_name(enum db_topic topic);
/* A schema as 16 hexadecimal digits: channels take 63 bytes, and no quotes. */
void ring_scope(const char *schema, char to[17]);

/* Starts the thread on first use, on Postgres; ends with the database. Any thread. */
void db_ring_need(struct db *db);
/* Others will be told soon: at most once a millisecond. */
void db_ring_send(struct db *db, unsigned topics);
/* What is not sent yet is, unless nobody can be reached. No writer runs any more. */
void db_ring_stop(struct db *db);

/* ---- redis_wire.c: pure -------------------------------------------------------------------- */

struct redis_address {
    char host[256], port[6];
    char path[100]; /* of a socket, instead of a host */
    char user[128], password[512];
    unsigned index;
};
/* redis://user:password@host:port/index or unix://user:password@/path?db=index. ERR_USAGE, with
 * nothing of it in the message. */
bool redis_address_read(struct slice url, struct redis_address *ret, struct err *e);

struct redis_value { /* what a server says; of aggregates their first words */
    char type;       /* + - : $ > ... as in the protocol (RESP3) */
    struct slice words[3];
    unsigned n;
};
/* How many bytes it takes; 0: it is not all there; -1: no Redis speaks so. Borrows. */
ptrdiff_t redis_value_read(struct slice bytes, struct redis_value *ret);
void redis_command_add(struct buf *to, const struct slice *words, unsigned n);
