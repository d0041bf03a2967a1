/* What verbs ask of people: a value that nobody sees typed, a yes before something goes; and how
 * they show a list. */
#include "cli/ask_impl.h"

#include "base/file.h"
#include "base/utf8.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* ---- values ---------------------------------------------------------------------------------- */

static struct termios shown, hidden; /* for on_signal() */

static void catch_one(int signum);

/* Who ends or stops us finds the terminal as it was. The signal is its default's by now; what comes
 * after it, comes after a stop. */
static void on_signal(int signum)
{
    int kept = errno;
    tcsetattr(STDIN_FILENO, TCSANOW, &shown);
    raise(signum);
    catch_one(signum);
    tcsetattr(STDIN_FILENO, TCSANOW, &hidden);
    errno = kept;
}

static void catch_one(int signum)
{
    struct sigaction was;
    const struct sigaction ours = {.sa_handler = on_signal,
                                   .sa_flags = SA_RESTART | SA_RESETHAND | SA_NODEFER};
    if (sigaction(signum, NULL, &was) == 0 && was.sa_handler != SIG_IGN)
        sigaction(signum, &ours, NULL);
}

static void hide(bool on)
{
    static const int signums[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};
    const struct sigaction none = {.sa_handler = SIG_DFL};
    struct sigaction now;
    for (size_t i = 0; on && i < sizeof signums / sizeof *signums; i++)
        catch_one(signums[i]);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, on ? &hidden : &shown);
    for (size_t i = 0; !on && i < sizeof signums / sizeof *signums; i++) {
        if (sigaction(signums[i], NULL, &now) == 0 && now.sa_handler == on_signal)
            sigaction(signums[i], &none, NULL);
    }
}

/* One line of the terminal, without showing it. */
static bool read_hidden(const char *prompt, struct buf *to, struct err *e)
{
    char c;
    if (tcgetattr(STDIN_FILENO, &shown) != 0)
        return err_set_sys(e, ERR_IO, "asking the terminal failed");
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(stderr, "%s: ", prompt);
    fflush(stderr);
    hide(true);
    ssize_t n = read(STDIN_FILENO, &c, 1);
    for (; n == 1 && c != '\n'; n = read(STDIN_FILENO, &c, 1))
        buf_add_char(to, c);
    hide(false);
    fputc('\n', stderr);
    if (n < 0) /* what was typed until then is not all of it */
        return err_set_sys(e, ERR_IO, "reading from the terminal failed");
    return n == 1 || to->len || err_set(e, ERR_USAGE, "nothing was typed");
}

static bool read_twice(const char *prompt, struct buf *to, struct err *e)
{
    struct buf again;
    buf_init(&again, to->max);
    bool fine = read_hidden(prompt, to, e) && read_hidden("The same again", &again, e);
    if (fine && !slice_eq(buf_slice(to), buf_slice(&again)))
        fine = err_set(e, ERR_USAGE, "the two are not the same; nothing was changed");
    if (again.len)
        explicit_bzero(again.data, again.len);
    buf_done(&again);
    return fine;
}

static bool read_all(struct buf *to, struct err *e)
{
    for (;;) {
        char *at = buf_reserve(to, 256);
        ssize_t n = at ? read(STDIN_FILENO, at, 256) : 0;
        if (!at)
            return err_set(e, ERR_USAGE, "what came on standard input is too long");
        if (n < 0 && errno != EINTR)
            return err_set_sys(e, ERR_IO, "reading standard input failed");
        if (n == 0)
            return true;
        buf_grew(to, n > 0 ? (size_t)n : 0);
    }
}

bool cli_read_value(const char *prompt, const char *file, bool twice, struct buf *to, struct err *e)
{
    if (file && strcmp(file, "-") != 0 && !file_read(file, to))
        return err_set_sys(e, ERR_USAGE, "reading %s failed", file);
    if (!file && isatty(STDIN_FILENO))
        return twice ? read_twice(prompt, to, e) : read_hidden(prompt, to, e);
    if ((!file || strcmp(file, "-") == 0) && !read_all(to, e))
        return false;
    while (to->len && (to->data[to->len - 1] == '\n' || to->data[to->len - 1] == '\r'))
        buf_truncate(to, to->len - 1); /* the editor's */
    return to->len || err_set(e, ERR_USAGE, "it is empty");
}

bool cli_confirm(const struct args *args, const char *question, struct err *e)
{
    char line[16];
    if (args_has(args, "--yes"))
        return true;
    if (!isatty(STDIN_FILENO))
        return err_set(e, ERR_USAGE, "%s; nobody is there to ask: add --yes to do it", question);
    fprintf(stderr, "%s. Type yes to do it: ", question);
    return (fgets(line, sizeof line, stdin) && strcmp(line, "yes\n") == 0) ||
           err_set(e, ERR_USAGE, "nothing was changed");
}

/* ---- lists ----------------------------------------------------------------------------------- */

void cli_add_shown(struct buf *to, struct slice s)
{
    while (s.len) {
        size_t n = utf8_length(s);
        if (!n || utf8_is_control(s))
            buf_add_char(to, '?');
        else
            buf_add(to, slice_first(s, n));
        s = slice_skip(s, n ? n : 1);
    }
}

/* Text of a cell: words of a list with commas, true as yes, false and null as nothing. */
static void cell_text(const struct json *v, struct buf *to)
{
    buf_clear(to);
    if (json_type(v) == JSON_STRING)
        cli_add_shown(to, json_str(v));
    else if (json_type(v) == JSON_NUMBER)
        buf_add(to, json_num_text(v));
    else if (json_bool(v))
        buf_add_str(to, "yes");
    json_each (it, v) {
        if (it.index)
            buf_add_str(to, ", ");
        cli_add_shown(to, json_str(it.value));
    }
    if (!to->len)
        buf_add_char(to, '-');
}

static size_t width_of(const struct buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->len; i++)
        n += ((unsigned char)text->data[i] & 0xc0) != 0x80;
    return n;
}

static void print_cell(const char *text, size_t len, size_t width, size_t column, bool is_last)
{
    printf("%.*s%*s", (int)len, text, is_last ? 0 : (int)(column - width + 2), "");
}

void cli_print_table(const struct json *rows, const struct cli_column *columns)
{
    size_t widths[CLI_COLUMNS_MAX], n = 0;
    struct buf text;
    buf_init(&text, 1u << 20);
    for (; columns[n].title; n++) {
        widths[n] = strlen(columns[n].title);
        json_each (it, rows) {
            cell_text(json_find(it.value, slice_from(columns[n].key)), &text);
            widths[n] = width_of(&text) > widths[n] ? width_of(&text) : widths[n];
        }
    }
    printf("%s", cli_style(stdout, STYLE_BOLD));
    for (size_t i = 0; i < n; i++)
        print_cell(columns[i].title, strlen(columns[i].title), strlen(columns[i].title), widths[i],
                   i + 1 == n);
    printf("%s\n", cli_style(stdout, STYLE_OFF));
    json_each (it, rows) {
        for (size_t i = 0; i < n; i++) {
            cell_text(json_find(it.value, slice_from(columns[i].key)), &text);
            print_cell(text.data, text.len, width_of(&text), widths[i], i + 1 == n);
        }
        printf("\n");
    }
    buf_done(&text);
}
