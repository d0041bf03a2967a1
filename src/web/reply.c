/* From a decision to an answer: the only file of this room that talks to requests. */
#include "web/beneath_impl.h"
#include "web/parts_impl.h"
#include "web/web_impl.h"

#include <fcntl.h>
#include <unistd.h>

static bool on_read(struct req *rq, struct err *e);

static const struct route rows[] = {
    {"/*", "web", ON_GET, on_read, .run = RUN_INLINE},
    {"/*", "web", ON_ANY, on_read, .run = RUN_INLINE},
};

static struct web_query query_of(const struct req *rq)
{
    return (struct web_query){rq->method, rq->path, rq->query, rq->mount, rq->h1};
}

/* GET and HEAD are decided by the handler, once. Other methods are decided here: the server itself
 * says 405 for a file, and 404 is right where nothing is. */
const struct route *web_find(struct web *w, struct req *rq)
{
    rq->site = w;
    rq->page_script = w->rules.dev_script;
    if (w->rules.dev && slice_starts(rq->path, SLICE("/_/dev/"))) {
        const struct route *row = dev_find(rq);
        if (row)
            return row;
    }
    if (rq->method == METHOD_GET || rq->method == METHOD_HEAD)
        return &rows[0];
    struct web_query q = query_of(rq);
    struct web_target target;
    web_route(&w->rules, web_seat(w, rq->loop)->tree, &q, rq->arena, &target);
    return target.kind == WEB_METHOD ? &rows[0] : &rows[1];
}

bool web_has_file(struct web *w, struct loop *l, struct slice path)
{
    const struct web_tree *t = web_seat(w, l)->tree;
    return tree_find(t, path) || (t->script && slice_eq(path, t->script->path));
}

/* ---- files
 * -------------------------------------------------------------------------------------- */

/* What is sent: a copy in memory, or an open file. */
struct found {
    const struct web_copy *copy; /* NULL: fd */
    int fd;
    struct web_head head; /* valid when it has to be written: other profile, or from disk */
    struct h1_valid valid;
    const char *type;
};

static void add_hsts(struct req *rq, const struct web_profile *p)
{
    if (rq->is_secure && p->hsts.len)
        reply_header(rq, "Strict-Transport-Security", p->hsts);
}

/* Header lines of the answer; `all`: with type and coding. */
static void reply_head(struct req *rq, const struct found *f, bool is_own_profile, bool all)
{
    if (f->copy && is_own_profile) {
        reply_prebuilt(rq, all ? f->copy->head : f->copy->rest);
        return;
    }
    struct buf b;
    buf_init(&b, 131072);
    size_t left_out = head_write(&b, &f->head);
    struct slice lines = arena_dup(rq->arena, buf_slice(&b));
    buf_done(&b);
    reply_prebuilt(rq, slice_skip(lines, all ? 0 : left_out));
}

static bool reply_whole(struct req *rq, const struct found *f, int status)
{
    return f->copy ? reply_shared(rq, status, f->copy->body, 0, f->valid.size)
                   : reply_file(rq, status, f->fd, 0, f->valid.size);
}

static bool reply_part(struct req *rq, const struct found *f, const struct byte_range *r)
{
    char text[80];
    int n =
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)r->first,
                 (unsigned long long)(r->first + r->len - 1), (unsigned long long)f->valid.size);
    reply_header(rq, "Content-Range", (struct slice){text, (size_t)n});
    return f->copy ? reply_shared(rq, 206, f->copy->body, r->first, r->len)
                   : reply_file(rq, 206, f->fd, r->first, r->len);
}

static bool reply_parts(struct req *rq, const struct found *f, const struct h1_judged *judged)
{
    struct parts_from from = {f->copy ? f->copy->body : NULL, f->fd, f->valid.size, f->type};
    struct source *s = parts_new(&from, judged);
    return reply_source(rq, 206, parts_type(s, rq->arena), s);
}

static bool reply_refused(struct req *rq, const struct found *f, int status)
{
    struct err e;
    char text[48];
    if (!f->copy)
        close(f->fd);
    if (status == 416) {
        int n = snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)f->valid.size);
        reply_header(rq, "Content-Range", (struct slice){text, (size_t)n});
        err_set(&e, ERR_RANGE, "The file has %llu bytes; the range asks for others.",
                (unsigned long long)f->valid.size);
    } else {
        err_set(&e, ERR_STALE, "The file is not the one the condition names.");
    }
    return reply_error(rq, &e);
}

static bool reply_found(struct req *rq, const struct web_query *q, const struct found *f,
                        bool is_own_profile)
{
    struct h1_judged judged;
    h1_judge(q->method, q->h1, &f->valid, &judged);
    switch (judged.status) {
    case 206:
        reply_head(rq, f, is_own_profile, judged.n_ranges == 1);
        return judged.n_ranges == 1 ? reply_part(rq, f, &judged.ranges[0])
                                    : reply_parts(rq, f, &judged);
    case 304:
        reply_head(rq, f, is_own_profile, false);
        if (!f->copy)
            close(f->fd);
        return reply_empty(rq, 304);
    case 200:
        reply_head(rq, f, is_own_profile, true);
        return reply_whole(rq, f, 200);
    default:
        return reply_refused(rq, f, judged.status);
    }
}

