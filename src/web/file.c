/* Files and their prepared copies: heads, entity tags, loading, rewriting, the memory budget. */
#include "web/file_impl.h"
#include "base/file.h"
#include "web/beneath_impl.h"
#include "web/compress_impl.h"
#include "web/inline_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RACY_NS  20000000 /* coarser than any clock a file system stamps with */
#define HEAD_MAX 131072
#define PACK_MIN 256 /* smaller texts fit into one packet anyway */

struct web_facts facts_of(const struct stat *st)
{
    return (struct web_facts){st->st_ino, (uint64_t)st->st_size,
                              st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec};
}

bool facts_eq(const struct web_facts *a, const struct web_facts *b)
{
    return a->inode == b->inode && a->size == b->size && a->mtime_ns == b->mtime_ns;
}

/* ---- files
 * -------------------------------------------------------------------------------------- */

static struct web_file *file_make(const struct web_rules *r, struct slice path)
{
    struct web_file *f = mem_zalloc(sizeof *f + path.len + 1);
    memcpy(f->bytes, path.ptr, path.len);
    f->refs = 1;
    f->path = (struct slice){f->bytes, path.len};
    f->type = type_of(path);
    f->profile = rules_profile(r, path);
    f->budget = r->budget;
    f->as_file = (struct web_node){NODE_FILE, f};
    f->as_folder = (struct web_node){NODE_FOLDER, f};
    return f;
}

struct web_file *file_new(const struct web_rules *r, size_t root, struct slice path,
                          const struct web_facts *facts)
{
    struct web_file *f = file_make(r, path);
    f->facts = *facts;
    f->root = (uint16_t)root;
    f->rel = f->bytes + r->roots[root].prefix.len;
    f->rewritten = (f->type->flags & TYPE_TEXT) &&
                   (rules_rewrites(r, slice_from(f->rel)) ||
                    ((r->dev || r->needs_scan) && (f->type->flags & TYPE_HTML)));
    return f;
}

struct web_file *file_ref(struct web_file *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

static void copy_free(struct web_copy *c, struct web_budget *budget)
{
    if (!c)
        return;
    atomic_fetch_sub_explicit(&budget->used, c->charged, memory_order_relaxed);
    shared_unref(c->body);
    free(c);
}

void file_unref(struct web_file *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (int i = 0; i < 3; i++)
        copy_free(f->copies[i], f->budget);
    free(f);
}

/* ---- entity tags
 * -------------------------------------------------------------------------------- */

struct slice etag_of_facts(const struct web_facts *f, char to[ETAG_MAX])
{
    int n = snprintf(to, ETAG_MAX, "\"%llx-%llx-%llx\"", (unsigned long long)f->inode,
                     (unsigned long long)f->size, (unsigned long long)f->mtime_ns);
    return (struct slice){to, (size_t)n};
}

/* FNV-1a, 64 bits: it tells versions of one file apart and needs no secret, so that every process
 * that serves the same bytes says the same. */
struct slice etag_of_bytes(struct slice bytes, char to[ETAG_MAX])
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes.len; i++)
        h = (h ^ (unsigned char)bytes.ptr[i]) * 0x100000001b3u;
    int n = snprintf(to, ETAG_MAX, "\"%016llx-%zx\"", (unsigned long long)h, bytes.len);
    return (struct slice){to, (size_t)n};
}

static struct slice etag_of_coding(struct slice plain, enum coding c, char to[ETAG_MAX])
{
    int n = snprintf(to, ETAG_MAX, "%.*s-%s\"", (int)plain.len - 1, plain.ptr,
                     c == CODING_BR ? "br" : "gz");
    return (struct slice){to, (size_t)n};
}

/* ---- heads
 * -------------------------------------------------------------------------------------- */

static struct slice cache_control_of(const struct web_head *h)
{
    if (h->profile->cache_control.len)
        return h->profile->cache_control;
    if (!h->file->rel || (h->file->type->flags & TYPE_HTML))
        return SLICE("no-store");
    if (!h->dev && path_is_hashed(h->file->path))
        return SLICE("public, max-age=31536000, immutable");
    return SLICE("no-cache");
}

static bool is_packable(const struct web_file *f)
{
    return (f->type->flags & TYPE_PACK) && f->facts.size >= PACK_MIN;
}

static void add_csp(struct buf *to, const struct web_head *h)
{
    struct arena a;
    arena_init(&a, 65536);
    struct slice policy = web_csp_fill(&a, h->profile->csp, &h->inlines);
    if (policy.len)
        h1_add(to, "Content-Security-Policy", policy);
    arena_done(&a);
}

