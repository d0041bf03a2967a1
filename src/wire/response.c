/* Response heads: status lines made beforehand, headers that cannot be split. */
#include "wire/scan_impl.h"
#include "wire/wire.h"

#include <string.h>

/* RFC 9110 and the few registered elsewhere that are in use. */
#define STATUS_MAP(X)                         \
    X(100, "Continue")                        \
    X(101, "Switching Protocols")             \
    X(103, "Early Hints")                     \
    X(200, "OK")                              \
    X(201, "Created")                         \
    X(202, "Accepted")                        \
    X(203, "Non-Authoritative Information")   \
    X(204, "No Content")                      \
    X(205, "Reset Content")                   \
    X(206, "Partial Content")                 \
    X(207, "Multi-Status")                    \
    X(300, "Multiple Choices")                \
    X(301, "Moved Permanently")               \
    X(302, "Found")                           \
    X(303, "See Other")                       \
    X(304, "Not Modified")                    \
    X(307, "Temporary Redirect")              \
    X(308, "Permanent Redirect")              \
    X(400, "Bad Request")                     \
    X(401, "Unauthorized")                    \
    X(402, "Payment Required")                \
    X(403, "Forbidden")                       \
    X(404, "Not Found")                       \
    X(405, "Method Not Allowed")              \
    X(406, "Not Acceptable")                  \
    X(408, "Request Timeout")                 \
    X(409, "Conflict")                        \
    X(410, "Gone")                            \
    X(411, "Length Required")                 \
    X(412, "Precondition Failed")             \
    X(413, "Content Too Large")               \
    X(414, "URI Too Long")                    \
    X(415, "Unsupported Media Type")          \
    X(416, "Range Not Satisfiable")           \
    X(417, "Expectation Failed")              \
    X(418, "I'm a teapot")                    \
    X(421, "Misdirected Request")             \
    X(422, "Unprocessable Content")           \
    X(423, "Locked")                          \
    X(424, "Failed Dependency")               \
    X(425, "Too Early")                       \
    X(426, "Upgrade Required")                \
    X(428, "Precondition Required")           \
    X(429, "Too Many Requests")               \
    X(431, "Request Header Fields Too Large") \
    X(451, "Unavailable For Legal Reasons")   \
    X(500, "Internal Server Error")           \
    X(501, "Not Implemented")                 \
    X(502, "Bad Gateway")                     \
    X(503, "Service Unavailable")             \
    X(504, "Gateway Timeout")                 \
    X(505, "HTTP Version Not Supported")      \
    X(507, "Insufficient Storage")            \
    X(511, "Network Authentication Required")

struct status {
    struct slice line;
    const char *reason;
};

static const struct status statuses[] = {
#define X(code, text) [(code)-100] = {SLICE_INIT("HTTP/1.1 " #code " " text "\r\n"), text},
    STATUS_MAP(X)
#undef X
};

static const struct status *find_status(int status)
{
    static const struct status unknown = {.reason = ""};
    if (status < 100 || (size_t)status - 100 >= sizeof statuses / sizeof *statuses)
        return &unknown;
    return statuses[status - 100].reason ? &statuses[status - 100] : &unknown;
}

const char *http_reason(int status)
{
    return find_status(status)->reason;
}

void h1_add_status(struct buf *to, int status)
{
    must(status >= 100 && status <= 999);
    struct slice line = find_status(status)->line;
    if (line.len > 0)
        buf_add(to, line);
    else
        buf_printf(to, "HTTP/1.1 %d \r\n", status);
}

bool header_value_is_valid(struct slice value)
{
    const char *end = value.ptr + value.len;
    return value.len == 0 || scan_value(value.ptr, value.ptr, end) == end;
}

bool token_is_valid(struct slice name)
{
    return scan_all(name, CH_TOKEN);
}

bool h1_add_header(struct buf *to, struct slice name, struct slice value)
{
    if (!token_is_valid(name) || !header_value_is_valid(value))
        return false;
    size_t n = name.len + 2 + value.len + 2;
    char *at = buf_reserve(to, n);
    if (!at)
        return true; /* `full` is latched */
    memcpy(at, name.ptr, name.len);
    memcpy(at + name.len, ": ", 2);
    if (value.len > 0)
        memcpy(at + name.len + 2, value.ptr, value.len);
    memcpy(at + n - 2, "\r\n", 2);
    buf_grew(to, n);
    return true;
}

void h1_add(struct buf *to, const char *name, struct slice value)
{
    must(h1_add_header(to, slice_from(name), value));
}

void h1_add_u64(struct buf *to, const char *name, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    h1_add(to, name, (struct slice){digits + at, sizeof digits - at});
}

void h1_end(struct buf *to)
{
    buf_add(to, SLICE("\r\n"));
}
