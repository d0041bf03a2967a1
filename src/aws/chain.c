/* The places that may have keys, asked one after the other; and what they lent, kept and renewed.
 */
#include "aws/aws_impl.h"
#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define RENEW_MS   (5 * 60 * 1000) /* before they end */
#define AGAIN_MS   30000           /* after a renewal that failed, or gave what ends soon */
#define FAILED_MS  2000            /* so long a failure holds for everybody */
#define DOUBT_MS   10000
#define ANSWER_CAP (16u << 20)

/* In this order. */
static const struct {
    const char *name;
    enum place_said (*ask)(const struct asking *q, struct lent *ret, struct err *e);
} places[] = {
    {"settings", fixed_ask},  {"environment", environment_ask}, {"web identity", web_identity_ask},
    {"profile", profile_ask}, {"container", container_ask},     {"machine", machine_ask},
};

struct aws_chain {
    struct aws_place place; /* its texts are copies */
    struct aws_keys fixed;  /* copies */
    struct arena own;       /* for those */
    pthread_mutex_t lock;   /* for all below */
    pthread_cond_t told;    /* somebody who asked is back */
    bool is_asking, has, is_doubted;
    struct arena arena; /* of `keys` */
    struct aws_keys keys;
    int64_t renew_ms, good_ms; /* when they are due; until when they are given */
    int64_t doubt_ms;          /* when somebody last doubted */
    uint64_t turn;             /* how often somebody came back */
    struct err failed;
    int64_t failed_ms; /* when; 0: it did not */
};

static int64_t now_ms(const struct aws_chain *c)
{
    return c->place.now_ms ? c->place.now_ms(c->place.user) : clock_wall_ms();
}

static const char *copied(struct arena *a, const char *text)
{
    return text ? arena_cstr(a, slice_from(text)) : NULL;
}

static struct aws_keys keys_copied(struct arena *a, const struct aws_keys *k)
{
    return (struct aws_keys){arena_dup(a, k->id), arena_dup(a, k->secret), arena_dup(a, k->token)};
}

struct aws_chain *aws_chain_new(const struct aws_place *place, const struct aws_keys *fixed)
{
    struct aws_chain *c = mem_new(struct aws_chain);
    arena_init(&c->own, ANSWER_CAP);
    if (place) {
        c->place = *place;
        c->place.home = copied(&c->own, place->home);
        c->place.imds_url = copied(&c->own, place->imds_url);
        c->place.sts_url = copied(&c->own, place->sts_url);
    }
    if (fixed)
        c->fixed = keys_copied(&c->own, fixed);
    must(!pthread_mutex_init(&c->lock, NULL) && !pthread_cond_init(&c->told, NULL));
    arena_init(&c->arena, ANSWER_CAP);
    return c;
}

void aws_chain_free(struct aws_chain *c)
{
    if (!c)
        return;
    must(!c->is_asking);
    pthread_cond_destroy(&c->told);
    pthread_mutex_destroy(&c->lock);
    arena_done(&c->arena);
    arena_done(&c->own);
    free(c);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct asking asking_of(const struct aws_chain *c, struct arena *a)
{
    return (struct asking){.place = &c->place, .fixed = &c->fixed, .arena = a, .now_ms = now_ms(c)};
}

/* Without the lock: it may take seconds. */
static bool ask_places(const struct aws_chain *c, struct arena *a, struct lent *ret, struct err *e)
{
    const struct asking q = asking_of(c, a);
    struct buf lacks;
    buf_init(&lacks, sizeof e->msg);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct err why = {0};
        enum place_said said = places[i].ask(&q, ret, &why);
        if (said == PLACE_LENDS || said == PLACE_FAILED) {
            buf_done(&lacks);
            return said == PLACE_LENDS || err_set(e, ERR_UNAVAILABLE, "%s", why.msg);
        }
        buf_printf(&lacks, "%s%s: %s", i ? "; " : "", places[i].name, why.msg);
    }
    err_set(e, ERR_UNAVAILABLE, "There are no keys for AWS (%s)", lacks.data);
    buf_done(&lacks);
    return false;
}

