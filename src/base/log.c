/* Writing log lines: whole ones, in turn, and never waiting long for whoever reads them. */
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/json_impl.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES     8192
#define VALUE_MAX_BYTES    1024
#define END_BYTES          24 /* what closes a line, with the note that it was cut */
#define ROTATE_BYTES       (10 * 1024 * 1024)
#define ROTATE_KEEP        5
#define ROTATE_CHECK_BYTES (64 * 1024) /* how often the size is looked at */
#define PATIENCE_MS        100         /* for a reader that takes nothing; then lines are lost */

static struct {
    enum log_level level;
    bool json, color;
    char path[512]; /* empty = standard error */
    int fd;
    bool is_socket;
    pthread_mutex_t lock; /* of writing, and of all below */
    struct buf torn;      /* the end of a line that was begun */
    bool is_stuck;        /* the reader was waited for already */
    uint64_t lost, written;
} out = {
    .level = LOG_INFO, .fd = 2, .lock = PTHREAD_MUTEX_INITIALIZER, .torn = {.max = LINE_MAX_BYTES}};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_colors[] = {"\033[2m", "", "\033[33m", "\033[31m"};

static int open_file(void)
{
    return open(out.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Pipes and terminals are opened once more: not to block is then ours alone, and not also of those
 * who share the descriptor. */
static int open_stderr(const struct stat *st)
{
    if (!S_ISFIFO(st->st_mode) && !S_ISCHR(st->st_mode))
        return STDERR_FILENO;
    int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return fd < 0 ? STDERR_FILENO : fd;
}

bool log_setup(enum log_level level, enum log_format format, const char *path)
{
    struct stat st = {0};
    int fd;
    if (path && *path) {
        if (strlen(path) >= sizeof out.path - 4)
            return errno = ENAMETOOLONG, false;
        memcpy(out.path, path, strlen(path) + 1);
        fd = open_file();
        if (fd < 0) {
            out.path[0] = '\0';
            return false;
        }
    } else {
        out.path[0] = '\0';
        (void)fstat(STDERR_FILENO, &st);
        fd = open_stderr(&st);
    }
    if (out.fd != STDERR_FILENO)
        close(out.fd);
    out.fd = fd;
    out.is_socket = S_ISSOCK(st.st_mode);
    out.level = level;
    bool terminal = isatty(out.fd);
    out.json = format == LOG_JSON || (format == LOG_AUTO && !terminal);
    const char *no_color = getenv("NO_COLOR");
    out.color = terminal && !(no_color && *no_color);
    return true;
}

bool log_is_on(enum log_level level)
{
    return level >= out.level;
}

/* At most so much of one value, cut before a character, not inside it. */
static struct slice shortened(struct slice s)
{
    if (s.len <= VALUE_MAX_BYTES)
        return s;
    size_t n = VALUE_MAX_BYTES;
    while (n > VALUE_MAX_BYTES - 4 && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
        n--;
    return slice_first(s, n);
}

/* Length of a character that only shows itself; 0 for what is no UTF-8, drives the terminal or
 * turns the direction of the line (C0, C1, DEL, U+2028 to 202E, U+2066 to 2069). */
static size_t harmless(const char *at, size_t left)
{
    if ((signed char)*at >= 0)
        return !char_is_control(*at);
    return utf8_is_unseen((struct slice){at, left}) ? 0 : utf8_sequence(at, left);
}

static void add_text(struct buf *b, struct slice s, bool quoted)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = harmless(s.ptr + i, s.len - i);
        if (quoted && (s.ptr[i] == '"' || s.ptr[i] == '\\'))
            buf_add_char(b, '\\');
        buf_add(b, n ? (struct slice){s.ptr + i, n} : SLICE("?"));
        i += n ? n : 1;
    }
}

/* A value that could be taken for more fields stands in quotes. */
static void add_text_value(struct buf *b, struct slice s)
{
    bool quoted = s.len == 0;
    for (size_t i = 0; i < s.len && !quoted; i++)
        quoted = s.ptr[i] == ' ' || s.ptr[i] == '"' || s.ptr[i] == '=' || s.ptr[i] == '\\';
    buf_add_str(b, quoted ? "\"" : "");
    add_text(b, s, quoted);
    buf_add_str(b, quoted ? "\"" : "");
}

static void add_int(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_add_char(b, '-');
    buf_add_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void json_field(struct buf *b, const struct log_field *f)
{
    buf_add_char(b, ',');
    json_escape(b, slice_from(f->key), 0);
    buf_add_char(b, ':');
    if (f->type == FIELD_INT)
        add_int(b, f->num);
    else
        json_escape(b, shortened(f->str), 0);
}

static void text_field(struct buf *b, const struct log_field *f)
{
    buf_add_char(b, ' ');
    buf_add_str(b, f->key);
    buf_add_char(b, '=');
    if (f->type == FIELD_INT)
        add_int(b, f->num);
    else
        add_text_value(b, shortened(f->str));
}

static void json_head(struct buf *b, enum log_level level, const char *msg)
{
    char when[RFC3339_LEN + 1];
    clock_rfc3339(clock_wall_ms(), when);
    buf_add_str(b, "{\"time\":\"");
    buf_add_str(b, when);
    buf_add_str(b, "\",\"level\":\"");
    buf_add_str(b, level_names[level]);
    buf_add_str(b, "\",\"msg\":");
    json_escape(b, shortened(slice_from(msg)), 0);
}

static void text_head(struct buf *b, enum log_level level, const char *msg)
{
    char when[RFC3339_LEN + 1];
    clock_rfc3339(clock_wall_ms(), when);
    buf_printf(b, "%s%.8s %-5s ", out.color ? level_colors[level] : "", when + 11,
               level_names[level]);
    add_text(b, shortened(slice_from(msg)), false);
}

static const struct style {
    void (*head)(struct buf *b, enum log_level level, const char *msg);
    void (*field)(struct buf *b, const struct log_field *f);
    const char *cut; /* in the place of fields that did not fit */
    const char *end, *color_end;
} json_style = {json_head, json_field, ",\"cut\":true", "}\n", "}\n"},
  text_style = {text_head, text_field, " cut=true", "\n", "\033[0m\n"};

/* A new file under the same descriptor number. */
static void begin_file(void)
{
    int fd = open_file();
    if (fd >= 0) {
        (void)dup3(fd, out.fd, O_CLOEXEC);
        close(fd);
    }
}

/* path.4 -> path.5, ... path -> path.1 */
static void rotate(void)
{
    struct stat st;
    if (fstat(out.fd, &st) != 0 || st.st_size < ROTATE_BYTES)
        return;
    char from[sizeof out.path + 16], to[sizeof out.path + 16];
    for (int i = ROTATE_KEEP; i > 0; i--) {
        snprintf(to, sizeof to, "%s.%d", out.path, i);
        if (i > 1)
            snprintf(from, sizeof from, "%s.%d", out.path, i - 1);
        else
            snprintf(from, sizeof from, "%s", out.path);
        (void)rename(from, to);
    }
    begin_file();
}

void log_reopen(void)
{
    pthread_mutex_lock(&out.lock);
    if (out.path[0])
        begin_file();
    pthread_mutex_unlock(&out.lock);
}

void log_add(struct buf *to, enum log_level level, const char *msg, const struct log_field *fields,
             size_t n)
{
    if (to->len && to->max - to->len < LINE_MAX_BYTES)
        log_flush(to);
    const struct style *style = out.json ? &json_style : &text_style;
    size_t start = to->len, whole;
    style->head(to, level, msg);
    for (size_t i = 0; i < n && !to->full; i++) {
        whole = to->len;
        style->field(to, &fields[i]);
        if (!to->full && to->len - start <= LINE_MAX_BYTES - END_BYTES &&
            to->max - to->len > END_BYTES)
            continue;
        buf_truncate(to, whole);
        buf_add_str(to, style->cut);
        break;
    }
    buf_add_str(to, out.color ? style->color_end : style->end);
    if (to->full) /* not even its head fits this buffer */
        buf_truncate(to, start);
}

/* ---- writing, with the lock held
 * ----------------------------------------------------------------------------- */

static bool reader_wakes(void)
{
    struct pollfd p = {.fd = out.fd, .events = POLLOUT};
    out.is_stuck = out.is_stuck || poll(&p, 1, PATIENCE_MS) == 0;
    return !out.is_stuck;
}

/* What could not be written; there is nowhere to complain to. */
static struct slice put(struct slice rest)
{
    while (rest.len) {
        ssize_t n = out.is_socket ? send(out.fd, rest.ptr, rest.len, MSG_DONTWAIT | MSG_NOSIGNAL)
                                  : write(out.fd, rest.ptr, rest.len);
        if (n > 0)
            rest = slice_skip(rest, (size_t)n);
        else if (n == 0 || (errno != EINTR && (errno != EAGAIN || !reader_wakes())))
            return rest;
    }
    out.is_stuck = false;
    return rest;
}

static void lose(struct slice lines)
{
    struct slice line;
    while (slice_cut(&lines, '\n', &line))
        out.lost++;
}

/* The end of a line that was begun is kept for the next time. */
static void put_lines(struct slice lines)
{
    struct slice rest = put(lines), end;
    bool is_torn = rest.len && rest.len < lines.len && rest.ptr[-1] != '\n';
    if (is_torn && slice_cut(&rest, '\n', &end)) {
        buf_add(&out.torn, end);
        buf_add_char(&out.torn, '\n');
    }
    lose(rest);
    out.written += lines.len;
}

/* What is owed from times when nothing could be written. False: they are not over. */
static bool catch_up(void)
{
    struct buf note;
    if (out.torn.len)
        buf_consume(&out.torn, out.torn.len - put(buf_slice(&out.torn)).len);
    if (out.torn.len || out.lost == 0)
        return out.torn.len == 0;
    const struct log_field lines = F_INT("lines", out.lost);
    uint64_t lost = out.lost;
    out.lost = 0;
    buf_init(&note, LINE_MAX_BYTES);
    log_add(&note, LOG_WARN, "log lines were lost: they could not be written", &lines, 1);
    put_lines(buf_slice(&note));
    buf_done(&note);
    if (out.lost)
        out.lost = lost;
    return out.lost == 0 && out.torn.len == 0;
}

void log_flush(struct buf *lines)
{
    pthread_mutex_lock(&out.lock);
    uint64_t before = out.written;
    if (catch_up())
        put_lines(buf_slice(lines));
    else
        lose(buf_slice(lines));
    if (out.path[0] && out.written / ROTATE_CHECK_BYTES != before / ROTATE_CHECK_BYTES)
        rotate();
    pthread_mutex_unlock(&out.lock);
    buf_clear(lines);
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n)
{
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    log_add(&line, level, msg, fields, n);
    log_flush(&line);
    buf_done(&line);
}
