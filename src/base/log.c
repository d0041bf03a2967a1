/* Writing log lines: one buffer, one write per line, so that threads never mix. */
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MAX_BYTES     8192
#define ROTATE_BYTES       (10 * 1024 * 1024)
#define ROTATE_KEEP        5
#define ROTATE_CHECK_BYTES (64 * 1024) /* how often the size is looked at */

static struct {
    enum log_level level;
    bool json, color;
    char path[512]; /* empty = standard error */
    _Atomic int fd;
    pthread_mutex_t rotating;
} out = {.level = LOG_INFO, .fd = 2, .rotating = PTHREAD_MUTEX_INITIALIZER};

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const level_colors[] = {"\033[2m", "", "\033[33m", "\033[31m"};

static int open_file(void)
{
    return open(out.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

bool log_setup(enum log_level level, enum log_format format, const char *path)
{
    out.level = level;
    if (path && *path) {
        if (strlen(path) >= sizeof out.path - 4)
            return false;
        memcpy(out.path, path, strlen(path) + 1);
        int fd = open_file();
        if (fd < 0)
            return false;
        out.fd = fd;
    }
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

/* The escapes of a JSON string; in text lines control characters become '?', so that no input can
 * forge a line or drive the terminal. */
static void add_json_string(struct buf *b, struct slice s)
{
    buf_add_char(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            buf_printf(b, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\u%04x", c);
        else
            buf_add_char(b, (char)c);
    }
    buf_add_char(b, '"');
}

static void add_text(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        buf_add_char(b, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static void json_line(struct buf *b, enum log_level level, const char *msg,
                      const struct log_field *fields, size_t n)
{
    char when[RFC3339_LEN + 1];
    clock_rfc3339(clock_wall_ms(), when);
    buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"msg\":", when, level_names[level]);
    add_json_string(b, slice_from(msg));
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, ",\"%s\":", fields[i].key);
        if (fields[i].type == FIELD_INT)
            buf_printf(b, "%lld", (long long)fields[i].num);
        else
            add_json_string(b, fields[i].str);
    }
    buf_add_str(b, "}\n");
}

static void text_line(struct buf *b, enum log_level level, const char *msg,
                      const struct log_field *fields, size_t n)
{
    char when[RFC3339_LEN + 1];
    clock_rfc3339(clock_wall_ms(), when);
    buf_printf(b, "%s%.8s %-5s ", out.color ? level_colors[level] : "", when + 11,
               level_names[level]);
    add_text(b, slice_from(msg));
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, " %s=", fields[i].key);
        if (fields[i].type == FIELD_INT)
            buf_printf(b, "%lld", (long long)fields[i].num);
        else
            add_text(b, fields[i].str);
    }
    buf_add_str(b, out.color ? "\033[0m\n" : "\n");
}

/* path.4 -> path.5, ... path -> path.1, then a new file under the same descriptor number. */
static void rotate(void)
{
    struct stat st;
    pthread_mutex_lock(&out.rotating);
    if (fstat(out.fd, &st) == 0 && st.st_size >= ROTATE_BYTES) {
        char from[sizeof out.path + 16], to[sizeof out.path + 16];
        for (int i = ROTATE_KEEP; i > 0; i--) {
            snprintf(to, sizeof to, "%s.%d", out.path, i);
            if (i > 1)
                snprintf(from, sizeof from, "%s.%d", out.path, i - 1);
            else
                snprintf(from, sizeof from, "%s", out.path);
            (void)rename(from, to);
        }
        int fd = open_file();
        if (fd >= 0) {
            (void)dup3(fd, out.fd, O_CLOEXEC);
            close(fd);
        }
    }
    pthread_mutex_unlock(&out.rotating);
}

void log_add(struct buf *to, enum log_level level, const char *msg, const struct log_field *fields,
             size_t n)
{
    (out.json ? json_line : text_line)(to, level, msg, fields, n);
    if (to->full && to->len) { /* too long: what there is, closed by a newline */
        to->data[to->len - 1] = '\n';
        to->full = false;
    }
}

void log_flush(struct buf *lines)
{
    static _Atomic uint64_t written;
    struct slice rest = buf_slice(lines);
    while (rest.len) {
        ssize_t n = write(out.fd, rest.ptr, rest.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* nowhere to complain to: the lines are lost */
        rest = slice_skip(rest, (size_t)n);
    }
    uint64_t before = atomic_fetch_add(&written, lines->len);
    if (out.path[0] && (before + lines->len) / ROTATE_CHECK_BYTES != before / ROTATE_CHECK_BYTES)
        rotate();
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
