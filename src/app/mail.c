/* Sends what waits in the outboxes: looks once a second, and at once when something was posted. */
#include "app/app_impl.h"

#include "mail/mail.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_S    1
#define CLOSED_MS (5 * 60 * 1000) /* a database that is closed: another program may have posted */
#define FAILED_MS (60 * 1000)     /* one that cannot be opened */
#define SAID_MAX  4000            /* what a pipe takes at once */

struct mailman {
    struct life *life;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t bell;
    struct mailer *mailer, *next; /* next: the settings have changed */
    bool is_rung, is_ending;
};

/* ---- settings that go together ----------------------------------------------------------------
 */

static bool is_missing(const struct settings *s, enum setting_id id)
{
    return !settings_get(s, id).len;
}

void mail_check(const struct site *site, const struct settings *s, struct problems *p)
{
    bool any = false;
    for (size_t i = 0; i < site->n_apps; i++) {
        const struct app app = {.manifest = site->apps[i]};
        any |= app_has_accounts(&app);
    }
    if (!any || is_missing(s, SET_SMTP_URL))
        return;
    if (is_missing(s, SET_PUBLIC_URL))
        problems_add(p, PROBLEM_WARNING, SLICE("PUBLIC_URL"), (struct pos){0},
                     "it is not set, so links in mail lead to where dais listens, which is often "
                     "not where people can reach it; give the address that they use");
    if (is_missing(s, SET_MAIL_FROM))
        problems_add(p, PROBLEM_WARNING, SLICE("MAIL_FROM"), (struct pos){0},
                     "it is not set, so mail is from dais@localhost, which most servers refuse; "
                     "give an address of yours");
}

/* ---- the console ----------------------------------------------------------------------------- */

/* A reader who takes nothing must not keep us: it is in the file anyway. */
static void say(const struct buf *text)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 100) == 1 && (out.revents & POLLOUT) &&
        write(STDOUT_FILENO, text->data, text->len) < 0)
        log_line(LOG_DEBUG, "the console takes no mail");
}

/* The link stands alone in its line, to be copied or clicked. Not for the log: it is a key. */
static void on_kept(void *user, const struct mail_kept *k)
{
    struct buf text;
    (void)user;
    buf_init(&text, SAID_MAX);
    buf_printf(&text, "\nMail to %.*s: %.*s\n", SLICE_ARGS(k->to), SLICE_ARGS(k->subject));
    if (k->link.len)
        buf_printf(&text, "%.*s\n", SLICE_ARGS(k->link));
    buf_printf(&text, "(SMTP_URL is not set, so it is in %s instead of on its way.)\n\n", k->path);
    say(&text);
    buf_done(&text);
}

/* ---- one database ---------------------------------------------------------------------------- */

/* It is not opened for this each second, but when a letter is due, and now and then. */
static struct db *enter(struct mail_box *box, int64_t now_ms)
{
    struct err e;
    struct db *db = db_slot_enter(box->slot);
    bool is_there = !box->path || access(box->path, F_OK) == 0;
    if (db || !is_there || now_ms < box->look_ms)
        return db;
    db = db_slot_open(box->slot, &e);
    if (!db) {
        log_line(LOG_WARN, "mail waits: its database cannot be opened", F_CSTR("reason", e.msg));
        box->look_ms = now_ms + FAILED_MS;
    }
    return db;
}

