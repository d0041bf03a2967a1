/* Wake-ups through Postgres: one connection that LISTENs, and that NOTIFYs after the commits of
 * the writers. In their own transactions NOTIFY would hold a lock of the whole server until the
 * disk has answered: commits would stand in line. */
#include "db/postgres_impl.h"
#include "db/ring_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS   2000
#define CHANNEL_LEN 48

/* Nothing of this connection is data: none of its commits waits for the disk. */
static const char settings[] = "SET synchronous_commit = off; SET client_min_messages = error";

struct line {
    struct pg_conn *conn;
    char channels[TOPIC_COUNT][CHANNEL_LEN];
};

static bool say(struct line *l, const char *text, struct buf *why)
{
    struct err e;
    PGresult *r = pg_say(l->conn, text);
    bool fine = r && pq.PQresultStatus(r) == PGRES_COMMAND_OK;
    if (r && !fine)
        pg_fail(r, 0, &e);
    if (!fine)
        buf_add_str(why, r ? e.msg : l->conn->first.msg);
    pq.PQclear(r);
    return fine;
}

static bool say_channels(struct line *l, const char *word, unsigned topics, struct buf *why)
{
    struct buf text;
    buf_init(&text, 1000);
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        if (topics & 1u << i)
            buf_printf(&text, "%s %s;", word, l->channels[i]);
    }
    bool fine = say(l, text.data, why);
    buf_done(&text);
    return fine;
}

static void line_close(void *arg)
{
    struct line *l = arg;
    db_conn_close(&l->conn->base);
    free(l);
}

static void *line_open(struct db *db, struct buf *why)
{
    struct line *l = mem_new(struct line);
    char scope[17];
    ring_scope(db->schema, scope);
    for (int i = 0; i < TOPIC_COUNT; i++)
        snprintf(l->channels[i], CHANNEL_LEN, "dais_%s_%s", scope, topic_name(i));
    l->conn = pg_conn_new(db, CONN_WRITER);
    l->conn->answer_ms = ANSWER_MS;
    if (pg_dial(l->conn, why) && say(l, settings, why) &&
        say_channels(l, "LISTEN", EVERY_TOPIC, why))
        return l;
    line_close(l);
    return NULL;
}

static int line_fd(void *arg)
{
    return pq.PQsocket(((struct line *)arg)->conn->handle);
}

static bool line_send(void *arg, unsigned topics, struct buf *why)
{
    return say_channels(arg, "NOTIFY", topics, why);
}

static unsigned topic_of(const struct line *l, const char *channel)
{
    for (unsigned i = 0; i < TOPIC_COUNT; i++) {
        if (strcmp(channel, l->channels[i]) == 0)
            return 1u << i;
    }
    return 0;
}

static bool line_receive(void *arg, unsigned *ret_topics, struct buf *why)
{
    struct line *l = arg;
    PGconn *h = l->conn->handle;
    bool fine = pq.PQconsumeInput(h) && pq.PQstatus(h) == CONNECTION_OK;
    if (!fine)
        pg_clean(pq.PQerrorMessage(h), slice_from(l->conn->base.db->path), why);
    for (PGnotify *n; (n = pq.PQnotifies(h)); pq.PQfreemem(n)) {
        if (n->be_pid != pq.PQbackendPID(h))
            *ret_topics |= topic_of(l, n->relname);
    }
    return fine;
}

const struct ring_carrier postgres_ring = {
    .name = "postgres",
    .open = line_open,
    .fd = line_fd,
    .send = line_send,
    .receive = line_receive,
    .close = line_close,
};
