/* Mail: an outbox in the database, tried again until it is taken; where no SMTP is set, the console
 * and a folder instead, so that a link can be followed on a laptop.
 *
 * Whoever wants a mail sent adds it to the outbox inside the write that it is about: the account
 * and its mail are there together, or neither. mailer_turn() then sends what is due, on a lane. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "db/db.h"

extern const struct db_migration mail_migration;

/* A text with a link, in words and as a page; both are made from the same parts, so that they never
 * say different things. All parts are escaped. */
struct letter {
    struct slice to;             /* an address, checked */
    struct slice subject;        /* one line */
    struct slice app;            /* whose name stands above and below */
    struct slice greeting, text; /* text: paragraphs parted by a blank line */
    struct slice link, button;   /* may be empty: there is none */
    struct slice code;           /* of a purpose, for events; never shown */
};
/* Inside a write's run. */
bool mail_post(struct db_conn *c, const struct letter *l, int64_t now_ms, struct err *e);
/* Is this an address we would send to? One @, a host, no control characters, at most 254 bytes. */
bool mail_is_address(struct slice text);

/* ---- sending ----------------------------------------------------------------------------------
 */

struct mailer_options {
    struct slice smtp_url; /* smtp://user:pass@host:587, smtps://…; empty: console and folder */
    struct slice from;     /* "Desk <desk@example.com>" or an address; empty: "dais@localhost" */
    const char *folder;    /* where letters go without SMTP: data/mail */
};
struct mailer;
struct mailer *mailer_new(const struct mailer_options *o);
void mailer_free(struct mailer *m); /* NULL is fine */
/* Sends up to some letters that are due; *ret_more: there are more. False: the database failed.
 * What a server does not take now is tried again after 1, 5, 30 min, 2, 6, 24 h, then it is given
 * up, which is an event. Blocks. */
bool mailer_turn(struct mailer *m, struct db *db, int64_t now_ms, bool *ret_more, struct err *e);
