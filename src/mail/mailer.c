/* Who is due, which way it goes, and what comes of it. */
#include "mail/mail_impl.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define A_TURN 20 /* letters */
#define MINUTE (60 * 1000LL)

/* After the first, second, … attempt that came to nothing. */
static const int64_t waits_ms[] = {MINUTE,          5 * MINUTE,      30 * MINUTE,
                                   2 * 60 * MINUTE, 6 * 60 * MINUTE, 24 * 60 * MINUTE};
#define WAITS    ((int64_t)(sizeof waits_ms / sizeof *waits_ms))
#define ALONE_MS (MINUTE / 4) /* nobody is there */

struct mailer {
    struct mailer_options options; /* texts in the arena */
    struct sender sender;
    struct arena arena;
    atomic_bool is_stopped;
    int64_t quiet_until_ms;
};

/* ---- making ---------------------------------------------------------------------------------- */

static const char *copy(struct arena *a, const char *text)
{
    return text ? arena_dup(a, slice_from(text)).ptr : NULL;
}

struct mailer *mailer_new(const struct mailer_options *o)
{
    struct mailer *m = mem_new(struct mailer);
    arena_init(&m->arena, 1u << 20);
    m->options = *o;
    m->options.smtp_url = arena_dup(&m->arena, o->smtp_url.ptr ? o->smtp_url : SLICE(""));
    m->options.from = arena_dup(&m->arena, o->from.ptr ? o->from : SLICE(""));
    m->options.folder = copy(&m->arena, o->folder);
    m->options.ca_file = copy(&m->arena, o->ca_file);
    m->sender = sender_of(m->options.from);
    return m;
}

void mailer_free(struct mailer *m)
{
    if (!m)
        return;
    explicit_bzero((void *)(uintptr_t)m->options.smtp_url.ptr, m->options.smtp_url.len);
    arena_done(&m->arena);
    free(m);
}

static bool is_same_text(const char *a, const char *b)
{
    return slice_eq(slice_from(a), slice_from(b));
}

bool mailer_is_like(const struct mailer *m, const struct mailer_options *o)
{
    const struct mailer_options *own = &m->options;
    return slice_eq(own->smtp_url, o->smtp_url) && slice_eq(own->from, o->from) &&
           is_same_text(own->folder, o->folder) && is_same_text(own->ca_file, o->ca_file) &&
           own->resolve == o->resolve && own->on_kept == o->on_kept && own->user == o->user;
}

void mailer_stop(struct mailer *m)
{
    atomic_store(&m->is_stopped, true);
}

/* ---- one letter ------------------------------------------------------------------------------ */

static enum outcome put_away(struct mailer *m, const struct posted *p, struct slice message,
                             struct err *e)
{
    char path[4096];
    if (!m->options.folder) {
        err_set(e, ERR_UNAVAILABLE, "there is neither a mail server nor a folder for mail");
        return MAIL_NOBODY;
    }
    enum outcome out = folder_put(m->options.folder, p, message, path, sizeof path, e);
    const struct mail_kept kept = {p->to, p->subject, p->link, path};
    if (out == MAIL_SENT && m->options.on_kept)
        m->options.on_kept(m->options.user, &kept);
    return out;
}

static enum outcome deliver(struct mailer *m, const struct posted *p, struct err *e)
{
    struct buf message;
    enum outcome out = MAIL_REFUSED;
    const struct smtp smtp = {m->options.smtp_url, m->options.ca_file, m->options.resolve,
                              &m->is_stopped};
    buf_init(&message, MESSAGE_MAX);
    if (!message_add(&message, p, &m->sender))
        err_set(e, ERR_INVALID, "it cannot be made a message");
    else if (m->options.smtp_url.len)
        out = smtp_send(&smtp, &m->sender, p->to, buf_slice(&message), e);
    else
        out = put_away(m, p, buf_slice(&message), e);
    buf_done(&message);
    return out;
}

