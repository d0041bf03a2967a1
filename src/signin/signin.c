/* From a request to a view: the page's routes, what the query asks for, and who may see it. */
#include "signin/signin_impl.h"

#include "base/embedded.h"
#include "base/mem.h"
#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

#define FORM_MAX    (16u << 10)
#define TITLE_BYTES 1024

static bool page(struct req *rq, struct err *e);
static bool style(struct req *rq, struct err *e);
static bool script(struct req *rq, struct err *e);

/* A form's handler moves to the lane that its row in forms.c names. */
static const struct route rows[] = {
    {.path = SIGNIN_PATH,
     .name = "sign_in",
     .methods = ON_GET | ON_POST,
     .handle = page,
     .max_body = FORM_MAX,
     .is_form = true},
    {.path = SIGNIN_PATH ".css", .name = "sign_in_style", .methods = ON_GET, .handle = style},
    {.path = SIGNIN_PATH ".js", .name = "sign_in_script", .methods = ON_GET, .handle = script},
};
#define ROWS (sizeof rows / sizeof *rows)

/* ---- making ---------------------------------------------------------------------------------- */

/* The app's own accent: a hue that its slug always has. */
static unsigned hue_of(struct slice slug)
{
    unsigned char digest[SHA256_LEN];
    sha256_of(slug, digest);
    return (digest[0] << 8 | digest[1]) % 360u;
}

static void make_style(struct signin *s)
{
    struct buf b;
    char hex[SHA256_HEX_LEN + 1];
    struct sha256 h;
    buf_init(&b, 256u << 10);
    buf_add(&b, embedded_get("sign-in/tokens.css"));
    buf_printf(&b, ":root { --accent-hue: %u; }\n", hue_of(s->options.manifest->slug.s));
    buf_add(&b, embedded_get("sign-in/sign-in.css"));
    must(!b.full);
    s->style = shared_new(buf_slice(&b));
    sha256_init(&h);
    sha256_add(&h, buf_slice(&b));
    sha256_add(&h, embedded_get("sign-in/sign-in.js"));
    sha256_end_hex(&h, hex);
    memcpy(s->version, hex, sizeof s->version - 1);
    buf_done(&b);
}

static bool has_method(const struct auth_conf *auth, const char *name)
{
    for (size_t i = 0; i < auth->methods.n; i++) {
        if (slice_is(auth->methods.items[i].s, name))
            return true;
    }
    return false;
}

struct signin *signin_new(const struct signin_options *o)
{
    const struct auth_conf *auth = &o->manifest->auth;
    struct signin *s = mem_new(struct signin);
    s->options = *o;
    arena_init(&s->arena, 4u << 20);
    s->title = o->manifest->title.s;
    s->home = arena_printf(&s->arena, "%.*s/", SLICE_ARGS(o->mount));
    s->has_link = has_method(auth, "magic_link");
    s->has_password = has_method(auth, "password") || !s->has_link;
    s->is_open = slice_is(auth->signup.s, "open") && s->has_password;
    make_style(s);
    return s;
}

void signin_free(struct signin *s)
{
    if (!s)
        return;
    shared_unref(s->style);
    arena_done(&s->arena);
    free(s);
}

const struct route *signin_find(struct signin *s, struct req *rq)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (slice_is(rq->path, rows[i].path)) {
            rq->site = s;
            rq->wants_identity = i == 0;
            return &rows[i];
        }
    }
    return NULL;
}

bool signin_has(const struct route *row)
{
    return row >= rows && row < rows + ROWS;
}

/* ---- what pages load ------------------------------------------------------------------------- */

/* The address of a page's parts changes with what is in them. */
static const struct slice asset_lines =
    SLICE_INIT("Cache-Control: public, max-age=31536000, immutable\r\n"
               "X-Content-Type-Options: nosniff\r\n");

static bool style(struct req *rq, struct err *e)
{
    const struct signin *s = rq->site;
    (void)e;
    reply_prebuilt(rq, asset_lines);
    reply_header(rq, "Content-Type", SLICE("text/css; charset=utf-8"));
    return reply_shared(rq, 200, s->style, 0, s->style->len);
}

static bool script(struct req *rq, struct err *e)
{
    (void)e;
    reply_prebuilt(rq, asset_lines);
    return reply_bytes(rq, 200, "text/javascript; charset=utf-8",
                       embedded_get("sign-in/sign-in.js"));
}

/* ---- who asks -------------------------------------------------------------------------------- */

const struct identity *signin_who(struct req *rq, struct err *e)
{
    static const struct identity nobody;
    const struct identity *who = req_identity(rq, e);
    if (!who)
        return e->code == ERR_UNAUTHENTICATED ? &nobody : NULL;
    return who->is_key || who->is_local || who->is_of_job ? &nobody : who;
}

/* ---- errors of the whole page ---------------------------------------------------------------- */

static enum view_id view_of(int status)
{
    switch (status) {
    case 400:
    case 404:
        return VIEW_UNKNOWN;
    case 403:
        return VIEW_CROSS_SITE;
    case 429:
        return VIEW_TOO_MANY;
    case 503:
        return VIEW_BUSY;
    default:
        return VIEW_FAILED;
    }
}

bool signin_reply_error(struct signin *s, struct req *rq, int status)
{
    static const struct identity nobody;
    struct view v;
    rq->site = s;
    view_init(&v, view_of(status), rq);
    v.who = &nobody;
    v.status = status;
    return view_reply(&v);
}

bool signin_fail(struct req *rq, const struct err *e)
{
    int status = err_status(e->code);
    if (status >= 500 && status != 503)
        return false;
    int retry_s = e->retry_s ? e->retry_s : status == 503 ? 2 : 0;
    if (retry_s)
        reply_header(rq, "Retry-After", arena_printf(rq->arena, "%d", retry_s));
    return signin_reply_error(rq->site, rq, status);
}

