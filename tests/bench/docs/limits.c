/* What SQLite does barely, in one process, without HTTP, threads, rules or checks: the limits that
 * the server's figures are compared with. Prints one line of JSON.
 *
 *   limits get FILE MS       rows by their id
 *   limits list FILE MS      pages of 30 by the index of `rank`: the server's own statement, every
 * column that it reads, one row more to know whether there are more
 *   limits filter FILE MS    the first 30 of a group, by the index of `group`
 *   limits create FILE MS N  rows like those that are there, N to a transaction, each in a
 * savepoint limits scan FILE MS      all rows in the order of their ids, again until the time is
 * over */
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGES       200 /* of the list; the client asks for the same */
#define PAGE        30
#define GROUPS      100
#define COLUMNS_MAX 64
#define MODELS      500 /* rows that new ones are copied from */

static sqlite3 *db;
static char answer[256 * 1024];
static size_t answer_len;
static uint64_t done_bytes;

static void fail(const char *what)
{
    fprintf(stderr, "limits: %s: %s\n", what, db ? sqlite3_errmsg(db) : "");
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static sqlite3_stmt *prepare(const char *sql)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        fail(sql);
    return s;
}

static void run(sqlite3_stmt *s)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        fail("step");
    sqlite3_reset(s);
}

static void exec(const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail(sql);
}

static uint64_t random_next(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

/* ---- reading ------------------------------------------------------------------------------- */

static volatile size_t looked_at; /* so that nothing is left out as unused */

/* All rows of the statement, one behind the other, as an answer would have them. Of a page, whose
 * rows have more columns than the text, all are read, and one row more is only looked for. */
static void take_rows(sqlite3_stmt *s, int column)
{
    int rc, n_columns = sqlite3_column_count(s);
    int most = n_columns > 1 ? PAGE : 1 << 30, n_rows = 0;
    answer_len = 0;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && n_rows++ < most) {
        for (int i = 0; i < n_columns; i++) {
            looked_at += sqlite3_column_blob(s, i) != NULL;
            looked_at += (size_t)sqlite3_column_bytes(s, i);
        }
        const char *text = (const char *)sqlite3_column_blob(s, column);
        size_t n = (size_t)sqlite3_column_bytes(s, column);
        if (answer_len + n > sizeof answer)
            answer_len = 0;
        memcpy(answer + answer_len, text, n);
        answer_len += n;
        done_bytes += n;
    }
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        fail("step");
    sqlite3_reset(s);
}

static void key_column(const char *path, char *to, size_t size)
{
    sqlite3_stmt *s =
        prepare("SELECT number FROM dais_fields WHERE collection = 'notes' AND path = ?");
    sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC);
    if (sqlite3_step(s) != SQLITE_ROW)
        fail(path);
    snprintf(to, size, "k%d", sqlite3_column_int(s, 0));
    sqlite3_finalize(s);
}

/* Values of a column, by that statement; the first one of each page, or of each group. */
static size_t collect(const char *sql, size_t step, sqlite3_value **to, size_t max)
{
    sqlite3_stmt *s = prepare(sql);
    size_t n = 0;
    for (size_t i = 0; n < max && sqlite3_step(s) == SQLITE_ROW; i++) {
        if (i % step == 0)
            to[n++] = sqlite3_value_dup(sqlite3_column_value(s, 0));
    }
    sqlite3_finalize(s);
    if (!n)
        fail("an empty table");
    return n;
}

static uint64_t read_until(int64_t until, sqlite3_stmt *s, sqlite3_value **of, size_t n)
{
    uint64_t count = 0;
    for (; count % 16 || now_ns() < until; count++) {
        sqlite3_bind_value(s, 1, of[random_next() % n]);
        take_rows(s, sqlite3_column_count(s) > 1);
    }
    return count;
}

static uint64_t read_rows(const char *what, int64_t ms, int64_t *ret_began)
{
    static sqlite3_value *values[100000];
    char column[16], sql[300], keys[300];
    size_t step = 1, max = 100000;
    if (strcmp(what, "get") == 0) {
        snprintf(keys, sizeof keys, "SELECT id FROM c_notes LIMIT 100000");
        snprintf(sql, sizeof sql, "SELECT body FROM c_notes WHERE id = ?");
    } else if (strcmp(what, "list") == 0) {
        key_column("rank", column, sizeof column);
        step = PAGE;
        max = PAGES;
        snprintf(keys, sizeof keys,
                 "SELECT %s FROM c_notes WHERE deleted IS NULL ORDER BY 1, id LIMIT %d", column,
                 PAGES * PAGE);
        snprintf(sql, sizeof sql,
                 "SELECT id, body, NULL, %s FROM c_notes WHERE deleted IS NULL"
                 " AND (%s, id) > (?, '') ORDER BY %s, id LIMIT %d",
                 column, column, column, PAGE + 1);
    } else {
        key_column("group", column, sizeof column);
        snprintf(keys, sizeof keys,
                 "SELECT DISTINCT %s FROM c_notes WHERE deleted IS NULL LIMIT %d", column, GROUPS);
        snprintf(sql, sizeof sql,
                 "SELECT id, body, NULL FROM c_notes WHERE deleted IS NULL AND %s = ?"
                 " ORDER BY id LIMIT %d",
                 column, PAGE + 1);
    }
    exec("PRAGMA query_only = ON; PRAGMA mmap_size = 268435456; BEGIN");
    size_t n = collect(keys, step, values, max);
    sqlite3_stmt *s = prepare(sql);
    *ret_began = now_ns();
    return read_until(*ret_began + ms * 1000000, s, values, n);
}

