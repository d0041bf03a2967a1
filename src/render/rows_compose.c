/* Compose on a server, a file and an example environment for each cloud; and what Compose passes on
 * to the app, on a server and on one's own machine. */
#include "render/rows_impl.h"

#define VALUE_MAX (4u << 20)
#define COMPOSE(kind)                                                                \
    {                                                                                \
        "ops/docker-compose." kind ".yml", "compose/docker-compose.yml", NULL, false \
    }
#define EXAMPLE(kind)                                                   \
    {                                                                   \
        "ops/.env." kind ".example", "compose/env.example", NULL, false \
    }

#define TABLE(kind)                                                                         \
    {                                                                                       \
        COMPOSE(kind), EXAMPLE(kind), {"ops/.gitignore", "compose/gitignore", NULL, false}, \
        {                                                                                   \
            0                                                                               \
        }                                                                                   \
    }

const struct render_row rows_compose_droplet[] = TABLE("droplet");
const struct render_row rows_compose_aws[] = TABLE("aws");
const struct render_row rows_compose_gcp[] = TABLE("gcp");
const struct render_row rows_compose_azure[] = TABLE("azure");

/* ---- names --------------------------------------------------------------------------------------
 */

/* Names that YAML takes for something else need quotes. */
static struct slice yaml_key(const struct facts *f, struct slice name)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",   "on",
                                        "off", "true", "false", "null", NULL};
    for (const char *const *it = words; *it; it++) {
        if (slice_eq_nocase(name, slice_from(*it)))
            return arena_printf(f->a, "\"%.*s\"", SLICE_ARGS(name));
    }
    return name;
}

/* What the image, or Compose for its network, knows better than anybody's .env. */
static const char *const of_image[] = {"DAIS_LISTEN", "PORT", "DAIS_DATA", NULL};
static const char *const of_network[] = {"PUBLIC_URL", "DAIS_TRUSTED_PROXIES", NULL};
/* There is no ~/.aws in the image. */
static const char *const of_aws[] = {"AWS_REGION",
                                     "AWS_DEFAULT_REGION",
                                     "AWS_PROFILE",
                                     "AWS_ACCESS_KEY_ID",
                                     "AWS_SECRET_ACCESS_KEY",
                                     "AWS_SESSION_TOKEN",
                                     NULL};
/* Compose's own, in the example already. */
static const char *const of_compose[] = {
    "COMPOSE_FILE",  "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "ENV_FILE",
    "APP_IMAGE",     "BIND_ADDRESS",         "DOMAIN",           "ACME_EMAIL",
    "POSTGRES_USER", "POSTGRES_PASSWORD",    "POSTGRES_DB",      "S3_IMAGE",
    "S3_COMMAND",    "AZ_ACCOUNT_NAME",      "AZ_ACCESS_KEY",    NULL};
/* Read by what waits for the stores, too. */
static const char *const of_stores[] = {
    "DATABASE_URL",         "S3_BUCKET", "S3_REGION", "S3_ENDPOINT_URL", "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY", NULL};

static bool is_on_server(const struct facts *f)
{
    return !slice_is(slice_from(f->o->kind->name), "local");
}

/* Settings that Compose passes on; the others would be wrong inside, or have nothing to do there.
 */
static bool is_passed(const struct facts *f, struct slice setting)
{
    bool is_aws = slice_is(slice_from(f->o->kind->name), "aws");
    if (text_is_one_of(setting, of_image) || slice_is(setting, "AWS_PROFILE"))
        return false;
    if (!is_on_server(f))
        return true;
    return !text_is_one_of(setting, of_network) && (is_aws || !text_is_one_of(setting, of_aws));
}

/* ---- the app's own variables --------------------------------------------------------------------
 */

/* Names found so far, each with a sentence about it. */
struct names {
    struct found {
        struct slice name, doc;
        bool is_required;
    } * items;
    size_t n, max;
};

/* dais's settings have their own place; its other names are never the user's to set. */
static void add_name(struct names *names, struct slice name, const char *doc, bool is_required)
{
    bool is_known = setting_is_known(name) || secret_is_of_dais(name);
    for (size_t i = 0; i < names->n; i++)
        is_known |= slice_eq(names->items[i].name, name);
    if (!is_known && names->n < names->max)
        names->items[names->n++] = (struct found){name, slice_from(doc), is_required};
}

static void add_variables(struct names *names, const struct pairs *env, const char *doc)
{
    for (size_t i = 0; i < env->n; i++) {
        struct slice rest = env->items[i].value.s, name;
        while (value_next_variable(&rest, &name))
            add_name(names, name, doc, false);
    }
}