/* ---- which view ------------------------------------------------------------------------------ */

/* The links in mails: what they hold names the view. */
static const struct {
    const char *name;
    enum view_id view;
} links[] = {
    {"reset", VIEW_RESET},
    {"magic", VIEW_MAGIC},
    {"verify", VIEW_VERIFY},
    {"operator", VIEW_OPERATOR},
};

static const struct {
    const char *name;
    enum view_id out, in; /* signed out, and in */
    enum word notice;
} dones[] = {
    {"signed-out", VIEW_SIGNED_OUT, VIEW_ACCOUNT, WORD_NO_WORD},
    {"link", VIEW_SENT_LINK, VIEW_SENT_LINK, WORD_SENT_HINT},
    {"reset", VIEW_SENT_RESET, VIEW_SENT_RESET, WORD_SENT_HINT},
    {"verify", VIEW_SIGN_IN, VIEW_ACCOUNT, WORD_SENT_VERIFY},
    {"verified", VIEW_CONFIRMED, VIEW_ACCOUNT, WORD_VERIFIED},
    {"password", VIEW_SIGN_IN, VIEW_ACCOUNT, WORD_PASSWORD_IS_SET},
    {"session", VIEW_SIGN_IN, VIEW_SESSIONS, WORD_SESSION_ENDED},
    {"deleted", VIEW_DELETED, VIEW_ACCOUNT, WORD_NO_WORD},
};

static bool param(struct req *rq, const char *name, struct slice *ret, struct err *e)
{
    return query_find(rq->query, slice_from(name), rq->arena, ret, e);
}

/* False: the query is malformed. */
static bool find_link(struct req *rq, struct view *v, struct err *e)
{
    for (size_t i = 0; i < sizeof links / sizeof *links && !v->token.len; i++) {
        v->id = links[i].view;
        if (!param(rq, links[i].name, &v->token, e))
            return false;
    }
    return true;
}

static void find_done(struct view *v, struct slice done)
{
    for (size_t i = 0; i < sizeof dones / sizeof *dones; i++) {
        if (slice_is(done, dones[i].name)) {
            v->id = v->who->is_signed_in ? dones[i].in : dones[i].out;
            v->notice = v->id == VIEW_CONFIRMED ? WORD_NO_WORD : dones[i].notice;
        }
    }
}

static bool is_of_account(enum view_id id)
{
    return id >= VIEW_ACCOUNT && id <= VIEW_DELETE;
}

/* What somebody asks for who is signed in already, or not yet. */
static enum view_id instead(const struct view *v)
{
    const struct signin *s = v->signin;
    bool is_in = v->who->is_signed_in;
    if (is_in && v->id <= VIEW_FORGOT)
        return VIEW_ACCOUNT;
    if (is_in)
        return v->id == VIEW_DELETE && v->who->is_operator ? VIEW_ACCOUNT : v->id;
    if (is_of_account(v->id) || (v->id == VIEW_LINK && !s->has_link) ||
        (v->id == VIEW_FORGOT && !s->has_password))
        return VIEW_SIGN_IN;
    if (v->id == VIEW_SIGN_UP && !s->is_open)
        return VIEW_CLOSED;
    return v->id == VIEW_SIGN_OUT ? VIEW_SIGNED_OUT : v->id;
}

static bool choose(struct req *rq, struct view *v, struct err *e)
{
    struct slice doing, done, next;
    if (!param(rq, "do", &doing, e) || !param(rq, "done", &done, e) ||
        !param(rq, "next", &next, e) || !find_link(rq, v, e))
        return false;
    v->next = accounts_next(next, rq->arena);
    if (v->token.len)
        return true;
    v->id = v->who->is_signed_in      ? VIEW_ACCOUNT
            : v->signin->has_password ? VIEW_SIGN_IN
                                      : VIEW_LINK;
    if (doing.len && !view_by_name(doing, &v->id))
        return err_set(e, ERR_MALFORMED, "There is no such form.");
    if (done.len)
        find_done(v, done);
    enum view_id wanted = v->id;
    v->id = instead(v);
    if (v->id == VIEW_SIGN_IN && is_of_account(wanted) && !v->next.len)
        v->next = arena_printf(rq->arena, "%.*s" SIGNIN_PATH "?do=%.*s", SLICE_ARGS(rq->mount),
                               SLICE_ARGS(doing));
    return true;
}

bool signin_fill(struct view *v, struct err *e)
{
    struct accounts *acc = v->signin->options.accounts;
    struct session_row *sessions = NULL;
    if (!v->who->is_signed_in || !is_of_account(v->id))
        return true;
    if (!accounts_get(acc, v->rq->arena, v->who->id, &v->account, e))
        return false;
    if (v->id == VIEW_SESSIONS &&
        !accounts_sessions(acc, v->rq->arena, v->who->id, &sessions, &v->n_sessions, e))
        return false;
    v->sessions = sessions;
    return true;
}

static bool get(struct req *rq, struct err *e)
{
    struct view v;
    view_init(&v, VIEW_SIGN_IN, rq);
    v.who = signin_who(rq, e);
    if (!v.who || !choose(rq, &v, e))
        return false;
    view_settle(&v);
    if (v.who->is_signed_in && !rq->is_on_lane)
        return req_move(rq, RUN_READ);
    return signin_fill(&v, e) && view_reply(&v);
}

static bool page(struct req *rq, struct err *e)
{
    bool is_done = rq->method == METHOD_POST ? signin_post(rq, e) : get(rq, e);
    return is_done || signin_fail(rq, e);
}
