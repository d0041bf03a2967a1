/* CloudFormation: a machine, ECS Express, Fargate, App Runner. */
#include "render/aws_impl.h"
#include "render/rows_impl.h"

#include <stdio.h>

const struct render_row rows_cloudformation[] = {
    {"ops/cloudformation.vm.json", "aws/cloudformation.vm.json.yaml", NULL, false},
    {"ops/cloudformation.express.json", "aws/cloudformation.express.json.yaml", NULL, false},
    {"ops/cloudformation.fargate.json", "aws/cloudformation.fargate.json.yaml", NULL, false},
    {"ops/cloudformation.apprunner.json", "aws/cloudformation.apprunner.json.yaml", NULL, false},
    {0},
};

#define MB             (1 << 20)
#define TITLE_MAX      300  /* a template's description may have 1,024 bytes */
#define IDLE_MAX_S     4000 /* of a load balancer */
#define EXPRESS_IDLE_S 60   /* of the one that Express brings */
#define RUNNER_MAX_S   120
#define NAME_SIZE      4096
#define PARAMETERS_MAX 180 /* a template may have 200 */

/* ---- what the app needs -------------------------------------------------------------------------
 */

static enum aws_compute compute_of(const struct target *t)
{
    for (int i = 0; t && i < AWS_COMPUTES; i++) {
        if (slice_is(t->compute.s, aws_compute_names[i]))
            return (enum aws_compute)i;
    }
    return AWS_VM;
}

/* Of what runs at once; a limit that was not written is 512 MB for a backend. */
static int64_t memory_mb(const struct manifest *m)
{
    if (!m->backend.pos.line)
        return 256;
    int64_t one = m->backend.limits.memory_bytes / MB, n = m->backend.instances;
    return (one ? one : 512) * (n > 1 ? n : 1);
}

static int64_t longest_s(const struct manifest *m)
{
    return (longest_answer_ms(&m->backend) + 999) / 1000;
}

/* A little more than the app itself waits: whoever is more patient must not be the app. */
static int64_t idle_s(const struct manifest *m)
{
    int64_t socket = (m->backend.websocket.idle_ms + 999) / 1000, most = longest_s(m);
    most = socket > most ? socket : most;
    most = most < 60 ? 60 : most;
    return most + 5 > IDLE_MAX_S ? IDLE_MAX_S : most + 5;
}

/* ---- secrets ------------------------------------------------------------------------------------
 * One secret of AWS holds them all. A container names each key it wants, and does not start when
 * one is missing: those that may be missing get a parameter each, and patterns cannot be passed. */

struct aws_secret {
    struct slice name;
    bool is_required, is_pattern;
};

static struct aws_secret read_secret(struct slice s)
{
    char mark;
    struct slice stem = secret_stem(s, &mark);
    return (struct aws_secret){
        .name = mark == '*' ? s : stem, .is_required = mark == '\0', .is_pattern = mark == '*'};
}

/* What the template itself gives, or the target's env:, is no secret of the operator. */
static bool is_ours(const struct facts *f, struct slice name)
{
    static const char *const ours[] = {
        "DATABASE_URL",    "DAIS_SECRET", "PUBLIC_URL",           "S3_BUCKET", "S3_REGION",
        "STORAGE_BACKEND", "PORT",        "DAIS_TRUSTED_PROXIES", NULL};
    return text_is_one_of(name, ours) || env_find(f->t, name);
}

/* RESEND_API_KEY: ResendApiKey. */
static void add_camel_case(struct buf *to, struct slice name)
{
    bool upper = true;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i], low = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        bool is_letter = low >= 'a' && low <= 'z';
        if (c != '_')
            buf_add_char(to, upper && is_letter ? (char)(low - 32) : low);
        upper = c == '_';
    }
}

/* Two that come out the same are told apart by their place. */
static struct slice camel_case(const struct facts *f, struct slice name, size_t place)
{
    struct buf to, other;
    bool is_taken = false;
    buf_init(&to, NAME_SIZE);
    buf_init(&other, NAME_SIZE);
    add_camel_case(&to, name);
    for (size_t i = 0; i < place && !is_taken; i++) {
        buf_clear(&other);
        add_camel_case(&other, read_secret(f->m->secrets.items[i].s).name);
        is_taken = slice_eq(buf_slice(&other), buf_slice(&to));
    }
    if (is_taken)
        buf_printf(&to, "%zu", place + 1);
    struct slice made = arena_dup(f->a, buf_slice(&to));
    buf_done(&other);
    buf_done(&to);
    return made;
}

