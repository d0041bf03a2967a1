/* Files that come in: PUT of one, POST of a form with several; however large, never held whole.
 *
 *   on_put, on_form   who asks, and which place; the head is looked at, no byte of the body is read
 *   opening           (Postgres, a signed link, nobody opened the database) on a lane: may they?
 *                     is there room? Else the loop asks at once. Then 100 Continue. A form that
 *                     says how long it is holds room for all of it
 *   taking            the body fills one piece while LANE_STORE has those before: one worker writes
 *                     each into a draft and hashes it, or of a quick client's, large, two do one
 *                     each. The client is not read while all are full. The type is told by the
 *                     first bytes, and refused at once
 *   (its last piece)  sealed and kept: on stable storage, under a key that nothing else has
 *   writing           the database's writer asks everything again, and makes the rows
 *   confirming        content that was known already: LANE_STORE looks whether it is there, before
 *                     the copy that has just come is not needed
 *   over              answered. What nobody needs any more goes, on LANE_STORE
 *
 * One lane or the writer has it at a time (is_busy): it touches nothing of the request, which ends
 * when the client leaves. Whatever happens ends in settle(), which gives back what was reserved and
 * removes what was written for nothing; then, once the request is gone too, the rest is freed. */
#include "api/upload_impl.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>

#define FORM_FRAME (2u << 20) /* of a form, what is around its files */

struct upload {
    struct waiter waiter;
    struct work work, hash_work;
    struct db_write write;
    struct req *rq; /* until is_closed */
    struct loop *home;
    struct service *service; /* keeps the files, also when the client has left */
    struct files *files;
    struct arena arena; /* whoever has it uses it */
    struct subject who;
    struct file_asked link; /* has one: arena is set */
    enum { OPENING, TAKING, WRITING, OVER } state;
    bool is_busy, is_closed;
    _Atomic bool is_given_up; /* told to the lane */

    struct pieces pieces;
    struct piece *writing, *hashing; /* that workers have */
    size_t room;                     /* of the next piece */
    uint64_t taken, most, announced; /* the last: of a form, 0: nobody knows */
    bool is_last, is_handed_last;    /* the body has ended, and so did what workers have */

    struct form *form; /* NULL: a PUT */
    struct file_put *puts;
    struct incoming *ins;
    size_t n_put; /* 1, of a PUT */
    size_t failed;
    bool is_in;     /* the database, for the write */
    bool ran_fine;  /* the write's own part: what became of it, the database knows */
    struct err err; /* of the lane */
};

static void settle(struct upload *x);

static size_t count(const struct upload *x)
{
    return x->form ? x->form->n : x->n_put;
}

static bool too_busy(struct err *e)
{
    return err_set(e, ERR_UNAVAILABLE, "Too much work is waiting; try again in a moment.");
}

/* ---- making and ending ----------------------------------------------------------------------- */

static void form_free(struct form *f)
{
    if (!f)
        return;
    form_release(f);
    multipart_done(&f->engine);
    buf_done(&f->value);
    free(f);
}

static void upload_free(struct upload *x)
{
    for (size_t i = 0; i < count(x); i++)
        incoming_release(&x->ins[i]);
    pieces_done(&x->pieces);
    form_free(x->form);
    free(x->puts);
    free(x->ins);
    arena_done(&x->arena);
    service_unref(x->service);
    free(x);
}

static void run_undo(struct work *w)
{
    struct upload *x = container_of(w, struct upload, work);
    for (size_t i = 0; i < count(x); i++)
        incoming_drop(&x->ins[i], true);
}

static void done_undo(struct work *w, struct loop *home)
{
    struct upload *x = container_of(w, struct upload, work);
    (void)home;
    x->is_busy = false;
    settle(x);
}

static bool has_leftovers(const struct upload *x)
{
    for (size_t i = 0; i < count(x); i++) {
        if (incoming_has_leftovers(&x->ins[i]))
            return true;
    }
    return false;
}

