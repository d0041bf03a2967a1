/* Cloud Run and Container Apps: one container behind the cloud's own front end. */
#include "render/rows_impl.h"

#define NAME_MAX_LEN    22 /* with "-service" the 30 of a Google service account */
#define NAME_KEPT       16 /* of a name that had to be changed, before its digits */
#define PLAIN_MAX       11 /* a storage account has 24, of which Azure's own 13 make it unique */
#define TITLE_MAX       100
#define MEMORY_STEP     512 /* MiB; both clouds sell it in these steps */
#define AZURE_STEPS     16  /* the most of the consumption profile: 4 cores, 8 GiB */
#define REQUEST_MAX     3600
#define RUN_REQUEST_MAX (32 << 20) /* bytes of a request that Cloud Run takes */

const struct render_row rows_cloudrun[] = {
    {"ops/cloudrun.service.yaml", "gcp/cloudrun.service.yaml", NULL, false},
    {"ops/gcp.sh", "gcp/gcloud", NULL, true},
    {0},
};

const struct render_row rows_containerapp[] = {
    {"ops/containerapp.json", "azure/containerapp.json.yaml", NULL, false},
    {"ops/containerapp.parameters.example.json", "azure/containerapp.parameters.json.yaml", NULL,
     false},
    {0},
};

/* Variables that the templates set by themselves, unless the target or the secrets do. */
static const char *const base_variables[] = {
    "PUBLIC_URL",
    "DAIS_TRUSTED_PROXIES",
    "DAIS_LOG",
    "DAIS_SECRET",
    "DATABASE_URL",
    "STORAGE_BACKEND",
    "S3_BUCKET",
    "S3_REGION",
    "S3_ENDPOINT_URL",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
};
/* Refused by Cloud Run, and the front end's business on both. */
static const char *const reserved[] = {"PORT",        "K_SERVICE", "K_REVISION", "K_CONFIGURATION",
                                       "DAIS_LISTEN", NULL};

/* ---- names --------------------------------------------------------------------------------------
 */

static bool is_name_everywhere(struct slice s)
{
    return s.len >= 2 && s.len <= NAME_MAX_LEN && !slice_ends(s, SLICE("-")) &&
           slice_search(s, SLICE("--")) < 0;
}

/* The slug, if every service takes it as a name; else its start and digits of the whole. */
static struct slice cloud_name(struct arena *a, struct slice slug)
{
    struct buf name;
    if (is_name_everywhere(slug))
        return slug;
    buf_init(&name, NAME_MAX_LEN);
    for (size_t i = 0; i < slug.len && name.len < NAME_KEPT; i++) {
        if (slug.ptr[i] != '-' || (name.len && name.data[name.len - 1] != '-'))
            buf_add_char(&name, slug.ptr[i]);
    }
    bool has_hyphen = slice_ends(buf_slice(&name), SLICE("-"));
    buf_printf(&name, "%s%.*s", has_hyphen ? "" : "-", SLICE_ARGS(text_digest(a, slug, 5)));
    struct slice made = arena_dup(a, buf_slice(&name));
    buf_done(&name);
    return made;
}

/* Letters and digits alone, for registries and storage accounts. */
static struct slice plain_name(struct arena *a, struct slice name)
{
    char *to = arena_zalloc(a, name.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < name.len && n < PLAIN_MAX; i++) {
        if (name.ptr[i] != '-')
            to[n++] = name.ptr[i];
    }
    return (struct slice){to, n};
}

