/* Events: what is gathered is merged, bounded and written once; what is old or too much goes. */
#include "journal/journal.h"
#include "base/buf.h"
#include "base/json.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[96];
static struct db *db;
static struct events *events;

static int make_db(void **state)
{
    static struct db_migration steps[2];
    struct err e;
    (void)state;
    steps[0] = events_migration;
    snprintf(folder, sizeof folder, "/tmp/dais-events-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/app.db", folder);
    db = db_open(&(struct db_options){.path = path, .migrations = steps}, &e);
    events = events_new();
    return db ? 0 : -1;
}

static int remove_db(void **state)
{
    static const char *const names[] = {"app.db", "app.db-wal", "app.db-shm"};
    (void)state;
    events_free(events);
    db_close(db);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return 0;
}

static void note(enum event_kind kind, const char *ip, int64_t now_ms)
{
    events_note(events, &(struct event){.kind = kind, .ip = slice_from(ip), .detail = SLICE("x")},
                now_ms);
}

static void flush(bool all, int64_t now_ms)
{
    struct err e;
    assert_true(events_flush(events, db, all, now_ms, &e));
}

static int64_t number(const char *sql)
{
    struct err e;
    struct db_conn *c = db_conn_take(db, &e);
    assert_non_null(c);
    struct db_stmt *s = db_prepare_text(c, slice_from(sql), &e);
    assert_non_null(s);
    assert_int_equal(db_step(s, &e), DB_ROW);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    db_conn_give(c);
    return n;
}

static int64_t rows(void)
{
    return number("SELECT COUNT(*) FROM dais_events");
}

static void the_same_within_a_minute_is_one(void **state)
{
    (void)state;
    assert_false(events_are_due(events, true, 0));
    for (int i = 0; i < 1000; i++)
        note(EVENT_SIGN_IN_FAILED, "192.0.2.1", 1000 + i);
    note(EVENT_SIGN_IN_FAILED, "192.0.2.2", 1500);
    assert_true(events_are_due(events, false, 2000));
    flush(false, 2000);
    assert_int_equal(rows(), 2);
    assert_int_equal(number("SELECT MAX(count) FROM dais_events"), 1000);
    for (int i = 0; i < 50; i++)
        note(EVENT_SIGN_IN_FAILED, "192.0.2.1", 3000);
    assert_false(events_are_due(events, false, 4000)); /* it is there; how often can wait */
    assert_true(events_are_due(events, false, 62000));
    flush(false, 62000);
    assert_int_equal(rows(), 2);
    assert_int_equal(number("SELECT MAX(count) FROM dais_events"), 1050);
    note(EVENT_SIGN_IN_FAILED, "192.0.2.1", 63000); /* another minute */
    flush(true, 63000);
    assert_int_equal(rows(), 3);
    assert_int_equal((int64_t)event_count(EVENT_SIGN_IN_FAILED), 1052);
}

static void many_different_ones_are_few_rows(void **state)
{
    char ip[32];
    (void)state;
    for (int i = 0; i < 100000; i++) {
        snprintf(ip, sizeof ip, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        note(EVENT_DENIED, ip, 100000 + i / 10);
    }
    note(EVENT_LIMIT, "192.0.2.9", 110000); /* and another kind is still seen */
    flush(true, 111000);
    assert_in_range(rows(), 100, 300);
    assert_int_equal(number("SELECT SUM(count) FROM dais_events"), 100001);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_events WHERE kind = 'limit.reached'"), 1);
}

static void what_comes_from_outside_is_text(void **state)
{
    struct err e;
    char big[4000];
    (void)state;
    memset(big, 'a', sizeof big);
    memcpy(big + 1, "\0\xff\xc3\n", 4);
    events_note(events,
                &(struct event){.kind = EVENT_LIMIT,
                                .who = {big, sizeof big},
                                .detail = {big, sizeof big},
                                .object = {"\xc3\xa4\xc2\x9b\x7f\xc3", 6}},
                5);
    flush(true, 6);
    assert_int_equal(number("SELECT LENGTH(who) FROM dais_events"), 79);
    assert_int_equal(number("SELECT LENGTH(detail) FROM dais_events"), 500);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_events WHERE object = '\xc3\xa4?\?\?'"), 1);
    (void)e;
}

struct filling {
    int n;
    int64_t at_ms;
    enum event_kind kind;
};

static bool run_fill(void *arg, struct db_conn *c, struct err *e)
{
    const struct filling *f = arg;
    bool fine = true;
    for (int i = 0; fine && i < f->n; i++)
        fine = event_add(c, &(struct event){.kind = f->kind, .who = SLICE("ann")}, f->at_ms, e);
    return fine;
}

static void fill(int n, int64_t at_ms, enum event_kind kind)
{
    struct err e;
    assert_true(db_write_now(db, run_fill, &(struct filling){n, at_ms, kind}, &e));
}

static bool run_prune(void *arg, struct db_conn *c, struct err *e)
{
    return events_prune(c, EVENTS_KEPT_MS + 1000, 500, arg, e);
}

static int64_t prune(void)
{
    struct err e;
    int64_t n = 0, sum = 0;
    do {
        assert_true(db_write_now(db, run_prune, &n, &e));
        assert_in_range(n, 0, 500);
        sum += n;
    } while (n);
    return sum;
}

static void old_ones_go(void **state)
{
    (void)state;
    fill(700, 10, EVENT_SIGN_IN);
    fill(3, 5000, EVENT_SIGN_IN);
    assert_int_equal(prune(), 700);
    assert_int_equal(rows(), 3);
}

static void a_flood_of_anomalies_leaves_the_trail(void **state)
{
    (void)state;
    fill(10, 5000, EVENT_SIGN_IN);
    fill(EVENTS_ANOMALIES + 20, 5000, EVENT_DENIED);
    assert_int_equal(prune(), 20);
    assert_int_equal(number("SELECT COUNT(*) FROM dais_events WHERE is_anomaly = 0"), 10);
    fill(EVENTS_MAX - EVENTS_ANOMALIES + 5, 5000, EVENT_SIGN_IN);
    prune();
    assert_int_equal(rows(), EVENTS_MAX);
}

static void list(struct events_query q, struct buf *to)
{
    struct err e;
    struct db_conn *c = db_conn_take(db, &e);
    assert_non_null(c);
    buf_init(to, 1u << 20);
    assert_true(events_list(c, &q, to, &e));
    db_conn_give(c);
}

static void pages_follow_one_another(void **state)
{
    struct slice after = {0};
    struct arena a;
    struct json_doc doc;
    struct err e;
    int n = 0;
    (void)state;
    arena_init(&a, 1u << 20);
    fill(25, 5000, EVENT_SIGN_IN);
    fill(5, 5000, EVENT_DENIED);
    for (int page = 0; page < 4 && (page == 0 || after.len); page++) {
        struct buf text;
        list((struct events_query){.limit = 10, .kind = SLICE("account.sign_in"), .after = after},
             &text);
        assert_true(json_parse(&doc, &a, buf_slice(&text), NULL, &e));
        n += (int)json_len(json_find(json_root(&doc), SLICE("items")));
        after = arena_dup(&a, json_str(json_find(json_root(&doc), SLICE("next"))));
        buf_done(&text);
    }
    assert_int_equal(n, 25);
    arena_done(&a);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, make_db, remove_db)
TESTS(EACH(the_same_within_a_minute_is_one), EACH(many_different_ones_are_few_rows),
      EACH(what_comes_from_outside_is_text), EACH(old_ones_go),
      EACH(a_flood_of_anomalies_leaves_the_trail), EACH(pages_follow_one_another))
