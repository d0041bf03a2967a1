/* Structured log lines: text on a terminal, JSON lines otherwise, to standard error or a file.
 *
 * A line has a level, a message and named fields. Never a body, a token or a query string: what may
 * hold a secret is not passed in. Any thread may log; lines never mix.
 * A reader that takes nothing is waited for 100 ms, once; then lines are lost until it does again,
 * and a line says how many.
 * No value can end a line, pose as another field or drive a terminal; a JSON line is valid JSON
 * whatever bytes its values have. Values are cut at 1 KB; fields beyond 8 KB give way to "cut". */
#pragma once
#include "base/buf.h"
#include "base/must.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_AUTO, LOG_TEXT, LOG_JSON };

struct log_field {
    const char *key;
    enum { FIELD_STR, FIELD_INT } type;
    struct slice str;
    int64_t num;
};

#define F_STR(k, s)  ((struct log_field){.key = (k), .type = FIELD_STR, .str = (s)})
#define F_CSTR(k, s) F_STR(k, slice_from(s))
#define F_INT(k, n)  ((struct log_field){.key = (k), .type = FIELD_INT, .num = (int64_t)(n)})

/* Before threads start; a later call replaces all. `path` NULL = standard error; a file is rotated
 * at 10 MB, five kept. */
bool log_setup(enum log_level level, enum log_format format, const char *path);
bool log_is_on(enum log_level level);
void log_reopen(void); /* the file, which may have been renamed; nothing otherwise */

/* log_line(LOG_INFO, "listening", F_CSTR("address", a), F_INT("port", p)); */
#define log_line(level, msg, ...)                                                         \
    do {                                                                                  \
        if (log_is_on(level)) {                                                           \
            const struct log_field fields_[] = {{0}, ##__VA_ARGS__};                      \
            log_write((level), (msg), fields_ + 1, sizeof fields_ / sizeof *fields_ - 1); \
        }                                                                                 \
    } while (0)

void log_write(enum log_level level, const char *msg, const struct log_field *fields, size_t n);

/* For threads with many lines (one per request): lines are added to a buffer and leave in one
 * write when the thread is about to sleep, or when the buffer (best over 8 KB) is nearly full. */
void log_add(struct buf *to, enum log_level level, const char *msg, const struct log_field *fields,
             size_t n);
void log_flush(struct buf *lines); /* writes and clears */