static void write_secret(const struct facts *f, const struct aws_secret *s, size_t place)
{
    char name[300];
    struct slice camel = slice_first(camel_case(f, s->name, place), 200);
    json_write_object(f->w);
    facts_str(f, "name", s->name);
    facts_bool(f, "is_required", s->is_required);
    snprintf(name, sizeof name, "Use%.*s", SLICE_ARGS(camel));
    facts_str(f, "parameter", slice_from(name));
    snprintf(name, sizeof name, "Uses%.*s", SLICE_ARGS(camel));
    facts_str(f, "condition", slice_from(name));
    facts_end(f);
}

enum which { REQUIRED_ONES, OPTIONAL_ONES, PATTERNS, ALL_ONES };

static bool is_among(const struct aws_secret *s, enum which which)
{
    return which == ALL_ONES ||
           (which == PATTERNS ? s->is_pattern
                              : !s->is_pattern && s->is_required == (which == REQUIRED_ONES));
}

static size_t secrets(const struct facts *f, const char *key, enum which which)
{
    size_t n = 0;
    facts_begin_list(f, key);
    for (size_t i = 0; i < f->m->secrets.n; i++) {
        struct aws_secret s = read_secret(f->m->secrets.items[i].s);
        if (!is_among(&s, which) || is_ours(f, s.name))
            continue;
        write_secret(f, &s, i);
        n++;
    }
    facts_end_list(f);
    return n;
}

static size_t all_secrets(const struct facts *f, size_t *ret_named)
{
    size_t named = secrets(f, "required_secrets", REQUIRED_ONES);
    named += secrets(f, "optional_secrets", OPTIONAL_ONES);
    secrets(f, "patterns", PATTERNS);
    size_t all = secrets(f, "all_secrets", ALL_ONES);
    facts_bool(f, "has_secrets", named > 0);
    facts_bool(f, "has_vm_secrets", all > 0);
    *ret_named = named;
    return all;
}

/* ---- sizes and prices ---------------------------------------------------------------------------
 */

static const char *const abouts[AWS_COMPUTES] = {
    [AWS_VM] = "on one machine of EC2, data on a disk of its own",
    [AWS_EXPRESS] = "in containers of ECS Express Mode, with Postgres and S3",
    [AWS_FARGATE] = "in containers of Fargate behind a load balancer, with Postgres and S3",
    [AWS_APPRUNNER] = "on App Runner (closed to new customers since 2026-04-30), with Postgres, S3",
};

static void money(const struct facts *f, const char *key, int64_t cents)
{
    char text[40];
    snprintf(text, sizeof text, "%lld.%02lld", (long long)cents / 100, (long long)cents % 100);
    facts_str(f, key, slice_from(text));
}

static void price(const struct facts *f, const struct aws_price_of *of)
{
    struct aws_price p = aws_price(of);
    money(f, "price", p.cents);
    facts_begin_list(f, "items");
    for (unsigned i = 0; i < p.n; i++) {
        json_write_object(f->w);
        facts_str(f, "what", slice_from(p.lines[i].what));
        money(f, "usd", p.lines[i].cents);
        facts_end(f);
    }
    facts_end_list(f);
}

static void compute(const struct facts *f, const char *key, const struct aws_price_of *of)
{
    char text[TITLE_MAX + 200];
    struct slice title = text_first(f->m->title.s, TITLE_MAX);
    facts_begin(f, key);
    snprintf(text, sizeof text, "%.*s %s", SLICE_ARGS(title), abouts[of->compute]);
    facts_str(f, "description", slice_from(text));
    facts_str(f, "instance", slice_from(of->size.instance));
    facts_i64(f, "cpu", of->size.cpu);
    facts_i64(f, "memory", of->size.memory_mb);
    price(f, of);
    facts_end(f);
}