/* NAME_OF_A_KEY as Container Apps name a secret: name-of-a-key. */
static struct slice secret_id(struct arena *a, struct slice variable)
{
    char *to = arena_zalloc(a, variable.len + 3);
    size_t n = 0;
    to[n++] = 's'; /* it has to start with a letter, a variable need not */
    to[n++] = '-';
    for (size_t i = 0; i < variable.len; i++) {
        char c = variable.ptr[i];
        to[n++] = (char)(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    while (to[n - 1] == '-')
        n--;
    return (struct slice){to, n};
}

/* ---- variables ----------------------------------------------------------------------------------
 */

static bool is_secret(const struct facts *f, struct slice name)
{
    for (size_t i = 0; i < f->m->secrets.n; i++) {
        char mark;
        if (slice_eq(secret_stem(f->m->secrets.items[i].s, &mark), name))
            return true;
    }
    return false;
}

static void env(const struct facts *f)
{
    facts_begin_list(f, "env");
    for (size_t i = 0; i < f->t->env.n; i++) {
        const struct pair *one = &f->t->env.items[i];
        if (text_is_one_of(one->key.s, reserved))
            continue;
        json_write_object(f->w);
        facts_str(f, "name", one->key.s);
        facts_str(f, "value", env_plain(f->a, one->value.s));
        facts_end(f);
    }
    facts_end_list(f);
    facts_begin(f, "set");
    for (size_t i = 0; i < sizeof base_variables / sizeof *base_variables; i++) {
        struct slice name = slice_from(base_variables[i]);
        facts_bool(f, base_variables[i], env_find(f->t, name) || is_secret(f, name));
    }
    facts_end(f);
}

/* Of the template of Container Apps. Azure tells no case in them, nor in what secrets are named:
 * a secret that is there already gets its place in the list. */
static struct slice parameter(const struct facts *f, size_t place)
{
    static const char *const own[] = {"location",         "image",      "publicUrl", "withPostgres",
                                      "databasePassword", "moreSecrets"};
    const struct text *list = f->m->secrets.items;
    char mark;
    struct slice name = secret_stem(list[place].s, &mark), id = secret_id(f->a, name);
    bool is_taken = false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        is_taken |= slice_eq(id, secret_id(f->a, slice_from(own[i])));
    for (size_t i = 0; i < place; i++)
        is_taken |= slice_eq(id, secret_id(f->a, secret_stem(list[i].s, &mark)));
    return is_taken ? arena_printf(f->a, "%.*s_%zu", SLICE_ARGS(name), place + 1) : name;
}

/* `mark` is how the manifest ends such an entry: "" for those that must be there. */
static void secrets(const struct facts *f, const char *key, char mark)
{
    facts_begin_list(f, key);
    for (size_t i = 0; i < f->m->secrets.n; i++) {
        char has;
        struct slice name = secret_stem(f->m->secrets.items[i].s, &has);
        if (has != mark || env_find(f->t, name))
            continue;
        json_write_object(f->w);
        facts_str(f, "name", name);
        facts_str(f, "parameter", parameter(f, i));
        facts_str(f, "id", secret_id(f->a, parameter(f, i)));
        facts_end(f);
    }
    facts_end_list(f);
}

/* ---- how large ----------------------------------------------------------------------------------
 */

static int64_t memory_steps(const struct manifest *m)
{
    const int64_t step = (int64_t)MEMORY_STEP << 20;
    int64_t bytes = step, job = 0;
    if (m->backend.run.s.len)
        bytes += m->backend.limits.memory_bytes ? m->backend.limits.memory_bytes : step;
    for (size_t i = 0; i < m->jobs.n; i++) {
        int64_t one = m->jobs.items[i].limits.memory_bytes;
        one = one ? one : step;
        job = one > job ? one : job;
    }
    return (bytes + job + step - 1) / step;
}

static void size(const struct facts *f)
{
    int64_t steps = memory_steps(f->m), most = steps < AZURE_STEPS ? steps : AZURE_STEPS;
    int64_t gib = (steps + 1) / 2;
    facts_begin(f, "cloudrun");
    facts_i64(f, "memory_mib", (gib > 32 ? 64 : steps) * MEMORY_STEP);
    facts_i64(f, "cpu", gib <= 4 ? 1 : gib <= 8 ? 2 : gib <= 16 ? 4 : 8);
    facts_end(f);
    facts_begin(f, "containerapp");
    facts_str(f, "cpu", arena_printf(f->a, "%d.%02d", (int)most / 4, (int)most % 4 * 25));
    facts_str(f, "memory", arena_printf(f->a, "%d.%dGi", (int)most / 2, (int)most % 2 * 5));
    facts_bool(f, "is_capped", steps > AZURE_STEPS);
    facts_end(f);
}

/* ---- what the app is ----------------------------------------------------------------------------
 */

/* Google's front end answers such paths itself. */
static void paths_ending_in_z(const struct facts *f)
{
    facts_begin_list(f, "paths_ending_in_z");
    for (size_t i = 0; i < f->m->backend.routes.n; i++) {
        struct slice route = f->m->backend.routes.items[i].s;
        if (slice_ends(route, SLICE("z")) || slice_ends(route, SLICE("z/")))
            json_write_str(f->w, route);
    }
    facts_end_list(f);
}

/* dais's own, whoever answers the short one. */
static struct slice health_path(const struct manifest *m)
{
    for (size_t i = 0; i < m->backend.routes.n; i++) {
        if (slice_starts(SLICE("/healthz"), m->backend.routes.items[i].s))
            return SLICE("/_/healthz");
    }
    return SLICE("/healthz");
}

static void nature(const struct facts *f)
{
    const struct manifest *m = f->m;
    bool has_backend = m->backend.pos.line != 0;
    bool has_own = m->collections.n || m->files.n || m->jobs.n || m->publish.n || m->auth.pos.line;
    bool has_data = has_own || m->backend.persist.n;
    facts_bool(f, "has_own_data", has_own);
    facts_bool(f, "has_data", has_data);
    facts_bool(f, "has_files", m->files.n || m->publish.n);
    facts_bool(f, "loses_data", m->backend.persist.n);
    facts_bool(f, "is_always_on", m->backend.run.s.len || m->jobs.n);
    facts_bool(f, "is_static", !has_backend && !has_data);
    facts_i64(f, "timeout_s", has_backend || has_own ? REQUEST_MAX : 60);
    facts_str(f, "health_path", health_path(m));
    facts_bool(f, "has_large_bodies", largest_request_bytes(&m->backend) > RUN_REQUEST_MAX);
}

void facts_clouds(const struct facts *f)
{
    struct slice name = cloud_name(f->a, f->m->slug.s);
    facts_begin(f, "clouds");
    facts_str(f, "name", name);
    facts_str(f, "plain_name", plain_name(f->a, name));
    facts_str(f, "title", text_first(f->m->title.s, TITLE_MAX));
    env(f);
    secrets(f, "required", '\0');
    secrets(f, "optional", '?');
    secrets(f, "patterns", '*');
    size(f);
    nature(f);
    paths_ending_in_z(f);
    facts_end(f);
}
