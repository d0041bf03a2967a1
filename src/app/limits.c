/* `limits` of an app: which row a request falls under, and whether one is left for it.
 *
 * Counted are accounts, and addresses of those who are signed out. What a row has counted outlives
 * a reload that leaves it as it was. */
#include "app/limits_impl.h"

#include "base/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS     32768 /* 512 KB for each kind, once that many come */
#define KNOWN_MS (30LL * 24 * 3600 * 1000)

/* ---- counters -------------------------------------------------------------------------------- */

/* What a bucket counts; the first kind that applies to a request is taken. */
static unsigned kinds_of(int bucket)
{
    if (bucket == BUCKET_LETTERS)
        return 1u << BY_EMAIL;
    bool is_of_accounts =
        bucket == BUCKET_LOGIN || bucket == BUCKET_SIGNUP || bucket == BUCKET_RESET;
    return is_of_accounts ? 1u << BY_ADDRESS | 1u << BY_EMAIL | 1u << BY_PAIR
                          : 1u << BY_ADDRESS | 1u << BY_ACCOUNT;
}

static void write_id(struct counter *c, struct slice name)
{
    char whole[SHA256_HEX_LEN + 1];
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, name);
    sha256_end_hex(&h, whole);
    if (c->bucket < LIMIT_BUCKETS)
        snprintf(c->id, sizeof c->id, "%.*s %lld/%lld", SLICE_ARGS(slice_first(name, 8)),
                 (long long)c->rate.count, (long long)c->rate.per_ms);
    else
        snprintf(c->id, sizeof c->id, "%.12s %lld/%lld", whole, (long long)c->rate.count,
                 (long long)c->rate.per_ms);
}

static struct counter *counter_new(const struct counter *like)
{
    struct counter *c = mem_new(struct counter);
    *c = *like;
    c->refs = 1;
    for (int kind = 0; kind < LIMIT_KINDS; kind++) {
        if (kinds_of(c->bucket) & 1u << kind)
            c->of[kind] = limit_new(c->rate.count, c->rate.per_ms, KEYS);
    }
    if (c->bucket == BUCKET_LOGIN)
        c->familiar = limit_new(1, KNOWN_MS, KEYS);
    return c;
}

void counter_unref(struct counter *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    for (int kind = 0; kind < LIMIT_KINDS; kind++)
        limit_free(c->of[kind]);
    limit_free(c->familiar);
    free(c);
}

struct counter *counter_find(const struct app *app, struct slice id)
{
    for (int i = 0; i < LIMIT_BUCKETS; i++) {
        if (app->named[i] && slice_is(id, app->named[i]->id))
            return app->named[i];
    }
    if (app->letters && slice_is(id, app->letters->id))
        return app->letters;
    for (size_t i = 0; i < app->n_limits; i++) {
        if (app->limits[i].counter && slice_is(id, app->limits[i].counter->id))
            return app->limits[i].counter;
    }
    return NULL;
}

struct counter *counter_open(const struct host *old, const struct app *app, struct slice name,
                             int bucket, const struct rate *rate)
{
    struct counter like = {.bucket = bucket, .rate = *rate};
    write_id(&like, name);
    for (size_t i = 0; old && i < old->n_apps; i++) {
        struct counter *c = NULL;
        if (slice_eq(old->apps[i].manifest->slug.s, app->manifest->slug.s))
            c = counter_find(&old->apps[i], slice_from(like.id));
        if (c) {
            atomic_fetch_add(&c->refs, 1);
            return c;
        }
    }
    return counter_new(&like);
}

static void open_rules(struct host *h, struct app *app, const struct host *old)
{
    const struct manifest *m = app->manifest;
    app->limits = arena_zalloc(&h->arena, m->limits.n * sizeof *app->limits);
    for (size_t i = 0; i < m->limits.n; i++) {
        const struct limit_row *row = &m->limits.items[i];
        struct slice prefix = row->route.s, method;
        if (slice_index(prefix, ' ') < 0 || !slice_cut(&prefix, ' ', &method))
            continue;
        struct limit_rule *rule = &app->limits[app->n_limits++];
        *rule = (struct limit_rule){row, method, path_lax(prefix, 0, &h->arena), NULL};
        if (row->rate.per_ms)
            rule->counter = counter_open(old, app, row->route.s, BUCKET_ROUTE, &row->rate);
    }
}

void limits_open(struct host *h, struct app *app, struct life *life)
{
    const struct host *old = life->host == h ? NULL : life->host;
    app->life = life;
    open_rules(h, app, old);
    if (app_has_accounts(app))
        named_open(app, old);
    if (app->docs || app->files || app_has_accounts(app))
        app->share = database_limits(h, app, life);
}

