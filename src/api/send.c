/* The bytes of a file, as the request's conditions want them, and under headers that keep whatever
 * somebody uploaded from running on the app's origin.
 *
 * What is in one piece on the disk is sent from there. What has to be fetched is fetched on
 * LANE_STORE, by one of those who want it: the others give their worker back and go on, on their
 * loop, when it is there (struct sending). A long file is sent block by block: see send_feed.c. */
#include "api/send_impl.h"

#include "base/clock.h"

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

/* ---- what failed ----------------------------------------------------------------------------- */

static bool is_away(struct err *e)
{
    return err_set(e, ERR_UNAVAILABLE,
                   "The store of files does not answer just now; try again in a moment.");
}

bool file_store_failed(const struct files *files, struct err *e)
{
    if (!blob_store_is_remote(files_store(files)) || e->code == ERR_IO)
        return false;
    log_line(LOG_WARN, "the object store failed a file", F_CSTR("reason", e->msg));
    if (e->code == ERR_FULL)
        return err_set(e, ERR_FULL, "The store of files has no more room.");
    return is_away(e);
}

/* What is known of the answer, in the request's arena: whoever waits for another's fetch keeps it.
 */
struct sending {
    struct req *rq;
    struct files *files;
    struct file file;
    struct h1_valid valid;
    struct h1_judged judged;
    struct blob_wait wait;
    struct post told;
    struct err why; /* of that fetch */
};

static const struct byte_range *part_of(const struct sending *s)
{
    bool is_part = s->judged.status == 206 && s->judged.n_ranges == 1; /* of several, all of it */
    return is_part ? &s->judged.ranges[0] : NULL;
}

static uint64_t offset_of(const struct sending *s)
{
    return part_of(s) ? part_of(s)->first : 0;
}

static bool is_damage(const struct err *why)
{
    return why->code == ERR_DAMAGED || why->code == ERR_NOT_FOUND;
}

/* What they are told who ask for it. False. */
static bool explain(const struct sending *s, const struct err *why, struct err *e)
{
    *e = *why;
    if (!is_damage(why))
        return file_store_failed(s->files, e);
    return err_set(e, ERR_DAMAGED,
                   "This file is damaged: what is stored is not what was sent. It can be sent "
                   "again.");
}

enum bytes { BYTES_HERE, BYTES_LATER, BYTES_NONE };

