/* The outbox and the folder: a letter is sent once, tried again when nobody takes it, given up in
 * the end, and in the meantime nobody else's. DAIS_TEST_DATABASE runs it on a Postgres. */
#include "journal/journal.h"
#include "mail/mail_impl.h"
#include "unit.h"

#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW    1800000000000LL
#define MINUTE 60000LL

static char folder[64], path[96], mail[96];
static struct db *db;
static struct err err;
static unsigned kept;
static char kept_link[200];

static int make_db(void **state)
{
    static struct db_migration steps[4];
    const char *url = getenv("DAIS_TEST_DATABASE");
    struct db_options o = {.migrations = steps};
    char schema[32];
    static int number;
    (void)state;
    steps[0] = mail_migrations[0];
    steps[1] = events_migration;
    steps[2] = mail_migrations[1];
    snprintf(folder, sizeof folder, "/tmp/dais-mail-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/app.db", folder);
    snprintf(mail, sizeof mail, "%s/mail", folder);
    snprintf(schema, sizeof schema, "mail_%d_%d", (int)getpid(), number++);
    if (url) {
        o.url = slice_from(url);
        o.schema = slice_from(schema);
    } else {
        o.path = path;
    }
    db = db_open(&o, &err);
    kept = 0;
    return db ? 0 : -1;
}

static void empty(const char *name)
{
    char one[400];
    DIR *dir = opendir(name);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(one, sizeof one, "%s/%s", name, entry->d_name);
        unlink(one);
    }
    if (dir)
        closedir(dir);
    rmdir(name);
}

