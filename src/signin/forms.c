/* What is sent to the sign-in page: one row for each `do`, one function that does it.
 *
 * A form is looked at on the loop (is it ours, is it one of these, is one left?) and runs on the
 * lane of its row; links are sent after the answer. What is wrong with a form comes back at its
 * fields, with what was typed. */
#include "signin/signin_impl.h"

#include "base/json.h"

struct form {
    struct req *rq;
    struct signin *signin;
    struct accounts *acc;
    struct view view; /* what is shown again */
    struct slice typed[FIELDS];
    struct slice session;
    struct asker from;
};

static bool sign_in(struct form *f, struct err *e);
static bool sign_up(struct form *f, struct err *e);
static bool sign_out(struct form *f, struct err *e);
static bool send_link(struct form *f, struct err *e);
static bool send_reset(struct form *f, struct err *e);
static bool follow_magic(struct form *f, struct err *e);
static bool follow_reset(struct form *f, struct err *e);
static bool follow_verify(struct form *f, struct err *e);
static bool follow_operator(struct form *f, struct err *e);
static bool verify_again(struct form *f, struct err *e);
static bool change_password(struct form *f, struct err *e);
static bool end_session(struct form *f, struct err *e);
static bool end_sessions(struct form *f, struct err *e);
static bool leave(struct form *f, struct err *e);

static const struct form_row {
    const char *name; /* its `do` */
    bool (*run)(struct form *f, struct err *e);
    enum view_id view; /* where what is wrong is shown */
    enum run lane;
    bool is_own; /* of who is signed in */
} rows[] = {
    {"sign-in", sign_in, VIEW_SIGN_IN, RUN_SIGN, false},
    {"sign-up", sign_up, VIEW_SIGN_UP, RUN_SIGN, false},
    {"sign-out", sign_out, VIEW_SIGN_OUT, RUN_SLOW, false},
    {"link", send_link, VIEW_LINK, RUN_INLINE, false},
    {"forgot", send_reset, VIEW_FORGOT, RUN_INLINE, false},
    {"magic", follow_magic, VIEW_MAGIC, RUN_SLOW, false},
    {"reset", follow_reset, VIEW_RESET, RUN_SIGN, false},
    {"verify", follow_verify, VIEW_VERIFY, RUN_SIGN, false},
    {"operator", follow_operator, VIEW_OPERATOR, RUN_SIGN, false},
    {"verify-again", verify_again, VIEW_ACCOUNT, RUN_SLOW, true},
    {"password", change_password, VIEW_CHANGE, RUN_SIGN, true},
    {"end-session", end_session, VIEW_SESSIONS, RUN_SLOW, true},
    {"end-sessions", end_sessions, VIEW_SESSIONS, RUN_SLOW, true},
    {"delete", leave, VIEW_DELETE, RUN_SIGN, true},
};

static const struct form_row *row_of(struct slice name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (slice_is(name, rows[i].name))
            return &rows[i];
    }
    return NULL;
}

/* ---- signing in and out ---------------------------------------------------------------------- */

/* The session begins, and people go on. */
static bool enter(struct form *f, const struct signed_in *in)
{
    reply_header(f->rq, "Set-Cookie", accounts_cookie(f->acc, f->rq, in->token, in->expires_ms));
    return view_leave(f->rq, f->view.next);
}

static bool sign_in(struct form *f, struct err *e)
{
    struct signed_in ret = {0};
    return accounts_log_in(f->acc, f->rq->arena, f->typed[FIELD_EMAIL], f->typed[FIELD_PASSWORD],
                           &f->from, &ret, e) &&
           enter(f, &ret);
}

static struct sign_up sign_up_of(const struct form *f)
{
    return (struct sign_up){.email = f->typed[FIELD_EMAIL],
                            .password = f->typed[FIELD_NEW],
                            .name = f->typed[FIELD_NAME]};
}

static bool sign_up(struct form *f, struct err *e)
{
    struct signed_in ret = {0};
    struct sign_up in = sign_up_of(f);
    if (!f->signin->is_open) {
        view_init(&f->view, VIEW_CLOSED, f->rq);
        f->view.status = 403;
        return view_reply(&f->view);
    }
    return accounts_sign_up(f->acc, f->rq->arena, &in, &f->from, &ret, &f->rq->details, e) &&
           enter(f, &ret);
}

static bool forget_cookie(struct form *f)
{
    reply_header(f->rq, "Set-Cookie", accounts_cookie(f->acc, f->rq, NULL, 0));
    return true;
}