/* A root replaced by a rename, before its folders were read again: the old one may be gone. */
static int open_in_new_root(const struct web *w, const struct web_file *file, struct stat *ret)
{
    int root = open(w->rules.roots[file->root].folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return -1;
    int fd = beneath_open_file(root, file->rel, ret);
    close(root);
    return fd;
}

/* Opens the file as it is now: head and body speak of the same bytes, whatever the tree says. */
static bool open_found(struct req *rq, struct web *w, struct web_file *file, struct found *ret)
{
    struct stat st;
    char first[16], *etag = arena_alloc(rq->arena, ETAG_MAX);
    int root = web_seat(w, rq->loop)->tree->root_fds[file->root];
    ret->fd = file->rel ? beneath_open_file(root, file->rel, &st) : -1;
    if (ret->fd < 0 && file->rel)
        ret->fd = open_in_new_root(w, file, &st);
    if (ret->fd < 0)
        return false;
    struct web_facts facts = facts_of(&st);
    ret->valid =
        (struct h1_valid){etag_of_facts(&facts, etag), st.st_mtim.tv_sec, (uint64_t)st.st_size};
    ret->type = file->type->type;
    if (file->type->flags & TYPE_IMAGE) {
        ssize_t n = pread(ret->fd, first, sizeof first, 0);
        const char *sniffed = image_sniff((struct slice){first, n > 0 ? (size_t)n : 0});
        ret->type = sniffed ? sniffed : ret->type;
    }
    return true;
}

static bool reply_missing(struct req *rq, struct err *e)
{
    if (web_reply_error(rq->site, rq, 404))
        return true;
    return err_set(e, ERR_NOT_FOUND, "There is nothing at this address.");
}

/* Sends the file with the head of the path asked for. error_status: as the page of an error. */
static bool reply_file_of(struct req *rq, const struct web_target *t, int error_status,
                          struct err *e)
{
    static const struct web_csp_sources no_inlines;
    struct web *w = rq->site;
    struct web_query q = query_of(rq);
    struct found f = {.copy = copy_choose(t->file, rq->h1), .fd = -1};
    if (!f.copy && t->file->rewritten && !atomic_load(&t->file->raw))
        return err_set(e, ERR_UNAVAILABLE, "The file is being replaced; try again in a moment.");
    if (f.copy) {
        f.valid = f.copy->valid;
        f.type = f.copy->type;
    } else if (!open_found(rq, w, t->file, &f)) {
        return error_status ? false : reply_missing(rq, e);
    }
    const struct web_profile *profile = &w->rules.profiles[t->profile];
    f.head = (struct web_head){.file = t->file,
                               .type = f.type,
                               .profile = profile,
                               .valid = f.valid,
                               .coding = f.copy ? f.copy->coding : CODING_IDENTITY,
                               .inlines = f.copy ? f.copy->inlines : no_inlines,
                               .dev = w->rules.dev};
    add_hsts(rq, profile);
    bool is_own_profile = t->profile == t->file->profile;
    if (!error_status)
        return reply_found(rq, &q, &f, is_own_profile);
    reply_head(rq, &f, is_own_profile, true);
    return reply_whole(rq, &f, error_status);
}

/* ---- errors
 * ------------------------------------------------------------------------------------- */

/* A program that names JSON gets problem+json; everybody else the app's page. */
static bool prefers_json(const struct h1_request *h1)
{
    struct slice accept = h1_get(h1, HEADER_ACCEPT);
    return accept.len && accept_quality(accept, SLICE("application/json")) >
                             accept_quality(accept, SLICE("text/html"));
}

bool web_reply_error(struct web *w, struct req *rq, int status)
{
    struct web_file *f = error_page_find(&w->rules, web_seat(w, rq->loop)->tree, status);
    struct err ignored;
    if (!f || prefers_json(rq->h1))
        return false;
    struct web_target target = {.kind = WEB_FILE, .file = f};
    target.profile = w->rules.n_profiles > 1 ? rules_profile(&w->rules, rq->path) : 0;
    rq->site = w;
    return reply_file_of(rq, &target, status, &ignored);
}

/* ---- handlers
 * ----------------------------------------------------------------------------------- */

static bool on_read(struct req *rq, struct err *e)
{
    struct web *w = rq->site;
    struct web_query q = query_of(rq);
    struct web_target target;
    web_route(&w->rules, web_seat(w, rq->loop)->tree, &q, rq->arena, &target);
    switch (target.kind) {
    case WEB_FILE:
        return reply_file_of(rq, &target, 0, e);
    case WEB_REDIRECT:
        return reply_redirect(rq, target.status, target.location);
    default:
        return reply_missing(rq, e);
    }
}
