/* From argv to a verb and its flags, with a sentence for everything that is not right. */
#include "base/nearest.h"
#include "base/utf8.h"
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 1
#define WORDS_MAX  256

/* ---- what verbs share --------------------------------------------------------------------------
 */

const char *cli_style(FILE *to, enum cli_style style)
{
    static const char *const codes[] = {"\033[0m",  "\033[1m",  "\033[31m",
                                        "\033[33m", "\033[32m", "\033[2m"};
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (!isatty(fileno(to)) || (no_color && *no_color) || (term && strcmp(term, "dumb") == 0))
        return "";
    return codes[style];
}

/* Words of others, and of whoever typed them: none of them steers the terminal. */
static void print_harmless(struct slice s)
{
    while (s.len) {
        size_t n = utf8_length(s);
        bool is_shown = (n && !utf8_is_control(s)) || *s.ptr == '\n' || *s.ptr == '\t';
        n = n ? n : 1;
        fwrite(is_shown ? s.ptr : "?", 1, is_shown ? n : 1, stderr);
        s = slice_skip(s, n);
    }
}

int cli_fail(const struct args *args, const struct err *e)
{
    fprintf(stderr, "%sdais %s:%s ", cli_style(stderr, STYLE_RED), args->verb->name,
            cli_style(stderr, STYLE_OFF));
    print_harmless(slice_from(e->msg));
    fputc('\n', stderr);
    return err_exit(e->code);
}

int cli_usage_error(const struct args *args, const char *fmt, ...)
{
    char text[4096];
    va_list list;
    va_start(list, fmt);
    vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    fprintf(stderr, "dais %s: ", args->verb->name);
    print_harmless(slice_from(text));
    fprintf(stderr, "\nusage: dais %s %s\n", args->verb->name, args->verb->usage);
    return EXIT_USAGE;
}

static size_t count_flags(const struct verb *verb)
{
    size_t n = 0;
    while (n < CLI_FLAGS_MAX && verb->flags[n].name)
        n++;
    return n;
}

static size_t flag_index(const struct verb *verb, const char *name)
{
    size_t i = 0, n = count_flags(verb);
    while (i < n && strcmp(verb->flags[i].name, name) != 0)
        i++;
    must(i < n);
    return i;
}

const char *args_flag(const struct args *args, const char *name)
{
    return args->values[flag_index(args->verb, name)];
}

bool args_has(const struct args *args, const char *name)
{
    return args_flag(args, name) != NULL;
}

void cli_print_verb(const struct verb *verb, FILE *to)
{
    const char *bold = cli_style(to, STYLE_BOLD), *off = cli_style(to, STYLE_OFF);
    fprintf(to, "%sdais %s%s %s\n\n%s\n", bold, verb->name, off, verb->usage, verb->summary);
    if (verb->help)
        fprintf(to, "\n%s", verb->help);
    if (count_flags(verb))
        fputc('\n', to);
    for (size_t i = 0; i < count_flags(verb); i++) {
        const struct cli_flag *f = &verb->flags[i];
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", f->name, f->value ? " " : "",
                 f->value ? f->value : "");
        fprintf(to, "  %-20s %s\n", left, f->doc);
    }
}

/* ---- reading
 * ---------------------------------------------------------------------------------------- */

static const struct cli_flag *flag_find(const struct verb *verb, struct slice name)
{
    for (size_t i = 0; i < count_flags(verb); i++) {
        const struct cli_flag *f = &verb->flags[i];
        char letter[3] = {'-', f->letter, '\0'};
        if (slice_is(name, f->name) || (f->letter && slice_is(name, letter)))
            return f;
    }
    return NULL;
}

static int unknown_flag(const struct args *args, struct slice name)
{
    struct nearest nearest = {.typed = name};
    for (size_t i = 0; i < count_flags(args->verb); i++)
        nearest_offer(&nearest, slice_from(args->verb->flags[i].name));
    if (nearest.best.len)
        return cli_usage_error(args, "unknown flag %.*s; did you mean %.*s?", SLICE_ARGS(name),
                               SLICE_ARGS(nearest.best));
    return cli_usage_error(args, "unknown flag %.*s", SLICE_ARGS(name));
}

