/* The verb render: the files that other tools run an app with, made from its manifest. */
#include "render/render.h"
#include "base/json.h"
#include "base/nearest.h"
#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int run(const struct args *args);

const struct verb verb_render = {
    .name = "render",
    .summary = "Write the files Docker, a cloud or a host needs, from dais.yaml.",
    .usage = "KIND|TARGET [DIR] [-o OUT] [--force] [--check] [--json]",
    .help =
        "KIND is one of the kinds below; TARGET a name under `deploy:`. The files go where the\n"
        "tools look for them in the app's folder (ops/, docker/, .github/), or to the same\n"
        "places below OUT. No server, account or network is needed, and the same manifest\n"
        "always gives the same files.\n"
        "\n"
        "Every file starts with a digest of its content. One that was edited by hand, or that\n"
        "dais did not make, is kept, and the difference is printed. `dais render list` lists\n"
        "the kinds. Exit code 2: --check found files that are missing or out of date.\n",
    .run = run,
    .flags = {{"--out", "OUT", "Where the files go; default: the app's folder.", 'o'},
              {"--force", NULL, "Write files that were edited, too.", 'f'},
              {"--check", NULL, "Write nothing; say what would change.", 0},
              {"--json", NULL, "Print the result as JSON.", 0}},
    .max_words = 2,
};

#define EXIT_CHANGES 2
#define ARENA_MAX    (512u << 20)

/* ---- what is meant by the words -----------------------------------------------------------------
 */

static void list_kinds(FILE *to)
{
    for (const struct render_kind *it = render_kinds; it->name; it++)
        fprintf(to, "  %-16s %s\n", it->name, it->summary);
}

static const struct target *target_named(const struct manifest *m, struct slice name)
{
    for (size_t i = 0; i < m->deploy.n; i++) {
        if (slice_eq(m->deploy.items[i].name.s, name))
            return &m->deploy.items[i];
    }
    return NULL;
}

/* The only target of a kind: what its settings are for. NULL when there is none, or several. */
static const struct target *only_target(const struct manifest *m, const struct render_kind *kind)
{
    const struct target *found = NULL;
    for (size_t i = 0; i < m->deploy.n; i++) {
        if (render_kind_find(m->deploy.items[i].kind.s) != kind)
            continue;
        if (found)
            return NULL;
        found = &m->deploy.items[i];
    }
    return found;
}

static int unknown_word(const struct args *args, const struct manifest *m, struct slice word)
{
    struct nearest nearest = {.typed = word};
    for (const struct render_kind *it = render_kinds; it->name; it++)
        nearest_offer(&nearest, slice_from(it->name));
    for (size_t i = 0; i < m->deploy.n; i++)
        nearest_offer(&nearest, m->deploy.items[i].name.s);
    fprintf(stderr, "dais %s: there is no kind and no target `%.*s`", args->verb->name,
            SLICE_ARGS(word));
    if (nearest.best.len)
        fprintf(stderr, "; did you mean `%.*s`?", SLICE_ARGS(nearest.best));
    fprintf(stderr, "\nThe kinds are:\n");
    list_kinds(stderr);
    for (size_t i = 0; i < m->deploy.n; i++)
        fprintf(stderr, "%s  %-16.*s deploy.%.*s, %.*s\n",
                i ? "" : "The targets of dais.yaml are:\n", SLICE_ARGS(m->deploy.items[i].name.s),
                SLICE_ARGS(m->deploy.items[i].name.s), SLICE_ARGS(m->deploy.items[i].kind.s));
    return err_exit(ERR_USAGE);
}

static bool find_kind(const struct manifest *m, struct slice word, struct render_options *ret)
{
    *ret = (struct render_options){.manifest = m};
    ret->target = target_named(m, word);
    ret->kind = render_kind_find(ret->target ? ret->target->kind.s : word);
    if (ret->kind && !ret->target)
        ret->target = only_target(m, ret->kind);
    return ret->kind != NULL;
}

/* Where the app's folder is below the Git repository that it is part of: "apps/a"; "" when it is
 * the repository itself, or in none. GitHub looks for workflows only at the top of a repository. */
static struct slice below_repository(const char *dir, struct arena *a)
{
    char real[PATH_MAX], git[PATH_MAX + 8];
    if (!realpath(dir, real))
        return SLICE("");
    for (size_t n = strlen(real);;) {
        snprintf(git, sizeof git, "%.*s/.git", (int)n, real);
        if (access(git, F_OK) == 0)
            return real[n] ? arena_dup(a, slice_from(real + n + 1)) : SLICE("");
        while (n > 0 && real[--n] != '/')
            ;
        if (n == 0)
            return SLICE("");
    }
}