/* Containers have a secret for the database, one for its address and one for the server. */
static void computes(const struct facts *f, size_t named, size_t all)
{
    enum aws_compute chosen = compute_of(f->t);
    for (int i = 0; i <= AWS_COMPUTES; i++) {
        enum aws_compute c = i == AWS_COMPUTES ? chosen : (enum aws_compute)i;
        const struct aws_price_of of = {.compute = c,
                                        .size = aws_size_of(c, memory_mb(f->m)),
                                        .n_secrets = c == AWS_VM ? all > 0 : 3 + (named > 0),
                                        .keeps_files = f->m->backend.persist.n > 0};
        compute(f, i == AWS_COMPUTES ? "chosen" : aws_compute_names[i], &of);
    }
    facts_str(f, "compute", slice_from(aws_compute_names[chosen]));
    facts_bool(f, "is_vm", chosen == AWS_VM);
    facts_str(f, "price_date", slice_from(aws_price_date));
}

/* ---- all facts ----------------------------------------------------------------------------------
 */

/* What the template sets itself, unless the target's env: does. */
static void gives(const struct facts *f, size_t named)
{
    bool database = !env_find(f->t, SLICE("DATABASE_URL")),
         server = !env_find(f->t, SLICE("DAIS_SECRET"));
    facts_begin(f, "gives");
    facts_bool(f, "public_url", !env_find(f->t, SLICE("PUBLIC_URL")));
    facts_bool(f, "storage",
               !env_find(f->t, SLICE("STORAGE_BACKEND")) && !env_find(f->t, SLICE("S3_BUCKET")) &&
                   !env_find(f->t, SLICE("S3_REGION")));
    facts_bool(f, "proxies", !env_find(f->t, SLICE("DAIS_TRUSTED_PROXIES")));
    facts_bool(f, "database_url", database);
    facts_bool(f, "server_secret", server);
    facts_bool(f, "secrets", database || server || named > 0);
    facts_end(f);
}

/* The stack's name may have letters, digits and hyphens, and no underscore. */
static void names(const struct facts *f)
{
    char url[300] = "", stack[100];
    struct slice domain = f->t->domain.s, name = f->t->name.s;
    if (domain.len)
        snprintf(url, sizeof url, "https://%.*s", SLICE_ARGS(domain));
    snprintf(stack, sizeof stack, "%.*s%s%.*s", SLICE_ARGS(f->m->slug.s), name.len ? "-" : "",
             SLICE_ARGS(name));
    for (char *c = stack; *c; c++)
        *c = *c == '_' ? '-' : *c;
    facts_str(f, "region", f->t->region.s.len ? f->t->region.s : SLICE("us-east-1"));
    facts_str(f, "environment", name.len ? name : SLICE("prod"));
    facts_str(f, "stack", slice_from(stack));
    facts_str(f, "public_url", slice_from(url));
}

void facts_aws(const struct facts *f)
{
    size_t named;
    facts_begin(f, "aws");
    names(f);
    size_t all = all_secrets(f, &named);
    computes(f, named, all);
    gives(f, named);
    facts_bool(f, "keeps_files", f->m->backend.persist.n > 0);
    facts_i64(f, "idle_s", idle_s(f->m));
    facts_end(f);
}

/* ---- what cannot be expressed -------------------------------------------------------------------
 */

struct checked {
    const struct manifest *m;
    const struct target *t;
    struct problems *p;
    enum aws_compute compute;
};

/* us-east-1, ap-southeast-2, us-gov-west-1 */
static bool is_region(struct slice s)
{
    size_t parts = 0;
    struct slice part = SLICE("");
    bool letters = true;
    while (slice_cut(&s, '-', &part)) {
        for (size_t i = 0; i < part.len && s.len; i++)
            letters &= part.ptr[i] >= 'a' && part.ptr[i] <= 'z';
        letters &= part.len > 0;
        parts++;
    }
    return letters && parts >= 3 && part.len == 1 && part.ptr[0] >= '1' && part.ptr[0] <= '9';
}

/* Values stand in the templates as they are. */
static void check_values(const struct checked *c)
{
    for (size_t i = 0; i < c->t->env.n; i++) {
        const struct pair *pair = &c->t->env.items[i];
        if (slice_search(pair->value.s, SLICE("{{resolve:")) >= 0)
            problems_add(c->p, PROBLEM_ERROR, c->m->file, pair->value.pos,
                         "env: %.*s holds {{resolve:, which CloudFormation replaces; name it in "
                         "secrets: instead",
                         SLICE_ARGS(pair->key.s));
    }
}

