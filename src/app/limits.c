/* `limits` of an app's routes: which row a request falls under, and whether one is left for it.
 *
 * Counted are accounts, and addresses of those who are signed out. What a row has counted outlives
 * a reload that leaves it as it was. */
#include "app/app_impl.h"

#include <stdlib.h>
#include <string.h>

#define KEYS 32768 /* 512 KB for each of the two, once that many come */

/* What a row counts; shared by a host and the one that replaces it. */
struct counter {
    _Atomic int refs;
    struct limit *by_account, *by_address;
};

struct limit_rule {
    const struct limit_row *row;
    struct slice method, prefix; /* prefix as path_lax sees it */
    struct counter *counter;     /* NULL: off */
};

/* ---- making ---------------------------------------------------------------------------------- */

static struct counter *counter_new(const struct rate *rate)
{
    struct counter *c = mem_new(struct counter);
    c->refs = 1;
    c->by_account = limit_new(rate->count, rate->per_ms, KEYS);
    c->by_address = limit_new(rate->count, rate->per_ms, KEYS);
    return c;
}

static void counter_unref(struct counter *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    limit_free(c->by_account);
    limit_free(c->by_address);
    free(c);
}

static bool is_same(const struct limit_row *a, const struct limit_row *b)
{
    return slice_eq(a->route.s, b->route.s) && a->rate.count == b->rate.count &&
           a->rate.per_ms == b->rate.per_ms;
}

/* That of the same row of the same app in the host before; NULL: there is none. */
static struct counter *counter_of(const struct host *old, struct slice slug,
                                  const struct limit_row *row)
{
    for (size_t i = 0; old && i < old->n_apps; i++) {
        const struct app *app = &old->apps[i];
        for (size_t k = 0; k < app->n_limits && slice_eq(app->manifest->slug.s, slug); k++) {
            if (app->limits[k].counter && is_same(app->limits[k].row, row)) {
                atomic_fetch_add(&app->limits[k].counter->refs, 1);
                return app->limits[k].counter;
            }
        }
    }
    return NULL;
}

void limits_open(struct host *h, struct app *app, const struct host *old)
{
    const struct manifest *m = app->manifest;
    app->limits = arena_zalloc(&h->arena, m->limits.n * sizeof *app->limits);
    for (size_t i = 0; i < m->limits.n; i++) {
        const struct limit_row *row = &m->limits.items[i];
        struct slice prefix = row->route.s, method;
        if (slice_index(prefix, ' ') < 0 || !slice_cut(&prefix, ' ', &method))
            continue; /* login and the like: of what later versions bring */
        struct limit_rule *rule = &app->limits[app->n_limits++];
        *rule = (struct limit_rule){row, method, path_lax(prefix, 0, &h->arena), NULL};
        if (!row->rate.per_ms)
            continue;
        rule->counter = counter_of(old == h ? NULL : old, m->slug.s, row);
        if (!rule->counter)
            rule->counter = counter_new(&row->rate);
    }
}

void limits_done(struct app *app)
{
    for (size_t i = 0; i < app->n_limits; i++)
        counter_unref(app->limits[i].counter);
}

/* ---- which row? ------------------------------------------------------------------------------ */

static bool has_method(const struct limit_rule *rule, struct slice method)
{
    return slice_is(rule->method, "*") || slice_eq_nocase(rule->method, method) ||
           (slice_is(rule->method, "GET") && slice_eq_nocase(method, SLICE("HEAD")));
}

static bool is_stricter(const struct limit_rule *a, const struct limit_rule *b)
{
    if (!a->counter || !b->counter)
        return a->counter != NULL;
    return (double)a->row->rate.count / (double)a->row->rate.per_ms <
           (double)b->row->rate.count / (double)b->row->rate.per_ms;
}

/* A longer prefix before a shorter one, a method before `*`. */
static bool is_closer(const struct limit_rule *a, const struct limit_rule *b)
{
    bool a_any = slice_is(a->method, "*"), b_any = slice_is(b->method, "*");
    if (a->prefix.len != b->prefix.len)
        return a->prefix.len > b->prefix.len;
    return a_any != b_any ? b_any : is_stricter(a, b);
}

