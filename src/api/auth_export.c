/* GET /api/auth/me/export: all there is of an account, a line each: itself, its sessions, its keys,
 * then the documents it owns, the list of its files, and its jobs. */
#include "api/auth_impl.h"

static void begin(struct json_writer *w, struct buf *b, const char *what)
{
    json_writer_init(w, b, 0);
    json_write_object(w);
    json_write_key(w, slice_from(what));
}

static void end(struct json_writer *w, struct buf *b)
{
    json_write_object_end(w);
    buf_add_char(b, '\n');
}

static bool add_rows(struct req *rq, struct accounts *acc, const struct identity *who,
                     struct buf *b, struct err *e)
{
    struct session_row *sessions;
    struct key_row *keys;
    struct json_writer w;
    size_t n_sessions, n_keys;
    if (!accounts_sessions(acc, rq->arena, who->id, &sessions, &n_sessions, e) ||
        !keys_list(acc, rq->arena, who->id, false, &keys, &n_keys, e))
        return false;
    for (size_t i = 0; i < n_sessions; i++) {
        begin(&w, b, "session");
        session_write(&w, &sessions[i], who->session);
        end(&w, b);
    }
    for (size_t i = 0; i < n_keys; i++) {
        begin(&w, b, "key");
        key_write(&w, &keys[i], NULL);
        end(&w, b);
    }
    return true;
}

static bool read_lines(struct req *rq, struct accounts *acc, const struct identity *who,
                       struct slice *ret, struct err *e)
{
    struct account account;
    struct json_writer w;
    struct buf b;
    if (!accounts_get(acc, rq->arena, who->id, &account, e))
        return false;
    buf_init(&b, 64u << 20);
    begin(&w, &b, "account");
    account_write(&w, &account);
    end(&w, &b);
    bool fine = add_rows(rq, acc, who, &b, e);
    if (fine && b.full)
        fine = err_set(e, ERR_BODY_TOO_LARGE, "The account has too many sessions.");
    *ret = fine ? arena_dup(rq->arena, buf_slice(&b)) : SLICE("");
    buf_done(&b);
    return fine;
}

/* Of an app without collections, files and jobs. */
static bool reply_lines(struct req *rq, struct slice text)
{
    reply_header(rq, "Content-Disposition", SLICE("attachment; filename=\"account.jsonl\""));
    reply_header(rq, "Cache-Control", SLICE("private, no-store"));
    reply_header(rq, "X-Content-Type-Options", SLICE("nosniff"));
    return reply_bytes(rq, 200, "application/jsonl; charset=utf-8", text);
}

bool auth_export(struct req *rq, struct err *e)
{
    const struct api *a = rq->site;
    struct accounts *acc = auth_begin(rq, NULL, e);
    const struct identity *who = acc ? auth_who(rq, e) : NULL;
    struct slice text;
    if (!who || !read_lines(rq, acc, who, &text, e))
        return false;
    bool has_things = a->docs || a->files || a->jobs;
    return has_things ? export_owned(rq, text, e) : reply_lines(rq, text);
}