/* Also for who is signed out already: a session may have ended while the page was open. */
static bool sign_out(struct form *f, struct err *e)
{
    const struct identity *who = f->view.who;
    if (who->is_signed_in && !accounts_log_out(f->acc, who->session, &f->from, e))
        return false;
    forget_cookie(f);
    return f->view.next.len ? view_leave(f->rq, f->view.next)
                            : view_go(f->rq, "done=signed-out", SLICE(""));
}

/* ---- links in mails -------------------------------------------------------------------------- */

static bool mail_link(struct form *f, enum link_purpose purpose, const char *done, struct err *e)
{
    return accounts_send_link_later(f->acc, f->rq, purpose, f->typed[FIELD_EMAIL], f->view.next,
                                    e) &&
           view_go(f->rq, done, f->view.next);
}

static bool send_link(struct form *f, struct err *e)
{
    if (!f->signin->has_link)
        return err_set(e, ERR_MALFORMED, "This app sends no links to sign in.");
    return mail_link(f, LINK_SIGN_IN, "done=link", e);
}

static bool send_reset(struct form *f, struct err *e)
{
    return mail_link(f, LINK_RESET, "done=reset", e);
}

static bool follow_magic(struct form *f, struct err *e)
{
    struct signed_in ret = {0};
    return accounts_follow_sign_in(f->acc, f->rq->arena, f->view.token, &f->from, &ret, e) &&
           enter(f, &ret);
}

static bool follow_reset(struct form *f, struct err *e)
{
    struct signed_in ret = {0};
    return accounts_follow_reset(f->acc, f->rq->arena, f->view.token, f->typed[FIELD_NEW], &f->from,
                                 &ret, &f->rq->details, e) &&
           enter(f, &ret);
}

/* Who is signed in as somebody else is asked for the password as anybody is. */
static bool follow_verify(struct form *f, struct err *e)
{
    struct account ret;
    if (accounts_follow_verify(f->acc, f->rq->arena, f->view.token, f->view.who->id,
                               f->typed[FIELD_PASSWORD], &f->from, &ret, e))
        return view_go(f->rq, "done=verified", f->view.next);
    if (e->code == ERR_UNAUTHENTICATED) {
        f->view.fields |= WITH(PASSWORD);
        f->view.lead = WORD_VERIFY_PASSWORD_LEAD;
    }
    return false;
}

static bool follow_operator(struct form *f, struct err *e)
{
    struct signed_in ret = {0};
    struct sign_up in = sign_up_of(f);
    if (!f->signin->options.operators)
        return err_set(e, ERR_MALFORMED, "The link was used, or is too old.");
    return operators_follow_link(f->signin->options.operators, f->rq->arena, f->view.token, &in,
                                 &f->from, &ret, &f->rq->details, e) &&
           enter(f, &ret);
}

/* ---- one's own account ----------------------------------------------------------------------- */

static bool verify_again(struct form *f, struct err *e)
{
    return accounts_send_verify(f->acc, f->view.who->id, f->view.next, &f->from, e) &&
           view_go(f->rq, "done=verify", f->view.next);
}

static bool change_password(struct form *f, struct err *e)
{
    const struct identity *who = f->view.who;
    return accounts_set_password(f->acc, who->id, who->session, f->typed[FIELD_PASSWORD],
                                 f->typed[FIELD_NEW], &f->from, &f->rq->details, e) &&
           view_go(f->rq, "done=password", f->view.next);
}

static bool end_session(struct form *f, struct err *e)
{
    if (!f->session.len)
        return err_set(e, ERR_MALFORMED, "The form names no session.");
    return accounts_end_session(f->acc, f->view.who->id, f->session, e) &&
           view_go(f->rq, "done=session", f->view.next);
}

static bool end_sessions(struct form *f, struct err *e)
{
    return accounts_end_session(f->acc, f->view.who->id, SLICE(""), e) && forget_cookie(f) &&
           view_go(f->rq, "done=signed-out", f->view.next);
}

static bool leave(struct form *f, struct err *e)
{
    return accounts_leave(f->acc, f->view.who->id, f->typed[FIELD_PASSWORD], &f->from, e) &&
           forget_cookie(f) && view_go(f->rq, "done=deleted", SLICE(""));
}

/* ---- what is wrong --------------------------------------------------------------------------- */

static enum field field_of(const struct view *v, struct slice pointer)
{
    if (slice_is(pointer, "/email"))
        return FIELD_EMAIL;
    if (slice_is(pointer, "/name"))
        return FIELD_NAME;
    if (slice_is(pointer, "/password"))
        return v->fields & WITH(NEW) ? FIELD_NEW : FIELD_PASSWORD;
    return FIELDS;
}

