/* Files: listed, sent, removed, changed, and shared by links. What comes in is in upload.c. */
#include "api/files_impl.h"

#include "base/clock.h"

#include <string.h>

static bool on_bucket(struct req *rq, struct err *e);
static bool on_file(struct req *rq, struct err *e);

const struct route file_routes[] = {
    {.path = "/files/{bucket}",
     .name = "files",
     .methods = ON_GET | ON_POST,
     .handle = on_bucket,
     .max_body = FILES_BODY_MAX},
    {.path = "/files/{bucket}/*",
     .name = "file",
     .methods = ON_GET | ON_PUT | ON_PATCH | ON_DELETE | ON_POST,
     .handle = on_file,
     .max_body = FILES_BODY_MAX},
};
const size_t n_file_routes = sizeof file_routes / sizeof *file_routes;

const struct route *file_route_of(const struct route *row, const struct req *rq)
{
    if (row == &file_routes[1] && rq->method == METHOD_PUT)
        return &file_put_route;
    if (row == &file_routes[0] && rq->method == METHOD_POST)
        return &file_form_route;
    return row;
}

/* ---- which file, and who asks ---------------------------------------------------------------- */

#define SIGN_END SLICE("/sign")

/* What follows "/api/files/BUCKET/". */
static struct slice rest_of(const struct req *rq)
{
    const struct api *a = rq->site;
    struct slice bucket = req_param(rq, "bucket");
    return slice_skip(rq->path, a->manifest->api.s.len + sizeof "files/" - 1 + bucket.len + 1);
}

/* Of a file: BUCKET/sign asks for a link to none. */
static bool is_signing(const struct req *rq)
{
    return rq->method == METHOD_POST && slice_ends(rest_of(rq), SIGN_END);
}

static struct slice path_of(const struct req *rq)
{
    struct slice path = rest_of(rq);
    return is_signing(rq) ? slice_first(path, path.len - SIGN_END.len) : path;
}

bool file_has_link(const struct req *rq)
{
    struct slice rest = rq->query, name, value;
    while (query_next(&rest, &name, &value)) {
        if (slice_is(name, "sig"))
            return true;
    }
    return false;
}

/* Of a link's `by`: whoever is no account of the app. */
#define BY_OPERATOR SLICE("operator:")
#define BY_KEY      SLICE("key:")

/* An operator, or a key of the app itself, vouches as long as it is there. */
static bool still_vouches(const struct file_asked *q, struct slice by)
{
    const struct api *a = q->api;
    struct account account;
    struct err e;
    if (slice_starts(by, BY_KEY))
        return a->accounts && keys_find(a->accounts, slice_skip(by, BY_KEY.len), &e);
    return a->operators &&
           accounts_get(a->operators, q->arena, slice_skip(by, BY_OPERATOR.len), &account, &e) &&
           account.state == ACCOUNT_ACTIVE;
}

static bool may_not_share(struct err *e)
{
    return err_set(e, ERR_FORBIDDEN, "Whoever made this link may not share any more.");
}

/* Whoever made the link, as they are now: what they lost, it lost. Without one the app vouches. */
static bool subject_of_link(const struct file_asked *q, const struct file_link *link,
                            struct subject *ret, struct err *e)
{
    const struct api *a = q->api;
    struct identity *who = arena_new(q->arena, struct identity);
    struct account account;
    struct err why;
    bool is_voucher = slice_starts(link->by, BY_OPERATOR) || slice_starts(link->by, BY_KEY);
    *ret = (struct subject){.who = who, .is_console = !link->by.len || is_voucher};
    if (ret->is_console)
        return !is_voucher || still_vouches(q, link->by) || may_not_share(e);
    if (!a->accounts || !accounts_get(a->accounts, q->arena, link->by, &account, &why) ||
        account.state != ACCOUNT_ACTIVE)
        return may_not_share(e);
    *who = (struct identity){
        .is_signed_in = true,
        .is_of_link = true,
        .has_every_scope = true,
        .id = account.id,
        .name = account.name,
        .email = account.verified_ms ? account.email : SLICE(""),
        .roles = account.roles,
        .n_roles = account.n_roles,
    };
    subject_from(who, q->arena, ret);
    return true;
}