/* It is over: again and again, until nothing is left. */
static void settle(struct upload *x)
{
    must(x->state == OVER);
    if (x->is_busy)
        return;
    if (x->is_in)
        files_leave(x->files);
    x->is_in = false;
    for (size_t i = 0; i < count(x); i++)
        incoming_release(&x->ins[i]);
    if (x->form)
        form_release(x->form);
    if (has_leftovers(x)) {
        x->work = (struct work){.run = run_undo, .done = done_undo};
        x->is_busy = lane_submit(x->home, LANE_STORE, &x->work);
        if (x->is_busy)
            return;
        for (size_t i = 0; i < count(x); i++) /* the lane is full, or the server stops */
            incoming_drop(&x->ins[i], false);
    }
    if (x->is_closed)
        upload_free(x);
}

/* The answer comes last: the request may end with it. */
static void fail(struct upload *x, const struct err *e)
{
    x->state = OVER;
    atomic_store(&x->is_given_up, true);
    reply_error(x->rq, e);
    settle(x);
    waiter_answer(&x->waiter);
}

static void on_close(struct waiter *w)
{
    struct upload *x = container_of(w, struct upload, waiter);
    x->is_closed = true;
    atomic_store(&x->is_given_up, true);
    if (x->is_busy)
        return;
    x->state = OVER;
    settle(x);
}