static const struct limit_rule *closest(const struct app *app, struct slice method,
                                        struct slice path)
{
    const struct limit_rule *best = NULL;
    for (size_t i = 0; i < app->n_limits; i++) {
        const struct limit_rule *rule = &app->limits[i];
        if (has_method(rule, method) && path_is_below(path, rule->prefix) &&
            (!best || is_closer(rule, best)))
            best = rule;
    }
    return best;
}

/* Of all rows that a way to read the path or the method leads to, the strictest. */
static const struct limit_rule *rule_for(const struct app *app, const struct req *rq)
{
    const struct limit_rule *found = NULL;
    for (unsigned how = 0; how < path_ways(rq->path); how++) {
        struct slice path = path_lax(rq->path, how, rq->arena), method = rq->h1->method_text;
        uint32_t at = 0;
        do {
            const struct limit_rule *rule = closest(app, method, path);
            if (rule && (!found || is_stricter(rule, found)))
                found = rule;
        } while (h1_next_override(rq->h1, &at, &method));
    }
    return found && found->counter ? found : NULL;
}

/* ---- counting -------------------------------------------------------------------------------- */

/* Whoever has one IPv6 address has 2^64 of them. */
static struct slice address_key(const struct ip *client, struct ip *room)
{
    static const unsigned char v4[12] = {[10] = 0xff, [11] = 0xff};
    *room = *client;
    if (memcmp(client->bytes, v4, sizeof v4) != 0)
        memset(room->bytes + 8, 0, 8);
    return (struct slice){(const char *)room->bytes, sizeof room->bytes};
}

static bool take(const struct limit_rule *rule, const struct req *rq, const struct identity *who,
                 struct limit_state *st)
{
    struct ip room;
    bool is_account = who && who->is_signed_in;
    return limit_take(is_account ? rule->counter->by_account : rule->counter->by_address,
                      is_account ? who->id : address_key(&rq->client, &room), clock_mono_ns(), st);
}

static bool tell_too_many(struct req *rq, const struct limit_state *st, struct err *e)
{
    reply_always(rq, arena_printf(rq->arena, "Retry-After: %lld\r\n", (long long)st->retry_s));
    return err_set(e, ERR_TOO_MANY, "That was too often; try again in %lld s.",
                   (long long)st->retry_s);
}

static void refuse(struct req *rq, const struct err *e)
{
    struct err *kept = arena_new(rq->arena, struct err);
    *kept = *e;
    rq->refusal = kept;
}

static void tell(struct req *rq, bool is_fine, const struct limit_state *st)
{
    struct err e;
    reply_always(rq, arena_printf(rq->arena,
                                  "RateLimit-Limit: %lld\r\nRateLimit-Remaining: %lld\r\n"
                                  "RateLimit-Reset: %lld\r\n",
                                  (long long)st->limit, (long long)st->remaining,
                                  (long long)st->reset_s));
    if (is_fine)
        return;
    tell_too_many(rq, st, &e);
    refuse(rq, &e);
}

/* Bad credentials count as nobody's, so that trying them out is limited too. */
void limits_check(const struct app *app, struct req *rq)
{
    struct err e;
    struct limit_state st;
    const struct limit_rule *rule = app->n_limits ? rule_for(app, rq) : NULL;
    if (!rule)
        return;
    const struct identity *who = req_identity(rq, &e);
    if (who && who->is_local)
        return;
    if (!who && e.code != ERR_FORBIDDEN) /* what depends on who asks says so itself */
        refuse(rq, &e);
    bool is_fine = take(rule, rq, who, &st);
    tell(rq, is_fine, &st);
}

/* Its path is no more than what it says: nothing of it is decoded where it is looked up either. */
bool limits_count(void *user, struct req *rq, struct slice method, struct slice path, struct err *e)
{
    const struct app *app = user;
    struct limit_state st;
    const struct limit_rule *rule = app->n_limits ? closest(app, method, path) : NULL;
    if (!rule || !rule->counter)
        return true;
    const struct identity *who = req_identity(rq, e);
    if (!who || who->is_local)
        return who != NULL;
    return take(rule, rq, who, &st) || tell_too_many(rq, &st, e);
}