bool file_call_of_link(const struct file_asked *q, struct file_call *ret, struct err *e)
{
    struct file_link link;
    static const struct subject nobody;
    ret->files = q->api->files;
    ret->has_link = true;
    return file_place_of(ret->files, &nobody, q->bucket, q->user, q->path, &ret->at, e) &&
           file_link_read(ret->files, &ret->at, q->method, q->query, clock_wall_ms(), q->arena,
                          &link, e) &&
           subject_of_link(q, &link, ret->who, e);
}

bool file_ask(struct req *rq, struct file_asked *ret, struct err *e)
{
    *ret = (struct file_asked){
        .api = rq->site,
        .bucket = req_param(rq, "bucket"),
        .path = path_of(rq),
        .query = rq->query,
        .method = rq->method,
        .arena = rq->arena,
    };
    if (!ret->api->files)
        return err_set(e, ERR_NOT_FOUND, "This app keeps no files.");
    return api_param(rq, "user", &ret->user, e);
}

/* A HEAD and `info` are answered by the row alone. */
static bool is_sent(const struct req *rq)
{
    struct slice rest = rq->query, name, value;
    bool has_info = false;
    while (query_next(&rest, &name, &value))
        has_info |= slice_is(name, "info");
    return rq->method == METHOD_GET && rq->route->handle == on_file && !has_info;
}

enum file_called file_call_begin(struct req *rq, struct file_call *ret, struct err *e)
{
    struct file_asked q;
    bool has_link = file_has_link(rq);
    if (!file_ask(rq, &q, e))
        return FILE_CALL_REFUSED;
    *ret = (struct file_call){
        .files = q.api->files, .who = arena_new(rq->arena, struct subject), .is_sent = is_sent(rq)};
    if (has_link && !rq->is_on_lane) {
        req_move(rq, file_lane(ret));
        return FILE_CALL_MOVED;
    }
    bool fine =
        has_link ? file_call_of_link(&q, ret, e)
                 : subject_of(rq, ret->who, e) &&
                       file_place_of(ret->files, ret->who, q.bucket, q.user, q.path, &ret->at, e);
    return fine ? FILE_CALLED : FILE_CALL_REFUSED;
}

/* ---- being in the database ------------------------------------------------------------------- */

enum run file_lane(const struct file_call *call)
{
    return call->is_sent && blob_store_is_remote(files_store(call->files)) ? RUN_STORE : RUN_READ;
}

bool file_failed(struct req *rq, const struct file_call *call, struct err *e)
{
    return e->code == ERR_OVER_BUDGET && !rq->is_on_lane ? req_move(rq, file_lane(call)) : false;
}

bool file_db_open(struct files *f, struct err *e)
{
    struct err why = {0};
    if (files_open(f, &why))
        return true;
    log_line(LOG_ERROR, "the database cannot be opened", F_CSTR("reason", why.msg));
    return err_set(e, ERR_UNAVAILABLE,
                   "The database cannot be opened just now; the server's log says why.");
}

bool file_enter_on_lane(struct files_reading *r, struct err *e)
{
    if (!file_db_open(r->files, e))
        return false;
    r->is_on_loop = false;
    r->conn = db_conn_take(files_db(r->files), e);
    if (!r->conn)
        files_leave(r->files);
    return r->conn != NULL;
}

bool file_enter_on_loop(struct loop *l, struct files_reading *r)
{
    if (!files_enter(r->files))
        return false;
    r->is_on_loop = true;
    r->conn = db_conn_of_loop(files_db(r->files), l);
    if (r->conn)
        db_conn_budget(r->conn, API_LOOP_STEPS);
    else
        files_leave(r->files);
    return r->conn != NULL;
}

