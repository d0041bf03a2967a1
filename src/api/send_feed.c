/* A file in several pieces: while one block goes out, the next is fetched. */
#include "api/send_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct feed {
    struct source source;
    struct work work;      /* fetches one block ahead */
    struct blob_wait wait; /* or hears that another one has */
    struct post told;
    struct loop *home;
    struct service *service; /* keeps the files, also when the client has left */
    struct files *files;
    struct blob_store *store;
    struct arena arena; /* key, hash */
    struct slice key, hash;
    uint64_t size, at, end;               /* of the file: what comes next, and where to stop */
    struct blob_piece piece;              /* fd -1: none open */
    uint64_t fetching;                    /* offset of the block that `work` is for */
    bool is_working, is_waiting, is_told; /* the lane has it; another one is waited for, and over */
    bool is_closed, has_failed;
    struct err err;
};

static void feed_free(struct feed *f)
{
    if (f->piece.fd >= 0)
        close(f->piece.fd);
    arena_done(&f->arena);
    service_unref(f->service);
    free(f);
}

/* On the loop: it is over, one way or the other. */
static void fetched(struct feed *f)
{
    f->is_waiting = false;
    if (f->is_closed)
        feed_free(f);
    else
        source_wake(&f->source);
}

static void on_told(struct post *p, struct loop *home)
{
    struct feed *f = container_of(p, struct feed, told);
    (void)home;
    f->is_told = true;
    if (!f->is_working)
        fetched(f);
}

/* Whoever fetched it has marked what is damaged. */
static void tell(struct blob_wait *w, const struct err *why)
{
    struct feed *f = container_of(w, struct feed, wait);
    f->has_failed = why->code != ERR_NONE;
    f->err = *why;
    loop_post(f->home, &f->told);
}

static void run_fetch(struct work *w)
{
    struct feed *f = container_of(w, struct feed, work);
    enum blob_fetched state = blob_fetch(f->store, f->key, f->size, f->fetching, &f->err);
    if (state == BLOB_FETCH_BUSY) {
        f->is_waiting = true;
        blob_await(f->store, f->key, f->fetching, &f->wait);
        return;
    }
    f->has_failed = state == BLOB_FETCH_FAILED;
    if (f->has_failed && (f->err.code == ERR_DAMAGED || f->err.code == ERR_NOT_FOUND))
        files_damaged(f->files, f->hash, f->key, &f->err);
}

static void done_fetch(struct work *w, struct loop *home)
{
    struct feed *f = container_of(w, struct feed, work);
    (void)home;
    f->is_working = false;
    if (!f->is_waiting || f->is_told)
        fetched(f);
}

/* False: nobody can just now. */
static bool fetch(struct feed *f, uint64_t offset)
{
    f->work = (struct work){.run = run_fetch, .done = done_fetch};
    f->wait = (struct blob_wait){.fn = tell};
    f->told = (struct post){.fn = on_told};
    f->is_told = false;
    f->fetching = offset;
    f->is_working = lane_submit(f->home, LANE_STORE, &f->work);
    return f->is_working;
}

static bool is_fetching(const struct feed *f)
{
    return f->is_working || f->is_waiting;
}

/* IO_OK: a piece is open, and the one behind it is on its way. */
static enum io open_piece(struct feed *f)
{
    struct blob_piece piece;
    struct err e;
    if (is_fetching(f))
        return IO_MORE;
    if (f->has_failed)
        return IO_FAIL;
    enum blob_found found = blob_find(f->store, f->key, f->size, f->at, &piece, &e);
    if (found == BLOB_REMOTE)
        return fetch(f, f->at) ? IO_MORE : IO_FAIL;
    if (found == BLOB_GONE)
        return IO_FAIL;
    f->piece = piece;
    uint64_t next = f->at + piece.len;
    struct blob_piece ahead;
    if (next >= f->end)
        return IO_OK;
    found = blob_find(f->store, f->key, f->size, next, &ahead, &e);
    if (found == BLOB_HERE)
        close(ahead.fd);
    else if (found == BLOB_REMOTE)
        fetch(f, next);
    return IO_OK;
}

/* What may be taken of the open piece; 0: none is open. */
static uint64_t piece_left(const struct feed *f)
{
    uint64_t wanted = f->end - f->at;
    return f->piece.fd < 0 ? 0 : f->piece.len < wanted ? f->piece.len : wanted;
}

static enum io took(struct feed *f, uint64_t n)
{
    f->at += n;
    f->piece.at += n;
    f->piece.len -= n;
    if (!f->piece.len) {
        close(f->piece.fd);
        f->piece.fd = -1;
    }
    return IO_OK;
}

/* Gone through with whatever is open; IO_OK: there is a piece with something in it. */
static enum io ready(struct feed *f)
{
    if (f->at == f->end)
        return IO_EOF;
    return f->piece.fd >= 0 ? IO_OK : open_piece(f);
}

static enum io feed_pull(struct source *s, struct buf *to, size_t room)
{
    struct feed *f = container_of(s, struct feed, source);
    enum io state = ready(f);
    if (state != IO_OK)
        return state;
    uint64_t left = piece_left(f);
    char *at = buf_reserve(to, room < left ? room : left);
    if (!at)
        return IO_FAIL;
    ssize_t n = pread(f->piece.fd, at, room < left ? room : left, (off_t)f->piece.at);
    if (n <= 0)
        return IO_FAIL; /* the block was whole when it was opened */
    buf_grew(to, (size_t)n);
    return took(f, (uint64_t)n);
}

static uint64_t feed_movable(struct source *s)
{
    return piece_left(container_of(s, struct feed, source));
}

static enum io feed_move(struct source *s, int pipe, size_t most, size_t *ret_n)
{
    struct feed *f = container_of(s, struct feed, source);
    uint64_t left = piece_left(f);
    off_t at = (off_t)f->piece.at;
    ssize_t n = splice(f->piece.fd, &at, pipe, NULL, most < left ? most : left,
                       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    *ret_n = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return took(f, (uint64_t)n);
    return n < 0 && errno == EAGAIN ? IO_MORE : IO_FAIL;
}

static void feed_close(struct source *s)
{
    struct feed *f = container_of(s, struct feed, source);
    f->is_closed = true;
    if (!is_fetching(f))
        feed_free(f);
}

struct source *feed_new(struct req *rq, struct files *files, const struct file *file,
                        const struct byte_range *range)
{
    struct feed *f = mem_new(struct feed);
    arena_init(&f->arena, 4096);
    f->source = (struct source){
        .pull = feed_pull, .close = feed_close, .movable = feed_movable, .move = feed_move};
    f->files = files;
    f->service = rq->service;
    service_ref(f->service);
    f->store = files_store(files);
    f->home = rq->loop;
    f->key = arena_dup(&f->arena, file->key);
    f->hash = arena_dup(&f->arena, file->hash);
    f->size = file->size;
    f->at = range->first;
    f->end = range->first + range->len;
    f->piece.fd = -1;
    return &f->source;
}