/* A lane or the writer is done with it. True: and that was all, it may be gone. */
static bool is_over(struct upload *x)
{
    x->is_busy = false;
    if (x->is_closed)
        x->state = OVER;
    bool is_it = x->state == OVER;
    if (is_it)
        settle(x);
    return is_it;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void add_location(struct upload *x, const struct file *f)
{
    struct req *rq = x->rq;
    struct buf b;
    buf_init(&b, 16u << 10);
    buf_add(&b, rq->mount);
    path_encode(&b, rq->path);
    if (f->space.len) {
        buf_add_str(&b, "?user=");
        percent_encode(&b, f->space);
    }
    reply_header(rq, "Location", buf_slice(&b));
    buf_done(&b);
}

static void answer_form(struct upload *x)
{
    struct buf b;
    buf_init(&b, 4u << 20);
    buf_add_str(&b, "{\"items\":[");
    for (size_t i = 0; i < count(x); i++) {
        buf_add_str(&b, i ? "," : "");
        file_json(&b, &x->puts[i].file);
    }
    buf_add_str(&b, "]}");
    api_reply_json(x->rq, 201, arena_dup(x->rq->arena, buf_slice(&b)));
    buf_done(&b);
}

static void answer(struct upload *x)
{
    const struct file_put *p = &x->puts[0];
    x->state = OVER;
    if (x->form) {
        answer_form(x);
    } else {
        if (p->is_created)
            add_location(x, &p->file);
        file_reply_json(x->rq, p->is_created ? 201 : 200, &p->file);
    }
    settle(x);
    waiter_answer(&x->waiter);
}

/* ---- the write ------------------------------------------------------------------------------- */

static bool run_write(struct db_write *w, struct db_conn *c, struct err *e)
{
    struct upload *x = container_of(w, struct upload, write);
    x->ran_fine = files_put_apply(x->puts, count(x), &x->failed, c, e);
    if (!x->ran_fine && count(x) > 1)
        err_prefix(e, "%.*s", SLICE_ARGS(slice_first(x->puts[x->failed].at.path, 100)));
    return x->ran_fine;
}

/* Of what the rows may name nothing is removed. */
static void finish(struct upload *x, const struct err *e)
{
    struct err why = e ? *e : (struct err){0};
    for (size_t i = 0; i < count(x); i++) {
        if (x->ran_fine)
            x->ins[i].is_kept = !e && x->puts[i].uses_other;
    }
    if (is_over(x))
        return;
    if (e)
        fail(x, &why);
    else
        answer(x);
}

/* All of them, also behind one that failed: the rows are there. */
static void run_confirm(struct work *w)
{
    struct upload *x = container_of(w, struct upload, work);
    struct err e;
    for (size_t i = 0; i < count(x); i++) {
        if (!files_put_confirm(&x->puts[i], &e))
            x->err = e;
    }
}

static void done_confirm(struct work *w, struct loop *home)
{
    struct upload *x = container_of(w, struct upload, work);
    (void)home;
    finish(x, x->err.code ? &x->err : NULL);
}

static bool uses_others(const struct upload *x)
{
    for (size_t i = 0; i < count(x); i++) {
        if (x->puts[i].uses_other)
            return true;
    }
    return false;
}

/* Of a commit that failed nobody may know whether it happened: then rows may name our blobs, and
 * it is for files_tend() to find out, later. Who has left does not change what is to be done. */
static void on_written(struct db_write *w, const struct err *e)
{
    struct upload *x = container_of(w, struct upload, write);
    struct err why;
    if (e || !uses_others(x)) {
        finish(x, e);
        return;
    }
    x->work = (struct work){.run = run_confirm, .done = done_confirm};
    if (lane_submit(x->home, LANE_STORE, &x->work))
        return;
    too_busy(&why);
    finish(x, &why);
}

static void write_rows(struct upload *x)
{
    struct err e;
    x->state = WRITING;
    x->write = (struct db_write){.run = run_write, .done = on_written, .home = x->home};
    x->is_busy = db_write(files_db(x->files), &x->write);
    if (x->is_busy)
        return;
    err_set(&e, ERR_UNAVAILABLE, "Too many changes are waiting; try again in a moment.");
    fail(x, &e);
}

/* ---- pieces of the body ---------------------------------------------------------------------- */

static struct slice bytes_of(const struct piece *p)
{
    return (struct slice){p->data, p->len};
}

static bool put_take(struct upload *x, const struct piece *p, struct err *e)
{
    struct incoming *in = &x->ins[0];
    if (p->is_halved)
        return incoming_write(in, bytes_of(p), e);
    return incoming_add(in, bytes_of(p), e) && (!p->is_last || incoming_end(in, e));
}

static void run_hash(struct work *w)
{
    struct upload *x = container_of(w, struct upload, hash_work);
    if (!atomic_load(&x->is_given_up))
        incoming_hash(&x->ins[0], bytes_of(x->hashing));
}

static void run_piece(struct work *w)
{
    struct upload *x = container_of(w, struct upload, work);
    const struct piece *p = x->writing;
    if (atomic_load(&x->is_given_up))
        return;
    bool fine =
        x->form ? form_take(x->form, bytes_of(p), p->is_last, &x->err) : put_take(x, p, &x->err);
    if (fine && p->is_last)
        fine = x->is_in = file_db_open(x->files, &x->err);
    must(fine || x->err.code);
}

static void done_piece(struct work *w, struct loop *home);
static void done_hash(struct work *w, struct loop *home);

/* Gives workers what there is for them. False: no worker has or takes any of it. */
static bool give_work(struct upload *x, struct err *e)
{
    struct pieces *p = &x->pieces;
    struct piece *to_write = pieces_to_write(p), *to_hash = pieces_to_hash(p);
    if (to_write) {
        x->writing = to_write;
        x->work = (struct work){.run = run_piece, .done = done_piece};
        p->is_writing = lane_submit(x->home, LANE_STORE, &x->work);
    }
    if (to_hash) {
        x->hashing = to_hash;
        x->hash_work = (struct work){.run = run_hash, .done = done_hash};
        p->is_hashing = lane_submit(x->home, LANE_STORE, &x->hash_work);
    }
    x->is_busy = pieces_are_busy(p);
    return x->is_busy || pieces_are_through(p) || too_busy(e);
}

/* What is filled goes to the workers: a piece that is full, or the end of the body. */
static bool hand_over(struct upload *x, struct err *e)
{
    struct piece *p = pieces_filling(&x->pieces);
    bool is_end = x->is_last && !x->is_handed_last;
    if (p && (is_end || piece_is_full(p))) {
        pieces_hand(&x->pieces, is_end, !x->form);
        x->is_handed_last = is_end;
    }
    return give_work(x, e);
}

static void piece_is_done(struct upload *x)
{
    struct err e;
    bool has_failed = x->pieces.has_failed; /* err says why */
    bool goes_on = x->state == TAKING && !x->is_closed && !has_failed;
    bool fine = !goes_on || hand_over(x, &e);
    bool wants_more = goes_on && fine && !x->is_last && pieces_filling(&x->pieces);
    if (!pieces_are_busy(&x->pieces)) {
        if (is_over(x))
            return;
        if (has_failed)
            fail(x, &x->err);
        else if (!fine)
            fail(x, &e);
        else if (x->is_handed_last)
            write_rows(x);
    }
    if (wants_more)
        waiter_want(&x->waiter);
}

static void done_piece(struct work *w, struct loop *home)
{
    struct upload *x = container_of(w, struct upload, work);
    (void)home;
    if (x->err.code)
        pieces_fail(&x->pieces);
    pieces_wrote(&x->pieces, x->room);
    piece_is_done(x);
}

static void done_hash(struct work *w, struct loop *home)
{
    struct upload *x = container_of(w, struct upload, hash_work);
    (void)home;
    pieces_hashed(&x->pieces, x->room);
    piece_is_done(x);
}

/* What fits of it; the type of a PUT is told here, so that what is refused costs no lane. */
static bool take(struct upload *x, struct slice *in, bool is_last, struct err *e)
{
    int64_t now_ms = loop_now_ms(x->home);
    uint64_t left = x->most - x->taken;
    struct piece *p = pieces_filling(&x->pieces);
    struct slice bytes = slice_first(*in, p ? piece_add(p, x->room, *in, now_ms) : 0);
    if (bytes.len > left)
        return x->form ? err_set(e, ERR_BODY_TOO_LARGE, "The form is too large.")
                       : incoming_too_large(&x->puts[0].at, e);
    if (p && piece_is_full(p))
        x->room = piece_next_room(p);
    x->taken += bytes.len;
    *in = slice_skip(*in, bytes.len);
    x->is_last = is_last && !in->len;
    return (x->form || incoming_see(&x->ins[0], bytes, x->is_last, e)) && hand_over(x, e);
}

static void on_body(struct waiter *w, struct slice *in, bool is_last)
{
    struct upload *x = container_of(w, struct upload, waiter);
    struct err e;
    if (x->state == OVER)
        *in = slice_skip(*in, in->len);
    if (x->state != TAKING || x->is_last)
        return;
    do {
        if (!take(x, in, is_last, &e)) {
            fail(x, &e);
            return;
        }
    } while (in->len && pieces_filling(&x->pieces));
}

/* ---- opening --------------------------------------------------------------------------------- */

/* A body, or none: then this is all of it. */
static bool begin_body(struct upload *x, bool has_body, struct err *e)
{
    x->state = TAKING;
    if (x->form)
        return true;
    x->most = (uint64_t)file_bucket_conf(x->puts[0].at.bucket)->max_bytes;
    x->is_last = !has_body;
    return has_body || (incoming_see(&x->ins[0], SLICE(""), true, e) && hand_over(x, e));
}

static bool judge_link(struct upload *x, struct err *e)
{
    struct file_call call = {.who = &x->who};
    if (!file_call_of_link(&x->link, &call, e))
        return false;
    x->puts[0].at = call.at;
    return true;
}

static void run_open(struct work *w)
{
    struct upload *x = container_of(w, struct upload, work);
    struct files_reading r = {.files = x->files, .arena = &x->arena, .who = &x->who};
    if ((x->link.arena && !judge_link(x, &x->err)) || !file_enter_on_lane(&r, &x->err))
        return;
    if (x->form)
        form_hold(x->form, &r, x->announced, &x->err);
    else
        incoming_begin(&x->ins[0], &r, &x->err);
    file_leave_reading(&r);
}

static void done_open(struct work *w, struct loop *home)
{
    struct upload *x = container_of(w, struct upload, work);
    struct err e;
    (void)home;
    if (is_over(x))
        return;
    bool has_body = waiter_has_body(&x->waiter);
    if (x->err.code)
        fail(x, &x->err);
    else if (!begin_body(x, has_body, &e))
        fail(x, &e);
    else if (has_body)
        waiter_want(&x->waiter);
}

static bool open_on_lane(struct upload *x, struct err *e)
{
    x->state = OPENING;
    x->waiter.is_shut = true;
    x->work = (struct work){.run = run_open, .done = done_open};
    x->is_busy = lane_submit(x->home, LANE_READ, &x->work);
    return x->is_busy || too_busy(e);
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool has_body(const struct req *rq)
{
    return rq->h1->chunked || rq->h1->content_length > 0;
}

static bool read_public(struct req *rq, int *ret, struct err *e)
{
    struct slice public = {0};
    *ret = -1;
    if (!api_param(rq, "public", &public, e))
        return false;
    if (public.ptr)
        *ret = slice_is(public, "true");
    return !public.ptr || *ret || slice_is(public, "false") ||
           err_set(e, ERR_MALFORMED, "`public` is true or false.");
}

/* What is stored is what is sent: a part of it, or something else that it is packed in, is not. */
static bool is_plain(struct req *rq, struct err *e)
{
    struct slice coding = h1_get(rq->h1, HEADER_CONTENT_ENCODING);
    if (h1_get(rq->h1, HEADER_CONTENT_RANGE).ptr)
        return err_set(e, ERR_MALFORMED, "Send all of the file, without Content-Range.");
    return !coding.len || slice_eq_nocase(coding, SLICE("identity")) ||
           err_set(e, ERR_MEDIA_TYPE, "Send the file as it is, without Content-Encoding.");
}

static struct upload *upload_new(struct req *rq, size_t n_files)
{
    const struct api *a = rq->site;
    struct upload *x = mem_new(struct upload);
    x->waiter = (struct waiter){.body = on_body, .close = on_close, .is_bulk = true};
    x->rq = rq;
    x->home = rq->loop;
    x->service = rq->service;
    service_ref(x->service);
    x->files = a->files;
    arena_init(&x->arena, API_ARENA_BYTES);
    x->room = UPLOAD_PIECE_LEAST;
    x->puts = mem_alloc(n_files * sizeof *x->puts);
    x->ins = mem_alloc(n_files * sizeof *x->ins);
    return x;
}

/* Who asks, and where, in memory of our own; not for a link, which a lane judges. */
static bool copy_call(struct upload *x, struct file_place *ret_at, struct err *e)
{
    struct file_call call;
    if (file_call_begin(x->rq, &call, e) != FILE_CALLED)
        return false;
    subject_copy(call.who, &x->arena, &x->who);
    *ret_at = (struct file_place){call.at.bucket, arena_dup(&x->arena, call.at.space),
                                  arena_dup(&x->arena, call.at.path)};
    return true;
}

static bool copy_link(struct upload *x, struct err *e)
{
    struct file_asked *q = &x->link;
    struct slice *const texts[] = {&q->bucket, &q->path, &q->user, &q->query};
    if (!file_ask(x->rq, q, e))
        return false;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = arena_dup(&x->arena, *texts[i]);
    q->arena = &x->arena;
    return true;
}

static bool read_put(struct upload *x, struct err *e)
{
    struct req *rq = x->rq;
    struct file_put *p = &x->puts[0];
    *p = (struct file_put){
        .files = x->files,
        .who = &x->who,
        .arena = &x->arena,
        .said = form_media_type(h1_get(rq->h1, HEADER_CONTENT_TYPE), &x->arena),
        .if_match = arena_dup(&x->arena, api_lines(rq, HEADER_IF_MATCH, &x->arena)),
        .if_none_match = arena_dup(&x->arena, api_lines(rq, HEADER_IF_NONE_MATCH, &x->arena)),
        .size = rq->h1->chunked                      ? -1
                : rq->h1->content_length > INT64_MAX ? INT64_MAX
                                                     : (int64_t)rq->h1->content_length,
    };
    x->ins[0] = (struct incoming){.files = x->files, .put = p};
    x->n_put = 1;
    if (!read_public(rq, &p->is_public, e))
        return false;
    if (p->is_public >= 0 && file_has_link(rq))
        return err_set(e, ERR_FORBIDDEN, "A link stores a file; it does not say who may read it.");
    return file_has_link(rq) ? copy_link(x, e) : copy_call(x, &p->at, e);
}

static bool begin_put(struct upload *x, struct err *e)
{
    struct files_reading r = {.files = x->files, .arena = &x->arena, .who = &x->who};
    if (!read_put(x, e))
        return false;
    if (x->link.arena || !file_enter_on_loop(x->home, &r))
        return open_on_lane(x, e);
    bool fine = incoming_begin(&x->ins[0], &r, e);
    file_leave_reading(&r);
    if (!fine)
        return e->code == ERR_OVER_BUDGET && open_on_lane(x, e);
    return begin_body(x, has_body(x->rq), e);
}

static bool on_put(struct req *rq, struct err *e)
{
    static const char *const params[] = {"user", "public", "sig", "exp", "by", "method", NULL};
    struct file_asked q;
    if (!api_params_known(rq, params, e) || !is_plain(rq, e) || !file_ask(rq, &q, e))
        return false;
    struct upload *x = upload_new(rq, 1);
    if (begin_put(x, e))
        return reply_later(rq, &x->waiter);
    upload_free(x);
    return false;
}

static bool hold_form(struct upload *x, struct err *e)
{
    struct files_reading r = {.files = x->files, .arena = &x->arena, .who = &x->who};
    if (!file_enter_on_loop(x->home, &r))
        return open_on_lane(x, e);
    bool fine = form_hold(x->form, &r, x->announced, e);
    file_leave_reading(&r);
    return fine || (e->code == ERR_OVER_BUDGET && open_on_lane(x, e));
}

static bool begin_form(struct upload *x, struct slice boundary, struct err *e)
{
    struct file_place at;
    struct form *f = x->form = mem_new(struct form);
    multipart_init(&f->engine, boundary);
    buf_init(&f->value, FILE_PATH_MAX);
    f->files = x->files;
    f->who = &x->who;
    f->arena = &x->arena;
    f->puts = x->puts;
    f->ins = x->ins;
    f->began_ms = clock_mono_ms();
    if (!read_public(x->rq, &f->is_public, e) || !copy_call(x, &at, e) ||
        !files_form_may(&x->who, &at, &x->arena, e))
        return false;
    f->at = at;
    x->most = (uint64_t)file_bucket_conf(at.bucket)->max_bytes * UPLOAD_FILES + FORM_FRAME;
    x->state = TAKING;
    x->announced = x->rq->h1->chunked ? 0 : x->rq->h1->content_length;
    if (x->announced > x->most)
        return incoming_too_large(&at, e);
    if (!has_body(x->rq))
        return err_set(e, ERR_MALFORMED, "The form is empty.");
    return !x->announced || hold_form(x, e);
}

static bool on_form(struct req *rq, struct err *e)
{
    static const char *const params[] = {"user", "public", NULL};
    char room[MULTIPART_BOUNDARY_MAX];
    struct slice boundary = {0};
    struct file_asked q;
    if (file_has_link(rq))
        return err_set(e, ERR_FORBIDDEN, "A link is for one file, not for a form.");
    if (!api_params_known(rq, params, e) || !is_plain(rq, e) || !file_ask(rq, &q, e) ||
        !multipart_boundary(h1_get(rq->h1, HEADER_CONTENT_TYPE), room, &boundary, e))
        return false;
    struct upload *x = upload_new(rq, UPLOAD_FILES);
    if (begin_form(x, boundary, e))
        return reply_later(rq, &x->waiter);
    upload_free(x);
    return false;
}

const struct route file_put_route = {.path = "/files/{bucket}/*",
                                     .name = "file",
                                     .methods = ON_GET | ON_PUT | ON_PATCH | ON_DELETE | ON_POST,
                                     .handle = on_put,
                                     .max_body = SIZE_MAX,
                                     .is_streamed = true},
                   file_form_route = {.path = "/files/{bucket}",
                                      .name = "files",
                                      .methods = ON_GET | ON_POST,
                                      .handle = on_form,
                                      .max_body = SIZE_MAX,
                                      .is_streamed = true};
