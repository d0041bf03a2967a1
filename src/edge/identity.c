/* What the backend is told about who asks: the value of backend.identity's header, made from its
 * template, and what of the client's own credentials is dais's and stays here. */
#include "base/json.h"
#include "edge/edge_impl.h"

#define ID_MAX    128
#define VALUE_MAX 8192 /* longer lines are refused by most backends */

bool identity_id_is_safe(struct slice id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        bool is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
        if (!is_fine)
            return false;
    }
    return id.len > 0 && id.len <= ID_MAX;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* In a value with other text an address must not look like more of that text. */
static bool email_is_safe(struct slice email)
{
    for (size_t i = 0; i < email.len; i++) {
        char c = email.ptr[i];
        if ((unsigned char)c <= ' ' || (unsigned char)c >= 0x7f || c == ',' || c == ';' ||
            c == '"' || c == '=' || c == '<' || c == '>' || c == '\\')
            return false;
    }
    return true;
}

static void add_roles(struct buf *to, const struct identity *who)
{
    size_t start = to->len;
    for (size_t i = 0; i < who->n_roles; i++) {
        if (!identity_id_is_safe(who->roles[i])) /* no comma within */
            continue;
        if (to->len > start)
            buf_add_char(to, ',');
        buf_add(to, who->roles[i]);
    }
}

static void write_text(struct json_writer *w, const char *key, struct slice value)
{
    json_write_key(w, slice_from(key));
    json_write_str(w, value);
}

/* Where the app is reached, so that what follows it finds /_/jwks.json. */
static struct slice issuer(const struct req *rq, const struct edge *g)
{
    struct slice base = g->public_url;
    while (base.len && base.ptr[base.len - 1] == '/')
        base.len--;
    if (base.len)
        return arena_printf(rq->arena, "%.*s%.*s", SLICE_ARGS(base), SLICE_ARGS(rq->mount));
    return arena_printf(rq->arena, "%s://%.*s%.*s", rq->is_secure ? "https" : "http",
                        SLICE_ARGS(rq->h1->host), SLICE_ARGS(rq->mount));
}

static void add_token(struct buf *to, const struct req *rq, const struct edge *g,
                      const struct identity *who)
{
    struct buf claims;
    struct json_writer w;
    buf_init(&claims, VALUE_MAX);
    json_writer_init(&w, &claims, 0);
    json_write_object(&w);
    write_text(&w, "iss", issuer(rq, g));
    write_text(&w, "aud", g->app);
    write_text(&w, "sub", who->id);
    write_text(&w, "email", who->email);
    write_text(&w, "name", who->name);
    json_write_key(&w, SLICE("roles"));
    json_write_array(&w);
    for (size_t i = 0; i < who->n_roles; i++)
        json_write_str(&w, who->roles[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    to->full |= claims.full;
    if (!claims.full)
        tokens_add(g->tokens, buf_slice(&claims), clock_wall_ms() / 1000, to);
    buf_done(&claims);
}

/* Takes the text up to a placeholder, and the placeholder, off *rest; false: none is left. */
static bool next_placeholder(struct slice *rest, struct slice *ret_before, struct slice *ret_name)
{
    ptrdiff_t open = slice_index(*rest, '{');
    ptrdiff_t shut = open < 0 ? -1 : slice_index(slice_skip(*rest, (size_t)open), '}');
    *ret_before = open < 0 ? *rest : slice_first(*rest, (size_t)open);
    if (shut < 0)
        return false;
    *ret_name = slice_first(slice_skip(*rest, (size_t)open + 1), (size_t)shut - 1);
    *rest = slice_skip(*rest, (size_t)(open + shut + 1));
    return true;
}

static bool add_value(struct buf *to, const struct req *rq, const struct edge *g,
                      const struct identity *who)
{
    bool is_fine = identity_id_is_safe(who->id);
    struct slice rest = g->conf->identity.value.s, before, name;
    while (next_placeholder(&rest, &before, &name)) {
        buf_add(to, before);
        if (slice_is(name, "user.id"))
            buf_add(to, who->id);
        else if (slice_is(name, "user.email")) {
            is_fine &= email_is_safe(who->email);
            buf_add(to, who->email);
        } else if (slice_is(name, "user.name"))
            buf_add(to, who->name);
        else if (slice_is(name, "user.roles"))
            add_roles(to, who);
        else
            add_token(to, rq, g, who); /* {jwt}: the manifest was checked */
    }
    buf_add(to, before);
    return is_fine && !to->full && header_value_is_valid(buf_slice(to));
}

bool identity_value(struct req *rq, const struct edge *g, struct slice *ret, struct err *e)
{
    *ret = (struct slice){0};
    if (!g->conf->identity.header.s.len)
        return true;
    const struct identity *who = req_identity(rq, e);
    if (!who)
        return false;
    bool is_app = who->is_of_job && !who->id.len; /* nobody in particular */
    if (!who->is_signed_in || is_app || !edge_scope_covers(rq, who))
        return true;
    struct buf value;
    buf_init(&value, VALUE_MAX);
    bool is_fine = add_value(&value, rq, g, who);
    if (is_fine)
        *ret = arena_dup(rq->arena, buf_slice(&value));
    buf_done(&value);
    return is_fine ||
           err_set(e, ERR_FORBIDDEN,
                   "Your account's id, name or address cannot be passed on to this app.");
}

/* ---- what a client brings -------------------------------------------------------------------- */

static char plain(char c)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return is_letter ? (char)(c | 0x20) : c >= '0' && c <= '9' ? c : '_';
}

bool identity_is_header(struct slice name, struct slice header)
{
    if (name.len != header.len)
        return false;
    size_t n = 0;
    while (n < name.len && plain(name.ptr[n]) == plain(header.ptr[n]))
        n++;
    return header.len && n == header.len;
}

/* Whatever the scheme is called and parted by: no token of ours leaves. */
bool identity_is_own_bearer(struct slice authorization)
{
    for (size_t i = 0; i < authorization.len; i++) {
        bool is_start =
            i == 0 || authorization.ptr[i - 1] == ' ' || authorization.ptr[i - 1] == '\t';
        struct slice rest = slice_skip(authorization, i);
        if (is_start && (slice_starts(rest, SLICE("dst_")) || slice_starts(rest, SLICE("dak_")) ||
                         slice_starts(rest, SLICE("djt_"))))
            return true;
    }
    return false;
}

bool identity_is_cookie(struct slice piece, struct slice own)
{
    struct slice name;
    return slice_cut(&piece, '=', &name) && slice_eq_nocase(slice_trim(name), own);
}

struct slice identity_other_cookies(struct slice line, struct slice own, struct arena *a)
{
    struct slice rest = line, piece;
    bool is_there = false;
    while (slice_cut(&rest, ';', &piece))
        is_there |= identity_is_cookie(piece, own);
    if (!is_there)
        return line;
    struct buf kept;
    buf_init(&kept, line.len + 1);
    for (rest = line; slice_cut(&rest, ';', &piece);) {
        if (identity_is_cookie(piece, own))
            continue;
        if (kept.len)
            buf_add_char(&kept, ';');
        else
            piece = slice_trim(piece);
        buf_add(&kept, piece);
    }
    struct slice text = arena_dup(a, slice_trim(buf_slice(&kept)));
    buf_done(&kept);
    return text;
}