/* False: none of it is about a field here. */
static bool mark(struct form *f)
{
    struct json_doc doc;
    struct err ignored;
    bool is_marked = false;
    if (!json_parse(&doc, f->rq->arena, f->rq->details, NULL, &ignored))
        return false;
    json_each (it, json_root(&doc)) {
        enum field at = field_of(&f->view, json_str(json_find(it.value, SLICE("pointer"))));
        if (at == FIELDS || !(f->view.fields & 1u << at))
            continue;
        f->view.wrong[at] = json_str(json_find(it.value, SLICE("message")));
        is_marked = true;
    }
    return is_marked;
}

static bool show_bad_link(struct form *f)
{
    struct view v = f->view;
    view_init(&v, VIEW_BAD_LINK, f->rq);
    v.next = f->view.next;
    v.status = 400;
    view_settle(&v);
    if (f->view.id == VIEW_OPERATOR)
        v.lead = WORD_BAD_OPERATOR_LEAD;
    return view_reply(&v);
}

/* Whoever is signed in already may not do a thing without it. */
static bool is_about_password(const struct err *e)
{
    return e->code == ERR_UNAUTHENTICATED || e->code == ERR_FORBIDDEN;
}

/* The form again, with what was typed. */
static bool show_again(struct form *f, const struct err *e, struct err *ret)
{
    struct slice says = arena_dup(f->rq->arena, slice_from(e->msg));
    if (f->rq->details.len && mark(f))
        says = SLICE("");
    else if (is_about_password(e) && f->view.fields & WITH(PASSWORD)) {
        f->view.wrong[FIELD_PASSWORD] = says;
        says = SLICE("");
    }
    f->view.error = says;
    f->view.status = 422;
    f->view.values[FIELD_EMAIL] = f->typed[FIELD_EMAIL];
    f->view.values[FIELD_NAME] = f->typed[FIELD_NAME];
    return signin_fill(&f->view, ret) && view_reply(&f->view);
}

static bool run(struct form *f, const struct form_row *row, struct err *e)
{
    struct err why = {0};
    if (row->run(f, &why))
        return true;
    if (why.code == ERR_MALFORMED && f->view.token.len)
        return show_bad_link(f);
    int status = err_status(why.code);
    if (status < 500 && status != 429)
        return show_again(f, &why, e);
    *e = why;
    return false;
}

/* ---- what came ------------------------------------------------------------------------------- */

static bool is_form(const struct req *rq)
{
    struct slice type = h1_get(rq->h1, HEADER_CONTENT_TYPE), name;
    slice_cut(&type, ';', &name);
    return slice_eq_nocase(slice_trim(name), SLICE("application/x-www-form-urlencoded"));
}

static bool value(struct req *rq, const char *name, struct slice *ret, struct err *e)
{
    if (!query_find(rq->body, slice_from(name), rq->arena, ret, e))
        return false;
    if (!ret->ptr)
        *ret = SLICE("");
    return true;
}

static bool take(struct form *f, struct err *e)
{
    static const char *const names[] = {
#define X(id, name, type, autocomplete, most) name,
        FIELD_MAP(X)
#undef X
    };
    struct slice next;
    for (int i = 0; i < FIELDS; i++) {
        if (!value(f->rq, names[i], &f->typed[i], e))
            return false;
    }
    if (!value(f->rq, "next", &next, e) || !value(f->rq, "token", &f->view.token, e) ||
        !value(f->rq, "session", &f->session, e))
        return false;
    f->view.next = accounts_next(next, f->rq->arena);
    return true;
}

static const struct form_row *find(struct req *rq, struct err *e)
{
    struct slice name;
    if (!req_is_own_doing(rq)) {
        err_set(e, ERR_FORBIDDEN, "A form has to come from a page of this origin.");
        return NULL;
    }
    if (!is_form(rq)) {
        err_set(e, ERR_MALFORMED, "This takes application/x-www-form-urlencoded.");
        return NULL;
    }
    if (!value(rq, "do", &name, e))
        return NULL;
    const struct form_row *row = row_of(name);
    if (!row)
        err_set(e, ERR_MALFORMED, "There is no such form.");
    return row;
}

bool signin_post(struct req *rq, struct err *e)
{
    struct signin *s = rq->site;
    const struct form_row *row = find(rq, e);
    if (!row)
        return false;
    struct form f = {.rq = rq, .signin = s, .acc = s->options.accounts};
    view_init(&f.view, row->view, rq);
    f.view.who = signin_who(rq, e);
    if (!f.view.who || !take(&f, e))
        return false;
    if (row->is_own && !f.view.who->is_signed_in)
        return view_go(rq, "", f.view.next);
    if (!rq->is_on_lane && row->lane != RUN_INLINE)
        return req_move(rq, row->lane);
    f.from = asker_of(rq);
    view_settle(&f.view);
    return run(&f, row, e);
}