/* Secrets first, then what values of the manifest name. */
static struct names find_names(const struct facts *f)
{
    const struct manifest *m = f->m;
    struct names names = {.max = 1000};
    names.items = arena_zalloc(f->a, names.max * sizeof *names.items);
    for (size_t i = 0; i < m->secrets.n; i++) {
        char mark;
        struct slice name = secret_stem(m->secrets.items[i].s, &mark);
        if (mark != '*')
            add_name(&names, name,
                     mark == '?' ? "A secret of the app; it runs without it."
                                 : "A secret of the app, which needs it.",
                     mark == '\0');
    }
    add_variables(&names, &m->web.env.values, "For the page: `web.env` in dais.yaml names it.");
    add_variables(&names, &m->backend.env, "For the backend: `backend.env` in dais.yaml names it.");
    for (size_t i = 0; i < m->jobs.n; i++)
        add_variables(&names, &m->jobs.items[i].env, "For a job: `env` in dais.yaml names it.");
    add_variables(&names, &f->t->env, "For this target: its `env` in dais.yaml names it.");
    return names;
}

/* NAME: $NAME says nothing: that is what passing it on means. */
static bool is_itself(const struct pair *one)
{
    return slice_starts(one->value.s, SLICE("$")) &&
           slice_eq(slice_skip(one->value.s, 1), one->key.s);
}

/* What the target's `env` says of a name. */
static const struct pair *fixed_find(const struct facts *f, struct slice name)
{
    const struct pair *found = env_find(f->t, name);
    return found && !is_itself(found) ? found : NULL;
}

/* Takes $NAME or ${NAME} off the start. */
static bool variable_take(struct slice *s, struct slice *ret_name)
{
    struct slice rest = *s, name;
    if (!value_next_variable(&rest, &name))
        return false;
    bool has_braces = slice_starts(*s, SLICE("${"));
    if (name.ptr != s->ptr + 1 + has_braces || (has_braces && !slice_starts(rest, SLICE("}"))))
        return false;
    *s = slice_skip(rest, has_braces);
    *ret_name = name;
    return true;
}

/* Compose replaces what dais does, and some more: every dollar is made plain. */
static struct slice compose_value(const struct facts *f, struct slice value)
{
    struct buf text;
    buf_init(&text, VALUE_MAX);
    while (value.len) {
        ptrdiff_t at = slice_index(value, '$');
        buf_add(&text, at < 0 ? value : slice_first(value, (size_t)at));
        value = at < 0 ? SLICE("") : slice_skip(value, (size_t)at);
        struct slice name, rest = value;
        bool is_variable = at >= 0 && variable_take(&rest, &name);
        if (is_variable)
            buf_printf(&text, "${%.*s}", SLICE_ARGS(name));
        else if (at >= 0)
            buf_add_str(&text, "$$");
        if (at >= 0)
            value =
                is_variable ? rest : slice_skip(value, slice_starts(value, SLICE("$$")) ? 2 : 1);
    }
    struct slice kept = arena_dup(f->a, buf_slice(&text));
    buf_done(&text);
    return kept;
}

static void pass(const struct facts *f, struct slice name)
{
    const struct pair *fixed = fixed_find(f, name);
    json_write_object(f->w);
    facts_str(f, "key", yaml_key(f, name));
    facts_bool(f, "is_fixed", fixed != NULL);
    facts_str(f, "value", fixed ? compose_value(f, fixed->value.s) : SLICE(""));
    facts_end(f);
}

/* The environment of the app, each name once: its own, dais's settings, what else the target says.
 */
static void add_environment(const struct facts *f, const struct names *own)
{
    facts_begin_list(f, "environment");
    for (size_t i = 0; i < own->n; i++)
        pass(f, own->items[i].name);
    for (int id = 0; id < SETTING_COUNT; id++) {
        struct slice name = slice_from(setting_about((enum setting_id)id).name);
        if (is_passed(f, name) && !(is_on_server(f) && text_is_one_of(name, of_stores)))
            pass(f, name);
    }
    for (size_t i = 0; i < f->t->env.n; i++) {
        struct slice name = f->t->env.items[i].key.s;
        bool is_done =
            setting_is_known(name) && (is_passed(f, name) || text_is_one_of(name, of_image));
        for (size_t k = 0; k < own->n; k++)
            is_done |= slice_eq(own->items[k].name, name);
        is_done |= is_on_server(f) && text_is_one_of(name, of_network);
        if (!is_done)
            pass(f, name);
    }
    facts_end_list(f);
    facts_begin_list(f, "stores");
    for (const char *const *it = of_stores; *it; it++)
        pass(f, slice_from(*it));
    facts_end_list(f);
}

