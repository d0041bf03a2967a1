/* A view as HTML: its heading, its form, and where else to go from here. */
#include "signin/signin_impl.h"

#include "base/clock.h"
#include "base/embedded.h"
#include "base/template.h"

#include <string.h>

#define PAGE_MAX     (1u << 20)
#define SESSIONS_MAX 200 /* shown; all can be ended */

static const char *const texts[] = {
#define X(id, text) [WORD_##id] = (text),
    WORD_MAP(X)
#undef X
};

static const struct {
    const char *name;
    enum word heading, lead, button;
    unsigned fields;
} views[] = {
#define X(id, name, heading, lead, button, fields) \
    {name, WORD_##heading, WORD_##lead, WORD_##button, fields},
    VIEW_MAP(X)
#undef X
};

static const struct {
    const char *name, *type, *autocomplete;
    unsigned most;
} inputs[] = {
#define X(id, name, type, autocomplete, most) {name, type, autocomplete, most},
    FIELD_MAP(X)
#undef X
};

const char *word_text(enum word id)
{
    return texts[id];
}

static struct slice word(enum word id)
{
    return slice_from(texts[id]);
}

/* The word with the app's title, or another text, in it. */
static struct slice word_with(struct arena *a, enum word id, struct slice text)
{
    struct buf b;
    buf_init(&b, 16u << 10);
    buf_add_replacing(&b, word(id), SLICE("%s"), text);
    struct slice made = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return made;
}

/* ---- filling templates ----------------------------------------------------------------------- */

/* A list that is there or not, with a text or without. */
struct part {
    struct template_value value;
    struct template_row row;
};

static struct template_list part_list(struct part *p, const char *name, struct slice text)
{
    p->value = (struct template_value){"text", text};
    p->row = (struct template_row){&p->value, 1};
    return (struct template_list){name, &p->row, text.len ? 1 : 0};
}

static void add(struct buf *out, const char *page, const struct template_value *values, size_t n,
                const struct template_list *lists, size_t n_lists)
{
    template_render(out, embedded_get(page), &(struct template_data){values, n, lists, n_lists});
}
#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- a view ---------------------------------------------------------------------------------- */

void view_init(struct view *v, enum view_id id, struct req *rq)
{
    static const struct identity nobody;
    *v = (struct view){.id = id, .signin = rq->site, .rq = rq, .status = 200, .who = &nobody};
}

bool view_by_name(struct slice name, enum view_id *ret)
{
    for (int i = 0; i < VIEWS; i++) {
        if (name.len && slice_is(name, views[i].name)) {
            *ret = (enum view_id)i;
            return true;
        }
    }
    return false;
}

void view_settle(struct view *v)
{
    v->fields = views[v->id].fields;
    v->lead = views[v->id].lead;
    if (v->id == VIEW_VERIFY && v->who->is_signed_in)
        v->fields = 0;
    else if (v->id == VIEW_VERIFY)
        v->lead = WORD_VERIFY_PASSWORD_LEAD;
}

static bool has_password(const struct view *v)
{
    return v->account.has_password;
}

/* What an account without a password is not asked for. */
static void settle_account(struct view *v)
{
    if ((v->id == VIEW_CHANGE || v->id == VIEW_DELETE) && !has_password(v))
        v->fields &= ~WITH(PASSWORD);
    if (v->id == VIEW_CHANGE && !has_password(v))
        v->lead = WORD_PASSWORD_SET_LEAD;
}

static struct slice address(const struct view *v, const char *query)
{
    struct arena *a = v->rq->arena;
    struct buf b;
    buf_init(&b, 64u << 10);
    buf_printf(&b, "%.*s" SIGNIN_PATH "%s%s", SLICE_ARGS(v->signin->options.mount),
               *query ? "?" : "", query);
    if (v->next.len) {
        buf_add_str(&b, *query ? "&next=" : "?next=");
        percent_encode(&b, v->next);
    }
    struct slice made = arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return made;
}

/* ---- its head -------------------------------------------------------------------------------- */

static struct slice initial(struct slice title)
{
    size_t n = title.len ? utf8_length(title) : 0;
    return n ? slice_first(title, n) : SLICE("?");
}

static void add_head(struct buf *out, const struct view *v)
{
    const struct signin *s = v->signin;
    struct arena *a = v->rq->arena;
    struct slice heading = word(views[v->id].heading);
    bool is_bad = v->error.len;
    for (int i = 0; i < FIELDS; i++)
        is_bad |= v->wrong[i].len > 0;
    const struct template_value values[] = {
        {"heading", heading},
        {"app", s->title},
        {"home", s->home},
        {"initial", initial(s->title)},
        {"base", arena_printf(a, "%.*s" SIGNIN_PATH, SLICE_ARGS(s->options.mount))},
        {"version", slice_from(s->version)},
        {"empty", word(WORD_WRONG_EMPTY)},
        {"email", word(WORD_WRONG_EMAIL)},
        {"short", word(WORD_WRONG_SHORT)},
        {"show", word(WORD_SHOW)},
        {"hide", word(WORD_HIDE)},
    };
    struct part parts[4];
    const struct template_list lists[] = {
        part_list(&parts[0], "lead", word(v->lead)),
        part_list(&parts[1], "notice", word(v->notice)),
        part_list(&parts[2], "error", v->error),
        part_list(&parts[3], "bad", is_bad ? word(WORD_FAILED) : SLICE("")),
    };
    add(out, "sign-in/head.html", values, COUNT(values), lists, COUNT(lists));
}

/* ---- its form -------------------------------------------------------------------------------- */

static enum word label_of(const struct view *v, enum field field)
{
    switch (field) {
    case FIELD_EMAIL:
        return WORD_LABEL_EMAIL;
    case FIELD_PASSWORD:
        return v->id == VIEW_CHANGE ? WORD_LABEL_PASSWORD_NOW : WORD_LABEL_PASSWORD;
    case FIELD_NEW:
        return v->id == VIEW_CHANGE || v->id == VIEW_RESET ? WORD_LABEL_PASSWORD_NEW
                                                           : WORD_LABEL_PASSWORD;
    default:
        return WORD_LABEL_NAME;
    }
}

/* The first that is wrong, else the first that is empty. */
static bool has_focus(const struct view *v, enum field field)
{
    int first = -1, wrong = -1;
    for (int i = FIELDS - 1; i >= 0; i--) {
        if (!(v->fields & 1u << i))
            continue;
        if (!v->values[i].len)
            first = i;
        if (v->wrong[i].len)
            wrong = i;
    }
    return (int)field == (wrong >= 0 ? wrong : first);
}

static struct slice when(bool is)
{
    return is ? SLICE(" ") : SLICE("");
}

static void add_field(struct buf *out, const struct view *v, enum field field)
{
    struct arena *a = v->rq->arena;
    bool is_new = field == FIELD_NEW, is_optional = field == FIELD_NAME;
    const struct template_value values[] = {
        {"name", slice_from(inputs[field].name)},
        {"label", word(label_of(v, field))},
        {"type", slice_from(inputs[field].type)},
        {"autocomplete", slice_from(inputs[field].autocomplete)},
        {"most", arena_printf(a, "%u", inputs[field].most)},
        {"wrong", v->wrong[field]},
    };
    struct part p[7];
    const struct template_list lists[] = {
        part_list(&p[0], "value", v->values[field]),
        part_list(&p[1], "required", when(!is_optional)),
        part_list(&p[2], "least", is_new ? SLICE("8") : SLICE("")),
        part_list(&p[3], "focus", when(has_focus(v, field))),
        part_list(&p[4], "bad", when(v->wrong[field].len > 0)),
        part_list(&p[5], "hint", is_new ? word(WORD_HINT_PASSWORD) : SLICE("")),
        part_list(&p[6], "plain", when(field == FIELD_EMAIL)),
    };
    add(out, "sign-in/field.html", values, COUNT(values), lists, COUNT(lists));
}

static void begin_form(struct buf *out, const struct view *v, const char *doing,
                       struct slice session)
{
    const struct template_value values[] = {
        {"action", address(&(struct view){.signin = v->signin, .rq = v->rq}, "")},
        {"do", slice_from(doing)}};
    bool is_change = v->id == VIEW_CHANGE && *doing == 'p';
    bool is_row = session.len > 0; /* one of hundreds: what a client sent is not in each */
    struct part p[4];
    const struct template_list lists[] = {
        part_list(&p[0], "next", is_row ? SLICE("") : v->next),
        part_list(&p[1], "token", is_row ? SLICE("") : v->token),
        part_list(&p[2], "session", session),
        part_list(&p[3], "username", is_change ? v->account.email : SLICE("")),
    };
    add(out, "sign-in/form.html", values, COUNT(values), lists, COUNT(lists));
}

/* look: "main", "plain" or "danger" */
static void end_form(struct buf *out, struct slice button, const char *look, struct slice label)
{
    const struct template_value values[] = {{"button", button}, {"look", slice_from(look)}};
    struct part p;
    const struct template_list lists[] = {part_list(&p, "label", label)};
    add(out, "sign-in/submit.html", values, COUNT(values), lists, COUNT(lists));
}

static void add_form(struct buf *out, const struct view *v)
{
    enum word button = views[v->id].button;
    if (button == WORD_NO_WORD)
        return;
    if (v->id == VIEW_CHANGE && !has_password(v))
        button = WORD_PASSWORD_SET_DO;
    begin_form(out, v, views[v->id].name, SLICE(""));
    for (int i = 0; i < FIELDS; i++) {
        if (v->fields & 1u << i)
            add_field(out, v, (enum field)i);
    }
    end_form(out, word(button), v->id == VIEW_DELETE ? "danger" : "main", SLICE(""));
}

/* ---- of who is signed in --------------------------------------------------------------------- */

static void add_account(struct buf *out, const struct view *v)
{
    const struct account *acc = &v->account;
    struct arena *a = v->rq->arena;
    struct slice first = acc->name.len ? acc->name : acc->email;
    const struct template_value values[] = {
        {"as", word(WORD_SIGNED_IN_AS)},
        {"first", first.len ? first : v->who->id},
        {"initial", initial(first.len ? first : v->who->id)},
    };
    const struct template_value on[] = {
        {"to", v->next.len ? v->next : v->signin->home},
        {"continue", word_with(a, WORD_CONTINUE, v->signin->title)},
    };
    struct part p[3];
    const struct template_list lists[] = {
        part_list(&p[0], "email", acc->name.len ? acc->email : SLICE("")),
        part_list(&p[1], "operator", v->who->is_operator ? word(WORD_OPERATOR_OF) : SLICE("")),
        part_list(&p[2], "unverified", acc->verified_ms ? SLICE("") : word(WORD_UNVERIFIED)),
    };
    add(out, "sign-in/account.html", values, COUNT(values), lists, COUNT(lists));
    if (!acc->verified_ms && !v->who->is_operator) {
        begin_form(out, v, "verify-again", SLICE(""));
        end_form(out, word(WORD_VERIFY_AGAIN), "link", SLICE(""));
    }
    add(out, "sign-in/continue.html", on, COUNT(on), NULL, 0);
    begin_form(out, v, "sign-out", SLICE(""));
    end_form(out, word(WORD_SIGN_OUT_DO), "plain", SLICE(""));
}

/* What a program says it is, in two words; the first that is in its text. */
static const struct {
    const char *in, *name;
} programs[] = {{"Edg/", "Edge"},          {"OPR/", "Opera"},     {"Firefox/", "Firefox"},
                {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
                {"curl/", "curl"}},
  systems[] = {{"iPhone", "iPhone"},   {"iPad", "iPad"},    {"Android", "Android"},
               {"Windows", "Windows"}, {"Mac OS", "macOS"}, {"CrOS", "ChromeOS"},
               {"Linux", "Linux"}};

static struct slice agent_name(struct slice agent, struct arena *a)
{
    const char *program = NULL, *system = NULL;
    for (size_t i = 0; !program && i < COUNT(programs); i++) {
        if (slice_search(agent, slice_from(programs[i].in)) >= 0)
            program = programs[i].name;
    }
    for (size_t i = 0; !system && i < COUNT(systems); i++) {
        if (slice_search(agent, slice_from(systems[i].in)) >= 0)
            system = systems[i].name;
    }
    if (program && system)
        return arena_printf(a, "%s %s %s", program, word_text(WORD_ON_SYSTEM), system);
    return program || system ? slice_from(program ? program : system) : word(WORD_UNKNOWN_PROGRAM);
}

static void add_session(struct buf *out, const struct view *v, const struct session_row *row)
{
    struct arena *a = v->rq->arena;
    char *time = arena_alloc(a, RFC3339_LEN + 1);
    bool is_this = slice_eq(row->id, v->who->session);
    struct slice name = agent_name(row->agent, a);
    clock_rfc3339(row->created_ms, time);
    const struct template_value values[] = {
        {"name", name},
        {"ip", row->ip},
        {"since", word(WORD_SESSIONS_SINCE)},
        {"time", slice_from(time)},
        {"day", slice_first(slice_from(time), sizeof "2026-01-02" - 1)},
    };
    struct part p;
    const struct template_list lists[] = {
        part_list(&p, "this", is_this ? word(WORD_SESSIONS_THIS) : SLICE(""))};
    add(out, "sign-in/session.html", values, COUNT(values), lists, COUNT(lists));
    if (!is_this) {
        begin_form(out, v, "end-session", row->id);
        end_form(out, word(WORD_SESSIONS_END), "plain", word_with(a, WORD_SESSIONS_END_OF, name));
    }
    buf_add(out, SLICE("</li>\n"));
}

static void add_sessions(struct buf *out, const struct view *v)
{
    buf_add(out, SLICE("<ul class=\"sessions\">\n"));
    for (size_t i = 0; i < v->n_sessions && i < SESSIONS_MAX; i++)
        add_session(out, v, &v->sessions[i]);
    buf_add(out, SLICE("</ul>\n"));
    begin_form(out, v, "end-sessions", SLICE(""));
    end_form(out, word(WORD_SESSIONS_DO), "danger", SLICE(""));
}

/* ---- where else to go ------------------------------------------------------------------------ */

struct way {
    const char *query; /* NULL: to the app */
    enum word text;
};

/* Up to four, the likeliest first. */
static size_t ways_of(const struct view *v, struct way to[4])
{
    const struct signin *s = v->signin;
    size_t n = 0;
    switch (v->id) {
    case VIEW_SIGN_IN:
        to[n++] = (struct way){"do=forgot", WORD_TO_FORGOT};
        if (s->has_link)
            to[n++] = (struct way){"do=link", WORD_TO_LINK};
        if (s->is_open)
            to[n++] = (struct way){"do=sign-up", WORD_TO_SIGN_UP};
        return n;
    case VIEW_SIGN_UP:
        to[n++] = (struct way){"do=sign-in", WORD_TO_SIGN_IN_HAVE};
        return n;
    case VIEW_LINK:
        to[n++] = (struct way){"do=sign-in", WORD_TO_SIGN_IN_PASSWORD};
        if (s->is_open)
            to[n++] = (struct way){"do=sign-up", WORD_TO_SIGN_UP};
        return n;
    case VIEW_ACCOUNT:
        to[n++] = (struct way){"do=password", WORD_TO_PASSWORD};
        to[n++] = (struct way){"do=sessions", WORD_TO_SESSIONS};
        if (!v->who->is_operator)
            to[n++] = (struct way){"do=delete", WORD_TO_DELETE};
        return n;
    case VIEW_CHANGE:
    case VIEW_SESSIONS:
    case VIEW_DELETE:
        to[n++] = (struct way){"do=account", WORD_TO_ACCOUNT};
        return n;
    case VIEW_BAD_LINK:
        if (v->lead == WORD_BAD_LINK_LEAD) {
            if (s->has_password)
                to[n++] = (struct way){"do=forgot", WORD_TO_FORGOT};
            if (s->has_link)
                to[n++] = (struct way){"do=link", WORD_TO_LINK};
        }
        break;
    case VIEW_SENT_LINK:
        to[n++] = (struct way){"do=link", WORD_TO_FORGOT_AGAIN};
        break;
    case VIEW_SENT_RESET:
        to[n++] = (struct way){"do=forgot", WORD_TO_FORGOT_AGAIN};
        break;
    case VIEW_SIGN_OUT:
    case VIEW_DELETED:
        to[n++] = (struct way){NULL, WORD_TO_APP};
        return n;
    default:
        break;
    }
    to[n++] = (struct way){"", WORD_TO_SIGN_IN};
    return n;
}

static void add_ways(struct buf *out, const struct view *v)
{
    struct way ways[4];
    struct template_value values[4][2];
    struct template_row rows[4];
    size_t n = ways_of(v, ways);
    for (size_t i = 0; i < n; i++) {
        struct slice href = ways[i].query                           ? address(v, ways[i].query)
                            : v->id == VIEW_SIGN_OUT && v->next.len ? v->next
                                                                    : v->signin->home;
        values[i][0] = (struct template_value){"href", href};
        values[i][1] = (struct template_value){
            "text", word_with(v->rq->arena, ways[i].text, v->signin->title)};
        rows[i] = (struct template_row){values[i], 2};
    }
    const struct template_list lists[] = {{"ways", rows, n}};
    add(out, "sign-in/foot.html", NULL, 0, lists, COUNT(lists));
}

/* ---- answers --------------------------------------------------------------------------------- */

/* strict-origin: no address with a token in it is told to anybody; with no-referrer, browsers
 * without Sec-Fetch-Site (all of them where there is no TLS) would say that a form came from
 * "null". */
static const struct slice page_lines =
    SLICE_INIT("Cache-Control: no-store\r\n"
               "Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; "
               "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n"
               "Referrer-Policy: strict-origin\r\n"
               "X-Content-Type-Options: nosniff\r\n"
               "X-Frame-Options: DENY\r\n");

bool view_reply(struct view *v)
{
    struct buf b;
    buf_init(&b, PAGE_MAX);
    if (!v->lead && !v->fields)
        view_settle(v);
    settle_account(v);
    add_head(&b, v);
    add_form(&b, v);
    if (v->id == VIEW_ACCOUNT)
        add_account(&b, v);
    if (v->id == VIEW_SESSIONS)
        add_sessions(&b, v);
    add_ways(&b, v);
    struct slice text = arena_dup(v->rq->arena, buf_slice(&b));
    bool is_whole = !b.full;
    buf_done(&b);
    must(is_whole);
    reply_prebuilt(v->rq, page_lines);
    return reply_bytes(v->rq, v->status, "text/html; charset=utf-8", text);
}

static bool go_to(struct req *rq, struct slice where)
{
    reply_prebuilt(rq, page_lines);
    reply_header(rq, "Location", where);
    return reply_bytes(rq, 303, "text/plain; charset=utf-8", SLICE("It is elsewhere.\n"));
}

bool view_go(struct req *rq, const char *query, struct slice next)
{
    struct view v;
    view_init(&v, VIEW_SIGN_IN, rq);
    v.next = next;
    return go_to(rq, address(&v, query));
}

bool view_leave(struct req *rq, struct slice next)
{
    const struct signin *s = rq->site;
    return go_to(rq, next.len ? next : s->home);
}