size_t head_write(struct buf *to, const struct web_head *h)
{
    size_t from = to->len;
    char date[HTTP_DATE_LEN + 1];
    h1_add(to, "Content-Type", slice_from(h->type));
    if (h->coding != CODING_IDENTITY)
        h1_add(to, "Content-Encoding", h->coding == CODING_BR ? SLICE("br") : SLICE("gzip"));
    size_t left_out = to->len - from;
    h1_add(to, "Accept-Ranges", SLICE("bytes"));
    h1_add(to, "ETag", h->valid.etag);
    if (h->file->rel) {
        clock_http_date(h->valid.mtime_s, date);
        h1_add(to, "Last-Modified", slice_from(date));
    }
    h1_add(to, "Cache-Control", cache_control_of(h));
    if (is_packable(h->file) && !h->dev)
        h1_add(to, "Vary", SLICE("Accept-Encoding"));
    buf_add(to, h->profile->lines);
    add_csp(to, h);
    return left_out;
}

/* ---- copies
 * ------------------------------------------------------------------------------------- */

static bool budget_take(struct web_budget *b, size_t n)
{
    size_t was = atomic_fetch_add_explicit(&b->used, n, memory_order_relaxed);
    if (was + n <= b->max)
        return true;
    atomic_fetch_sub_explicit(&b->used, n, memory_order_relaxed);
    return false;
}

/* Copies a text behind those that the copy has already. */
static struct slice keep(struct web_copy *c, size_t *used, struct slice text)
{
    struct slice kept = {c->text + *used, text.len};
    if (text.len)
        memcpy(c->text + *used, text.ptr, text.len);
    *used += text.len;
    return kept;
}

static struct web_copy *copy_new(const struct web_head *h, struct slice head, size_t left_out,
                                 struct shared *body)
{
    const struct web_csp_sources *in = &h->inlines;
    size_t used = 0, n = head.len + h->valid.etag.len + in->scripts.len + in->styles.len;
    struct web_copy *c = mem_alloc(sizeof *c + n);
    c->body = body;
    c->head = keep(c, &used, head);
    c->rest = slice_skip(c->head, left_out);
    c->valid = (struct h1_valid){keep(c, &used, h->valid.etag), h->valid.mtime_s, body->len};
    c->inlines = (struct web_csp_sources){.scripts = keep(c, &used, in->scripts),
                                          .styles = keep(c, &used, in->styles)};
    c->type = h->type;
    c->coding = h->coding;
    c->charged = body->len + n + sizeof *c;
    return c;
}

/* Takes the body; publishes the copy, or drops it when the budget is used up. */
static bool copy_publish(struct web_file *f, const struct web_rules *r, struct web_head *h,
                         struct shared *body)
{
    struct buf head;
    buf_init(&head, HEAD_MAX);
    h->file = f;
    h->profile = &r->profiles[f->profile];
    h->dev = r->dev;
    size_t left_out = head_write(&head, h);
    struct web_copy *c = copy_new(h, buf_slice(&head), left_out, body);
    buf_done(&head);
    if (!budget_take(f->budget, c->charged)) {
        shared_unref(body);
        free(c);
        return false;
    }
    struct web_copy *none = NULL; /* two workers may prepare a file that two trees hold */
    if (!atomic_compare_exchange_strong(&f->copies[h->coding], &none, c))
        copy_free(c, f->budget);
    return true;
}

/* The script exists nowhere but in memory, so it is never refused. */
static struct web_budget unlimited = {.max = SIZE_MAX};

struct web_file *file_new_script(const struct web_rules *r)
{
    struct web_file *f = file_make(r, r->conf->env.path.s);
    char etag[ETAG_MAX];
    struct web_head h = {.type = type_of(SLICE("a.js"))->type,
                         .valid.etag = etag_of_bytes(r->script, etag)};
    f->budget = &unlimited;
    must(copy_publish(f, r, &h, shared_new(r->script)));
    return f;
}

/* ---- loading
 * ------------------------------------------------------------------------------------ */

static void note_racy(struct web_file *f)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    if (now_ns - f->facts.mtime_ns < RACY_NS)
        atomic_store(&f->racy, true);
}

/* The file's bytes (malloc), only if they are those the facts speak of; NULL otherwise. */
static char *read_file(struct web_file *f, int root_fd)
{
    struct stat before, after;
    int fd = beneath_open_file(root_fd, f->rel, &before);
    if (fd < 0)
        return NULL;
    struct web_facts was = facts_of(&before), is = {0};
    char *data = NULL;
    if (facts_eq(&was, &f->facts)) {
        data = mem_alloc(was.size + 1);
        if (fd_read(fd, data, was.size) == (ssize_t)was.size && fstat(fd, &after) == 0)
            is = facts_of(&after);
        if (!facts_eq(&was, &is)) {
            free(data);
            data = NULL;
        }
    }
    close(fd);
    note_racy(f);
    return data;
}