/* For the example of .env: what the target fixes is not there. */
static void add_examples(const struct facts *f, const struct names *own)
{
    facts_begin_list(f, "own");
    for (size_t i = 0; i < own->n; i++) {
        if (fixed_find(f, own->items[i].name) || text_is_one_of(own->items[i].name, of_compose))
            continue;
        json_write_object(f->w);
        facts_str(f, "name", own->items[i].name);
        facts_str(f, "doc", own->items[i].doc);
        facts_bool(f, "is_required", own->items[i].is_required);
        facts_end(f);
    }
    facts_end_list(f);
    facts_begin_list(f, "fixed");
    for (size_t i = 0; i < f->t->env.n; i++) {
        if (!is_itself(&f->t->env.items[i]))
            json_write_str(f->w, f->t->env.items[i].key.s);
    }
    facts_end_list(f);
    facts_begin_list(f, "needs");
    for (size_t i = 0; i < own->n; i++) {
        if (own->items[i].is_required && !fixed_find(f, own->items[i].name))
            json_write_str(f->w, own->items[i].name);
    }
    facts_end_list(f);
    facts_begin_list(f, "patterns");
    for (size_t i = 0; i < f->m->secrets.n; i++) {
        char mark;
        struct slice stem = secret_stem(f->m->secrets.items[i].s, &mark);
        if (mark == '*')
            json_write_str(f->w, stem);
    }
    facts_end_list(f);
}

/* Their lines stand in the template, with values of the cloud. */
static const char *const of_template[] = {"DATABASE_URL",
                                          "STORAGE_BACKEND",
                                          "S3_BUCKET",
                                          "S3_REGION",
                                          "S3_ENDPOINT_URL",
                                          "S3_ACCESS_KEY_ID",
                                          "S3_SECRET_ACCESS_KEY",
                                          "S3_FORCE_PATH_STYLE",
                                          NULL};

/* The other settings, for the example of a server. */
static void add_settings(const struct facts *f)
{
    facts_begin_list(f, "settings");
    for (int id = 0; id < SETTING_COUNT; id++) {
        struct setting_about about = setting_about((enum setting_id)id);
        struct slice name = slice_from(about.name);
        if (text_is_one_of(name, of_template) || !is_passed(f, name) || fixed_find(f, name))
            continue;
        json_write_object(f->w);
        facts_str(f, "name", name);
        facts_str(f, "def", slice_from(about.def ? about.def : ""));
        facts_str(f, "doc", slice_from(about.doc));
        facts_end(f);
    }
    facts_end_list(f);
}

/* ---- which stores it uses -----------------------------------------------------------------------
 */

/* A pattern never means one of dais's settings; whoever wants one names it. */
static bool reads(const struct manifest *m, const char *name)
{
    struct slice found;
    for (size_t i = 0; i < m->backend.env.n; i++) {
        struct slice rest = m->backend.env.items[i].value.s;
        while (value_next_variable(&rest, &found)) {
            if (slice_is(found, name))
                return true;
        }
    }
    for (size_t i = 0; i < m->secrets.n; i++) {
        char mark;
        if (slice_is(secret_stem(m->secrets.items[i].s, &mark), name) && mark != '*')
            return true;
    }
    return false;
}

/* dais itself keeps documents, accounts and jobs in the database, and files in the bucket. */
static void add_stores(const struct facts *f)
{
    const struct manifest *m = f->m;
    bool dais_database = m->collections.n || m->jobs.n || m->publish.n || m->auth.pos.line;
    bool app_database = reads(m, "DATABASE_URL");
    bool app_bucket = reads(m, "S3_BUCKET") || reads(m, "S3_ENDPOINT_URL");
    facts_bool(f, "app_reads_stores", app_database || app_bucket);
    facts_bool(f, "reads_stores", dais_database || m->files.n || app_database || app_bucket);
}

/* Where each cloud is by default, and what the S3 API takes for its region. */
static void add_cloud(const struct facts *f)
{
    static const struct {
        const char *kind, *region, *place;
    } clouds[] = {{"droplet", "nyc3", "a server of your own"},
                  {"aws", "us-east-1", "a machine at Amazon"},
                  {"gcp", "us-central1", "a machine at Google Cloud"},
                  {"azure", "eastus", "a machine at Azure"},
                  {"", "", ""}};
    size_t i = 0;
    while (*clouds[i].kind && !slice_is(slice_from(f->o->kind->name), clouds[i].kind))
        i++;
    bool has_region = f->t->region.s.len != 0;
    facts_str(f, "region", has_region ? f->t->region.s : slice_from(clouds[i].region));
    facts_str(f, "place", slice_from(clouds[i].place));
    for (size_t k = 0; *clouds[k].kind; k++)
        facts_bool(f, arena_printf(f->a, "is_%s", clouds[k].kind).ptr, k == i);
    const struct pair *fixed = fixed_find(f, SLICE("S3_REGION"));
    facts_str(f, "fixed_region", fixed ? compose_value(f, fixed->value.s) : SLICE(""));
    facts_str(f, "domain",
              f->t->domain.s.len ? f->t->domain.s
              : f->m->hosts.n    ? f->m->hosts.items[0].s
                                 : SLICE(""));
    facts_str(f, "database", text_underscored(f->a, f->m->slug.s));
}

void facts_compose(const struct facts *f)
{
    struct names own = find_names(f);
    facts_begin(f, "compose");
    add_environment(f, &own);
    add_examples(f, &own);
    add_settings(f);
    add_stores(f);
    add_cloud(f);
    facts_end(f);
}
