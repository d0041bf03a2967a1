/* For tests, never shipped: a letter as accounts post it, written out as the row of the outbox.
 *
 *   dais-letter FILE TO SUBJECT APP GREETING TEXT LINK BUTTON CODE
 *
 * FILE is a SQLite database of its own; the test copies the row into an app's. */
#include "mail/mail.h"

#include "base/clock.h"

#include <stdio.h>

static bool post(void *arg, struct db_conn *c, struct err *e)
{
    return mail_post(c, arg, clock_wall_ms(), e);
}

int main(int argc, char **argv)
{
    const struct db_migration all[2] = {mail_migrations[0]};
    struct err e;
    if (argc != 10)
        return 2;
    const struct letter l = {
        .to = slice_from(argv[2]),
        .subject = slice_from(argv[3]),
        .app = slice_from(argv[4]),
        .greeting = slice_from(argv[5]),
        .text = slice_from(argv[6]),
        .link = slice_from(argv[7]),
        .button = slice_from(argv[8]),
        .code = slice_from(argv[9]),
    };
    struct db *db = db_open(&(struct db_options){.path = argv[1], .migrations = all}, &e);
    bool fine = db && db_write_now(db, post, (void *)(uintptr_t)&l, &e);
    if (db)
        db_close(db);
    if (!fine)
        fprintf(stderr, "%s\n", e.msg);
    return !fine;
}
