/* The bytes of a file, as the request's conditions want them, and under headers that keep whatever
 * somebody uploaded from running on the app's origin.
 *
 * What is in one piece on the disk is sent from there. A long file of an object store is sent block
 * by block: while one goes out, the next is fetched (struct feed). */
#include "api/files_impl.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- headers --------------------------------------------------------------------------------- */

/* A script, a style, a frame or a form of it does nothing, wherever it is shown; media may play. */
#define SANDBOX                                                                    \
    "Content-Security-Policy: sandbox; default-src 'none'; img-src 'self' data:; " \
    "media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'\r\n"      \
    "X-Content-Type-Options: nosniff\r\n"                                          \
    "Accept-Ranges: bytes\r\n"

static const struct slice open_lines = SLICE_INIT("Cache-Control: public, no-cache\r\n" SANDBOX),
                          own_lines = SLICE_INIT("Cache-Control: private, no-cache\r\n"
                                                 "Vary: Cookie, Authorization\r\n" SANDBOX);

static struct slice last_segment(struct slice path)
{
    ptrdiff_t slash = slice_rindex(path, '/');
    return slash < 0 ? path : slice_skip(path, (size_t)slash + 1);
}

/* RFC 6266: a name that every browser reads, and the real one for those that read UTF-8. */
static void add_disposition(struct req *rq, const struct file *f, bool is_download,
                            struct slice name)
{
    bool is_shown = !is_download && file_type_is_passive(f->type);
    struct buf b;
    must(name.ptr);
    buf_init(&b, 8192);
    buf_add_str(&b, is_shown ? "inline; filename=\"" : "attachment; filename=\"");
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_plain = c >= 0x20 && c < 0x7f && !strchr("\"\\%/", c);
        if (is_plain || (unsigned char)c < 0x80 || (unsigned char)c >= 0xc0)
            buf_add_char(&b, is_plain ? c : '_'); /* of a longer character, one */
    }
    buf_add_str(&b, "\"; filename*=UTF-8''");
    percent_encode(&b, name);
    reply_header(rq, "Content-Disposition", buf_slice(&b));
    buf_done(&b);
}

/* Text is shown as what it was checked to be. */
static struct slice type_as_sent(struct req *rq, const struct file *f)
{
    return slice_starts(f->type, SLICE("text/"))
               ? arena_printf(rq->arena, "%.*s; charset=utf-8", SLICE_ARGS(f->type))
               : f->type;
}

static bool add_headers(struct req *rq, const struct file *f, const struct h1_valid *valid,
                        struct err *e)
{
    char date[HTTP_DATE_LEN + 1];
    struct slice download = {0};
    if (!api_param(rq, "download", &download, e))
        return false;
    bool has_name = download.len && !slice_is(download, "1") && !slice_is(download, "true");
    if (has_name && !file_path_check(download, e)) /* anybody can write one into a link */
        return err_prefix(e, "download");
    reply_prebuilt(rq, f->is_open && !file_has_link(rq) ? open_lines : own_lines);
    reply_header(rq, "ETag", f->etag);
    clock_http_date(valid->mtime_s, date);
    reply_header(rq, "Last-Modified", slice_from(date));
    add_disposition(rq, f, download.ptr != NULL, last_segment(has_name ? download : f->path));
    return true;
}

/* ---- a file in several pieces ---------------------------------------------------------------- */

