/* The verb help: the list of verbs, one verb, the keys of the manifest, the settings. */
#include "app/app.h"
#include "base/buf.h"
#include "base/nearest.h"
#include "cli/cli.h"
#include "manifest/manifest.h"

#include <string.h>
#include <unistd.h>

static int run(const struct args *args);

const struct verb verb_help = {
    .name = "help",
    .summary = "Explain a command, the manifest or the settings.",
    .usage = "[COMMAND | manifest [KEY] | env]",
    .help =
        "  dais help manifest       every key of dais.yaml, what it may be and its default\n"
        "  dais help manifest web   one key and what is below it\n"
        "  dais help env            every setting, its default and where its value comes from\n",
    .run = run,
    .flags = {{"--markdown", NULL, "With manifest: the reference as Markdown.", 0}},
    .max_words = 2,
};

static void print(const struct buf *out)
{
    if (out->len)
        fwrite(out->data, 1, out->len, stdout);
}

static int help_manifest(const struct args *args)
{
    const char *key = args->n_words > 1 ? args->words[1] : NULL;
    struct buf out;
    if (key && !manifest_has_key(key))
        return cli_usage_error(
            args, "the manifest has no key `%s`; `dais help manifest` lists them", key);
    buf_init(&out, 4u << 20);
    if (args_has(args, "--markdown"))
        manifest_markdown(&out);
    else
        manifest_help(&out, key);
    print(&out);
    buf_done(&out);
    return 0;
}

/* The app in this folder, or NULL. */
static const struct site *find_site(struct arena *a)
{
    struct problems ignored;
    if (access("dais.yaml", F_OK) != 0 && access("host.yaml", F_OK) != 0)
        return NULL;
    problems_init(&ignored, a);
    return site_load(a, NULL, 0, &ignored);
}

static void help_secrets(const struct settings *settings, const struct site *site,
                         struct problems *problems, struct buf *out)
{
    for (size_t i = 0; site && i < site->n_apps; i++) {
        struct secrets secrets;
        secrets_load(settings, site->apps[i], problems, &secrets);
        secrets_help(&secrets, site->apps[i]->slug.s, out);
    }
}

static int help_env(void)
{
    struct arena a;
    struct problems problems;
    struct settings settings;
    struct buf out;
    arena_init(&a, (size_t)1 << 30);
    problems_init(&problems, &a);
    buf_init(&out, 4u << 20);
    const struct settings_sources from = {.dir = ".", .environ_ = (const char *const *)environ};
    settings_load(&a, &from, &problems, &settings);
    const struct site *site = find_site(&a);
    if (site)
        app_settings_finish(&settings, site, false, &problems);
    settings_help(&settings, &out);
    help_secrets(&settings, site, &problems, &out);
    print(&out);
    buf_clear(&out);
    problems_print(&problems, &out);
    if (out.len)
        fprintf(stderr, "\n%s", out.data);
    buf_done(&out);
    arena_done(&a);
    return problems_has_errors(&problems) ? err_exit(ERR_MANIFEST) : 0;
}

static int help_all(const struct args *args)
{
    printf("dais runs a small web application from its dais.yaml.\n\n");
    for (size_t i = 0; args->verbs[i]; i++)
        printf("  %-10s %s\n", args->verbs[i]->name, args->verbs[i]->summary);
    printf("\n`dais help COMMAND` explains one, `dais help manifest` the keys of dais.yaml,\n"
           "`dais help env` the settings.\n");
    return 0;
}

static int help_verb(const struct args *args, const char *name)
{
    struct nearest nearest = {.typed = slice_from(name)};
    for (size_t i = 0; args->verbs[i]; i++) {
        nearest_offer(&nearest, slice_from(args->verbs[i]->name));
        if (strcmp(args->verbs[i]->name, name) == 0) {
            cli_print_verb(args->verbs[i], stdout);
            return 0;
        }
    }
    nearest_offer(&nearest, SLICE("manifest"));
    nearest_offer(&nearest, SLICE("env"));
    if (nearest.best.len)
        return cli_usage_error(args, "there is no command `%s`; did you mean `%.*s`?", name,
                               SLICE_ARGS(nearest.best));
    return cli_usage_error(args, "there is no command `%s`; `dais help` lists them", name);
}

static int run(const struct args *args)
{
    const char *topic = args->n_words ? args->words[0] : NULL;
    if (args->n_words > 1 && strcmp(topic, "manifest") != 0)
        return cli_usage_error(args, "`%s` is one too many", args->words[1]);
    if (!topic)
        return help_all(args);
    if (strcmp(topic, "manifest") == 0)
        return help_manifest(args);
    if (strcmp(topic, "env") == 0)
        return help_env();
    return help_verb(args, topic);
}
