/* Durable inserts and point reads on Postgres through the database room, against a bare libpq loop
 * with the same number of connections. `make bench-db`.
 *
 * Both sides: 1 KB rows, synchronous_commit, one server of our own, made for this. Runs alternate;
 * medians and ratios are printed. */
#include "db/db_impl.h"
#include "pg.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS  5
#define RUN_MS  1000
#define CONNS   4
#define CLIENTS 64
#define BODY    1024
#define ROWS    20000

static struct pg_server server = {.waits_for_disk = true};
static char body[BODY + 1];
static _Atomic int64_t next_id;
static int64_t until;

static const struct db_migration steps[] = {
    {"docs", "-",
     "CREATE TABLE docs (id BIGINT PRIMARY KEY, key BYTEA NOT NULL, body TEXT NOT NULL);"
     "CREATE INDEX docs_key ON docs (key)"},
    {0},
};
static const struct sql insert = {"INSERT INTO docs (id, key, body) VALUES (?, ?, ?)", NULL};
static const struct sql by_id = {"SELECT body FROM docs WHERE id = ?", NULL};
#define BARE_INSERT "INSERT INTO docs (id, key, body) VALUES ($1, $2, $3)"
#define BARE_BY_ID  "SELECT body FROM docs WHERE id = $1"

static uint64_t key_of(int64_t id)
{
    return (uint64_t)id * 0x9e3779b97f4a7c15u;
}

static int64_t some_id(unsigned i)
{
    return 1 + (int64_t)(key_of(i) >> 20) % ROWS;
}

static _Noreturn void give_up(const char *why)
{
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static struct db *open_db(struct loops *loops)
{
    struct err e;
    struct db_options o = {.url = slice_from(server.url),
                           .schema = SLICE("bench"),
                           .migrations = steps,
                           .loops = loops,
                           .writers = CONNS};
    struct db *db = db_open(&o, &e);
    if (!db)
        give_up(e.msg);
    return db;
}

/* ---- barely -------------------------------------------------------------------------------- */

static void put_i64(char *to, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        to[i] = (char)(n >> (56 - 8 * i));
}

static PGconn *open_barely(const char *sql)
{
    PGconn *h = PQconnectdb(server.url);
    PQclear(PQexec(h, "SET search_path = bench; SET synchronous_commit = on"));
    PGresult *r = PQprepare(h, "s", sql, 0, NULL);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        give_up(PQerrorMessage(h));
    PQclear(r);
    return h;
}

static void run_barely(PGconn *h, int n, const char *id, const char *key, ExecStatusType want)
{
    const char *values[] = {id, key, body};
    int lens[] = {8, 8, BODY}, formats[] = {1, 1, 1};
    PGresult *r = PQexecPrepared(h, "s", n, values, lens, formats, 1);
    if (PQresultStatus(r) != want || (want == PGRES_TUPLES_OK && PQntuples(r) != 1))
        give_up(PQerrorMessage(h));
    PQclear(r);
}

static void *write_barely(void *arg)
{
    int64_t *n = arg;
    char id[8], key[8];
    PGconn *h = open_barely(BARE_INSERT);
    while (clock_mono_ns() < until) {
        int64_t next = ++next_id;
        put_i64(id, (uint64_t)next);
        put_i64(key, key_of(next));
        run_barely(h, 3, id, key, PGRES_COMMAND_OK);
        ++*n;
    }
    PQfinish(h);
    return NULL;
}

static void *read_barely(void *arg)
{
    int64_t *n = arg;
    char id[8];
    PGconn *h = open_barely(BARE_BY_ID);
    for (unsigned i = 0; clock_mono_ns() < until; i++) {
        put_i64(id, (uint64_t)some_id(i));
        run_barely(h, 1, id, NULL, PGRES_TUPLES_OK);
        ++*n;
    }
    PQfinish(h);
    return NULL;
}

/* ---- ours ---------------------------------------------------------------------------------- */

static struct db *db;
static struct loops *loops;
static unsigned running;
static int64_t written;

struct client {
    struct db_write write;
    int64_t id;
};

static bool run_insert(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct client *x = container_of(w, struct client, write);
    uint64_t key = key_of(x->id);
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, x->id);
    db_bind_blob(s, 2, (struct slice){(const char *)&key, sizeof key});
    db_bind_text(s, 3, (struct slice){body, BODY});
    return db_run(s, NULL, e);
}

