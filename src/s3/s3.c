/* An object store: what it is told at first, what it counts, and whether it can be used. */
#include "base/mem.h"
#include "base/random.h"
#include "base/sha256.h"
#include "s3/s3_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OPTIONS_MAX (64u << 10)
#define PART_MIN    (64u << 10) /* tests use small ones */

static bool check_prefix(struct slice prefix, struct err *e)
{
    if (prefix.len == 0 ||
        (slice_ends(prefix, SLICE("/")) && !slice_starts(prefix, SLICE("/")) && prefix.len <= 512))
        return true;
    return err_set(
        e, ERR_MANIFEST,
        "S3_PREFIX must end in '/' and not begin with one, like \"photos/\"; it is \"%.*s\"",
        SLICE_ARGS(slice_first(prefix, 60)));
}

static void set_defaults(struct s3_options *o)
{
    o->connect_ms = o->connect_ms ? o->connect_ms : 5000;
    o->idle_ms = o->idle_ms ? o->idle_ms : 15000;
    o->call_ms = o->call_ms ? o->call_ms : 30000;
    o->part_bytes = o->part_bytes ? o->part_bytes : 16u << 20;
    o->part_bytes = o->part_bytes < PART_MIN ? PART_MIN : o->part_bytes;
}

static void copy_options(struct s3 *s, const struct s3_options *o)
{
    s->options = *o;
    s->options.bucket = arena_dup(&s->arena, o->bucket);
    s->options.region = arena_dup(&s->arena, o->region);
    s->options.endpoint = arena_dup(&s->arena, o->endpoint);
    s->options.prefix = arena_dup(&s->arena, o->prefix);
    s->options.ca_file = o->ca_file ? arena_cstr(&s->arena, slice_from(o->ca_file)) : NULL;
    set_defaults(&s->options);
}

static struct slice first_region(struct s3 *s)
{
    struct slice region = s->options.region;
    if (!region.len)
        region = aws_chain_region(s->options.chain, &s->arena);
    return region.len ? region : SLICE("us-east-1");
}

struct s3 *s3_new(const struct s3_options *o, struct err *e)
{
    const struct libcurl *lib = libcurl_get(e);
    size_t len = o->bucket.len + o->region.len + o->endpoint.len + o->prefix.len;
    if (!lib || !check_prefix(o->prefix, e))
        return NULL;
    if (len > OPTIONS_MAX / 2) {
        err_set(e, ERR_MANIFEST, "the settings of the object store (S3_…) are too long");
        return NULL;
    }
    struct s3 *s = mem_new(struct s3);
    s->lib = lib;
    arena_init(&s->arena, OPTIONS_MAX + (64u << 10));
    copy_options(s, o);
    pthread_mutex_init(&s->lock, NULL);
    if (s3_place_make(&s->options, first_region(s), &s->place, e))
        return s;
    s3_free(s);
    return NULL;
}

void s3_free(struct s3 *s)
{
    if (!s)
        return;
    while (s->n_pool)
        s->lib->easy_cleanup(s->pool[--s->n_pool]);
    pthread_mutex_destroy(&s->lock);
    arena_done(&s->arena);
    free(s);
}

/* Closing them takes its time, and all calls need the lock. */
void s3_renew(struct s3 *s)
{
    CURL *old[S3_POOL];
    pthread_mutex_lock(&s->lock);
    size_t n = s->n_pool;
    memcpy(old, s->pool, n * sizeof *old);
    s->n_pool = 0;
    s->era++;
    pthread_mutex_unlock(&s->lock);
    while (n)
        s->lib->easy_cleanup(old[--n]);
}

struct slice s3_full_key(const struct s3 *s, struct arena *a, struct slice key)
{
    return arena_printf(a, "%.*s%.*s", SLICE_ARGS(s->options.prefix), SLICE_ARGS(key));
}

void s3_stats(struct s3 *s, struct s3_stats *ret)
{
    *ret = (struct s3_stats){
        .repeats = atomic_load(&s->repeats),
        .failures = atomic_load(&s->failures),
        .bytes_sent = atomic_load(&s->sent),
        .bytes_received = atomic_load(&s->received),
    };
    for (size_t i = 0; i < S3_VERBS; i++)
        ret->calls[i] = atomic_load(&s->calls[i]);
    pthread_mutex_lock(&s->lock);
    ret->is_open = s->breaker.until_ms != 0;
    pthread_mutex_unlock(&s->lock);
}

/* ---- can it be used? ------------------------------------------------------------------------- */

#define CHECK_TEXT "Written and deleted again to see whether this bucket can be used.\n"

static bool check_with(struct s3 *s, struct slice key, int fd, struct err *e)
{
    char back[sizeof CHECK_TEXT] = "", hex[SHA256_HEX_LEN + 1];
    struct slice text = SLICE(CHECK_TEXT);
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, text);
    sha256_end_hex(&h, hex);
    if (pwrite(fd, text.ptr, text.len, 0) != (ssize_t)text.len)
        return err_set_sys(e, ERR_IO, "memory for a check could not be written");
    if (!s3_put(s, key, fd, text.len, slice_from(hex), "text/plain", e))
        return err_prefix(e, "writing");
    if (pwrite(fd, back, text.len, 0) != (ssize_t)text.len)
        return err_set_sys(e, ERR_IO, "memory for a check could not be written");
    bool fine = s3_get(s, key, 0, text.len, fd, e) || err_prefix(e, "reading");
    bool deleted = s3_delete(s, key, fine ? e : NULL) || (fine && err_prefix(e, "deleting"));
    if (!fine || !deleted)
        return false;
    if (pread(fd, back, text.len, 0) != (ssize_t)text.len || memcmp(back, text.ptr, text.len) != 0)
        return err_set(e, ERR_UNAVAILABLE, "%s gave back other bytes than it was given",
                       s->place.host);
    return true;
}

bool s3_check(struct s3 *s, struct err *e)
{
    char key[sizeof ".dais-check-" + ID_LEN] = ".dais-check-";
    random_id(key + strlen(key));
    int fd = memfd_create("s3-check", MFD_CLOEXEC);
    if (fd < 0)
        return err_set_sys(e, ERR_IO, "memory for a check could not be had");
    bool fine = check_with(s, slice_from(key), fd, e);
    close(fd);
    return fine;
}
