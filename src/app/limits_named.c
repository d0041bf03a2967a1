/* Limits with a name: which requests they are about, and how often one address may be tried.
 *
 * Signing in, up and resetting are counted twice: by where a request comes from, before its body is
 * read, and by the address it is about, whoever asks and whether or not there is such an account.
 * Whoever floods an address must not lock its owner out: from where an address signed in before, it
 * is counted apart. */
#include "app/limits_impl.h"

#include "base/sha256.h"

static const struct bucket_row {
    const char *name;
    int64_t a_minute;
} buckets[LIMIT_BUCKETS] = {
#define X(id, name, a_minute) [id] = {name, a_minute},
    LIMIT_BUCKET_MAP(X)
#undef X
};

/* Nothing of the manifest's: it is about the mailboxes of people who may not be here at all. */
static const struct rate letters_rate = {.count = 5, .per_ms = 3600 * 1000};

/* What changes something at a path or below it: below `api:`, or of a page of ours. */
static const struct path_row {
    const char *path;
    enum limit_bucket bucket; /* LIMIT_BUCKETS: not counted */
} api_paths[] =
    {
        {"auth/login", BUCKET_LOGIN},
        {"auth/magic-link", BUCKET_LOGIN},
        {"auth/verify", BUCKET_LOGIN},
        {"auth/signup", BUCKET_SIGNUP},
        {"auth/reset", BUCKET_RESET},
        {"auth/password", BUCKET_RESET},
        {"auth/logout", LIMIT_BUCKETS}, /* ending something is always possible */
        {"batch", LIMIT_BUCKETS},       /* what is in it is */
        {"", BUCKET_WRITE},
},
  page_paths[] = {
      {"/_/sign-in", BUCKET_LOGIN},  {"/_/operator", BUCKET_LOGIN}, {"/_/verify", BUCKET_LOGIN},
      {"/_/sign-up", BUCKET_SIGNUP}, {"/_/reset", BUCKET_RESET},    {"/_/password", BUCKET_RESET},
};

const char *limit_bucket_name(int bucket)
{
    if (bucket == BUCKET_LETTERS)
        return "letters";
    return bucket < LIMIT_BUCKETS ? buckets[bucket].name : "route";
}

/* ---- making ---------------------------------------------------------------------------------- */

static const struct rate *given(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->limits.n; i++) {
        if (slice_is(m->limits.items[i].route.s, name))
            return &m->limits.items[i].rate;
    }
    return NULL;
}

void named_open(struct app *app, const struct host *old)
{
    for (int i = 0; i < LIMIT_BUCKETS; i++) {
        const struct rate *said = given(app->manifest, buckets[i].name);
        struct rate rate = {.count = buckets[i].a_minute,
                            .per_ms = buckets[i].a_minute ? 60000 : 0};
        if (said)
            rate = *said;
        if (rate.per_ms)
            app->named[i] =
                counter_open(old, app, slice_from(buckets[i].name), (enum limit_bucket)i, &rate);
    }
    app->letters = counter_open(old, app, SLICE("letters"), BUCKET_LETTERS, &letters_rate);
}

void named_done(struct app *app)
{
    counter_unref(app->letters);
    for (int i = 0; i < LIMIT_BUCKETS; i++)
        counter_unref(app->named[i]);
}

/* ---- which requests? ------------------------------------------------------------------------- */

static bool is_reading(struct slice method)
{
    return slice_is(method, "GET") || slice_is(method, "HEAD");
}

static bool is_at_or_below(struct slice path, struct slice prefix)
{
    return slice_starts(path, prefix) &&
           (!prefix.len || path.len == prefix.len || path.ptr[prefix.len] == '/');
}

static enum limit_bucket find(const struct path_row *rows, size_t n, struct slice path)
{
    for (size_t i = 0; i < n; i++) {
        if (is_at_or_below(path, slice_from(rows[i].path)))
            return rows[i].bucket;
    }
    return LIMIT_BUCKETS;
}

static enum limit_bucket of_api(struct slice method, struct slice path)
{
    bool stores = slice_is(method, "PUT") || /* a POST to a file asks for a link to it */
                  (slice_is(method, "POST") && !slice_ends(path, SLICE("/sign")));
    if (stores && is_at_or_below(path, SLICE("files")))
        return BUCKET_UPLOAD;
    if (!is_reading(method))
        return find(api_paths, sizeof api_paths / sizeof *api_paths, path);
    return is_at_or_below(path, SLICE("auth")) ? LIMIT_BUCKETS : BUCKET_READ;
}

