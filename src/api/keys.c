/* Keys of programs: made, listed, removed by the account they act for. The key itself is in the
 * answer that makes it and nowhere else. */
#include "api/auth_impl.h"

#include "base/clock.h"

#define SCOPES_MAX 100

static bool keys(struct req *rq, struct err *e);
static bool key(struct req *rq, struct err *e);

const struct route key_routes[] = {
    {"/keys", "keys", ON_GET | ON_POST, keys, .max_body = AUTH_BODY_MAX},
    {"/keys/{id}", "key", ON_DELETE, key, .run = RUN_SLOW, .max_body = AUTH_BODY_MAX},
};
const size_t n_key_routes = sizeof key_routes / sizeof *key_routes;

/* An app's own key has no account: it is who it is. */
static struct slice account_of(const struct identity *who)
{
    return who->is_key && slice_eq(who->id, who->session) ? SLICE("") : who->id;
}

/* ---- as they are sent ------------------------------------------------------------------------ */

static void write_text(struct json_writer *w, const char *name, struct slice value)
{
    json_write_key(w, slice_from(name));
    json_write_str(w, value);
}

void key_write(struct json_writer *w, const struct key_row *row, const char *token)
{
    json_write_object(w);
    if (token)
        write_text(w, "key", slice_from(token));
    write_text(w, "id", row->id);
    write_text(w, "name", row->name);
    write_text(w, "hint", row->hint);
    json_write_key(w, SLICE("scopes"));
    json_write_array(w);
    for (size_t i = 0; i < row->n_scopes; i++)
        json_write_str(w, row->scopes[i]);
    json_write_array_end(w);
    auth_write_time(w, "created", row->created_ms);
    auth_write_time(w, "expires", row->expires_ms);
    auth_write_time(w, "used", row->used_ms);
    json_write_object_end(w);
}

/* ---- what is asked for ----------------------------------------------------------------------- */

/* Does the key that asks have this itself? `read` is all of read:NAME. */
static bool has_scope(const struct identity *who, struct slice scope)
{
    struct slice rest = scope, head;
    return identity_has_scope(who, scope) ||
           (slice_cut(&rest, ':', &head) && identity_has_scope(who, head));
}

static bool read_scope(struct req *rq, const struct identity *who, struct json_iter it,
                       struct slice *ret, struct err *e)
{
    const struct api *a = rq->site;
    const char *pointer = arena_printf(rq->arena, "/scopes/%u", it.index).ptr;
    if (json_type(it.value) != JSON_STRING)
        return auth_tell(rq, pointer, "type", "A scope is a string.", e);
    *ret = json_str(it.value);
    if (!scope_is_good(a->manifest, *ret))
        return auth_tell(rq, pointer, "invalid",
                         "A scope is read, write, read:COLLECTION, write:COLLECTION, jobs, files "
                         "or admin.",
                         e);
    return has_scope(who, *ret) ||
           err_set(e, ERR_FORBIDDEN, "A key makes no other key that may do more than itself.");
}

static bool read_scopes(struct req *rq, const struct identity *who, const struct json *list,
                        struct key_row *row, struct err *e)
{
    if (list && json_type(list) != JSON_ARRAY)
        return auth_tell(rq, "/scopes", "type", "`scopes` has to be a list of strings.", e);
    if (!json_len(list))
        return auth_tell(rq, "/scopes", "required", "`scopes` is missing.", e);
    if (json_len(list) > SCOPES_MAX)
        return auth_tell(rq, "/scopes", "invalid", "A key has at most 100 scopes.", e);
    struct slice *scopes = arena_alloc(rq->arena, json_len(list) * sizeof *scopes);
    json_each (it, list) {
        if (!read_scope(rq, who, it, &scopes[row->n_scopes++], e))
            return false;
    }
    row->scopes = scopes;
    return true;
}

/* A time to come; a key's own end is the end of those it makes. */
static bool read_expires(struct req *rq, const struct identity *who, const struct json *body,
                         struct key_row *row, struct err *e)
{
    struct slice text;
    if (!auth_text(rq, body, "expires", false, &text, e))
        return false;
    if (text.len && (!clock_parse_rfc3339(text.ptr, text.len, &row->expires_ms) ||
                     row->expires_ms <= clock_wall_ms()))
        return auth_tell(rq, "/expires", "invalid",
                         "`expires` is a time to come, such as 2030-01-31T00:00:00Z.", e);
    if (!who->is_key)
        return true;
    struct key_row *rows;
    size_t n;
    const struct api *a = rq->site;
    if (!keys_list(a->accounts, rq->arena, account_of(who), false, &rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        int64_t end = slice_eq(rows[i].id, who->session) ? rows[i].expires_ms : 0;
        if (end && (!row->expires_ms || row->expires_ms > end))
            return err_set(e, ERR_FORBIDDEN, "A key makes no other key that lives longer.");
    }
    return true;
}

static bool add(struct req *rq, struct accounts *acc, const struct identity *who, struct err *e)
{
    const struct json *body = auth_body(rq, e);
    struct asker from = asker_of(rq);
    struct key_row row = {.user = account_of(who)};
    struct key_made made = {0};
    struct json_writer w;
    struct buf b;
    if (!body || !auth_text(rq, body, "name", true, &row.name, e) ||
        !read_scopes(rq, who, json_find(body, SLICE("scopes")), &row, e) ||
        !read_expires(rq, who, body, &row, e))
        return false;
    if (!auth_is_name(row.name))
        return auth_tell(rq, "/name", "invalid",
                         "A name is text of at most 200 bytes, without control characters.", e);
    if (!row.user.len) {
        row.roles = who->roles;
        row.n_roles = who->n_roles;
    }
    if (!keys_add(acc, rq->arena, &row, &from, &made, e))
        return false;
    buf_init(&b, 64u << 10);
    json_writer_init(&w, &b, 0);
    key_write(&w, &made.row, made.token);
    return auth_reply(rq, 201, &b);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool list(struct req *rq, struct accounts *acc, const struct identity *who, struct err *e)
{
    struct key_row *rows;
    struct json_writer w;
    struct buf b;
    size_t n;
    if (!keys_list(acc, rq->arena, account_of(who), false, &rows, &n, e))
        return false;
    buf_init(&b, 16u << 20);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("items"));
    json_write_array(&w);
    for (size_t i = 0; i < n; i++)
        key_write(&w, &rows[i], NULL);
    json_write_array_end(&w);
    json_write_object_end(&w);
    return auth_reply(rq, 200, &b);
}

static bool keys(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, NULL, e);
    const struct identity *who = acc ? auth_who(rq, e) : NULL;
    bool is_new = rq->method == METHOD_POST;
    if (!who)
        return false;
    if (auth_moves(rq, is_new ? RUN_SLOW : RUN_READ))
        return true;
    return is_new ? add(rq, acc, who, e) : list(rq, acc, who, e);
}

static bool key(struct req *rq, struct err *e)
{
    struct accounts *acc = auth_begin(rq, NULL, e);
    const struct identity *who = acc ? auth_who(rq, e) : NULL;
    struct asker from = asker_of(rq);
    struct slice id = req_param(rq, "id");
    if (!who)
        return false;
    if (!auth_is_id(id))
        return err_set(e, ERR_NOT_FOUND, "There is no such key of yours.");
    return keys_remove(acc, account_of(who), false, id, &from, e) && reply_empty(rq, 204);
}