static uint64_t scan(int64_t ms, int64_t *ret_began)
{
    exec("PRAGMA query_only = ON; PRAGMA mmap_size = 268435456; BEGIN");
    sqlite3_stmt *s = prepare("SELECT body FROM c_notes WHERE deleted IS NULL ORDER BY id");
    uint64_t count = 0;
    *ret_began = now_ns();
    for (bool goes_on = true; goes_on; sqlite3_reset(s)) {
        while (goes_on && sqlite3_step(s) == SQLITE_ROW) {
            memcpy(answer, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
            done_bytes += (size_t)sqlite3_column_bytes(s, 0);
            if (++count % 1024 == 0)
                goes_on = now_ns() < *ret_began + ms * 1000000;
        }
    }
    return count;
}

/* ---- writing ------------------------------------------------------------------------------- */

struct models {
    char names[2000], marks[300];
    int n_columns;
    sqlite3_value *values[MODELS][COLUMNS_MAX];
    int n;
};

/* Whatever columns there are but the row's number; id is the first. */
static void read_models(struct models *m)
{
    sqlite3_stmt *s = prepare("SELECT * FROM c_notes LIMIT 500");
    size_t names = 0, marks = 0;
    m->n_columns = sqlite3_column_count(s) - 1;
    if (m->n_columns > COLUMNS_MAX || strcmp(sqlite3_column_name(s, 0), "n") != 0)
        fail("another table than expected");
    for (int i = 0; i < m->n_columns; i++) {
        names += (size_t)snprintf(m->names + names, sizeof m->names - names, "%s%s", i ? ", " : "",
                                  sqlite3_column_name(s, i + 1));
        marks += (size_t)snprintf(m->marks + marks, sizeof m->marks - marks, "%s", i ? ", ?" : "?");
    }
    for (; m->n < MODELS && sqlite3_step(s) == SQLITE_ROW; m->n++) {
        for (int i = 0; i < m->n_columns; i++)
            m->values[m->n][i] = sqlite3_value_dup(sqlite3_column_value(s, i + 1));
    }
    sqlite3_finalize(s);
    if (!m->n)
        fail("an empty table");
}

/* Ids that sort by time, as the server's do. */
static void bind_row(sqlite3_stmt *s, const struct models *m, uint64_t number, char id[32])
{
    int n = snprintf(id, 32, "x%012llx%07llx", (unsigned long long)number,
                     (unsigned long long)random_next() & 0xfffffff);
    sqlite3_value *const *row = m->values[random_next() % (uint64_t)m->n];
    sqlite3_bind_text(s, 1, id, n, SQLITE_STATIC);
    for (int i = 1; i < m->n_columns; i++)
        sqlite3_bind_value(s, i + 1, row[i]);
}

static uint64_t create(int64_t ms, int each, int64_t *ret_began)
{
    static struct models m;
    char sql[3000], id[32];
    exec("PRAGMA synchronous = FULL; PRAGMA cache_size = -8192");
    read_models(&m);
    snprintf(sql, sizeof sql, "INSERT INTO c_notes (%s) VALUES (%s) ON CONFLICT DO NOTHING",
             m.names, m.marks);
    sqlite3_stmt *add = prepare(sql), *begin = prepare("BEGIN IMMEDIATE"),
                 *commit = prepare("COMMIT"), *point = prepare("SAVEPOINT one"),
                 *release = prepare("RELEASE one");
    uint64_t count = 0, start = (uint64_t)time(NULL) << 8;
    *ret_began = now_ns();
    while (now_ns() < *ret_began + ms * 1000000) {
        run(begin);
        for (int i = 0; i < each; i++) {
            run(point);
            bind_row(add, &m, start + count++, id);
            run(add);
            run(release);
        }
        run(commit);
    }
    return count;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: limits get|list|filter|create|scan FILE MS [N]\n");
        return 2;
    }
    const char *what = argv[1];
    int64_t ms = strtoll(argv[3], NULL, 10), began;
    uint64_t count;
    bool writes = strcmp(what, "create") == 0;
    int flags = writes ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    if (sqlite3_open_v2(argv[2], &db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        fail(argv[2]);
    if (writes)
        count = create(ms, argc > 4 ? (int)strtol(argv[4], NULL, 10) : 64, &began);
    else if (strcmp(what, "scan") == 0)
        count = scan(ms, &began);
    else
        count = read_rows(what, ms, &began);
    int64_t took = now_ns() - began;
    printf("{\"us\":%lld,\"requests\":%llu,\"bytes\":%llu}\n", (long long)took / 1000,
           (unsigned long long)count, (unsigned long long)done_bytes);
    sqlite3_close_v2(db);
    return 0;
}