/* ---- telling ------------------------------------------------------------------------------------
 */

static const char *const words[] = {[PLACE_SAME] = "same",
                                    [PLACE_NEW] = "new",
                                    [PLACE_CHANGED] = "changed",
                                    [PLACE_GONE] = "removed",
                                    [PLACE_KEPT] = "kept"};

static bool is_change(enum place_state state)
{
    return state == PLACE_NEW || state == PLACE_CHANGED || state == PLACE_GONE;
}

static void print_buf(struct buf *out, FILE *to)
{
    if (out->len)
        fwrite(out->data, 1, out->len, to);
    buf_done(out);
}

static int print_kinds_json(void)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out, 1u << 20);
    json_writer_init(&w, &out, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("kinds"));
    json_write_array(&w);
    for (const struct render_kind *it = render_kinds; it->name; it++) {
        json_write_object(&w);
        json_write_key(&w, SLICE("name"));
        json_write_cstr(&w, it->name);
        json_write_key(&w, SLICE("summary"));
        json_write_cstr(&w, it->summary);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    buf_add_char(&out, '\n');
    print_buf(&out, stdout);
    return 0;
}

static void print_json(const struct placed *rows, size_t n)
{
    struct buf out;
    struct json_writer w;
    buf_init(&out,
             (size_t)4 << 30); /* diffs of 4 MB, escaped at worst, and the arena holds 512 MB */
    json_writer_init(&w, &out, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("files"));
    json_write_array(&w);
    for (size_t i = 0; i < n; i++) {
        json_write_object(&w);
        json_write_key(&w, SLICE("path"));
        json_write_str(&w, rows[i].path);
        json_write_key(&w, SLICE("state"));
        json_write_cstr(&w, words[rows[i].state]);
        json_write_key(&w, SLICE("diff"));
        json_write_str(&w, rows[i].diff);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    json_writer_done(&w);
    buf_add_char(&out, '\n');
    print_buf(&out, stdout);
}

static void print_kept(const struct placed *it)
{
    printf("\n%s%.*s%s %s:\n", cli_style(stdout, STYLE_BOLD), SLICE_ARGS(it->path),
           cli_style(stdout, STYLE_OFF),
           it->is_foreign ? "is not dais's, so it is kept; what would be there"
                          : "was edited, so it is kept; what would change");
    fwrite(it->diff.ptr, 1, it->diff.len, stdout); /* whatever bytes the edited file has */
}

static void print_word(enum place_state state)
{
    enum cli_style style = state == PLACE_SAME   ? STYLE_DIM
                           : state == PLACE_KEPT ? STYLE_YELLOW
                                                 : STYLE_GREEN;
    printf("  %s%-8s%s ", cli_style(stdout, style), words[state], cli_style(stdout, STYLE_OFF));
}

/* A site may have thousands of files: how many of each, and only those that were kept by name. */
static void print_listed(const struct placed *rows, size_t n, struct slice folder)
{
    for (enum place_state state = PLACE_SAME; state < PLACE_KEPT; state++) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            count += rows[i].is_listed && rows[i].state == state;
        if (!count)
            continue;
        print_word(state);
        printf("%.*s (%zu file%s)\n", SLICE_ARGS(folder), count, count == 1 ? "" : "s");
    }
}

static void print_text(const struct placed *rows, const struct render_files *files, bool only_look)
{
    size_t kept = 0, written = 0, n = files->n;
    struct slice folder =
        slice_first(files->listing, (size_t)(slice_rindex(files->listing, '/') + 1));
    print_listed(rows, n, folder);
    for (size_t i = 0; i < n; i++) {
        kept += rows[i].state == PLACE_KEPT;
        written += is_change(rows[i].state);
        if (rows[i].is_listed && rows[i].state != PLACE_KEPT)
            continue;
        print_word(rows[i].state);
        printf("%.*s\n", SLICE_ARGS(rows[i].path));
    }
    for (size_t i = 0; i < n; i++) {
        if (rows[i].state == PLACE_KEPT)
            print_kept(&rows[i]);
    }
    if (kept)
        printf("\n%zu file%s kept. Take the changes over by hand, or overwrite with --force.\n",
               kept, kept == 1 ? "" : "s");
    if (only_look)
        printf("\n%zu of %zu files would change.\n", written, n);
    else if (files->next.len)
        printf("\n%.*s", SLICE_ARGS(files->next));
}