/* BYTES_LATER: the handler runs again where this may take its time. */
static enum bytes tell_damaged(struct sending *s, const struct err *why, struct err *e)
{
    if (is_damage(why) && !s->rq->is_on_lane && req_move(s->rq, RUN_STORE))
        return BYTES_LATER;
    if (is_damage(why))
        files_damaged(s->files, s->file.hash, s->file.key, why);
    explain(s, why, e);
    return BYTES_NONE;
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

/* piece NULL: it has no body. */
static bool reply_found(struct sending *s, const struct blob_piece *piece, struct err *e)
{
    struct req *rq = s->rq;
    const struct file *f = &s->file;
    const struct byte_range whole = {0, f->size}, *part = part_of(s), *range = part ? part : &whole;
    int status = part ? 206 : 200;
    if (!add_headers(rq, f, &s->valid, e)) {
        if (piece)
            close(piece->fd);
        return false;
    }
    reply_header(rq, "Content-Type", type_as_sent(rq, f));
    if (part)
        add_content_range(rq, f, range);
    if (!piece)
        return reply_length(rq, f->size);
    if (piece->len >= range->len)
        return reply_file(rq, status, piece->fd, piece->at, range->len);
    close(piece->fd);
    return reply_sized_source(rq, status, range->len, feed_new(rq, s->files, f, range));
}

/* ---- bytes that another one fetches ---------------------------------------------------------- */

static bool reply_fetched(struct sending *s, struct err *e)
{
    struct blob_piece piece;
    struct err why;
    if (s->why.code != ERR_NONE)
        return explain(s, &s->why, e);
    switch (
        blob_find(files_store(s->files), s->file.key, s->file.size, offset_of(s), &piece, &why)) {
    case BLOB_HERE:
        return reply_found(s, &piece, e);
    case BLOB_GONE:
        return explain(s, &why, e);
    case BLOB_REMOTE: /* it failed before we could be told why, or is gone from the cache again */
        break;
    }
    return is_away(e);
}

static void on_told(struct post *p, struct loop *home)
{
    struct sending *s = container_of(p, struct sending, told);
    struct err e;
    (void)home;
    bool fine = reply_fetched(s, &e);
    req_done(s->rq, fine ? NULL : &e);
}

static void tell(struct blob_wait *w, const struct err *why)
{
    struct sending *s = container_of(w, struct sending, wait);
    s->why = *why;
    loop_post(s->rq->loop, &s->told);
}

/* The request is not ours any more when this returns. */
static enum bytes await(struct sending *s)
{
    s->wait = (struct blob_wait){.fn = tell};
    s->told = (struct post){.fn = on_told};
    req_wait(s->rq);
    blob_await(files_store(s->files), s->file.key, offset_of(s), &s->wait);
    return BYTES_LATER;
}

/* ---- a request ------------------------------------------------------------------------------- */

/* Fetched if need be. Before any header: the handler may run again. */
static enum bytes find_bytes(struct sending *s, struct blob_piece *ret, struct err *e)
{
    struct blob_store *store = files_store(s->files);
    const struct file *f = &s->file;
    uint64_t offset = offset_of(s);
    struct err why;
    enum blob_found found = blob_find(store, f->key, f->size, offset, ret, &why);
    if (found == BLOB_REMOTE) {
        if (!s->rq->is_on_lane && req_move(s->rq, RUN_STORE))
            return BYTES_LATER;
        enum blob_fetched fetched = blob_fetch(store, f->key, f->size, offset, &why);
        if (fetched == BLOB_FETCH_BUSY)
            return await(s);
        if (fetched == BLOB_FETCH_FAILED)
            return tell_damaged(s, &why, e);
        found = blob_find(store, f->key, f->size, offset, ret, &why);
    }
    if (found == BLOB_HERE)
        return BYTES_HERE;
    if (found == BLOB_GONE)
        return tell_damaged(s, &why, e);
    err_set(e, ERR_UNAVAILABLE, "The file could not be kept long enough to send it.");
    return BYTES_NONE;
}

static bool reply_bytes_of(struct sending *s, struct err *e)
{
    struct blob_piece piece = {.fd = -1};
    if (s->file.is_damaged)
        return err_set(e, ERR_DAMAGED, "This file is damaged; it can be sent again.");
    if (s->rq->method == METHOD_HEAD || !s->file.size)
        return reply_found(s, NULL, e);
    enum bytes found = find_bytes(s, &piece, e);
    return found == BYTES_HERE ? reply_found(s, &piece, e) : found == BYTES_LATER;
}

bool file_send(struct req *rq, struct files *files, const struct file *f, struct err *e)
{
    struct sending *s = arena_new(rq->arena, struct sending);
    int64_t updated_ms = 0;
    clock_parse_rfc3339(f->updated.ptr, f->updated.len, &updated_ms);
    *s = (struct sending){.rq = rq, .files = files, .file = *f};
    s->valid = (struct h1_valid){.etag = f->etag, .mtime_s = updated_ms / 1000, .size = f->size};
    h1_judge(rq->method, rq->h1, &s->valid, &s->judged);
    switch (s->judged.status) {
    case 304:
        return add_headers(rq, f, &s->valid, e) && reply_empty(rq, 304);
    case 412:
        return err_set(e, ERR_STALE, "The file is not the one the condition names.");
    case 416:
        reply_always(rq, arena_printf(rq->arena, "Content-Range: bytes */%llu\r\n",
                                      (unsigned long long)f->size));
        return err_set(e, ERR_RANGE, "The file has %llu bytes; the range asks for others.",
                       (unsigned long long)f->size);
    default:
        return reply_bytes_of(s, e);
    }
}
