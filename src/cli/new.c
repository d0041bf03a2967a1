/* The verb new: a small working app in a new folder, or the manifest for an application that
 * exists. */
#include "base/buf.h"
#include "base/embedded.h"
#include "base/file.h"
#include "base/nearest.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/templates.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int run(const struct args *args);

const struct verb verb_new = {
    .name = "new",
    .summary = "Make a small app to start from, or the manifest of one that exists.",
    .usage = "DIR [--template NAME | --model NAME]",
    .help = "The folder is made if it is not there; one that holds files is left alone.\n"
            "The app takes its name from the folder. `--template list` lists the templates.\n"
            "\n"
            "With --model the folder is a checkout of a known application: a dais.yaml that runs\n"
            "it as it is gets written there, and nothing else. --model alone lists the models.\n",
    .run = run,
    .flags = {{"--template", "NAME", "Which template; default static.", 't'},
              {"--model", "[NAME]", "Which application.", 'm'},
              {"--app-dir", "DIR", "The checkout, with --model; default DIR or here.", 0}},
    .max_words = 1,
};

/* ---- names
 * ---------------------------------------------------------------------------------------- */

#define SLUG_MAX 40

/* "My App!" becomes my-app; a name without letters becomes app. */
static void slug_of(struct slice name, char to[SLUG_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < name.len && n < SLUG_MAX; i++) {
        char c = name.ptr[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c | 0x20);
        bool letter = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
        if (letter || (digit && n))
            to[n++] = c;
        else if (n && to[n - 1] != '-' && !digit)
            to[n++] = '-';
    }
    while (n && to[n - 1] == '-')
        n--;
    to[n] = '\0';
    if (n == 0)
        memcpy(to, "app", 4);
}

static void title_of(const char *slug, char to[SLUG_MAX + 1])
{
    bool start = true;
    size_t n = 0;
    for (; slug[n]; n++) {
        char c = slug[n] == '-' ? ' ' : slug[n];
        to[n] = start && c >= 'a' && c <= 'z' ? (char)(c & ~0x20) : c;
        start = c == ' ';
    }
    to[n] = '\0';
}

/* The last part of the folder's real path, so that `dais new .` works too. */
static void names_of(const char *dir, char slug[SLUG_MAX + 1], char title[SLUG_MAX + 1])
{
    char *real = realpath(dir, NULL);
    struct slice path = slice_from(real ? real : dir);
    slug_of(slice_skip(path, (size_t)(slice_rindex(path, '/') + 1)), slug);
    title_of(slug, title);
    free(real);
}

/* ---- writing
 * ----------------------------------------------------------------------------------------- */

static void fill_in(const char *text, const char *slug, const char *title, struct buf *to)
{
    struct slice rest = slice_from(text);
    while (rest.len) {
        ptrdiff_t at = slice_search(rest, SLICE("{{"));
        buf_add(to, at < 0 ? rest : slice_first(rest, (size_t)at));
        rest = at < 0 ? SLICE("") : slice_skip(rest, (size_t)at);
        bool is_slug = slice_starts(rest, SLICE("{{slug}}"));
        bool is_title = slice_starts(rest, SLICE("{{title}}"));
        if (!rest.len)
            break;
        buf_add_str(to, is_slug ? slug : is_title ? title : "{{");
        rest = slice_skip(rest, is_slug ? 8 : is_title ? 9 : 2);
    }
}

static bool write_file(int dir, const char *path, struct slice text, struct err *e)
{
    struct slice folder = slice_from(path);
    ptrdiff_t slash = slice_rindex(folder, '/');
    if (slash > 0) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)slash, path);
        if (mkdirat(dir, name, 0777) != 0 && errno != EEXIST)
            return err_set_sys(e, ERR_IO, "the folder %s cannot be made", name);
    }
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_set_sys(e, ERR_IO, "%s cannot be made", path);
    bool ok = fd_write_all(fd, text);
    if (!ok)
        err_set_sys(e, ERR_IO, "%s cannot be written", path);
    if (close(fd) != 0 && ok)
        ok = err_set_sys(e, ERR_IO, "%s cannot be written", path);
    return ok;
}