void limits_done(struct app *app)
{
    for (size_t i = 0; i < app->n_limits; i++)
        counter_unref(app->limits[i].counter);
    named_done(app);
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

struct slice limits_address_key(const struct ip *client, struct ip *room)
{
    static const unsigned char v4[12] = {[10] = 0xff, [11] = 0xff};
    *room = *client;
    if (memcmp(client->bytes, v4, sizeof v4) != 0)
        memset(room->bytes + 8, 0, 8);
    return (struct slice){(const char *)room->bytes, sizeof room->bytes};
}

bool counter_take(const struct app *app, struct counter *c, enum limit_kind kind, struct slice key,
                  const struct ip *from, struct limit_state *ret)
{
    bool is_fine = limit_take(c->of[kind], key, clock_mono_ns(), ret);
    if (!is_fine) {
        limits_note(app, c, kind == BY_ACCOUNT ? key : SLICE(""), from);
    } else if (!c->of[BY_EMAIL]) { /* those are told one by one */
        share_told(app->share, c, kind, key);
    }
    return is_fine;
}

static bool take(const struct app *app, struct counter *c, const struct req *rq,
                 const struct identity *who, struct limit_state *st)
{
    struct ip room;
    bool is_account = c->of[BY_ACCOUNT] && who && who->is_signed_in;
    return counter_take(app, c, is_account ? BY_ACCOUNT : BY_ADDRESS,
                        is_account ? who->id : limits_address_key(&rq->client, &room), &rq->client,
                        st);
}

bool limits_tell_too_many(const struct limit_state *st, struct err *e)
{
    err_set(e, ERR_TOO_MANY, "That was too often; try again in %lld s.", (long long)st->retry_s);
    e->retry_s = st->retry_s < INT32_MAX ? (int)st->retry_s : INT32_MAX;
    return false;
}

static void tell(struct req *rq, const struct limit_state *st)
{
    reply_always(rq, arena_printf(rq->arena,
                                  "RateLimit-Limit: %lld\r\nRateLimit-Remaining: %lld\r\n"
                                  "RateLimit-Reset: %lld\r\n",
                                  (long long)st->limit, (long long)st->remaining,
                                  (long long)st->reset_s));
}

static void refuse(struct req *rq, const struct err *e)
{
    struct err *kept = arena_new(rq->arena, struct err);
    *kept = *e;
    rq->refusal = kept;
}

static void refuse_too_many(struct req *rq, const struct limit_state *st)
{
    struct err e;
    limits_tell_too_many(st, &e);
    refuse(rq, &e);
}

/* A look, where what is in it is counted piece by piece. */
static bool look(struct counter *c, const struct req *rq, const struct identity *who,
                 struct limit_state *st)
{
    struct ip room;
    bool is_account = who && who->is_signed_in;
    return limit_look(c->of[is_account ? BY_ACCOUNT : BY_ADDRESS],
                      is_account ? who->id : limits_address_key(&rq->client, &room),
                      clock_mono_ns(), st);
}

static void check_batch(const struct app *app, struct req *rq, const struct identity *who)
{
    struct limit_state st;
    struct counter *c = app->named[BUCKET_WRITE];
    if (!c || look(c, rq, who, &st))
        return;
    limits_note(app, c, who && who->is_signed_in ? who->id : SLICE(""), &rq->client);
    tell(rq, &st);
    refuse_too_many(rq, &st);
}

#define ROWS_MAX 2 /* that one request falls under */

/* Of several rows, what is told is the one that ends first. */
static void count_all(const struct app *app, struct req *rq, struct counter *const *counters,
                      size_t n, const struct identity *who)
{
    struct limit_state st[ROWS_MAX];
    const struct limit_state *least = NULL;
    for (size_t i = 0; i < n && !rq->refusal; i++) {
        if (!take(app, counters[i], rq, who, &st[i]))
            refuse_too_many(rq, &st[i]);
        if (rq->refusal || !least || st[i].remaining < least->remaining)
            least = &st[i];
    }
    if (least)
        tell(rq, least);
}

/* Signing in is how bad credentials are got rid of. */
static bool may_be_anybody(const struct app *app, enum limit_bucket bucket)
{
    return bucket < LIMIT_BUCKETS && app->named[bucket]->of[BY_EMAIL];
}

/* Whoever sits here, and the app's own programs: how many of those there are is limited. */
static bool is_uncounted(const struct identity *who)
{
    return who->is_local || who->is_of_job;
}

/* Bad credentials count as nobody's, so that trying them out is limited too. */
void limits_check(const struct app *app, struct req *rq)
{
    struct err e;
    struct counter *counters[ROWS_MAX];
    size_t n = 0;
    const struct limit_rule *rule =
        app->n_limits && !slice_starts(rq->path, SLICE("/_/")) ? rule_for(app, rq) : NULL;
    enum limit_bucket bucket = named_of(app, rq->h1->method_text, rq->path);
    bool is_batch = named_is_batch(app, rq->h1->method_text, rq->path);
    if (rule)
        counters[n++] = rule->counter;
    if (bucket < LIMIT_BUCKETS)
        counters[n++] = app->named[bucket];
    if (!n && !is_batch)
        return;
    const struct identity *who = req_identity(rq, &e);
    if (who && is_uncounted(who))
        return;
    count_all(app, rq, counters, n, who);
    if (!who && e.code != ERR_FORBIDDEN && rule && !rq->refusal && !may_be_anybody(app, bucket))
        refuse(rq, &e);
    if (is_batch && !rq->refusal)
        check_batch(app, rq, who);
}

/* Its path is no more than what it says: nothing of it is decoded where it is looked up either. */
bool limits_count(void *user, struct req *rq, struct slice method, struct slice path, struct err *e)
{
    const struct app *app = user;
    struct limit_state st;
    const struct limit_rule *rule = app->n_limits ? closest(app, method, path) : NULL;
    enum limit_bucket bucket = named_of(app, method, path);
    bool has_rule = rule && rule->counter;
    if (!has_rule && bucket == LIMIT_BUCKETS)
        return true;
    const struct identity *who = req_identity(rq, e);
    if (!who || is_uncounted(who))
        return who != NULL;
    return ((!has_rule || take(app, rule->counter, rq, who, &st)) &&
            (bucket == LIMIT_BUCKETS || take(app, app->named[bucket], rq, who, &st))) ||
           limits_tell_too_many(&st, e);
}