static void tell(enum log_level level, const char *what, const struct posted *p, const char *why)
{
    log_line(level, what, F_STR("mail", p->id), F_STR("purpose", p->code),
             F_INT("attempt", p->attempts), F_CSTR("reason", why));
}

/* What is told of it: to the database first, as that decides whether it comes again. */
static bool record(struct db *db, const struct posted *p, enum outcome out, const char *why,
                   int64_t now_ms, struct mail_round *ret, struct err *e)
{
    if (out == MAIL_SENT) {
        ret->sent++;
        log_line(LOG_INFO, "mail sent", F_STR("mail", p->id), F_STR("purpose", p->code));
        return outbox_sent(db, p, e);
    }
    if (out == MAIL_STOPPED)
        return outbox_later(db, p, now_ms, NULL, e);
    if (out == MAIL_REFUSED || p->attempts > WAITS) {
        ret->given_up++;
        tell(LOG_ERROR, "mail given up", p, why);
        return outbox_give_up(db, p, now_ms, why, e);
    }
    tell(LOG_WARN, "mail not taken yet", p, why);
    return outbox_later(db, p, now_ms + waits_ms[p->attempts - 1], why, e);
}

/* ---- a turn ---------------------------------------------------------------------------------- */

/* *ret_goes_on: there may be another one to do. */
static bool one(struct mailer *m, struct db *db, int64_t now_ms, struct mail_round *ret,
                bool *ret_goes_on, struct err *e)
{
    struct arena a;
    struct posted p;
    struct err why = {0};
    bool is_found = false;
    arena_init(&a, 1u << 20);
    *ret_goes_on = false;
    bool fine = outbox_claim(db, &a, now_ms, &p, &is_found, e);
    if (is_found) {
        int64_t began = clock_mono_ms();
        enum outcome out = deliver(m, &p, &why);
        now_ms += clock_mono_ms() - began;
        if (out == MAIL_NOBODY)
            m->quiet_until_ms = now_ms + ALONE_MS;
        fine = record(db, &p, out, why.msg, now_ms, ret, e);
        *ret_goes_on = fine && out != MAIL_NOBODY && out != MAIL_STOPPED;
    }
    arena_done(&a);
    return fine;
}

static bool is_due(const struct mailer *m, const struct outbox_view *view, int64_t now_ms)
{
    return !atomic_load(&m->is_stopped) && view->waiting && view->next_ms <= now_ms;
}

/* A clock that was set back must not keep us quiet. */
static bool is_quiet(const struct mailer *m, int64_t now_ms)
{
    return now_ms < m->quiet_until_ms && now_ms >= m->quiet_until_ms - ALONE_MS;
}

bool mailer_turn(struct mailer *m, struct db *db, int64_t now_ms, struct mail_round *ret,
                 struct err *e)
{
    struct outbox_view view;
    int64_t began = clock_mono_ms();
    bool goes_on = true;
    *ret = (struct mail_round){0};
    if (!outbox_look(db, &view, e))
        return false;
    if (view.oldest_given_up_ms && view.oldest_given_up_ms <= now_ms - GIVEN_UP_KEPT_MS &&
        !outbox_prune(db, now_ms, e))
        return false;
    bool is_busy = is_due(m, &view, now_ms) && !is_quiet(m, now_ms);
    for (int i = 0; i < A_TURN && is_busy && goes_on && !atomic_load(&m->is_stopped); i++) {
        int64_t at_ms = now_ms + clock_mono_ms() - began;
        if (!one(m, db, at_ms, ret, &goes_on, e))
            return false;
    }
    now_ms += clock_mono_ms() - began;
    if (is_busy && !outbox_look(db, &view, e))
        return false;
    ret->waiting = view.waiting;
    ret->next_ms = view.next_ms;
    ret->has_more = is_due(m, &view, now_ms) && !is_quiet(m, now_ms);
    return true;
}
