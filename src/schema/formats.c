/* What `format` asserts: a row per format, each a strict reader of the whole text. */
#include "schema/schema_impl.h"

#include <arpa/inet.h>
#include <string.h>

static bool is_date_time(struct slice s);
static bool is_date(struct slice s);
static bool is_time(struct slice s);
static bool is_email(struct slice s);
static bool is_uri(struct slice s);
static bool is_uuid(struct slice s);
static bool is_ipv4(struct slice s);
static bool is_ipv6(struct slice s);
static bool is_hostname(struct slice s);

static const struct {
    const char *name;
    bool (*is)(struct slice s);
} formats[] = {
    {"date-time", is_date_time}, {"date", is_date}, {"time", is_time},
    {"email", is_email},         {"uri", is_uri},   {"uuid", is_uuid},
    {"ipv4", is_ipv4},           {"ipv6", is_ipv6}, {"hostname", is_hostname},
    {"regex", regex_is_ok},
};

bool format_check(struct slice format, struct slice text)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (slice_is(format, formats[i].name))
            return formats[i].is(text);
    }
    return true;
}

/* ---- parts --------------------------------------------------------------------------------------
 */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* Takes n digits off the front. */
static bool take_number(struct slice *s, size_t n, unsigned *ret)
{
    *ret = 0;
    if (s->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(s->ptr[i]))
            return false;
        *ret = *ret * 10 + (unsigned)(s->ptr[i] - '0');
    }
    *s = slice_skip(*s, n);
    return true;
}

static bool take(struct slice *s, const char *set)
{
    if (!s->len || !is_one_of(*s->ptr, set))
        return false;
    *s = slice_skip(*s, 1);
    return true;
}

/* ---- times (RFC 3339) ---------------------------------------------------------------------------
 */

static bool take_date(struct slice *s)
{
    static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    if (!take_number(s, 4, &year) || !take(s, "-") || !take_number(s, 2, &month) || !take(s, "-") ||
        !take_number(s, 2, &day))
        return false;
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month >= 1 && month <= 12 && day >= 1 &&
           day <= days[month - 1] + (month == 2 && is_leap);
}

/* A leap second only where it is the last one of a day in UTC. */
static bool take_time(struct slice *s)
{
    unsigned hour, minute, second, off_hour = 0, off_minute = 0;
    if (!take_number(s, 2, &hour) || !take(s, ":") || !take_number(s, 2, &minute) ||
        !take(s, ":") || !take_number(s, 2, &second))
        return false;
    if (take(s, ".")) {
        if (!s->len || !is_digit(*s->ptr))
            return false;
        while (s->len && is_digit(*s->ptr))
            *s = slice_skip(*s, 1);
    }
    bool is_minus = s->len && *s->ptr == '-';
    if (!take(s, "zZ") && (!take(s, "+-") || !take_number(s, 2, &off_hour) || !take(s, ":") ||
                           !take_number(s, 2, &off_minute)))
        return false;
    if (hour > 23 || minute > 59 || second > 60 || off_hour > 23 || off_minute > 59)
        return false;
    unsigned local = hour * 60 + minute, offset = off_hour * 60 + off_minute;
    unsigned utc = (local + (is_minus ? offset : 1440 - offset)) % 1440;
    return second < 60 || utc == 1439;
}

static bool is_date(struct slice s)
{
    return take_date(&s) && !s.len;
}

static bool is_time(struct slice s)
{
    return take_time(&s) && !s.len;
}

static bool is_date_time(struct slice s)
{
    return take_date(&s) && take(&s, "tT") && take_time(&s) && !s.len;
}

/* ---- names --------------------------------------------------------------------------------------
 */

static bool is_uuid(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? s.ptr[i] != '-' : !is_hex(s.ptr[i]))
            return false;
    }
    return s.len == 36;
}

static bool is_address(int family, struct slice s)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];
    if (!s.len || s.len >= sizeof text || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(family, text, bytes) == 1;
}

static bool is_ipv4(struct slice s)
{
    return is_address(AF_INET, s);
}

static bool is_ipv6(struct slice s)
{
    return is_address(AF_INET6, s);
}