static int remove_db(void **state)
{
    (void)state;
    db_close(db);
    empty(mail);
    empty(folder);
    return 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static bool run_post(void *arg, struct db_conn *c, struct err *e)
{
    return mail_post(c, arg, NOW, e);
}

static struct letter letter_to(const char *to)
{
    return (struct letter){
        .to = slice_from(to),
        .subject = SLICE("Sign in"),
        .app = SLICE("Notes"),
        .text = SLICE("Somebody asked for this."),
        .link = SLICE("https://notes.example/sign-in#dln_abc"),
        .button = SLICE("Sign in"),
        .code = SLICE("magic"),
    };
}

static void post(const char *to)
{
    struct letter l = letter_to(to);
    assert_true(db_write_now(db, run_post, &l, &err));
}

static int64_t ask(const char *text)
{
    struct db_conn *c = db_conn_take(db, &err);
    assert_non_null(c);
    struct db_stmt *s = db_prepare_text(c, slice_from(text), &err);
    assert_non_null(s);
    assert_int_equal(db_step(s, &err), DB_ROW);
    int64_t n = db_i64(s, 0);
    db_reset(s);
    db_conn_give(c);
    return n;
}

static void on_kept(void *user, const struct mail_kept *k)
{
    (void)user;
    kept++;
    snprintf(kept_link, sizeof kept_link, "%.*s", SLICE_ARGS(k->link));
}

static struct mailer *to_folder(const char *where)
{
    return mailer_new(&(struct mailer_options){.folder = where, .on_kept = on_kept});
}

static struct mail_round turn(struct mailer *m, int64_t now_ms)
{
    struct mail_round round;
    assert_true(mailer_turn(m, db, now_ms, &round, &err));
    return round;
}

static int files(void)
{
    int n = 0;
    DIR *dir = opendir(mail);
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    return n;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void goes_to_the_folder_once(void **state)
{
    struct stat st;
    struct mailer *m = to_folder(mail);
    (void)state;
    post("ada@example.com");
    struct mail_round round = turn(m, NOW);
    assert_int_equal(round.sent, 1);
    assert_int_equal(round.waiting, 0);
    assert_int_equal(kept, 1);
    assert_string_equal(kept_link, "https://notes.example/sign-in#dln_abc");
    assert_int_equal(files(), 1);
    assert_int_equal(stat(mail, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(ask("SELECT count(*) FROM dais_mail"), 0);
    round = turn(m, NOW + MINUTE);
    assert_int_equal(round.sent, 0);
    assert_int_equal(files(), 1);
    mailer_free(m);
}

static void keeps_the_last_two_hundred(void **state)
{
    struct mailer *m = to_folder(mail);
    struct mail_round round = {.has_more = true};
    (void)state;
    for (int i = 0; i < 203; i++)
        post("ada@example.com");
    for (int i = 0; round.has_more; i++) {
        round = turn(m, NOW);
        assert_true(i < 20);
    }
    assert_int_equal(kept, 203);
    assert_int_equal(files(), 200);
    mailer_free(m);
}

/* Nobody is there: the folder cannot be made. */
static void comes_again_and_is_given_up(void **state)
{
    static const int64_t waits[] = {1, 5, 30, 120, 360, 1440};
    char nowhere[120];
    snprintf(nowhere, sizeof nowhere, "%s/none/mail", folder);
    struct mailer *m = to_folder(nowhere);
    int64_t now = NOW;
    (void)state;
    post("ada@example.com");
    for (size_t i = 0; i < 6; i++) {
        struct mail_round round = turn(m, now);
        assert_int_equal(round.sent + round.given_up, 0);
        assert_int_equal(round.waiting, 1);
        assert_in_range(round.next_ms, now + waits[i] * MINUTE, now + waits[i] * MINUTE + 5000);
        turn(m, round.next_ms - 1); /* too early: nothing happens */
        assert_int_equal(ask("SELECT attempts FROM dais_mail"), i + 1);
        now = round.next_ms;
    }
    struct mail_round round = turn(m, now);
    assert_int_equal(round.given_up, 1);
    assert_int_equal(round.waiting, 0);
    assert_int_equal(ask("SELECT count(*) FROM dais_events WHERE kind = 'mail.failed'"), 1);
    assert_int_equal(ask("SELECT count(*) FROM dais_mail WHERE given_up > 0 AND words = '' AND"
                         " page = '' AND link = '' AND error <> ''"),
                     1);
    turn(m, now + 29 * 24 * 60 * MINUTE);
    assert_int_equal(ask("SELECT count(*) FROM dais_mail"), 1);
    turn(m, now + 31 * 24 * 60 * MINUTE);
    assert_int_equal(ask("SELECT count(*) FROM dais_mail"), 0);
    mailer_free(m);
}

static void leaves_a_server_alone_that_is_not_there(void **state)
{
    char nowhere[120];
    snprintf(nowhere, sizeof nowhere, "%s/none/mail", folder);
    struct mailer *m = to_folder(nowhere);
    (void)state;
    post("ada@example.com");
    post("bob@example.com");
    turn(m, NOW);
    turn(m, NOW + 1000);
    assert_int_equal(ask("SELECT sum(attempts) FROM dais_mail"), 1);
    turn(m, NOW + 20000);
    assert_int_equal(ask("SELECT sum(attempts) FROM dais_mail"), 2);
    mailer_free(m);
}

/* Two who send: what one has claimed is not the other's, until the claim is old. */
static void is_claimed_by_one(void **state)
{
    struct arena a;
    struct posted first, second;
    bool found = false;
    (void)state;
    arena_init(&a, 1u << 20);
    post("ada@example.com");
    assert_true(outbox_claim(db, &a, NOW, &first, &found, &err));
    assert_true(found);
    assert_true(outbox_claim(db, &a, NOW + LEASE_MS - 1, &second, &found, &err));
    assert_false(found);
    assert_true(outbox_claim(db, &a, NOW + LEASE_MS, &second, &found, &err));
    assert_true(found);
    assert_true(slice_eq(first.id, second.id));
    assert_int_equal(second.attempts, 2);
    /* The first wakes up again: it decides nothing any more. */
    assert_true(outbox_give_up(db, &first, NOW, "late", &err));
    assert_true(outbox_later(db, &first, 5, "late", &err));
    assert_int_equal(ask("SELECT count(*) FROM dais_events"), 0);
    assert_int_equal(ask("SELECT count(*) FROM dais_mail WHERE given_up = 0 AND error = ''"), 1);
    assert_int_equal(ask("SELECT due FROM dais_mail"), NOW + 2 * LEASE_MS);
    assert_true(outbox_sent(db, &second, &err));
    assert_int_equal(ask("SELECT count(*) FROM dais_mail"), 0);
    arena_done(&a);
}

static void stops_without_counting(void **state)
{
    struct mailer *m = to_folder(mail);
    (void)state;
    post("ada@example.com");
    mailer_stop(m);
    turn(m, NOW);
    assert_int_equal(ask("SELECT attempts FROM dais_mail"), 0);
    assert_int_equal(ask("SELECT due FROM dais_mail"), NOW);
    mailer_free(m);
}

static bool run_many(void *arg, struct db_conn *c, struct err *e)
{
    for (int i = 0; i < WAITING_MAX; i++) {
        if (!mail_post(c, arg, NOW, e))
            return false;
    }
    return true;
}

static void has_a_bound(void **state)
{
    struct letter l = letter_to("ada@example.com");
    (void)state;
    assert_true(db_write_now(db, run_many, &l, &err));
    assert_false(db_write_now(db, run_post, &l, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
}

static void refuses_no_address(void **state)
{
    struct letter l = letter_to("ada@example.com\r\nBcc: bob@example.com");
    (void)state;
    assert_false(db_write_now(db, run_post, &l, &err));
    assert_int_equal(err.code, ERR_INVALID);
}

static unsigned rings;
static void on_ring(void *user)
{
    (void)user;
    rings++;
}

static void rings_after_a_post(void **state)
{
    (void)state;
    mail_ring(); /* what other tests posted */
    mail_on_ring(on_ring, NULL);
    mail_ring();
    assert_int_equal(rings, 0);
    post("ada@example.com");
    assert_int_equal(rings, 0);
    mail_ring();
    mail_ring();
    assert_int_equal(rings, 1);
    mail_on_ring(NULL, NULL);
}

/* It is asked every second: of each part an index, and no letter is read for it. */
static void is_looked_at_by_its_indexes(void **state)
{
    char text[600];
    unsigned indexed = 0;
    (void)state;
    if (getenv("DAIS_TEST_DATABASE")) /* a Postgres reads an empty table as it likes */
        return;
    snprintf(text, sizeof text, "EXPLAIN QUERY PLAN %s", outbox_look_sql.sqlite);
    struct db_conn *c = db_conn_take(db, &err);
    struct db_stmt *s = c ? db_prepare_text(c, slice_from(text), &err) : NULL;
    assert_non_null(s);
    while (db_step(s, &err) == DB_ROW) {
        struct slice detail = db_text(s, 3);
        if (slice_starts(detail, SLICE("SCAN dais_mail")))
            assert_non_null(memmem(detail.ptr, detail.len, "INDEX dais_mail_", 16));
        indexed += memmem(detail.ptr, detail.len, "INDEX dais_mail_", 16) != NULL;
    }
    db_reset(s);
    db_conn_give(c);
    assert_int_equal(indexed, 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, make_db, remove_db)
TESTS(T(goes_to_the_folder_once), T(keeps_the_last_two_hundred), T(comes_again_and_is_given_up),
      T(leaves_a_server_alone_that_is_not_there), T(is_claimed_by_one), T(stops_without_counting),
      T(has_a_bound), T(refuses_no_address), T(rings_after_a_post), T(is_looked_at_by_its_indexes))