static void send_next(struct client *x)
{
    x->id = ++next_id;
    if ((clock_mono_ns() > until || !db_write(db, &x->write)) && --running == 0)
        loops_stop(loops);
}

static void on_answer(struct db_write *w, const struct err *e)
{
    if (e)
        give_up(e->msg);
    written++;
    send_next(container_of(w, struct client, write));
}

static double write_ours(void)
{
    static struct client all[CLIENTS];
    loops = loops_new(1);
    db = open_db(loops);
    running = CLIENTS;
    written = 0;
    int64_t began = clock_mono_ns();
    until = began + RUN_MS * 1000000LL;
    for (unsigned i = 0; i < CLIENTS; i++) {
        all[i].write =
            (struct db_write){.run = run_insert, .done = on_answer, .home = loops_get(loops, 0)};
        send_next(&all[i]);
    }
    loops_run(loops);
    double per_s = (double)written * 1e9 / (double)(clock_mono_ns() - began);
    db_close(db);
    loops_free(loops);
    return per_s;
}

/* As a request on a lane would. */
static void *read_ours(void *arg)
{
    int64_t *n = arg;
    struct err e;
    for (unsigned i = 0; clock_mono_ns() < until; i++) {
        struct db_conn *c = db_conn_take(db, &e);
        struct db_stmt *s = c ? db_prepare(c, &by_id, &e) : NULL;
        if (!s)
            give_up(e.msg);
        db_bind_i64(s, 1, some_id(i));
        if (db_step(s, &e) != DB_ROW || db_text(s, 0).len != BODY)
            give_up("a row is missing");
        db_reset(s);
        db_conn_give(c);
        ++*n;
    }
    return NULL;
}

/* ---- medians ------------------------------------------------------------------------------- */

static double run_threads(void *(*fn)(void *))
{
    pthread_t threads[CONNS];
    int64_t n[CONNS] = {0}, all = 0, began = clock_mono_ns();
    until = began + RUN_MS * 1000000LL;
    for (int i = 0; i < CONNS; i++)
        pthread_create(&threads[i], NULL, fn, &n[i]);
    for (int i = 0; i < CONNS; i++) {
        pthread_join(threads[i], NULL);
        all += n[i];
    }
    return (double)all * 1e9 / (double)(clock_mono_ns() - began);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, by_value);
    return values[ROUNDS / 2];
}

static void print(const char *name, double *ours, double *bare)
{
    double ratio[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        ratio[i] = ours[i] / bare[i];
    printf("Postgres %-24s %8.0f/s   bare %8.0f/s   ratio %.2f\n", name, median(ours), median(bare),
           median(ratio));
    fflush(stdout);
}

int main(void)
{
    double ours[ROUNDS], bare[ROUNDS];
    memset(body, 'x', BODY);
    pg_server_make(&server);
    db_close(open_db(NULL));
    free(pg_server_ask(&server, "INSERT INTO bench.docs SELECT i, int8send(i), repeat('x', 1024)"
                                " FROM generate_series(1, 20000) i; ANALYZE bench.docs"));
    next_id = ROWS;
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = run_threads(write_barely);
        ours[i] = write_ours();
    }
    print("insert 1 KB, 64 waiting", ours, bare);
    db = open_db(NULL);
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = run_threads(read_barely);
        ours[i] = run_threads(read_ours);
    }
    print("read by id, 4 lanes", ours, bare);
    db_close(db);
    return 0;
}