/* As a word of a shell; a newline in it would be two lines of the terminal, and is harmless. */
static void print_for_shell(struct slice path)
{
    putchar('\'');
    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] == '\'')
            fputs("'\\'", stdout);
        putchar(path.ptr[i]);
    }
    putchar('\'');
}

/* They are written below the app's folder like everything else, never outside of it. */
static void tell_of_workflows(const struct render_options *o, const struct render_files *files)
{
    static const struct slice folder = SLICE_INIT(".github/workflows/");
    bool is_first = true;
    for (size_t i = 0; i < files->n && o->below.len; i++) {
        struct slice path = files->items[i].path;
        if (!slice_starts(path, folder))
            continue;
        if (is_first)
            printf(
                "\nGitHub reads workflows at the top of a repository, and this app is in %.*s of "
                "one.\nCopy them, at the top; their steps run in the app's folder:\n"
                "  mkdir -p .github/workflows\n",
                SLICE_ARGS(o->below));
        is_first = false;
        fputs("  cp ", stdout);
        print_for_shell(o->below);
        printf("/%.*s %.*s%.*s-%.*s\n", SLICE_ARGS(path), SLICE_ARGS(folder),
               SLICE_ARGS(o->manifest->slug.s), SLICE_ARGS(slice_skip(path, folder.len)));
    }
}

/* ---- the verb -----------------------------------------------------------------------------------
 */

static bool has_changes(const struct placed *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_change(rows[i].state))
            return true;
    }
    return false;
}

static void print_problems(const struct problems *p)
{
    struct buf out;
    buf_init(&out, 64u << 20);
    problems_print(p, &out);
    print_buf(&out, stderr);
}

static int render(const struct args *args, struct arena *a, const struct manifest *m)
{
    struct render_options o;
    struct render_files files;
    struct err e = {0};
    const char *out = args_flag(args, "--out");
    if (!find_kind(m, slice_from(args->words[0]), &o))
        return unknown_word(args, m, slice_from(args->words[0]));
    struct problems found; /* what the manifest has besides is for `dais check` */
    problems_init(&found, a);
    o.below = below_repository(m->dir.ptr, a);
    bool fine = render_files(a, &o, &files, &found, &e);
    problems_sort(&found);
    print_problems(&found);
    if (!fine)
        return found.n_errors ? err_exit(ERR_MANIFEST) : cli_fail(args, &e);
    const struct place_options place = {.folder = out ? out : m->dir.ptr,
                                        .force = args_has(args, "--force"),
                                        .only_look = args_has(args, "--check")};
    if (!place_find_gone(a, &place, &files, &e))
        return cli_fail(args, &e);
    struct placed *rows = arena_zalloc(a, files.n * sizeof *rows);
    if (!place_files(a, &place, &files, rows, &e))
        return cli_fail(args, &e);
    if (args_has(args, "--json"))
        print_json(rows, files.n);
    else
        print_text(rows, &files, place.only_look);
    if (!args_has(args, "--json"))
        tell_of_workflows(&o, &files);
    return place.only_look && has_changes(rows, files.n) ? EXIT_CHANGES : 0;
}

static bool is_host(const char *dir, struct arena *a)
{
    struct stat st;
    return stat(arena_printf(a, "%s/host.yaml", dir).ptr, &st) == 0;
}

static int run(const struct args *args)
{
    struct arena a;
    struct problems p;
    int code;
    if (args->n_words == 0) {
        cli_usage_error(args, "name a kind or a target");
        fprintf(stderr, "The kinds are:\n");
        list_kinds(stderr);
        return err_exit(ERR_USAGE);
    }
    if (args->n_words == 1 && strcmp(args->words[0], "list") == 0) {
        if (args_has(args, "--json"))
            return print_kinds_json();
        list_kinds(stdout);
        return 0;
    }
    const char *dir = args->n_words > 1 ? args->words[1] : ".";
    arena_init(&a, ARENA_MAX);
    problems_init(&p, &a);
    if (is_host(dir, &a)) {
        code = cli_usage_error(args, "%s is a host of several apps; name the folder of one", dir);
    } else {
        struct manifest *m = manifest_load(&a, dir, &p);
        bool fine = m && !problems_has_errors(&p);
        if (!fine)
            print_problems(&p);
        code = fine ? render(args, &a, m) : err_exit(ERR_MANIFEST);
    }
    arena_done(&a);
    return code;
}
