/* Mail: an outbox in the database, tried again until it is taken; where no SMTP is set, the console
 * and a folder instead, so that a link can be followed on a laptop.
 *
 * Whoever wants a mail sent adds it to the outbox inside the write that it is about: the account
 * and its mail are there together, or neither. mailer_turn() then sends what is due. Nothing is
 * lost: a letter that a process died over is sent again, so that in the worst case it comes twice.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "db/db.h"

extern const struct db_migration mail_migrations[];

/* A text with a link, in words and as a page; both are made from the same parts, so that they never
 * say different things. All parts are escaped, and what would drive a terminal or begin another
 * line is taken out. Words of strangers (a name that was given at sign-up) do not belong into a
 * letter to an address that has not been verified: they would be sent in our name. */
struct letter {
    struct slice to;             /* an address, checked */
    struct slice subject;        /* one line */
    struct slice app;            /* whose name stands above and below */
    struct slice greeting, text; /* text: paragraphs parted by a blank line */
    struct slice link, button;   /* may be empty: there is none. http:// or https:// */
    struct slice code;           /* of a purpose, for events; never shown */
};
/* Inside a write's run. ERR_UNAVAILABLE: too many wait. */
bool mail_post(struct db_conn *c, const struct letter *l, int64_t now_ms, struct err *e);
/* Is this an address we would send to? One @, local part and host as RFC 5321 has them without
 * quotes, at most 254 bytes; a host in its ASCII form (xn--…). */
bool mail_is_address(struct slice text);

/* After the commit of a write that may have posted: tells whoever sends, if there is one. Cheap
 * where nothing was posted. Any thread. */
void mail_ring(void);
/* Who is told; on the thread that rings. NULL: nobody (any longer, once this returns). */
void mail_on_ring(void (*fn)(void *user), void *user);

/* ---- sending ----------------------------------------------------------------------------------
 */

/* A letter that was put into the folder instead. */
struct mail_kept {
    struct slice to, subject, link;
    const char *path;
};

struct mailer_options {
    struct slice smtp_url; /* smtp://user:pass@host:587, smtps://…; empty: console and folder */
    struct slice from;     /* "Desk <desk@example.com>" or an address; empty: "dais@localhost" */
    const char *folder;    /* where letters go without SMTP: data/mail */
    const char *ca_file;   /* trust these certificates and no others; NULL: the system's */
    const char *const *resolve; /* for tests, instead of DNS: "name:port:address", NULL */
    void (*on_kept)(void *user, const struct mail_kept *k); /* may be NULL */
    void *user;
};
struct mailer;
/* All is copied. */
struct mailer *mailer_new(const struct mailer_options *o);
void mailer_free(struct mailer *m); /* NULL is fine */
/* Would a new one with these do the same? */
bool mailer_is_like(const struct mailer *m, const struct mailer_options *o);
/* Any thread: a turn under way ends within about a second, later ones at once. */
void mailer_stop(struct mailer *m);

struct mail_round {
    unsigned sent, given_up; /* by this turn */
    uint64_t waiting;        /* after it */
    int64_t next_ms;         /* when the next letter is due; 0: none waits */
    bool has_more;           /* some are due now */
};
/* Sends up to some letters that are due. False: the database failed.
 *
 * What a server does not take now is tried again after 1, 5, 30 min, 2, 6, 24 h; then, or when it
 * refuses for good, it is given up, which is an event; the row stays for 30 days without what was
 * written. A server that is not there is left alone for 15 s. Two processes never send the same
 * letter at once: it is claimed for two minutes. Blocks, for up to a minute a letter. One thread at
 * a time. */
bool mailer_turn(struct mailer *m, struct db *db, int64_t now_ms, struct mail_round *ret,
                 struct err *e);