static struct shared *rewrite(const struct web_file *f, const struct web_rules *r, char *data)
{
    struct buf out;
    buf_init(&out, REWRITE_MAX);
    bool fits = rules_rewrite(r, slice_from(f->rel), f->type->flags & TYPE_HTML,
                              (struct slice){data, f->facts.size}, &out);
    free(data);
    size_t len = 0;
    char *text = fits ? buf_take(&out, &len) : NULL;
    buf_done(&out);
    return fits ? shared_take(text, len) : NULL;
}

/* A file that must not be sent as it is, and cannot be held either, is sent as it is: the app then
 * works as it does elsewhere, and the log says why it is not what the manifest asks for. */
static void give_up_rewriting(struct web_file *f)
{
    if (!f->rewritten || atomic_exchange(&f->raw, true))
        return;
    log_line(
        LOG_ERROR,
        "a file is too large to rewrite or search for scripts, or the memory for files is used up",
        F_STR("path", f->path));
}

/* What is written in a page and what no hash can permit. */
static void find_inlines(const struct web_file *f, const struct web_rules *r, struct slice html,
                         struct inline_found *ret)
{
    *ret = (struct inline_found){0};
    if (!r->needs_scan || !(f->type->flags & TYPE_HTML))
        return;
    inline_scan(html, ret);
    if (ret->is_too_many)
        log_line(LOG_ERROR, "a page has more scripts or styles than its policy can name",
                 F_STR("path", f->path), F_INT("most", INLINE_MAX));
    if (ret->n_handlers && r->profiles[f->profile].needs_scan)
        log_line(LOG_WARN,
                 "a page has scripts in attributes (onclick, javascript:), which its policy blocks",
                 F_STR("path", f->path), F_INT("attributes", ret->n_handlers));
}

void file_load(struct web_file *f, const struct web_rules *r, int root_fd)
{
    char etag[ETAG_MAX];
    if (!f->rel || file_copy(f, CODING_IDENTITY) || atomic_load(&f->raw))
        return;
    size_t max = f->rewritten ? REWRITE_MAX : SMALL_MAX;
    bool fits =
        f->facts.size <= max && f->facts.size + atomic_load(&f->budget->used) <= f->budget->max;
    char *data = fits ? read_file(f, root_fd) : NULL;
    if (!data) {
        if (!fits)
            give_up_rewriting(f);
        return;
    }
    struct shared *body = f->rewritten ? rewrite(f, r, data) : shared_take(data, f->facts.size);
    if (!body) {
        give_up_rewriting(f);
        return;
    }
    struct slice bytes = shared_slice(body);
    const char *sniffed =
        (f->type->flags & TYPE_IMAGE) ? image_sniff(slice_first(bytes, 16)) : NULL;
    struct inline_found inlines;
    find_inlines(f, r, bytes, &inlines);
    struct web_head h = {
        .type = sniffed ? sniffed : f->type->type,
        .valid = {etag_of_bytes(bytes, etag), f->facts.mtime_ns / 1000000000, bytes.len},
        .inlines = {.scripts = buf_slice(&inlines.scripts), .styles = buf_slice(&inlines.styles)},
    };
    if (!copy_publish(f, r, &h, body))
        give_up_rewriting(f);
    inline_done(&inlines);
}

/* ---- compressing
 * -------------------------------------------------------------------------------- */

struct plain {
    struct slice bytes, etag;
    struct web_csp_sources inlines;
};

static void add_packed(struct web_file *f, const struct web_rules *r, const struct plain *plain,
                       enum coding coding)
{
    char etag[ETAG_MAX];
    if (file_copy(f, coding))
        return;
    struct shared *body = coding == CODING_BR ? pack_brotli(plain->bytes) : pack_gzip(plain->bytes);
    if (!body)
        return;
    struct web_head h = {
        .type = f->type->type,
        .coding = coding,
        .valid = {etag_of_coding(plain->etag, coding, etag), f->facts.mtime_ns / 1000000000,
                  body->len},
        .inlines = plain->inlines,
    };
    (void)copy_publish(f, r, &h, body);
}

void file_compress(struct web_file *f, const struct web_rules *r, int root_fd)
{
    const struct web_copy *c = file_copy(f, CODING_IDENTITY);
    char etag[ETAG_MAX];
    if (r->dev || !f->rel || !is_packable(f) || (f->rewritten && !c) ||
        f->facts.size > REWRITE_MAX || atomic_load(&f->budget->used) >= f->budget->max ||
        (file_copy(f, CODING_BR) && file_copy(f, CODING_GZIP)))
        return;
    char *data = c ? NULL : read_file(f, root_fd);
    if (!c && !data)
        return;
    struct plain plain = {.bytes = {data, f->facts.size}};
    if (c)
        plain = (struct plain){shared_slice(c->body), c->valid.etag, c->inlines};
    else
        plain.etag = etag_of_facts(&f->facts, etag);
    add_packed(f, r, &plain, CODING_BR);
    add_packed(f, r, &plain, CODING_GZIP);
    free(data);
}