/* One flag at argv[*at]; moves *at over its value. Returns 0 or the exit code. */
static int read_flag(struct args *args, int argc, const char *const *argv, int *at)
{
    struct slice name = slice_from(argv[*at]);
    ptrdiff_t equals = slice_index(name, '=');
    const char *value = equals < 0 ? NULL : argv[*at] + equals + 1;
    if (equals >= 0)
        name.len = (size_t)equals;
    const struct cli_flag *f = flag_find(args->verb, name);
    if (!f)
        return unknown_flag(args, name);
    if (!f->value && value)
        return cli_usage_error(args, "%s takes no value", f->name);
    bool optional = f->value && *f->value == '[';
    if (f->value && !value) {
        bool more = *at + 1 < argc && !(optional && argv[*at + 1][0] == '-');
        value = more ? argv[++*at] : "";
    }
    if (f->value && !*value && !optional)
        return cli_usage_error(args, "%s needs a value: %s %s", f->name, f->name, f->value);
    args->values[f - args->verb->flags] = f->value ? value : "";
    return 0;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int check_words(const struct args *args)
{
    if (args->n_words < args->verb->min_words)
        return cli_usage_error(args, "something is missing");
    if (args->n_words > args->verb->max_words)
        return cli_usage_error(args, "`%s` is one too many", args->words[args->verb->max_words]);
    return 0;
}

static int run_verb(const struct verb *const *verbs, const struct verb *verb, int argc,
                    const char *const *argv)
{
    const char *words[WORDS_MAX];
    struct args args = {.verb = verb, .verbs = verbs, .words = words};
    bool flags_ended = false;
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        if (!flags_ended && is_help(word)) {
            cli_print_verb(verb, stdout);
            return 0;
        }
        if (!flags_ended && strcmp(word, "--") == 0) {
            flags_ended = true;
        } else if (!flags_ended && word[0] == '-' && word[1]) {
            int code = read_flag(&args, argc, argv, &i);
            if (code)
                return code;
        } else if (args.n_words == WORDS_MAX) {
            return cli_usage_error(&args, "more than %d words", WORDS_MAX);
        } else {
            words[args.n_words++] = word;
        }
    }
    int code = check_words(&args);
    return code ? code : verb->run(&args);
}

static const struct verb *verb_find(const struct verb *const *verbs, const char *name)
{
    for (; *verbs; verbs++) {
        if (strcmp((*verbs)->name, name) == 0)
            return *verbs;
    }
    return NULL;
}

static int unknown_verb(const struct verb *const *verbs, const char *name)
{
    struct nearest nearest = {.typed = slice_from(name)};
    for (size_t i = 0; verbs[i]; i++)
        nearest_offer(&nearest, slice_from(verbs[i]->name));
    fputs("dais: there is no command `", stderr);
    print_harmless(slice_from(name));
    fputc('`', stderr);
    if (nearest.best.len)
        fprintf(stderr, "; did you mean `%.*s`?\n", SLICE_ARGS(nearest.best));
    else
        fprintf(stderr, "; `dais help` lists them\n");
    return EXIT_USAGE;
}

int cli_run(const struct verb *const *verbs, int argc, const char *const *argv)
{
    const char *name = argc > 1 ? argv[1] : "help";
    if (is_help(name))
        name = "help";
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct verb *verb = verb_find(verbs, name);
    int code = verb ? run_verb(verbs, verb, argc, argv) : unknown_verb(verbs, name);
    /* A full disk or a closed pipe must not look like success. */
    if (fflush(stdout) != 0 || ferror(stdout))
        return code ? code : err_exit(ERR_IO);
    return argc > 1 ? code : EXIT_USAGE;
}
