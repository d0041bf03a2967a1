/* One call with all its repetitions: keys, signature, an attempt, and what to do after it. */
#include "base/clock.h"
#include "base/random.h"
#include "base/sha256.h"
#include "s3/s3_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TARGET_MAX (64u << 10)

void s3_call_init(struct s3_call *c, struct s3 *s, enum s3_verb verb, const char *method)
{
    *c = (struct s3_call){.s3 = s, .verb = verb, .method = method, .fd = -1};
    buf_init(&c->answer, S3_BODY_MAX);
}

void s3_call_done(struct s3_call *c)
{
    buf_done(&c->answer);
}

void s3_call_ask(struct s3_call *c, const char *name, struct slice value)
{
    must(c->n_query < S3_QUERY_MAX);
    c->query[c->n_query++] = (struct aws_field){slice_from(name), value};
}

void s3_call_tell(struct s3_call *c, const char *name, struct slice value)
{
    must(c->n_headers < S3_FIELD_MAX);
    c->headers[c->n_headers++] = (struct aws_field){slice_from(name), value};
}

/* ---- what threads share ---------------------------------------------------------------------- */

struct s3_place s3_place_now(struct s3 *s)
{
    pthread_mutex_lock(&s->lock);
    struct s3_place p = s->place;
    pthread_mutex_unlock(&s->lock);
    return p;
}

int64_t s3_now_s(const struct s3 *s)
{
    return (clock_wall_ms() + atomic_load(&s->clock_ms)) / 1000;
}

static bool move_to_region(struct s3 *s, const char *region)
{
    struct s3_place p;
    if (!s3_place_make(&s->options, slice_from(region), &p, NULL))
        return false;
    pthread_mutex_lock(&s->lock);
    s->place = p;
    pthread_mutex_unlock(&s->lock);
    return true;
}

CURL *s3_handle_take(struct s3 *s, unsigned *ret_era)
{
    pthread_mutex_lock(&s->lock);
    CURL *easy = s->n_pool ? s->pool[--s->n_pool] : NULL;
    *ret_era = s->era;
    pthread_mutex_unlock(&s->lock);
    if (!easy)
        easy = s->lib->easy_init();
    must(easy);
    return easy;
}

void s3_handle_give(struct s3 *s, CURL *easy, unsigned era)
{
    pthread_mutex_lock(&s->lock);
    bool is_kept = s->n_pool < S3_POOL && s->era == era;
    if (is_kept)
        s->pool[s->n_pool++] = easy;
    pthread_mutex_unlock(&s->lock);
    if (!is_kept)
        s->lib->easy_cleanup(easy);
}

static bool enter(struct s3 *s, bool *ret_probe, struct err *e)
{
    int64_t left_ms = 0;
    pthread_mutex_lock(&s->lock);
    bool may = breaker_enter(&s->breaker, clock_mono_ms(), ret_probe, &left_ms);
    pthread_mutex_unlock(&s->lock);
    if (may)
        return true;
    err_set(e, ERR_UNAVAILABLE,
            "the object store failed many times in a row and is left alone for a few seconds");
    if (e)
        e->retry_s = (int)(left_ms / 1000 + 1);
    return false;
}

static void tell(struct s3 *s, const struct s3_outcome *o)
{
    pthread_mutex_lock(&s->lock);
    breaker_tell(&s->breaker, &s3_breaker_rule, !s3_is_outage(o), clock_mono_ms());
    pthread_mutex_unlock(&s->lock);
}

static void leave(struct s3 *s, bool is_probe)
{
    pthread_mutex_lock(&s->lock);
    breaker_leave(&s->breaker, is_probe);
    pthread_mutex_unlock(&s->lock);
}

/* ---- one attempt ----------------------------------------------------------------------------- */

/* What one run through the loop knows. */
struct run {
    struct s3_call *call;
    struct s3_budget budget;
    struct s3_place place;
    struct s3_outcome outcome;
    struct s3_attempt attempt;
    CURL *easy;
    struct slice payload;            /* the hash, once it is known */
    unsigned failures;               /* without a byte between */
    bool has_set_time, has_new_keys; /* each is tried once */
    unsigned regions;                /* twice: a redirect, then the region's own answer */
};

static struct slice payload_of(struct run *r, struct arena *a, struct err *e)
{
    struct s3_call *c = r->call;
    struct sha256 h;
    char hex[SHA256_HEX_LEN + 1], bytes[64 << 10];
    if (r->payload.len)
        return r->payload;
    if (c->is_get || c->len == 0)
        return SLICE(AWS_PAYLOAD_NONE);
    if (c->fd >= 0 && r->place.is_tls)
        return SLICE(AWS_PAYLOAD_UNSIGNED);
    sha256_init(&h);
    if (c->fd < 0)
        sha256_add(&h, c->body);
    for (uint64_t at = 0; c->fd >= 0 && at < c->len;) {
        size_t want = c->len - at < sizeof bytes ? (size_t)(c->len - at) : sizeof bytes;
        ssize_t got = pread(c->fd, bytes, want, (off_t)(c->offset + at));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            err_set(e, ERR_IO, "the file to send could not be read to its end");
            return (struct slice){0};
        }
        sha256_add(&h, (struct slice){bytes, (size_t)got});
        at += (uint64_t)got;
    }
    sha256_end_hex(&h, hex);
    return r->payload = arena_dup(a, slice_from(hex));
}

static struct slice path_of(const struct s3_place *p, struct slice key, struct arena *a)
{
    struct slice base = slice_from(p->base);
    if (!key.len && base.len > 1)
        base.len--; /* /bucket */
    return arena_printf(a, "%.*s%.*s", SLICE_ARGS(base), SLICE_ARGS(key));
}