enum enter file_enter(struct req *rq, const struct file_call *call, struct files_reading *r,
                      struct err *e)
{
    *r = (struct files_reading){.files = call->files, .arena = rq->arena, .who = call->who};
    if (rq->is_on_lane)
        return file_enter_on_lane(r, e) ? ENTERED : REFUSED;
    if (file_enter_on_loop(rq->loop, r))
        return ENTERED;
    req_move(rq, file_lane(call));
    return MOVED;
}

void file_leave_reading(struct files_reading *r)
{
    if (!r->is_on_loop)
        db_conn_give(r->conn);
    files_leave(r->files);
}

void file_leave(struct req *rq, struct files_reading *r)
{
    (void)rq;
    file_leave_reading(r);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool read_query(struct req *rq, const struct file_call *call, struct files_query *q,
                       struct err *e)
{
    static const char *const params[] = {"prefix", "limit", "after", "delimiter", "user", NULL};
    struct slice limit = {0}, delimiter = {0};
    uint64_t n = 0;
    *q = (struct files_query){.bucket = call->at.bucket, .space = call->at.space};
    if (!api_params_known(rq, params, e) || !api_param(rq, "prefix", &q->prefix, e) ||
        !api_param(rq, "after", &q->after, e) || !api_param(rq, "limit", &limit, e) ||
        !api_param(rq, "delimiter", &delimiter, e))
        return false;
    if (limit.ptr && (!slice_to_u64(limit, &n) || n < 1 || n > FILE_LIMIT_MAX))
        return err_set(e, ERR_MALFORMED, "limit is a number from 1 to %d.", FILE_LIMIT_MAX);
    if (delimiter.ptr && !slice_is(delimiter, "/"))
        return err_set(e, ERR_MALFORMED, "delimiter can only be /.");
    q->limit = (uint32_t)n;
    q->is_folders = delimiter.ptr != NULL;
    return true;
}

static bool on_bucket(struct req *rq, struct err *e)
{
    struct file_call call;
    struct files_query q;
    struct files_reading r;
    struct buf out;
    enum file_called called = file_call_begin(rq, &call, e);
    if (called != FILE_CALLED)
        return called == FILE_CALL_MOVED;
    if (call.has_link)
        return err_set(e, ERR_FORBIDDEN, "A link is for one file, not for a list.");
    if (!read_query(rq, &call, &q, e))
        return false;
    enum enter entered = file_enter(rq, &call, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    buf_init(&out, 16u << 20);
    bool fine = files_list(&r, &q, &out, e);
    file_leave(rq, &r);
    struct slice json = fine ? arena_dup(rq->arena, buf_slice(&out)) : SLICE("");
    buf_done(&out);
    return fine ? api_reply_json(rq, 200, json) : file_failed(rq, &call, e);
}

/* ---- one file -------------------------------------------------------------------------------- */

bool file_reply_json(struct req *rq, int status, const struct file *f)
{
    struct buf out;
    buf_init(&out, 64u << 10);
    file_json(&out, f);
    struct slice json = arena_dup(rq->arena, buf_slice(&out));
    buf_done(&out);
    reply_header(rq, "ETag", f->etag);
    return api_reply_json(rq, status, json);
}

static bool read_file(struct req *rq, const struct file_call *call, struct err *e)
{
    static const char *const params[] = {"user", "download", "info",   "sig",
                                         "exp",  "by",       "method", NULL};
    struct files_reading r;
    struct file f;
    struct slice info = {0};
    if (!api_params_known(rq, params, e) || !api_param(rq, "info", &info, e))
        return false;
    enum enter entered = file_enter(rq, call, &r, e);
    if (entered != ENTERED)
        return entered == MOVED;
    bool fine = files_get(&r, &call->at, &f, e);
    file_leave(rq, &r);
    if (!fine)
        return file_failed(rq, call, e);
    return info.ptr ? file_reply_json(rq, 200, &f) : file_send(rq, call->files, &f, e);
}

/* Each of them waits for the database's writer on its lane. */

static bool run_delete(void *arg, struct db_conn *c, struct err *e)
{
    return files_delete_apply(arg, c, e);
}

static bool delete_file(struct req *rq, const struct file_call *call, struct err *e)
{
    static const char *const params[] = {"user", NULL};
    struct file_delete d = {
        .files = call->files,
        .who = call->who,
        .arena = rq->arena,
        .at = call->at,
        .if_match = api_lines(rq, HEADER_IF_MATCH, rq->arena),
    };
    if (!api_params_known(rq, params, e) || !file_db_open(call->files, e))
        return false;
    bool fine = db_write_now(files_db(call->files), run_delete, &d, e);
    files_leave(call->files);
    return fine && reply_empty(rq, 204);
}

static bool tell_member(struct req *rq, const char *name, const char *says, struct err *e)
{
    rq->details = arena_printf(
        rq->arena, "[{\"pointer\":\"/%s\",\"code\":\"type\",\"message\":\"%s\"}]", name, says);
    return err_set(e, ERR_INVALID, "%s", says);
}

static bool read_body(struct req *rq, const struct json **ret, struct err *e)
{
    if (!api_is_json(rq, e))
        return false;
    if (!rq->body.len)
        rq->body = SLICE("{}");
    *ret = api_body(rq, e);
    return *ret && (json_type(*ret) == JSON_OBJECT ||
                    err_set(e, ERR_INVALID, "The body has to be an object."));
}

static bool read_change(struct req *rq, struct file_change *ch, struct err *e)
{
    const struct json *body;
    if (!read_body(rq, &body, e))
        return false;
    const struct json *public = json_find(body, SLICE("public")),
                      *path = json_find(body, SLICE("path"));
    if (public && json_type(public) != JSON_BOOL)
        return tell_member(rq, "public", "`public` is true or false.", e);
    if (path && (json_type(path) != JSON_STRING || !json_str(path).len))
        return tell_member(rq, "path", "`path` is the file's new path.", e);
    ch->is_public = public ? json_bool(public) : -1;
    ch->to_path = path ? json_str(path) : SLICE("");
    return !path || file_path_check(ch->to_path, e);
}

static bool run_change(void *arg, struct db_conn *c, struct err *e)
{
    return files_change_apply(arg, c, e);
}

static bool change_file(struct req *rq, const struct file_call *call, struct err *e)
{
    static const char *const params[] = {"user", NULL};
    struct file_change ch = {
        .files = call->files,
        .who = call->who,
        .arena = rq->arena,
        .at = call->at,
        .if_match = api_lines(rq, HEADER_IF_MATCH, rq->arena),
    };
    if (!api_params_known(rq, params, e) || !read_change(rq, &ch, e) ||
        !file_db_open(call->files, e))
        return false;
    bool fine = db_write_now(files_db(call->files), run_change, &ch, e);
    files_leave(call->files);
    return fine && file_reply_json(rq, 200, &ch.file);
}

/* ---- links ----------------------------------------------------------------------------------- */

static bool read_link(struct req *rq, struct file_link *link, struct err *e)
{
    const struct json *body;
    int64_t ms = 10 * 60 * 1000;
    if (!read_body(rq, &body, e))
        return false;
    const struct json *expires = json_find(body, SLICE("expires")),
                      *method = json_find(body, SLICE("method"));
    if (expires && (!duration_parse(json_str(expires), &ms) || ms <= 0 || ms > FILES_LINK_MS_MAX))
        return tell_member(rq, "expires", "`expires` is a time such as 10m, up to 7d.", e);
    link->method = METHOD_GET;
    if (method && slice_is(json_str(method), "PUT"))
        link->method = METHOD_PUT;
    else if (method && !slice_is(json_str(method), "GET"))
        return tell_member(rq, "method", "`method` is GET or PUT.", e);
    link->until_ms = clock_wall_ms() + ms;
    return true;
}

/* May they do what the link would let others do? */
static bool may_share(struct req *rq, const struct file_call *call, const struct file_link *link,
                      struct err *e)
{
    struct files_reading r;
    struct file f;
    struct file_put put = {.files = call->files,
                           .who = call->who,
                           .arena = rq->arena,
                           .at = call->at,
                           .size = -1,
                           .is_public = -1};
    if (file_enter(rq, call, &r, e) != ENTERED)
        return false;
    bool fine =
        link->method == METHOD_PUT ? files_put_may(&r, &put, e) : files_get(&r, &call->at, &f, e);
    file_leave(rq, &r);
    return fine;
}

/* What they share ends with their account, or with the key of the app; that of whoever is at this
 * machine ends with its time alone. */
static struct slice maker_of(const struct api *a, const struct subject *s, struct arena *arena)
{
    const struct identity *who = s->who;
    if (!a->accounts || !who || !who->is_signed_in || who->is_local)
        return SLICE("");
    if (who->is_key && slice_eq(who->id, who->session))
        return arena_printf(arena, "%.*s%.*s", SLICE_ARGS(BY_KEY), SLICE_ARGS(who->id));
    if (who->is_operator)
        return arena_printf(arena, "%.*s%.*s", SLICE_ARGS(BY_OPERATOR), SLICE_ARGS(who->id));
    return who->id;
}

static bool sign_file(struct req *rq, const struct file_call *call, struct err *e)
{
    static const char *const params[] = {"user", NULL};
    const struct api *a = rq->site;
    struct file_link link = {.at = call->at, .by = maker_of(a, call->who, rq->arena)};
    char expires[RFC3339_LEN + 1];
    struct buf url, out;
    struct json_writer w;
    if (!api_params_known(rq, params, e) || !read_link(rq, &link, e) ||
        !may_share(rq, call, &link, e))
        return false;
    buf_init(&url, 32u << 10);
    buf_init(&out, 64u << 10);
    buf_add(&url, a->base.len ? a->base : rq->mount);
    path_encode(&url, slice_first(rq->path, rq->path.len - SIGN_END.len));
    buf_add_char(&url, '?');
    if (call->at.space.len) {
        buf_add_str(&url, "user=");
        percent_encode(&url, call->at.space);
        buf_add_char(&url, '&');
    }
    file_link_sign(call->files, &link, &url);
    clock_rfc3339(link.until_ms, expires);
    json_writer_init(&w, &out, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("url"));
    json_write_str(&w, buf_slice(&url));
    json_write_key(&w, SLICE("expires"));
    json_write_cstr(&w, expires);
    json_write_object_end(&w);
    struct slice json = arena_dup(rq->arena, buf_slice(&out));
    buf_done(&url);
    buf_done(&out);
    reply_prebuilt(rq, SLICE("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"));
    return reply_bytes(rq, 200, "application/json", json);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool move_with_identity(struct req *rq, struct err *e)
{
    return req_identity(rq, e) && req_move(rq, RUN_SLOW);
}

static bool on_file(struct req *rq, struct err *e)
{
    bool reads = rq->method == METHOD_GET || rq->method == METHOD_HEAD;
    if (rq->method == METHOD_POST && !is_signing(rq)) {
        reply_always(rq, SLICE("Allow: GET, HEAD, PUT, PATCH, DELETE\r\n"));
        return err_set(e, ERR_METHOD, "PUT a file here, or POST a form to its bucket.");
    }
    if (!reads && !rq->is_on_lane)
        return move_with_identity(rq, e);
    struct file_call call;
    enum file_called called = file_call_begin(rq, &call, e);
    if (called != FILE_CALLED)
        return called == FILE_CALL_MOVED;
    if (reads)
        return read_file(rq, &call, e);
    if (rq->method == METHOD_DELETE)
        return delete_file(rq, &call, e);
    return rq->method == METHOD_PATCH ? change_file(rq, &call, e) : sign_file(rq, &call, e);
}