/* Opens the folder, making it if needed; -1 if it cannot be used. */
static int open_folder(const char *path, struct err *e)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        err_set_sys(e, errno == ENOENT ? ERR_USAGE : ERR_IO, "the folder %s cannot be made", path);
        return -1;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        err_set_sys(e, ERR_USAGE, "%s cannot be used as a folder", path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    bool empty = true;
    for (struct dirent *it; (it = readdir(dir));)
        empty &= strcmp(it->d_name, ".") == 0 || strcmp(it->d_name, "..") == 0;
    int keep = empty ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (empty && keep < 0)
        err_set_sys(e, ERR_IO, "%s cannot be used as a folder", path);
    closedir(dir);
    if (!empty)
        err_set(e, ERR_EXISTS, "%s holds files already; name a new or an empty folder", path);
    return keep;
}

/* The path of an embedded file below the folder that is made: what follows its layer. */
static const char *path_in(const struct embedded *file, const char *prefix)
{
    return file->name + strlen(prefix);
}

static bool write_layer(int dir, const char *prefix, const char *slug, const char *title,
                        struct err *e)
{
    bool ok = true;
    const struct embedded *it = NULL;
    while (ok && (it = embedded_next(it, prefix))) {
        struct buf text;
        buf_init(&text, 1 << 20);
        fill_in(it->data, slug, title, &text);
        ok = write_file(dir, path_in(it, prefix), buf_slice(&text), e);
        buf_done(&text);
    }
    return ok;
}

static const char *layer_prefix(const struct template *t, size_t i, char to[64])
{
    if (i == TEMPLATE_LAYERS_MAX || !t->layers[i])
        return NULL;
    snprintf(to, 64, "template/%s/", t->layers[i]);
    return to;
}

static bool make_app(const struct template *t, const char *path, struct err *e)
{
    char slug[SLUG_MAX + 1], title[SLUG_MAX + 1], prefix[64];
    int dir = open_folder(path, e);
    if (dir < 0)
        return false;
    names_of(path, slug, title);
    bool ok = true;
    for (size_t i = 0; ok && layer_prefix(t, i, prefix); i++)
        ok = write_layer(dir, prefix, slug, title, e);
    close(dir);
    return ok;
}

/* ---- the verb
 * ------------------------------------------------------------------------------------------ */

static int list_templates(FILE *to)
{
    for (size_t i = 0; i < n_templates; i++)
        fprintf(to, "  %-10s %s\n", templates[i].name, templates[i].summary);
    return 0;
}

static const struct template *template_find(const char *name)
{
    for (size_t i = 0; i < n_templates; i++) {
        if (strcmp(templates[i].name, name) == 0)
            return &templates[i];
    }
    return NULL;
}

static int unknown_template(const struct args *args, const char *name)
{
    struct nearest nearest = {.typed = slice_from(name)};
    for (size_t i = 0; i < n_templates; i++)
        nearest_offer(&nearest, slice_from(templates[i].name));
    fprintf(stderr, "dais %s: there is no template `%s`", args->verb->name, name);
    if (nearest.best.len)
        fprintf(stderr, "; did you mean `%.*s`?", SLICE_ARGS(nearest.best));
    fprintf(stderr, "\nThe templates are:\n");
    list_templates(stderr);
    return err_exit(ERR_USAGE);
}

/* A name that a person can type and a terminal can show. */
static bool is_typable(struct slice name)
{
    return name.len > 0 && utf8_is_line(name);
}

/* Quoted for the shell where it needs it; one that looks like a flag becomes a path. */
static void print_word(const char *word)
{
    bool plain = word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789/._-")] == '\0';
    const char *quote = plain ? "" : "'";
    printf("%s%s", quote, *word == '-' ? "./" : "");
    for (; *word; word++)
        printf(*word == '\'' ? "'\\''" : "%c", *word);
    printf("%s\n", quote);
}