struct feed {
    struct source source;
    struct work work; /* fetches one block ahead */
    struct loop *home;
    struct service *service; /* keeps the files, also when the client has left */
    struct files *files;
    struct blob_store *store;
    struct arena arena; /* key, hash */
    struct slice key, hash;
    uint64_t size, at, end;  /* of the file: what comes next, and where to stop */
    struct blob_piece piece; /* fd -1: none open */
    uint64_t fetching;       /* offset of the block that `work` is for */
    bool is_fetching, is_closed, has_failed;
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

static void run_fetch(struct work *w)
{
    struct feed *f = container_of(w, struct feed, work);
    f->has_failed = !blob_fetch(f->store, f->key, f->size, f->fetching, &f->err);
    if (f->has_failed && (f->err.code == ERR_DAMAGED || f->err.code == ERR_NOT_FOUND))
        files_damaged(f->files, f->hash, f->key, &f->err);
}

static void done_fetch(struct work *w, struct loop *home)
{
    struct feed *f = container_of(w, struct feed, work);
    (void)home;
    f->is_fetching = false;
    if (f->is_closed)
        feed_free(f);
    else
        source_wake(&f->source);
}

/* False: nobody can just now. */
static bool fetch(struct feed *f, uint64_t offset)
{
    f->work = (struct work){.run = run_fetch, .done = done_fetch};
    f->fetching = offset;
    f->is_fetching = lane_submit(f->home, LANE_STORE, &f->work);
    return f->is_fetching;
}

/* IO_OK: a piece is open, and the one behind it is on its way. */
static enum io open_piece(struct feed *f)
{
    struct blob_piece piece;
    struct err e;
    if (f->is_fetching)
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
    if (!f->is_fetching)
        feed_free(f);
}

static struct source *feed_new(struct req *rq, struct files *files, const struct file *file,
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

/* ---- a request ------------------------------------------------------------------------------- */

bool file_store_failed(const struct files *files, struct err *e)
{
    if (!blob_store_is_remote(files_store(files)) || e->code == ERR_IO)
        return false;
    log_line(LOG_WARN, "the object store failed a file", F_CSTR("reason", e->msg));
    if (e->code == ERR_FULL)
        return err_set(e, ERR_FULL, "The store of files has no more room.");
    return err_set(e, ERR_UNAVAILABLE,
                   "The store of files does not answer just now; try again in a moment.");
}

/* False, also when the handler is to run again where this may take its time (*ret_moved). */
static bool tell_damaged(struct req *rq, struct files *files, const struct file *f,
                         const struct err *why, bool *ret_moved, struct err *e)
{
    *e = *why;
    if (why->code != ERR_DAMAGED && why->code != ERR_NOT_FOUND)
        return file_store_failed(files, e);
    *ret_moved = !rq->is_on_lane && req_move(rq, RUN_STORE);
    if (*ret_moved)
        return false;
    files_damaged(files, f->hash, f->key, why);
    return err_set(e, ERR_DAMAGED,
                   "This file is damaged: what is stored is not what was sent. It can be sent "
                   "again.");
}

/* The bytes from `offset` on, fetched if need be. Before any header: the handler may run again. */
static bool find_bytes(struct req *rq, struct files *files, const struct file *f, uint64_t offset,
                       struct blob_piece *ret, bool *ret_moved, struct err *e)
{
    struct blob_store *store = files_store(files);
    struct err why;
    *ret_moved = false;
    enum blob_found found = blob_find(store, f->key, f->size, offset, ret, &why);
    if (found == BLOB_REMOTE) {
        *ret_moved = !rq->is_on_lane && req_move(rq, RUN_STORE);
        if (*ret_moved)
            return false;
        if (!blob_fetch(store, f->key, f->size, offset, &why))
            return tell_damaged(rq, files, f, &why, ret_moved, e);
        found = blob_find(store, f->key, f->size, offset, ret, &why);
    }
    if (found == BLOB_HERE)
        return true;
    if (found == BLOB_GONE)
        return tell_damaged(rq, files, f, &why, ret_moved, e);
    return err_set(e, ERR_UNAVAILABLE, "The file could not be kept long enough to send it.");
}

static void add_content_range(struct req *rq, const struct file *f, const struct byte_range *r)
{
    reply_header(rq, "Content-Range",
                 arena_printf(rq->arena, "bytes %llu-%llu/%llu", (unsigned long long)r->first,
                              (unsigned long long)(r->first + r->len - 1),
                              (unsigned long long)f->size));
}

/* A HEAD says how many there would be. */
static bool reply_length(struct req *rq, uint64_t size)
{
    reply_bytes(rq, 200, NULL, SLICE(""));
    rq->res.length = size;
    return true;
}

static bool reply_piece(struct req *rq, struct files *files, const struct file *f, int status,
                        const struct blob_piece *piece, const struct byte_range *range)
{
    if (piece->len >= range->len)
        return reply_file(rq, status, piece->fd, piece->at, range->len);
    close(piece->fd);
    return reply_sized_source(rq, status, range->len, feed_new(rq, files, f, range));
}

static bool reply_bytes_of(struct req *rq, struct files *files, const struct file *f,
                           const struct h1_valid *valid, const struct h1_judged *judged,
                           struct err *e)
{
    const struct byte_range whole = {0, f->size};
    bool is_part = judged->status == 206 && judged->n_ranges == 1; /* of several, all of it */
    const struct byte_range *range = is_part ? &judged->ranges[0] : &whole;
    struct blob_piece piece = {.fd = -1};
    bool is_moved, has_body = rq->method != METHOD_HEAD && f->size;
    if (f->is_damaged)
        return err_set(e, ERR_DAMAGED, "This file is damaged; it can be sent again.");
    if (has_body && !find_bytes(rq, files, f, range->first, &piece, &is_moved, e))
        return is_moved;
    if (!add_headers(rq, f, valid, e)) {
        if (has_body)
            close(piece.fd);
        return false;
    }
    reply_header(rq, "Content-Type", type_as_sent(rq, f));
    if (is_part)
        add_content_range(rq, f, range);
    if (!has_body)
        return reply_length(rq, f->size);
    return reply_piece(rq, files, f, is_part ? 206 : 200, &piece, range);
}

bool file_send(struct req *rq, struct files *files, const struct file *f, struct err *e)
{
    struct h1_valid valid = {.etag = f->etag, .size = f->size};
    struct h1_judged judged;
    int64_t updated_ms = 0;
    clock_parse_rfc3339(f->updated.ptr, f->updated.len, &updated_ms);
    valid.mtime_s = updated_ms / 1000;
    h1_judge(rq->method, rq->h1, &valid, &judged);
    switch (judged.status) {
    case 304:
        return add_headers(rq, f, &valid, e) && reply_empty(rq, 304);
    case 412:
        return err_set(e, ERR_STALE, "The file is not the one the condition names.");
    case 416:
        reply_always(rq, arena_printf(rq->arena, "Content-Range: bytes */%llu\r\n",
                                      (unsigned long long)f->size));
        return err_set(e, ERR_RANGE, "The file has %llu bytes; the range asks for others.",
                       (unsigned long long)f->size);
    default:
        return reply_bytes_of(rq, files, f, &valid, &judged, e);
    }
}
