/* The verb new: a small working app in a new folder. */
#include "base/buf.h"
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
    .summary = "Make a small app to start from.",
    .usage = "DIR [--template NAME]",
    .help = "The folder is made if it is not there; one that holds files is left alone.\n"
            "The app takes its name from the folder. `--template list` lists the templates.\n",
    .run = run,
    .flags = {{"--template", "NAME", "Which template; default static.", 't'}},
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

static bool write_all(int fd, struct slice s)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s = slice_skip(s, (size_t)n);
    }
    return true;
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
    bool ok = write_all(fd, text);
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

static bool make_app(const struct template *t, const char *path, struct err *e)
{
    char slug[SLUG_MAX + 1], title[SLUG_MAX + 1];
    int dir = open_folder(path, e);
    if (dir < 0)
        return false;
    names_of(path, slug, title);
    bool ok = true;
    for (size_t i = 0; ok && i < t->n_files; i++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        fill_in(t->files[i].text, slug, title, &text);
        ok = write_file(dir, t->files[i].path, buf_slice(&text), e);
        buf_done(&text);
    }
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
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f)
            return false;
    }
    return name.len > 0 && utf8_is_valid(name);
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

static int run(const struct args *args)
{
    const char *name = args_flag(args, "--template");
    if (name && strcmp(name, "list") == 0)
        return list_templates(stdout);
    const struct template *t = template_find(name ? name : "static");
    if (!t)
        return unknown_template(args, name);
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
    for (size_t i = 0; i < t->n_files; i++)
        printf("  %s/%s\n", path, t->files[i].path);
    printf("\nNext:\n  dais serve ");
    print_word(path);
    return 0;
}