static void check_target(const struct checked *c)
{
    const struct target *t = c->t;
    if (t->region.s.len && !is_region(t->region.s))
        problems_add(c->p, PROBLEM_ERROR, c->m->file, t->region.pos,
                     "region: %.*s is no region of AWS; they look like us-east-1",
                     SLICE_ARGS(text_first(t->region.s, 60)));
    if (slice_is(t->compute.s, "cloudrun") || slice_is(t->compute.s, "containerapp"))
        problems_add(c->p, PROBLEM_ERROR, c->m->file, t->compute.pos,
                     "compute: AWS has no %.*s; use vm, express, fargate or apprunner",
                     SLICE_ARGS(t->compute.s));
    check_values(c);
}

static void check_size(const struct checked *c)
{
    int64_t most = aws_memory_max_mb(c->compute);
    if (memory_mb(c->m) > most)
        problems_add(c->p, PROBLEM_ERROR, c->m->file, c->m->backend.limits.pos,
                     "backend.limits.memory: %lld MB in all, but the largest %s has %lld MB",
                     (long long)memory_mb(c->m), aws_compute_names[c->compute], (long long)most);
}

static void check_time(const struct checked *c)
{
    int64_t most = c->compute == AWS_APPRUNNER ? RUNNER_MAX_S
                   : c->compute == AWS_EXPRESS ? EXPRESS_IDLE_S
                                               : IDLE_MAX_S;
    if (longest_s(c->m) > most)
        problems_add(c->p, PROBLEM_WARNING, c->m->file, c->m->backend.pos,
                     "backend.timeout: answers may take %lld s, but %s ends a silent request after "
                     "%lld s; vm does not",
                     (long long)longest_s(c->m), aws_compute_names[c->compute], (long long)most);
    if (c->compute == AWS_APPRUNNER && c->m->backend.websocket.pos.line)
        problems_add(c->p, PROBLEM_WARNING, c->m->file, c->m->backend.websocket.pos,
                     "backend.websocket: App Runner has no WebSockets; use express, fargate or vm");
}

static void check_files(const struct checked *c)
{
    const struct backend_conf *b = &c->m->backend;
    if (c->compute != AWS_FARGATE && b->persist.n)
        problems_add(c->p, PROBLEM_WARNING, c->m->file, b->persist.items[0].pos,
                     "backend.persist: %s has no disk that outlives a container, so these files "
                     "are lost with each; use vm or fargate",
                     aws_compute_names[c->compute]);
    for (size_t i = 0; i < b->env.n; i++) {
        const struct pair *pair = &b->env.items[i];
        if (slice_is(pair->key.s, "DATABASE_URL") && slice_starts(pair->value.s, SLICE("sqlite")))
            problems_add(c->p, PROBLEM_WARNING, c->m->file, pair->value.pos,
                         "backend.env.DATABASE_URL: a file in the container, while the stack has "
                         "Postgres; write $DATABASE_URL to use it");
    }
}

static void check_secrets(const struct checked *c)
{
    const struct texts *list = &c->m->secrets;
    for (size_t i = 0; i < list->n; i++) {
        if (read_secret(list->items[i].s).is_pattern)
            problems_add(c->p, PROBLEM_WARNING, c->m->file, list->items[i].pos,
                         "secrets: containers get variables by name, so %.*s is not passed; write "
                         "out the names that are used",
                         SLICE_ARGS(text_first(list->items[i].s, 60)));
    }
    if (list->n > PARAMETERS_MAX)
        problems_add(c->p, PROBLEM_ERROR, c->m->file, list->items[PARAMETERS_MAX].pos,
                     "secrets: a template of CloudFormation takes at most %d", PARAMETERS_MAX);
}

void check_aws(const struct manifest *m, const struct target *t, struct problems *p)
{
    check_machine(m, t, p);
    if (!t)
        return;
    const struct checked c = {m, t, p, compute_of(t)};
    check_target(&c);
    check_size(&c);
    if (c.compute == AWS_VM)
        return;
    check_time(&c);
    check_files(&c);
    check_secrets(&c);
    if (c.compute == AWS_APPRUNNER)
        problems_add(p, PROBLEM_WARNING, m->file, t->compute.pos,
                     "compute: App Runner is closed to new customers since 2026-04-30, and the app "
                     "reaches nothing on the internet from it; express is AWS's successor");
}