enum limit_bucket named_of(const struct app *app, struct slice method, struct slice path)
{
    struct slice prefix = app->manifest->api.s;
    enum limit_bucket found = LIMIT_BUCKETS;
    if (!app->accounts || slice_is(method, "OPTIONS"))
        return LIMIT_BUCKETS;
    if (slice_starts(path, prefix))
        found = of_api(method, slice_skip(path, prefix.len));
    else if (!is_reading(method) && slice_starts(path, SLICE("/_/")))
        found = find(page_paths, sizeof page_paths / sizeof *page_paths, path);
    return found < LIMIT_BUCKETS && app->named[found] ? found : LIMIT_BUCKETS;
}

bool named_is_batch(const struct app *app, struct slice method, struct slice path)
{
    struct slice prefix = app->manifest->api.s;
    return app->accounts && app->named[BUCKET_WRITE] && slice_is(method, "POST") &&
           slice_starts(path, prefix) && slice_is(slice_skip(path, prefix.len), "batch");
}

/* ---- tries at one address -------------------------------------------------------------------- */

struct
try {
    unsigned char email[SHA256_LEN], pair[SHA256_LEN];
    struct ip client, address_room;
    struct slice address;
};

static void try_init(struct try *t, struct slice email, const struct asker *from)
{
    struct sha256 h;
    if (!ip_parse(&t->client, from->ip))
        t->client = (struct ip){{0}}; /* a command, or a test */
    t->address = limits_address_key(&t->client, &t->address_room);
    sha256_of(email, t->email);
    sha256_init(&h);
    sha256_add(&h, (struct slice){(const char *)t->email, sizeof t->email});
    sha256_add(&h, t->address);
    sha256_end(&h, t->pair);
}

static struct slice bytes_of(const unsigned char digest[SHA256_LEN])
{
    return (struct slice){(const char *)digest, SHA256_LEN};
}

static bool is_familiar(const struct app *app, const struct try *t)
{
    struct limit_state st;
    const struct counter *login = app->named[BUCKET_LOGIN];
    return login && !limit_look(login->familiar, bytes_of(t->pair), clock_mono_ns(), &st);
}

bool limits_may(void *user, enum limit_bucket bucket, struct slice email, const struct asker *from,
                struct err *e)
{
    const struct app *app = user;
    struct counter *c = app->named[bucket];
    struct limit_state st;
    struct try t;
    if (!c)
        return true;
    try_init(&t, email, from);
    bool is_known = is_familiar(app, &t);
    struct share_key keys[] = {
        {is_known ? BY_PAIR : BY_EMAIL, bytes_of(is_known ? t.pair : t.email)},
        {BY_ADDRESS, t.address},
    };
    if (!counter_take(app, c, keys[0].kind, keys[0].key, &t.client, &st))
        return limits_tell_too_many(&st, e);
    if (share_take(app->share, c, keys, sizeof keys / sizeof *keys, &st))
        return true;
    limits_note(app, c, SLICE(""), &t.client);
    return limits_tell_too_many(&st, e);
}

void limits_welcome(void *user, struct slice email, const struct asker *from)
{
    const struct app *app = user;
    struct limit_state st;
    struct try t;
    if (!app->named[BUCKET_LOGIN])
        return;
    try_init(&t, email, from);
    limit_take(app->named[BUCKET_LOGIN]->familiar, bytes_of(t.pair), clock_mono_ns(), &st);
}

/* Whoever asks again from an account of their own counts apart from who signs up: all accounts that
 * claim the address together. */
bool limits_may_write(void *user, struct slice email, bool is_again, const struct asker *from)
{
    const struct app *app = user;
    unsigned char key[SHA256_LEN];
    struct limit_state st;
    struct sha256 h;
    struct try t;
    if (!app->letters) /* a command: nobody serves */
        return true;
    try_init(&t, email, from);
    sha256_init(&h);
    sha256_add(&h, bytes_of(t.email));
    sha256_add(&h, is_again ? SLICE("again") : SLICE("sign-up"));
    sha256_end(&h, key);
    const struct share_key one = {BY_EMAIL, bytes_of(key)};
    if (!counter_take(app, app->letters, BY_EMAIL, one.key, &t.client, &st))
        return false;
    if (share_take(app->share, app->letters, &one, 1, &st))
        return true;
    limits_note(app, app->letters, SLICE(""), &t.client);
    return false;
}

/* ---- figures --------------------------------------------------------------------------------- */

void limits_metrics(struct life *l, struct buf *out)
{
    const char *name = "dais_limit_refused_total";
    buf_printf(out, "# HELP %s Requests that came too often.\n# TYPE %s counter\n", name, name);
    for (int i = 0; i <= BUCKET_LETTERS; i++)
        buf_printf(out, "%s{bucket=\"%s\"} %llu\n", name, limit_bucket_name(i),
                   (unsigned long long)atomic_load(&l->refusals[i]));
}
