/* The inside of mail/: words, pages and messages; the outbox's rows; the two ways out.
 *
 *   address.c  what may be sent to      compose.c  a letter in words and as a page
 *   message.c  both as one message      outbox.c   rows     mailer.c  who is due, and what came of
 * it smtp.c     to a server              folder.c   to a folder */
#pragma once
#include "base/buf.h"
#include "mail/mail.h"

#define ADDRESS_MAX      254
#define SUBJECT_MAX      200          /* bytes */
#define MESSAGE_MAX      (512u << 10) /* a whole one */
#define PART_MAX         (128u << 10) /* words, or the page */
#define WAITING_MAX      10000        /* letters of one database */
#define GIVEN_UP_KEPT_MS (30 * 24 * 3600 * 1000LL)
#define LEASE_MS         (2 * 60 * 1000LL) /* longer than sending one may take */

/* ---- address.c ------------------------------------------------------------------------------- */

struct sender {
    struct slice name, address; /* name may be empty */
};
/* Of MAIL_FROM; without a good one "dais@localhost". Borrowed. */
struct sender sender_of(struct slice from);

/* ---- compose.c ------------------------------------------------------------------------------- */

/* One line of well-formed UTF-8 without controls, whatever came; cut at `max` bytes. */
void line_add(struct buf *to, struct slice s, size_t max);
/* A link that may be shown as one: http(s), visible ASCII. */
bool link_is_good(struct slice link);
void compose_words(struct buf *to, const struct letter *l);
void compose_page(struct buf *to, const struct letter *l);

/* ---- message.c ------------------------------------------------------------------------------- */

/* A row of the outbox; in the arena it was read into. */
struct posted {
    struct slice id, to, subject, words, page, link, code;
    int64_t due_ms, attempts, created_ms; /* due_ms: the end of the lease, once claimed */
};
/* RFC 5322, lines of at most 76 bytes that end in CRLF; dots are doubled by whoever sends it. The
 * same row gives the same bytes. False: it does not fit. */
bool message_add(struct buf *to, const struct posted *p, const struct sender *from);

/* ---- outbox.c: each is a read or a write of its own, and blocks --------------------------------
 */

struct outbox_view {
    uint64_t waiting;
    int64_t next_ms, oldest_given_up_ms; /* 0: none */
};
extern const struct sql outbox_look_sql; /* asked every second, for each database */
bool outbox_look(struct db *db, struct outbox_view *ret, struct err *e);
/* The next one that is due is nobody else's for LEASE_MS; *ret_found false: there is none. */
bool outbox_claim(struct db *db, struct arena *a, int64_t now_ms, struct posted *ret,
                  bool *ret_found, struct err *e);
bool outbox_sent(struct db *db, const struct posted *p, struct err *e);
/* Not now; `why` is for people. If it is not given: it does not count as an attempt. */
bool outbox_later(struct db *db, const struct posted *p, int64_t due_ms, const char *why,
                  struct err *e);
bool outbox_give_up(struct db *db, const struct posted *p, int64_t now_ms, const char *why,
                    struct err *e);
bool outbox_prune(struct db *db, int64_t now_ms, struct err *e);

/* ---- ways out: what came of it ----------------------------------------------------------------
 */

enum outcome {
    MAIL_SENT,
    MAIL_REFUSED, /* for good: this letter will never be taken */
    MAIL_LATER,   /* not now: this letter */
    MAIL_NOBODY,  /* not now: nothing will be taken there */
    MAIL_STOPPED  /* we were told to end */
};

/* folder.c */
enum outcome folder_put(const char *folder, const struct posted *p, struct slice message,
                        char *ret_path, size_t path_max, struct err *e);

/* smtp.c */
struct smtp {
    struct slice url; /* SMTP_URL */
    const char *ca_file;
    const char *const *resolve;
    const _Atomic bool *is_stopped;
};
/* The first failure's sentence is in e, without any of SMTP_URL's secrets. */
enum outcome smtp_send(const struct smtp *s, const struct sender *from, struct slice to,
                       struct slice message, struct err *e);