static int new_app(const struct args *args, const struct template *t)
{
    if (args->n_words == 0)
        return cli_usage_error(args, "name the folder to make");
    struct err e = {0};
    const char *path = args->words[0];
    if (!is_typable(slice_from(path)))
        return cli_usage_error(args, "this is not a name for a folder; use letters that can be "
                                     "typed, such as my-app");
    if (!make_app(t, path, &e))
        return cli_fail(args, &e);
    printf("Made %s from the template %s:\n", path, t->name);
    char prefix[64];
    for (size_t i = 0; layer_prefix(t, i, prefix); i++) {
        for (const struct embedded *it = NULL; (it = embedded_next(it, prefix));)
            printf("  %s/%s\n", path, path_in(it, prefix));
    }
    printf("\nNext:\n  dais serve ");
    print_word(path);
    return 0;
}

/* ---- models
 * ---------------------------------------------------------------------------------------- */

static int list_models(FILE *to)
{
    for (size_t i = 0; i < n_models; i++)
        fprintf(to, "  %-16s %s\n", models[i].name, models[i].summary);
    return 0;
}

static const struct model *model_find(const char *name)
{
    for (size_t i = 0; i < n_models; i++) {
        if (strcmp(models[i].name, name) == 0)
            return &models[i];
    }
    return NULL;
}

static int unknown_model(const struct args *args, const char *name)
{
    struct nearest nearest = {.typed = slice_from(name)};
    for (size_t i = 0; i < n_models; i++)
        nearest_offer(&nearest, slice_from(models[i].name));
    fprintf(stderr, "dais %s: there is no model `%s`", args->verb->name, name);
    if (nearest.best.len)
        fprintf(stderr, "; did you mean `%.*s`?", SLICE_ARGS(nearest.best));
    fprintf(stderr, "\nThe models are:\n");
    list_models(stderr);
    return err_exit(ERR_USAGE);
}

/* Writes the manifest into a checkout, after a look at whether it is one. */
static bool place_model(const struct model *m, const char *path, struct err *e)
{
    char name[64];
    struct stat st;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set_sys(e, ERR_USAGE, "%s cannot be used as a folder", path);
    bool ok = true;
    for (size_t i = 0; ok && i < MODEL_SIGNS_MAX && m->signs[i]; i++) {
        if (fstatat(dir, m->signs[i], &st, 0) != 0)
            ok = err_set(e, ERR_USAGE, "%s does not look like a checkout of %s: there is no %s",
                         path, m->name, m->signs[i]);
    }
    if (ok && fstatat(dir, "dais.yaml", &st, AT_SYMLINK_NOFOLLOW) == 0)
        ok = err_set(e, ERR_EXISTS, "%s has a dais.yaml already; it is left as it is", path);
    snprintf(name, sizeof name, "model/%s/dais.yaml", m->name);
    ok = ok && write_file(dir, "dais.yaml", embedded_get(name), e);
    close(dir);
    return ok;
}

static int new_model(const struct args *args, const char *name)
{
    const char *dir = args_flag(args, "--app-dir");
    if (args_has(args, "--template"))
        return cli_usage_error(args, "--template and --model do not go together");
    if (!*name)
        return list_models(stdout);
    const struct model *m = model_find(name);
    if (!m)
        return unknown_model(args, name);
    if (dir && args->n_words)
        return cli_usage_error(args, "`%s` is one too many: --app-dir names the folder",
                               args->words[0]);
    if (!dir)
        dir = args->n_words ? args->words[0] : ".";
    struct err e = {0};
    if (!place_model(m, dir, &e))
        return cli_fail(args, &e);
    printf("Wrote %s/dais.yaml from the model %s; nothing else was touched.\n", dir, m->name);
    static const char *const next[] = {"check", "build", "serve"};
    printf("\nNext, after a look at the comments in it:\n");
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        printf("  dais %s ", next[i]);
        print_word(dir);
    }
    return 0;
}

static int run(const struct args *args)
{
    const char *name = args_flag(args, "--template"), *model = args_flag(args, "--model");
    if (model)
        return new_model(args, model);
    if (args_has(args, "--app-dir"))
        return cli_usage_error(args, "--app-dir goes with --model");
    if (name && strcmp(name, "list") == 0)
        return list_templates(stdout);
    const struct template *t = template_find(name ? name : "static");
    return t ? new_app(args, t) : unknown_template(args, name);
}
