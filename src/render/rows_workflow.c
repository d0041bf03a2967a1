/* The workflow that tests, plans and deploys. */
#include "render/rows_impl.h"

const struct render_row rows_workflow[] = {
    {".github/workflows/deploy.yml", "workflow/deploy.yml", NULL, false},
    {0},
};

/* ---- what the app is built with -----------------------------------------------------------------
 */

static bool has_word(struct slice text, const char *word)
{
    return slice_search(text, slice_from(word)) >= 0;
}

static bool needs_node(const struct manifest *m)
{
    static const char *const words[] = {"npm ", "npx ", "node ", "pnpm ", "yarn "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (has_word(m->web.build.s, words[i]) || has_word(m->backend.setup.s, words[i]) ||
            has_word(m->backend.run.s, words[i]))
            return true;
    }
    return false;
}

static bool needs_python(const struct manifest *m)
{
    return has_word(m->backend.setup.s, "python") || has_word(m->backend.run.s, "python") ||
           has_word(m->backend.run.s, "uvicorn") || has_word(m->backend.setup.s, "pip ");
}

/* Where package.json is: after --prefix in the command that builds, else the app's folder. */
static struct slice node_folder(const struct manifest *m)
{
    ptrdiff_t at = slice_search(m->web.build.s, SLICE("--prefix "));
    struct slice rest = at < 0 ? SLICE("") : slice_skip(m->web.build.s, (size_t)at + 9);
    struct slice word = SLICE("");
    slice_cut(&rest, ' ', &word);
    return word.len ? word : SLICE(".");
}

/* ---- targets ------------------------------------------------------------------------------------
 */

/* Those a workflow deploys: pages has one of its own, local is nobody's server. */
static bool is_deployed(const struct target *t)
{
    return !slice_is(t->kind.s, "pages") && !slice_is(t->kind.s, "local");
}

static bool has_named_secret(const struct manifest *m)
{
    for (size_t i = 0; i < m->secrets.n; i++) {
        if (!slice_ends(m->secrets.items[i].s, SLICE("*")))
            return true;
    }
    return false;
}

/* `t` without a name: the manifest has no target yet, and a variable of the repository names it. */
static void target(const struct facts *f, const struct target *t)
{
    struct slice kind = t->kind.s, name = t->name.s;
    bool is_open = !name.len, is_aws = slice_is(kind, "aws"), is_gcp = slice_is(kind, "gcp");
    bool is_azure = slice_is(kind, "azure"), is_droplet = slice_is(kind, "droplet");
    bool is_pythonanywhere = slice_is(kind, "pythonanywhere");
    json_write_object(f->w);
    facts_str(f, "name", name);
    facts_str(f, "id", is_open ? SLICE("") : arena_printf(f->a, "-%.*s", SLICE_ARGS(name)));
    facts_str(f, "word", is_open ? SLICE("\"$DAIS_TARGET\"") : name);
    facts_str(f, "region", t->region.s.len ? t->region.s : SLICE("us-east-1"));
    facts_bool(f, "is_open", is_open);
    facts_bool(f, "is_aws", is_aws || is_open);
    facts_bool(f, "is_gcp", is_gcp);
    facts_bool(f, "is_azure", is_azure);
    facts_bool(f, "is_droplet", is_droplet);
    facts_bool(f, "is_pythonanywhere", is_pythonanywhere);
    facts_bool(f, "is_ssh", !is_aws && !is_gcp && !is_azure && !is_pythonanywhere);
    facts_bool(f, "is_oidc", is_open || is_aws || is_gcp || is_azure);
    facts_bool(f, "has_environment",
               is_open || is_droplet || is_pythonanywhere || has_named_secret(f->m));
    facts_end(f);
}

/* Of PythonAnywhere the files have a folder of their own; all others have the same names. */
static size_t names(const struct facts *f, const char *key, bool is_apart)
{
    size_t n = 0;
    facts_begin_list(f, key);
    for (size_t i = 0; i < f->m->deploy.n; i++) {
        const struct target *t = &f->m->deploy.items[i];
        if (is_deployed(t) && slice_is(t->kind.s, "pythonanywhere") == is_apart) {
            json_write_str(f->w, t->name.s);
            n++;
        }
    }
    facts_end_list(f);
    return n;
}

static void targets(const struct facts *f)
{
    static const struct target none = {0};
    size_t n = 0;
    facts_begin_list(f, "targets");
    for (size_t i = 0; i < f->m->deploy.n; i++) {
        if (is_deployed(&f->m->deploy.items[i])) {
            target(f, &f->m->deploy.items[i]);
            n++;
        }
    }
    if (n == 0)
        target(f, &none);
    facts_end_list(f);
    facts_bool(f, "names", n > 0);
    facts_bool(f, "is_shared", names(f, "together", false) > 1);
    names(f, "apart", true);
}

/* A manifest may be checked without the secrets that its backend needs. */
static void check_secrets(const struct facts *f)
{
    facts_begin_list(f, "check_secrets");
    for (size_t i = 0; i < f->m->secrets.n; i++) {
        char mark;
        struct slice name = secret_stem(f->m->secrets.items[i].s, &mark);
        if (mark == '\0')
            json_write_str(f->w, name);
    }
    facts_end_list(f);
}

void facts_workflow(const struct facts *f)
{
    facts_begin(f, "workflow");
    facts_str(f, "below", f->o->below);
    facts_bool(f, "needs_node", needs_node(f->m));
    facts_bool(f, "needs_python", needs_python(f->m));
    facts_str(f, "node_folder", node_folder(f->m));
    targets(f);
    check_secrets(f);
    facts_end(f);
}