static bool attempt(struct run *r, struct arena *a, struct slice payload, struct err *e)
{
    struct s3_call *c = r->call;
    struct s3 *s = c->s3;
    struct aws_keys keys;
    struct buf target, lines;
    if (!aws_chain_get(s->options.chain, a, &keys, e))
        return false;
    struct aws_scope scope = {slice_from(r->place.region), SLICE("s3")};
    struct aws_request rq = {
        .method = slice_from(c->method),
        .host = slice_from(r->place.host),
        .path = path_of(&r->place, c->key, a),
        .query = c->query,
        .n_query = c->n_query,
        .headers = c->headers,
        .n_headers = c->n_headers,
        .payload = payload,
    };
    buf_init(&target, TARGET_MAX);
    buf_init(&lines, TARGET_MAX);
    aws_target(&rq, &target);
    aws_sign(&rq, &keys, &scope, s3_now_s(s), &lines);
    r->attempt = (struct s3_attempt){
        .call = c,
        .easy = r->easy,
        .place = &r->place,
        .target = buf_slice(&target),
        .signed_lines = buf_slice(&lines),
        .budget = &r->budget,
        .outcome = &r->outcome,
    };
    bool fine = !target.full && !lines.full;
    fine = fine ? s3_attempt_run(&r->attempt, e) : err_set(e, ERR_INVALID, "the key is too long");
    r->attempt.target = r->attempt.signed_lines = (struct slice){0};
    buf_done(&target);
    buf_done(&lines);
    return fine;
}

/* ---- after it -------------------------------------------------------------------------------- */

static void explain(const struct run *r, struct err *e)
{
    const struct s3 *s = r->call->s3;
    struct s3_asked asked = {
        .bucket = s->options.bucket.ptr,
        .host = r->place.host,
        .region = r->place.region,
        .verb = r->call->verb,
        .other_region = r->outcome.names_region ? r->attempt.error.region : "",
        .clock_off_ms = r->outcome.clock_off_ms,
    };
    s3_explain(&r->outcome, &asked, e);
    if (e && e->code == ERR_UNAVAILABLE && r->outcome.retry_after_s)
        e->retry_s = (int)r->outcome.retry_after_s;
}

static bool pause_then(struct run *r)
{
    uint32_t random;
    random_bytes(&random, sizeof random);
    uint32_t pause = s3_pause_ms(&r->outcome, ++r->failures, random);
    if (s3_budget_left(&r->budget, clock_mono_ms()) <= pause)
        return false;
    struct timespec t = {pause / 1000, (long)(pause % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
    return true;
}

static bool set_time(struct run *r)
{
    if (r->has_set_time)
        return false;
    r->has_set_time = true;
    atomic_fetch_add(&r->call->s3->clock_ms, r->outcome.clock_off_ms);
    return true;
}

static bool set_region(struct run *r)
{
    return r->regions++ < 2 && move_to_region(r->call->s3, r->attempt.error.region);
}

static bool new_keys(struct run *r)
{
    if (r->has_new_keys)
        return false;
    r->has_new_keys = true;
    aws_chain_doubt(r->call->s3->options.chain);
    return true;
}

/* Again? */
static bool prepare_next(struct run *r, enum s3_verdict verdict)
{
    switch (verdict) {
    case S3_REPEAT:
        return pause_then(r);
    case S3_SET_TIME:
        return set_time(r);
    case S3_SET_REGION:
        return set_region(r);
    case S3_NEW_KEYS:
        return new_keys(r);
    case S3_DONE:
    case S3_GIVE_UP:
        break;
    }
    return false;
}

static bool repeat(struct run *r, struct arena *a, struct err *e)
{
    struct s3_call *c = r->call;
    for (;; c->n_repeats++) {
        uint64_t before = c->done;
        struct arena_mark mark = arena_mark(a);
        r->place = s3_place_now(c->s3);
        struct slice payload = payload_of(r, a, e);
        if (r->payload.len)
            mark = arena_mark(a); /* it is not made again */
        if (!payload.ptr || !attempt(r, a, payload, e))
            return false;
        arena_rewind(a, mark);
        if (c->was_damaged)
            return err_set(e, ERR_STALE,
                           "the object at %s is another one by now, or shorter than it should be",
                           r->place.host);
        tell(c->s3, &r->outcome);
        r->failures = c->done > before ? 0 : r->failures;
        enum s3_verdict verdict = s3_judge(&r->outcome);
        if (verdict == S3_DONE)
            return true;
        if (!prepare_next(r, verdict)) {
            explain(r, e);
            return false;
        }
        atomic_fetch_add(&c->s3->repeats, 1);
    }
}

bool s3_call_run(struct s3_call *c, struct err *e)
{
    struct s3 *s = c->s3;
    struct run r = {.call = c, .payload = c->payload};
    struct arena a;
    bool is_probe;
    unsigned era;
    if (c->fd < 0)
        c->len = c->body.len;
    atomic_fetch_add(&s->calls[c->verb], 1);
    if (!enter(s, &is_probe, e)) {
        atomic_fetch_add(&s->failures, 1);
        return false;
    }
    arena_init(&a, 1u << 20);
    r.budget = (struct s3_budget){clock_mono_ms(), s->options.call_ms, 0, 0};
    r.easy = s3_handle_take(s, &era);
    r.outcome.code = "";
    bool fine = repeat(&r, &a, e);
    s3_handle_give(s, r.easy, era);
    leave(s, is_probe);
    c->status = r.outcome.transport == CURLE_OK ? r.outcome.status : 0;
    snprintf(c->code, sizeof c->code, "%s", r.outcome.code);
    if (!fine && c->status != 404)
        atomic_fetch_add(&s->failures, 1);
    arena_done(&a);
    return fine;
}
