/* What libpq does barely: the limits of documents on Postgres. Prints one line of JSON.
 *
 *   limits_pg get URL SCHEMA CONNECTIONS MS      rows by their id
 *   limits_pg create URL SCHEMA CONNECTIONS MS   rows like those that are there, each a transaction
 *
 * A thread for each connection, prepared statements, one after the other. */
#include <libpq-fe.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MODELS      500
#define COLUMNS_MAX 64
#define THREADS_MAX 128

struct worker {
    pthread_t thread;
    PGconn *conn;
    uint64_t state, count;
    unsigned number;
};

static const char *schema;
static bool is_create;
static PGresult *models; /* id first */
static int n_columns;
static int64_t until;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void fail(PGconn *c)
{
    fprintf(stderr, "limits_pg: %s\n", PQerrorMessage(c));
    exit(1);
}

static PGresult *expect(PGconn *c, PGresult *r, ExecStatusType want)
{
    if (PQresultStatus(r) != want)
        fail(c);
    return r;
}

static PGconn *dial(const char *url)
{
    char sql[200];
    PGconn *c = PQconnectdb(url);
    if (PQstatus(c) != CONNECTION_OK)
        fail(c);
    snprintf(sql, sizeof sql, "SET search_path = %s; SET synchronous_commit = on", schema);
    PQclear(expect(c, PQexec(c, sql), PGRES_COMMAND_OK));
    return c;
}

/* Rows to copy, or ids to read. */
static void read_models(PGconn *c)
{
    models = expect(c,
                    PQexec(c, is_create ? "SELECT * FROM c_notes LIMIT 500"
                                        : "SELECT id FROM c_notes LIMIT 50000"),
                    PGRES_TUPLES_OK);
    n_columns = PQnfields(models);
    if (!PQntuples(models) || n_columns > COLUMNS_MAX || strcmp(PQfname(models, 0), "id") != 0)
        fail(c);
}

static void make_statement(PGconn *c)
{
    char sql[4000] = "SELECT body, version FROM c_notes WHERE id = $1";
    size_t n = 0;
    if (is_create) {
        n = (size_t)snprintf(sql, sizeof sql, "INSERT INTO c_notes (");
        for (int i = 0; i < n_columns; i++)
            n += (size_t)snprintf(sql + n, sizeof sql - n, "%s%s", i ? ", " : "",
                                  PQfname(models, i));
        n += (size_t)snprintf(sql + n, sizeof sql - n, ") VALUES (");
        for (int i = 0; i < n_columns; i++)
            n += (size_t)snprintf(sql + n, sizeof sql - n, "%s$%d", i ? ", " : "", i + 1);
        snprintf(sql + n, sizeof sql - n, ") ON CONFLICT DO NOTHING");
    }
    PQclear(expect(c, PQprepare(c, "s", sql, 0, NULL), PGRES_COMMAND_OK));
}

static uint64_t random_next(struct worker *w)
{
    w->state ^= w->state << 13;
    w->state ^= w->state >> 7;
    return w->state ^= w->state << 17;
}

static void run_once(struct worker *w)
{
    const char *values[COLUMNS_MAX];
    char id[48];
    int row = (int)(random_next(w) % (uint64_t)PQntuples(models));
    for (int i = 0; i < n_columns; i++)
        values[i] = PQgetisnull(models, row, i) ? NULL : PQgetvalue(models, row, i);
    if (is_create) {
        snprintf(id, sizeof id, "x%010llx%02x%07llx", (unsigned long long)now_ns() >> 16, w->number,
                 (unsigned long long)random_next(w) & 0xfffffff);
        values[0] = id;
    }
    PQclear(expect(w->conn, PQexecPrepared(w->conn, "s", n_columns, values, NULL, NULL, 0),
                   is_create ? PGRES_COMMAND_OK : PGRES_TUPLES_OK));
    w->count++;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    while (now_ns() < until)
        run_once(w);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct worker all[THREADS_MAX];
    if (argc != 6 || strtol(argv[4], NULL, 10) < 1 || strtol(argv[4], NULL, 10) > THREADS_MAX) {
        fprintf(stderr, "usage: limits_pg get|create URL SCHEMA CONNECTIONS MS\n");
        return 2;
    }
    is_create = strcmp(argv[1], "create") == 0;
    schema = argv[3];
    long n = strtol(argv[4], NULL, 10);
    uint64_t count = 0;
    for (long i = 0; i < n; i++) {
        all[i] = (struct worker){.conn = dial(argv[2]),
                                 .number = (unsigned)i,
                                 .state = 88172645463325252u + (uint64_t)now_ns() * 2};
        if (i == 0)
            read_models(all[i].conn);
        make_statement(all[i].conn);
    }
    int64_t began = now_ns();
    until = began + strtol(argv[5], NULL, 10) * 1000000;
    for (long i = 0; i < n; i++)
        pthread_create(&all[i].thread, NULL, work, &all[i]);
    for (long i = 0; i < n; i++) {
        pthread_join(all[i].thread, NULL);
        count += all[i].count;
        PQfinish(all[i].conn);
    }
    printf("{\"us\":%lld,\"requests\":%llu,\"bytes\":0}\n", (long long)(now_ns() - began) / 1000,
           (unsigned long long)count);
    PQclear(models);
    return 0;
}