/* Labels of 1 to 63 letters, digits and inner dashes (RFC 1123), 253 in all. */
static bool is_hostname(struct slice s)
{
    struct slice label;
    if (!s.len || s.len > 253 || slice_ends(s, SLICE(".")))
        return false;
    while (slice_cut(&s, '.', &label)) {
        if (!label.len || label.len > 63 || *label.ptr == '-' || label.ptr[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++) {
            if (!is_alpha(label.ptr[i]) && !is_digit(label.ptr[i]) && label.ptr[i] != '-')
                return false;
        }
    }
    return true;
}

/* RFC 5321: a dotted or quoted local part, a host name or an address in brackets. */
static bool is_dotted(struct slice s)
{
    struct slice word;
    if (slice_ends(s, SLICE(".")))
        return false;
    while (slice_cut(&s, '.', &word)) {
        if (!word.len)
            return false;
        for (size_t i = 0; i < word.len; i++) {
            char c = word.ptr[i];
            if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "!#$%&'*+/=?^_`{|}~-"))
                return false;
        }
    }
    return true;
}

static bool is_quoted(struct slice s)
{
    if (s.len < 2 || *s.ptr != '"' || s.ptr[s.len - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++) {
        if (s.ptr[i] == '\\' && i + 2 < s.len)
            i++;
        else if (s.ptr[i] < 0x20 || s.ptr[i] == '"' || s.ptr[i] == '\\' || s.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

static bool is_email(struct slice s)
{
    ptrdiff_t at = slice_rindex(s, '@');
    if (at < 1 || at > 64)
        return false;
    struct slice local = slice_first(s, (size_t)at), host = slice_skip(s, (size_t)at + 1);
    if (!is_dotted(local) && !is_quoted(local))
        return false;
    if (!slice_starts(host, SLICE("[")))
        return is_hostname(host);
    if (!slice_ends(host, SLICE("]")))
        return false;
    host = slice_first(slice_skip(host, 1), host.len - 2);
    return slice_starts(host, SLICE("IPv6:")) ? is_ipv6(slice_skip(host, 5)) : is_ipv4(host);
}

/* ---- URIs (RFC 3986) ----------------------------------------------------------------------------
 */

/* Only unreserved characters, %XX, and those of `more`. */
static bool is_made_of(struct slice s, const char *more)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool is_code = c == '%' && i + 2 < s.len && is_hex(s.ptr[i + 1]) && is_hex(s.ptr[i + 2]);
        if (!is_alpha(c) && !is_digit(c) && !is_one_of(c, "-._~") && !is_one_of(c, more) &&
            !is_code)
            return false;
    }
    return true;
}

static bool is_authority(struct slice s)
{
    ptrdiff_t at = slice_rindex(s, '@');
    if (at >= 0 && !is_made_of(slice_first(s, (size_t)at), "!$&'()*+,;=:"))
        return false;
    s = slice_skip(s, (size_t)(at + 1));
    ptrdiff_t close = slice_index(s, ']');
    struct slice host = s, port = SLICE("");
    if (slice_starts(s, SLICE("["))) {
        if (close < 0 || !is_ipv6(slice_first(slice_skip(s, 1), (size_t)close - 1)))
            return false;
        host = SLICE("");
        port = slice_skip(s, (size_t)close + 1);
    } else if (slice_index(s, ':') >= 0) {
        host = slice_first(s, (size_t)slice_index(s, ':'));
        port = slice_skip(s, host.len);
    }
    for (size_t i = 0; i < port.len; i++) {
        if (i == 0 ? port.ptr[i] != ':' : !is_digit(port.ptr[i]))
            return false;
    }
    return is_made_of(host, "!$&'()*+,;=");
}

static bool is_uri(struct slice s)
{
    ptrdiff_t colon = slice_index(s, ':');
    if (colon < 1 || !is_alpha(*s.ptr))
        return false;
    for (ptrdiff_t i = 1; i < colon; i++) {
        if (!is_alpha(s.ptr[i]) && !is_digit(s.ptr[i]) && !is_one_of(s.ptr[i], "+-."))
            return false;
    }
    s = slice_skip(s, (size_t)colon + 1);
    ptrdiff_t hash = slice_index(s, '#');
    if (hash >= 0 && !is_made_of(slice_skip(s, (size_t)hash + 1), "!$&'()*+,;=:@/?"))
        return false;
    s = hash < 0 ? s : slice_first(s, (size_t)hash);
    ptrdiff_t mark = slice_index(s, '?');
    if (mark >= 0 && !is_made_of(slice_skip(s, (size_t)mark + 1), "!$&'()*+,;=:@/?"))
        return false;
    s = mark < 0 ? s : slice_first(s, (size_t)mark);
    if (slice_starts(s, SLICE("//"))) {
        s = slice_skip(s, 2);
        ptrdiff_t slash = slice_index(s, '/');
        if (!is_authority(slash < 0 ? s : slice_first(s, (size_t)slash)))
            return false;
        s = slash < 0 ? SLICE("") : slice_skip(s, (size_t)slash);
    }
    return is_made_of(s, "!$&'()*+,;=:@/");
}
