/* mail.send: a letter into the outbox of the app's database, from where it is sent like others. */
#include "base/clock.h"
#include "tasks/tasks_impl.h"

#define MEMBERS  "to subject text link button"
#define LINK_LEN 2000

/* ---- the letter (pure) -------------------------------------------------------------------------
 */

static bool check_to(struct slice to, struct err *e)
{
    return mail_is_address(to) ||
           err_set(e, ERR_INVALID, "`to` is no e-mail address; it names exactly one.");
}

static bool is_path(struct slice link)
{
    return slice_starts(link, SLICE("/")) && !slice_starts(link, SLICE("//"));
}

static bool check_link(struct slice link, struct err *e)
{
    bool is_url = slice_starts(link, SLICE("https://")) || slice_starts(link, SLICE("http://"));
    for (size_t i = 0; i < link.len; i++)
        is_url &= link.ptr[i] > ' ' && link.ptr[i] != 0x7f && link.ptr[i] != '"' &&
                  link.ptr[i] != '<' && link.ptr[i] != '>';
    return !link.len || ((is_url || is_path(link)) && link.len <= LINK_LEN) ||
           err_set(e, ERR_INVALID,
                   "`link` is none; it begins with https://, http:// or, for a page of this app, "
                   "with /.");
}

/* A path is one of this app. */
static bool make_link(const struct task_place *p, struct arena *a, struct slice *link,
                      struct err *e)
{
    struct slice base = p->from_url;
    if (!check_link(*link, e))
        return false;
    if (!is_path(*link))
        return true;
    if (!base.len)
        return err_set(e, ERR_INVALID,
                       "`link` is a page of this app, and nobody knows where that is reached; set "
                       "PUBLIC_URL.");
    if (slice_ends(base, SLICE("/")))
        base = slice_first(base, base.len - 1);
    *link = arena_printf(a, "%.*s%.*s", SLICE_ARGS(base), SLICE_ARGS(*link));
    return check_link(*link, e);
}

static bool read_letter(const struct task_place *p, const struct task_call *t, struct letter *l,
                        struct err *e)
{
    *l = (struct letter){.app = p->title.len ? p->title : p->app, .code = SLICE("job")};
    if (!told_needed(t, "to", &l->to, e) || !check_to(l->to, e) ||
        !told_needed(t, "subject", &l->subject, e) || !told_needed(t, "text", &l->text, e) ||
        !told(t, "link", &l->link, e) || !make_link(p, t->arena, &l->link, e) ||
        !told(t, "button", &l->button, e))
        return false;
    if (!l->button.len)
        l->button = SLICE("Open");
    return true;
}

/* ---- the task ----------------------------------------------------------------------------------
 */

static bool post(void *arg, struct db_conn *c, struct err *e)
{
    return mail_post(c, arg, clock_wall_ms(), e);
}

static bool run(void *user, struct task_call *t, struct err *e)
{
    const struct task_place *p = user;
    struct letter l;
    if (!read_letter(p, t, &l, e))
        return false;
    struct db *db = db_slot_open(p->slot, e);
    if (!db)
        return false;
    bool fine = db_write_now(db, post, &l, e);
    db_slot_leave(p->slot);
    if (fine)
        mail_ring();
    return fine;
}

/* A setting that is not there yet leaves an empty value: that is told when it is run. */
static bool check(const struct pairs *with, const struct manifest *m, struct err *e)
{
    const struct text *to = with_find(with, "to"), *link = with_find(with, "link");
    (void)m;
    return with_check(with, MEMBERS, e) && (!to || !to->s.len || check_to(to->s, e)) &&
           (!link || check_link(link->s, e));
}

const struct task task_mail_send = {.name = "mail.send", .run = run, .check = check};