static bool look(struct mailer *m, struct mail_box *box)
{
    struct err e;
    struct mail_round round = {0};
    int64_t now_ms = clock_wall_ms();
    struct db *db = enter(box, now_ms);
    if (!db)
        return false;
    bool fine = mailer_turn(m, db, now_ms, &round, &e);
    db_slot_leave_quietly(box->slot);
    box->look_ms = now_ms + CLOSED_MS;
    if (!fine) {
        log_line(LOG_WARN, "the outbox cannot be read", F_CSTR("reason", e.msg));
        return false;
    }
    if (round.next_ms && round.next_ms < box->look_ms)
        box->look_ms = round.next_ms;
    atomic_store(&box->waiting, round.waiting);
    atomic_fetch_add(&box->sent, round.sent);
    atomic_fetch_add(&box->failed, round.given_up);
    return round.has_more;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool look_at_all(struct mailman *man)
{
    size_t n;
    bool has_more = false;
    struct mail_box **boxes = databases_mail(man->life, &n);
    for (size_t i = 0; i < n; i++)
        has_more |= look(man->mailer, boxes[i]);
    free(boxes);
    return has_more;
}

/* With the lock: what the settings say now. */
static void take_next(struct mailman *man)
{
    if (!man->next)
        return;
    mailer_free(man->mailer);
    man->mailer = man->next;
    man->next = NULL;
}

static void *run(void *arg)
{
    struct mailman *man = arg;
    pthread_mutex_lock(&man->lock);
    while (!man->is_ending) {
        take_next(man);
        man->is_rung = false;
        pthread_mutex_unlock(&man->lock);
        bool has_more = look_at_all(man);
        pthread_mutex_lock(&man->lock);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_S;
        int waited = 0;
        while (!has_more && !man->is_rung && !man->is_ending && !man->next && waited == 0)
            waited = pthread_cond_timedwait(&man->bell, &man->lock, &until);
    }
    pthread_mutex_unlock(&man->lock);
    return NULL;
}

static void on_ring(void *user)
{
    struct mailman *man = user;
    pthread_mutex_lock(&man->lock);
    man->is_rung = true;
    pthread_cond_signal(&man->bell);
    pthread_mutex_unlock(&man->lock);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static struct mailman *man_new(struct life *l, struct mailer *first)
{
    struct mailman *man = mem_new(struct mailman);
    pthread_condattr_t monotonic;
    man->life = l;
    man->mailer = first;
    pthread_mutex_init(&man->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&man->bell, &monotonic);
    pthread_condattr_destroy(&monotonic);
    must(pthread_create(&man->thread, NULL, run, man) == 0);
    mail_on_ring(on_ring, man);
    return man;
}

static void man_set(struct mailman *man, const struct mailer_options *o)
{
    pthread_mutex_lock(&man->lock);
    struct mailer *last = man->next ? man->next : man->mailer;
    if (!mailer_is_like(last, o)) {
        mailer_free(man->next);
        man->next = mailer_new(o);
        mailer_stop(man->mailer); /* a server that hangs may be why they were changed */
        pthread_cond_signal(&man->bell);
    }
    pthread_mutex_unlock(&man->lock);
}

bool app_writes_letters(const struct app *app)
{
    const struct manifest *m = app->manifest;
    for (size_t i = 0; i < m->jobs.n; i++) {
        if (slice_is(m->jobs.items[i].use.s, "mail.send"))
            return true;
    }
    return app->accounts != NULL;
}

static bool has_any(const struct host *h)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (app_writes_letters(&h->apps[i]))
            return true;
    }
    return false;
}

void mail_start(struct host *h)
{
    struct life *l = h->life;
    if (!l || (!l->mailman && !has_any(h)))
        return;
    const struct mailer_options options = {
        .smtp_url = settings_get(&h->settings, SET_SMTP_URL),
        .from = settings_get(&h->settings, SET_MAIL_FROM),
        .folder = arena_printf(&h->arena, "%s/mail", h->data_dir).ptr,
        .ca_file = getenv("SSL_CERT_FILE"),
        .on_kept = on_kept,
    };
    if (l->mailman)
        man_set(l->mailman, &options);
    else
        l->mailman = man_new(l, mailer_new(&options));
}

void mail_end(struct life *l)
{
    struct mailman *man = l->mailman;
    if (!man)
        return;
    mail_on_ring(NULL, NULL);
    pthread_mutex_lock(&man->lock);
    man->is_ending = true;
    mailer_stop(man->mailer);
    pthread_cond_signal(&man->bell);
    pthread_mutex_unlock(&man->lock);
    pthread_join(man->thread, NULL);
    mailer_free(man->mailer);
    mailer_free(man->next);
    pthread_cond_destroy(&man->bell);
    pthread_mutex_destroy(&man->lock);
    free(man);
    l->mailman = NULL;
}
