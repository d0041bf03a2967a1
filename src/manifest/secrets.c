/* The app's secrets: which there are, where their values come from, and which are missing. */
#include "manifest/check_impl.h"

struct slice secret_stem(struct slice entry, char *ret_mark)
{
    char last = entry.len ? entry.ptr[entry.len - 1] : '\0';
    *ret_mark = last == '?' || last == '*' ? last : '\0';
    return *ret_mark ? slice_first(entry, entry.len - 1) : entry;
}

bool secret_covers(struct slice entry, struct slice name)
{
    char mark;
    struct slice stem = secret_stem(entry, &mark);
    return stem.len && (mark == '*' ? slice_starts(name, stem) : slice_eq(name, stem));
}

bool secrets_cover(const struct texts *entries, struct slice name)
{
    for (size_t i = 0; i < entries->n; i++) {
        if (secret_covers(entries->items[i].s, name))
            return true;
    }
    return false;
}

/* A list that was written, an empty one too, has items. */
bool backend_gets_secret(const struct manifest *m, struct slice name)
{
    return !m->backend.secrets.items || secrets_cover(&m->backend.secrets, name);
}

/* ---- their values -------------------------------------------------------------------------- */

struct gathering {
    const struct settings *s;
    struct problems *p;
    struct secrets *to;
};

static struct secret *find_secret(const struct secrets *secrets, struct slice name)
{
    for (size_t i = 0; i < secrets->n; i++) {
        if (slice_eq(secrets->items[i].name, name))
            return &secrets->items[i];
    }
    return NULL;
}

static void add_secret(struct gathering *g, struct slice name, struct pos pos, bool is_required)
{
    struct setting found;
    struct secret *known = find_secret(g->to, name);
    if (known)
        known->is_required |= is_required;
    if (known || g->to->n == SECRETS_MAX)
        return;
    struct secret *it = &g->to->items[g->to->n++];
    *it = (struct secret){.name = name, .pos = pos, .is_required = is_required};
    if (settings_look(g->s, name, g->p, &found)) {
        it->value = found.value;
        it->from = found.from;
    }
    if (slice_index(it->value, '\0') >= 0)
        problems_add(g->p, PROBLEM_ERROR, it->from, (struct pos){0, 0},
                     "the secret `%.*s` holds a NUL byte, which no variable can; encode it",
                     SLICE_ARGS(name));
}

/* A variable of the environment or of .env that a pattern means. X_FILE speaks of X. The settings
 * of dais are never meant: an app that wants one names it. */
static void offer(struct gathering *g, const struct text *entry, struct slice variable)
{
    struct slice name = variable;
    if (slice_ends(name, SLICE("_FILE")))
        name = slice_first(name, name.len - 5);
    if (secret_covers(entry->s, name) && !secret_is_of_dais(name) && !setting_is_known(name))
        add_secret(g, arena_dup(g->s->arena, name), entry->pos, false);
}

/* One that a pattern means in the store, where a name is a name. */
static void offer_stored(struct gathering *g, const struct text *entry, const struct stored *it)
{
    bool is_ours = slice_eq(it->app, g->s->app) && it->app.len;
    if (is_ours && secret_covers(entry->s, it->name))
        add_secret(g, it->name, entry->pos, false);
}

static void add_matches(struct gathering *g, const struct text *entry)
{
    for (const char *const *it = g->s->environ_; it && *it; it++) {
        struct slice rest = slice_from(*it), name;
        if (slice_cut(&rest, '=', &name))
            offer(g, entry, name);
    }
    for (size_t i = 0; i < g->s->dotenv.n; i++)
        offer(g, entry, g->s->dotenv.items[i].key.s);
    for (size_t i = 0; i < g->s->n_stored; i++)
        offer_stored(g, entry, &g->s->stored[i]);
}

void secrets_load(const struct settings *s, const struct manifest *m, struct problems *p,
                  struct secrets *ret)
{
    const struct settings of_app = settings_of_app(s, m->slug.s);
    struct gathering g = {&of_app, p, ret};
    *ret = (struct secrets){.items = arena_zalloc(s->arena, SECRETS_MAX * sizeof *ret->items)};
    for (size_t i = 0; i < m->secrets.n; i++) {
        const struct text *entry = &m->secrets.items[i];
        char mark;
        struct slice stem = secret_stem(entry->s, &mark);
        if (mark == '*')
            add_matches(&g, entry);
        else if (stem.len && !secret_is_of_dais(stem))
            add_secret(&g, stem, entry->pos, mark == '\0');
    }
    if (ret->n == SECRETS_MAX)
        problems_add(p, PROBLEM_ERROR, m->file, m->secrets.items[0].pos,
                     "`secrets` means more than %d variables; choose narrower patterns",
                     SECRETS_MAX - 1);
}

/* ---- what is missing ----------------------------------------------------------------------- */

static bool env_names(const struct pairs *env, struct slice name)
{
    for (size_t i = 0; i < env->n; i++) {
        struct slice rest = env->items[i].value.s, found;
        while (value_next_variable(&rest, &found)) {
            if (slice_eq(found, name))
                return true;
        }
    }
    return false;
}

void secrets_check(const struct settings *s, const struct manifest *m, const struct secrets *all,
                   struct problems *p)
{
    bool is_run = m->backend.run.pos.line != 0;
    const char *file = path_join(s->arena, s->dir, SLICE(".env")).ptr;
    for (size_t i = 0; i < all->n; i++) {
        const struct secret *it = &all->items[i];
        if (it->value.len || !it->is_required)
            continue;
        bool is_needed =
            is_run && (backend_gets_secret(m, it->name) || env_names(&m->backend.env, it->name));
        problems_add(p, is_needed ? PROBLEM_ERROR : PROBLEM_WARNING, m->file, it->pos,
                     "the secret `%.*s` has no value; set it in the environment or in %s, name a "
                     "file that holds it in %.*s_FILE, or type `dais secret add %.*s`; write "
                     "`%.*s?` if the app runs without it",
                     SLICE_ARGS(it->name), file, SLICE_ARGS(it->name), SLICE_ARGS(it->name),
                     SLICE_ARGS(it->name));
    }
}

void secrets_help(const struct secrets *all, struct slice app, struct buf *to)
{
    if (all->n)
        buf_printf(to, "\nSecrets of the app %.*s, from the environment, .env, then the store\n",
                   SLICE_ARGS(app));
    for (size_t i = 0; i < all->n; i++) {
        const struct secret *it = &all->items[i];
        buf_printf(to, "\n%.*s\n", SLICE_ARGS(it->name));
        if (it->value.len)
            buf_printf(to, "    now:     set, not shown (from %.*s)\n", SLICE_ARGS(it->from));
        else
            buf_printf(to, "    now:     not set%s\n", it->is_required ? ", and needed" : "");
    }
}