static void take(struct aws_chain *c, struct arena *a, const struct lent *l)
{
    int64_t now = now_ms(c);
    arena_done(&c->arena);
    arena_init(&c->arena, ANSWER_CAP);
    c->keys = keys_copied(&c->arena, &l->keys);
    arena_done(a);
    c->has = true;
    c->failed_ms = 0;
    c->renew_ms = c->good_ms = INT64_MAX;
    if (!l->ends_ms)
        return;
    c->renew_ms = l->ends_ms - RENEW_MS;
    if (c->renew_ms < now + AGAIN_MS)
        c->renew_ms = now + AGAIN_MS;
    /* Over when they came: our clock may be wrong, and the place's word counts for a while. */
    c->good_ms = l->ends_ms > now ? l->ends_ms : now + RENEW_MS;
}

/* With the lock, which is open meanwhile. */
static void ask(struct aws_chain *c)
{
    struct arena a;
    struct lent l = {0};
    struct err e = {0};
    c->is_asking = true;
    pthread_mutex_unlock(&c->lock);
    arena_init(&a, ANSWER_CAP);
    bool ok = ask_places(c, &a, &l, &e);
    pthread_mutex_lock(&c->lock);
    if (ok) {
        take(c, &a, &l);
    } else {
        arena_done(&a);
        c->failed = e;
        c->failed_ms = now_ms(c);
        if (c->renew_ms < INT64_MAX)
            c->renew_ms = c->failed_ms + AGAIN_MS;
    }
    c->is_doubted = c->is_asking = false;
    c->turn++;
    pthread_cond_broadcast(&c->told);
}

/* ---- giving ---------------------------------------------------------------------------------- */

static bool is_good(const struct aws_chain *c)
{
    return c->has && now_ms(c) < c->good_ms;
}

/* Somebody has to ask: there are none, they end soon, or they were refused. */
static bool is_due(const struct aws_chain *c)
{
    return !is_good(c) || c->is_doubted || now_ms(c) >= c->renew_ms;
}

static bool has_just_failed(const struct aws_chain *c)
{
    int64_t since = now_ms(c) - c->failed_ms;
    return c->failed_ms && since >= 0 && since < FAILED_MS;
}

/* With the lock. False: there are none, and c->failed says why. */
static bool make_sure(struct aws_chain *c)
{
    if (!is_due(c))
        return true;
    if (c->is_asking) {
        if (is_good(c) && !c->is_doubted)
            return true;
        for (uint64_t turn = c->turn; turn == c->turn;)
            pthread_cond_wait(&c->told, &c->lock);
    } else if (!has_just_failed(c) || is_good(c)) {
        ask(c);
    }
    return is_good(c);
}

bool aws_chain_get(struct aws_chain *c, struct arena *a, struct aws_keys *ret, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    bool ok = make_sure(c);
    if (ok)
        *ret = keys_copied(a, &c->keys);
    else
        err_set(e, c->failed.code, "%s", c->failed.msg);
    pthread_mutex_unlock(&c->lock);
    return ok;
}

void aws_chain_doubt(struct aws_chain *c)
{
    pthread_mutex_lock(&c->lock);
    int64_t now = now_ms(c);
    if (!c->doubt_ms || now - c->doubt_ms >= DOUBT_MS || now < c->doubt_ms) {
        c->doubt_ms = now;
        c->is_doubted = true;
    }
    pthread_mutex_unlock(&c->lock);
}

struct slice aws_chain_region(struct aws_chain *c, struct arena *a)
{
    struct slice region = slice_trim(place_env(&c->place, "AWS_REGION"));
    struct profile p;
    struct arena files;
    if (!region.len)
        region = slice_trim(place_env(&c->place, "AWS_DEFAULT_REGION"));
    if (region.len)
        return arena_dup(a, region);
    arena_init(&files, ANSWER_CAP);
    const struct asking q = asking_of(c, &files);
    if (profile_find(&q, &p, NULL))
        region = p.region;
    region = arena_dup(a, region);
    arena_done(&files);
    return region;
}
