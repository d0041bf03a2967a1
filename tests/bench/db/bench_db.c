/* Durable inserts and point reads through the database room, against SQLite used barely in the same
 * process: a loop that takes the same batches and runs the same statements. `make bench-db`.
 *
 * Both sides: 1 KB rows, FULL, a fresh file each run, N clients that each wait for their answer
 * before they write again. Runs alternate; medians and ratios are printed. */
#include "db/db_impl.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 5
#define RUN_MS 700
#define BODY   1024
#define BATCH  256
#define ROWS   100000

static char folder[] = "/tmp/dais-bench-XXXXXX";
static char path[64], body[BODY];

static const struct db_migration steps[] = {
    {"docs",
     "CREATE TABLE docs (id INTEGER PRIMARY KEY, key BLOB NOT NULL, body TEXT NOT NULL) STRICT;"
     "CREATE INDEX docs_key ON docs (key)",
     NULL},
    {0},
};
static const struct sql insert = {"INSERT INTO docs (id, key, body) VALUES (?, ?, ?)", NULL};
static const struct sql by_id = {"SELECT body FROM docs WHERE id = ?", NULL};

static void remove_file(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static struct db *open_db(struct loops *loops)
{
    struct err e;
    struct db_options o = {.path = path, .migrations = steps, .loops = loops, .read_ms = 60000};
    struct db *db = db_open(&o, &e);
    if (!db) {
        fprintf(stderr, "%s\n", e.msg);
        exit(1);
    }
    return db;
}

/* A hash of the number: keys that do not come in order, as documents' do not. */
static uint64_t key_of(int64_t id)
{
    return (uint64_t)id * 0x9e3779b97f4a7c15u;
}

struct figure {
    double per_s, p50_us, p99_us, wal_mb, per_commit;
};

/* ---- waiting times ------------------------------------------------------------------------- */

static int64_t *waits;
static size_t n_waits;
#define WAITS_MAX 400000

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static struct figure figure_of(int64_t ns)
{
    qsort(waits, n_waits, sizeof *waits, by_size);
    struct figure f = {.per_s = (double)n_waits * 1e9 / (double)ns};
    if (n_waits) {
        f.p50_us = (double)waits[n_waits / 2] / 1e3;
        f.p99_us = (double)waits[n_waits * 99 / 100] / 1e3;
    }
    return f;
}

static void count_wait(int64_t began)
{
    if (n_waits < WAITS_MAX)
        waits[n_waits++] = clock_mono_ns() - began;
}

/* ---- ours ---------------------------------------------------------------------------------- */

struct client {
    struct db_write write;
    int64_t id, began;
};
static struct db *db;
static struct loops *loops;
static int64_t next_id, until, running;

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
    x->began = clock_mono_ns();
    if (x->began > until || !db_write(db, &x->write)) {
        if (--running == 0)
            loops_stop(loops);
    }
}

static void on_answer(struct db_write *w, const struct err *e)
{
    struct client *x = container_of(w, struct client, write);
    if (e) {
        fprintf(stderr, "%s\n", e->msg);
        exit(1);
    }
    count_wait(x->began);
    send_next(x);
}

static struct figure write_ours(unsigned clients)
{
    struct client *all = mem_zalloc(clients * sizeof *all);
    struct db_stats stats;
    loops = loops_new(1);
    db = open_db(loops);
    n_waits = 0;
    next_id = 0;
    running = clients;
    int64_t began = clock_mono_ns();
    until = began + RUN_MS * 1000000LL;
    for (unsigned i = 0; i < clients; i++) {
        all[i].write =
            (struct db_write){.run = run_insert, .done = on_answer, .home = loops_get(loops, 0)};
        send_next(&all[i]);
    }
    loops_run(loops);
    struct figure f = figure_of(clock_mono_ns() - began);
    db_stats(db, &stats);
    char log[80];
    struct stat st = {0};
    snprintf(log, sizeof log, "%s-wal", path);
    stat(log, &st);
    f.per_commit = (double)stats.writes / (double)(stats.commits ? stats.commits : 1);
    f.wal_mb = (double)st.st_size / 1e6;
    db_close(db);
    loops_free(loops);
    free(all);
    remove_file();
    return f;
}

/* ---- barely -------------------------------------------------------------------------------- */

static sqlite3_stmt *prepare(sqlite3 *h, const char *sql)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(h, sql, -1, &s, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s\n", sqlite3_errmsg(h));
        exit(1);
    }
    return s;
}

static void say(sqlite3_stmt *s)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        exit(1);
    sqlite3_reset(s);
}

