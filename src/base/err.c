/* Filling in struct err, and the lookups of the table of codes. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct err_row {
    const char *slug, *title;
    int status, exit;
} rows[ERR_COUNT] = {
#define X(code, status_, slug_, exit_, title_) \
    [code] = {.slug = slug_, .title = title_, .status = status_, .exit = exit_},
    ERR_MAP(X)
#undef X
};

bool err_set_at(struct err *e, enum err_code code, int sys_errno, const char *where,
                const char *fmt, ...)
{
    if (!e)
        return false;
    char text[sizeof e->msg];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0)
        text[0] = '\0';
    if (sys_errno && n >= 0) { /* the reason is worth more than the end of a long name */
        char room[80], why[100];
        int len = snprintf(why, sizeof why, ": %s", strerror_r(sys_errno, room, sizeof room));
        size_t last = sizeof text - (size_t)len - 1;
        snprintf(text + ((size_t)n < last ? (size_t)n : last), (size_t)len + 1, "%s", why);
    }
    /* Formatted aside first: the arguments may point into e->msg. */
    *e = (struct err){.code = code, .sys_errno = sys_errno, .where = where};
    memcpy(e->msg, text, sizeof text);
    return false;
}

bool err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e)
        return false;
    char text[sizeof e->msg], whole[2 * sizeof e->msg + 2];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(whole, sizeof whole, "%s: %s", text, e->msg);
    whole[sizeof e->msg - 1] = '\0';
    memcpy(e->msg, whole, strlen(whole) + 1);
    return false;
}

int err_status(enum err_code code)
{
    must(code < ERR_COUNT);
    return rows[code].status;
}

const char *err_slug(enum err_code code)
{
    must(code < ERR_COUNT);
    return rows[code].slug;
}

int err_exit(enum err_code code)
{
    must(code < ERR_COUNT);
    return rows[code].exit;
}

const char *err_title(enum err_code code)
{
    must(code < ERR_COUNT);
    return rows[code].title;
}