static sqlite3 *open_barely(void)
{
    sqlite3 *h;
    db_close(open_db(NULL)); /* the same tables */
    if (sqlite3_open_v2(path, &h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        exit(1);
    sqlite3_exec(h, "PRAGMA synchronous = FULL; PRAGMA cache_size = -8192", NULL, NULL, NULL);
    return h;
}

/* No thread, no queue, no answer: all clients' statements, a savepoint each, one COMMIT. SQLite's
 * own checkpoints. */
static struct figure write_barely(unsigned clients)
{
    sqlite3 *h = open_barely();
    sqlite3_stmt *begin = prepare(h, "BEGIN IMMEDIATE"), *commit = prepare(h, "COMMIT"),
                 *point = prepare(h, "SAVEPOINT one"), *release = prepare(h, "RELEASE one"),
                 *add = prepare(h, insert.sqlite);
    int64_t id = 0, began = clock_mono_ns(), end = began + RUN_MS * 1000000LL, at = began;
    n_waits = 0;
    while (at < end) {
        say(begin);
        for (unsigned i = 0; i < clients; i++) {
            uint64_t key = key_of(++id);
            if (clients > 1)
                say(point);
            sqlite3_bind_int64(add, 1, id);
            sqlite3_bind_blob(add, 2, &key, sizeof key, SQLITE_STATIC);
            sqlite3_bind_text(add, 3, body, BODY, SQLITE_STATIC);
            say(add);
            if (clients > 1)
                say(release);
        }
        say(commit);
        for (unsigned i = 0; i < clients; i++)
            count_wait(at);
        at = clock_mono_ns();
    }
    struct figure f = figure_of(clock_mono_ns() - began);
    sqlite3_stmt *all[] = {begin, commit, point, release, add};
    for (int i = 0; i < 5; i++)
        sqlite3_finalize(all[i]);
    sqlite3_close(h);
    remove_file();
    return f;
}

/* ---- reads --------------------------------------------------------------------------------- */

struct reading {
    struct post post;
    double ns;
};
#define READS 300000

static int64_t some_id(unsigned i)
{
    return 1 + (int64_t)(key_of(i) >> 20) % ROWS;
}

/* As requests of one turn would: each asks for the connection. */
static void read_in_turn(struct post *p, struct loop *l)
{
    struct reading *r = container_of(p, struct reading, post);
    struct err e;
    size_t bytes = 0;
    int64_t began = clock_mono_ns();
    for (unsigned i = 0; i < READS; i++) {
        struct db_conn *c = db_conn_of_loop(db, l);
        if (!c)
            exit(1);
        db_conn_budget(c, 20000);
        struct db_stmt *s = db_prepare(c, &by_id, &e);
        if (!s)
            exit(1);
        db_bind_i64(s, 1, some_id(i));
        if (db_step(s, &e) == DB_ROW)
            bytes += db_text(s, 0).len;
        db_reset(s);
    }
    r->ns = (double)(clock_mono_ns() - began) / READS;
    if (bytes != (size_t)READS * BODY)
        exit(1);
    loops_stop(loops);
}

static double read_ours(void)
{
    struct reading r = {.post.fn = read_in_turn};
    loops = loops_new(1);
    db = open_db(loops);
    loop_post(loops_get(loops, 0), &r.post);
    loops_run(loops);
    db_close(db);
    loops_free(loops);
    return r.ns;
}

static double read_barely(void)
{
    sqlite3 *h = open_barely();
    sqlite3_exec(h, "PRAGMA mmap_size = 268435456; BEGIN", NULL, NULL, NULL);
    sqlite3_stmt *s = prepare(h, by_id.sqlite);
    size_t bytes = 0;
    int64_t began = clock_mono_ns();
    for (unsigned i = 0; i < READS; i++) {
        sqlite3_bind_int64(s, 1, some_id(i));
        if (sqlite3_step(s) == SQLITE_ROW)
            bytes += (size_t)sqlite3_column_bytes(s, 0);
        sqlite3_reset(s);
    }
    double ns = (double)(clock_mono_ns() - began) / READS;
    if (bytes != (size_t)READS * BODY)
        exit(1);
    sqlite3_finalize(s);
    sqlite3_close(h);
    return ns;
}

static void fill(void)
{
    sqlite3 *h = open_barely();
    sqlite3_exec(h, "BEGIN", NULL, NULL, NULL);
    sqlite3_stmt *add = prepare(h, insert.sqlite);
    for (int64_t id = 1; id <= ROWS; id++) {
        uint64_t key = key_of(id);
        sqlite3_bind_int64(add, 1, id);
        sqlite3_bind_blob(add, 2, &key, sizeof key, SQLITE_STATIC);
        sqlite3_bind_text(add, 3, body, BODY, SQLITE_STATIC);
        say(add);
    }
    sqlite3_finalize(add);
    sqlite3_exec(h, "COMMIT", NULL, NULL, NULL);
    sqlite3_close(h);
}

/* ---- medians ------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(const double *values)
{
    double sorted[ROUNDS];
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof *sorted, by_value);
    return sorted[ROUNDS / 2];
}

static void bench_writes(unsigned clients)
{
    double ours[ROUNDS], bare[ROUNDS], ratio[ROUNDS], p50[ROUNDS], p99[ROUNDS], log[ROUNDS],
        each[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        struct figure b = write_barely(clients), o = write_ours(clients);
        ours[i] = o.per_s;
        bare[i] = b.per_s;
        ratio[i] = o.per_s / b.per_s;
        p50[i] = o.p50_us;
        p99[i] = o.p99_us;
        log[i] = o.wal_mb;
        each[i] = o.per_commit;
    }
    printf("insert 1 KB, %2u waiting   %8.0f/s   bare %8.0f/s   ratio %.2f   p50 %5.0f us   p99 "
           "%6.0f us"
           "   log %3.0f MB   %4.1f to a commit\n",
           clients, median(ours), median(bare), median(ratio), median(p50), median(p99),
           median(log), median(each));
    fflush(stdout);
}

static void bench_reads(void)
{
    double ours[ROUNDS], bare[ROUNDS], ratio[ROUNDS];
    fill();
    for (int i = 0; i < ROUNDS; i++) {
        bare[i] = read_barely();
        ours[i] = read_ours();
        ratio[i] = bare[i] / ours[i];
    }
    printf("read by id in a turn      %8.0f ns  bare %8.0f ns  ratio %.2f\n", median(ours),
           median(bare), median(ratio));
    remove_file();
}

int main(void)
{
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/a.db", folder);
    memset(body, 'x', sizeof body);
    waits = mem_alloc(WAITS_MAX * sizeof *waits);
    bench_writes(1);
    bench_writes(16);
    bench_writes(64);
    bench_reads();
    free(waits);
    rmdir(folder);
    return 0;
}
