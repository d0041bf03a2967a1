/* Single values of the manifest: the checks of the formats, and sizes, durations and rates. */
#include "manifest/tables_impl.h"

#include "base/cron.h"

#include <string.h>

const char *const format_what[FORMAT_COUNT] = {
#define X(id, what, pattern) [id] = what,
    FORMAT_MAP(X)
#undef X
};
const char *const format_pattern[FORMAT_COUNT] = {
#define X(id, what, pattern) [id] = pattern,
    FORMAT_MAP(X)
#undef X
};

/* ---- letters --------------------------------------------------------------------------------- */

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

static bool only(struct slice s, const char *letters)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!s.ptr[i] || !strchr(letters, s.ptr[i]))
            return false;
    }
    return true;
}

static bool name_of(struct slice s, const char *first, const char *letters, size_t max)
{
    return s.len > 0 && s.len <= max && only(slice_first(s, 1), first) && only(s, letters);
}

static bool has_dotdot(struct slice path)
{
    struct slice part;
    while (slice_cut(&path, '/', &part)) {
        if (slice_is(part, ".."))
            return true;
    }
    return false;
}

/* ---- formats ------------------------------------------------------------------------------------
 */

static bool path_ok(struct slice s)
{
    return s.len && s.len < 1024 && s.ptr[0] != '/' && !slice_has_control(s) && !has_dotdot(s);
}

static bool urlpath_ok(struct slice s)
{
    return s.len && s.len < 1024 && s.ptr[0] == '/' && !slice_has_control(s) && !has_dotdot(s) &&
           slice_search(s, SLICE("//")) < 0 && slice_index(s, '?') < 0 && slice_index(s, '#') < 0;
}

static bool pattern_ok(struct slice s)
{
    ptrdiff_t star = slice_index(s, '*');
    return urlpath_ok(s) && (star < 0 || (size_t)star == s.len - 1);
}

static bool hostname_ok(struct slice s)
{
    struct slice part, rest = s;
    while (slice_cut(&rest, '.', &part)) {
        if (part.len == 0 || part.len > 63 || !only(part, LOWER UPPER DIGITS "-") ||
            part.ptr[0] == '-' || part.ptr[part.len - 1] == '-')
            return false;
    }
    return s.len > 0 && s.len <= 253 && s.ptr[s.len - 1] != '.';
}

static bool port_ok(struct slice s)
{
    uint64_t port = 0;
    return s.len <= 5 && slice_to_u64(s, &port) && port <= 65535;
}

/* host, host:port or [v6]:port */
static bool authority_ok(struct slice s)
{
    ptrdiff_t colon = slice_rindex(s, ':');
    if (s.len && s.ptr[0] == '[') {
        ptrdiff_t end = slice_index(s, ']');
        bool port = colon > end;
        return end > 1 &&
               only(slice_first(slice_skip(s, 1), (size_t)end - 1), "0123456789abcdefABCDEF:.") &&
               (port ? colon == end + 1 && port_ok(slice_skip(s, (size_t)colon + 1))
                     : (size_t)end == s.len - 1);
    }
    if (colon < 0)
        return hostname_ok(s);
    return hostname_ok(slice_first(s, (size_t)colon)) && port_ok(slice_skip(s, (size_t)colon + 1));
}

static bool skip_scheme(struct slice *s)
{
    size_t n = slice_starts(*s, SLICE("https://")) ? 8 : slice_starts(*s, SLICE("http://")) ? 7 : 0;
    *s = slice_skip(*s, n);
    return n > 0;
}

static bool url_ok(struct slice s)
{
    if (slice_has_control(s) || slice_index(s, ' ') >= 0 || !skip_scheme(&s))
        return false;
    size_t n = 0;
    while (n < s.len && !strchr("/?#", s.ptr[n]))
        n++;
    return authority_ok(slice_first(s, n));
}

static bool origin_ok(struct slice s)
{
    if (!skip_scheme(&s))
        return false;
    return authority_ok(slice_starts(s, SLICE("*.")) ? slice_skip(s, 2) : s);
}

static bool address_ok(struct slice s)
{
    if (slice_starts(s, SLICE("unix:")))
        return s.len > 6 && s.ptr[5] == '/' && s.len < 100 && !slice_has_control(s);
    ptrdiff_t colon = slice_rindex(s, ':');
    if (colon < 0)
        return false;
    if (colon == 0 || slice_starts(s, SLICE("*:")))
        return port_ok(slice_skip(s, (size_t)colon + 1));
    return authority_ok(s);
}

static bool email_ok(struct slice s)
{
    ptrdiff_t at = slice_rindex(s, '@');
    return at > 0 && !slice_has_control(s) && slice_index(s, ' ') < 0 &&
           hostname_ok(slice_skip(s, (size_t)at + 1));
}

/* One word of a command, and no option of it. */
static bool destination_ok(struct slice s)
{
    static const char letters[] = LOWER UPPER DIGITS "_.@:%+[]-";
    return name_of(s, letters, letters, 320) && s.ptr[0] != '-';
}

static bool cron_ok(struct slice s)
{
    struct cron c;
    return cron_read(s, &c);
}

static bool field_ok(struct slice s)
{
    if (s.len && s.ptr[0] == '-')
        s = slice_skip(s, 1);
    return name_of(s, LOWER UPPER "_", LOWER UPPER DIGITS "_.", 200);
}

static bool media_ok(struct slice s)
{
    struct slice type;
    if (slice_index(s, '/') < 0 || !slice_cut(&s, '/', &type))
        return false;
    return type.len && only(type, LOWER DIGITS ".+-") && s.len &&
           (slice_is(s, "*") || only(s, LOWER DIGITS ".+-"));
}

static bool limit_ok(struct slice s)
{
    if (words_have("login signup reset publish upload write read", s))
        return true;
    struct slice method;
    return slice_index(s, ' ') > 0 && slice_cut(&s, ' ', &method) &&
           (slice_is(method, "*") || only(method, UPPER)) && urlpath_ok(s);
}

static bool any_ok(struct slice s)
{
    (void)s;
    return true;
}

static bool none_ok(struct slice s) /* only its words */
{
    (void)s;
    return false;
}

static bool slug_ok(struct slice s)
{
    return name_of(s, LOWER, LOWER DIGITS "-", 40);
}

static bool name_ok(struct slice s)
{
    return name_of(s, LOWER, LOWER DIGITS "_-", 40);
}

/* Tables are named after them. */
static bool collection_ok(struct slice s)
{
    return name_ok(s) && only(s, LOWER DIGITS "_");
}

static bool folder_ok(struct slice s)
{
    return s.len && s.len < 1024 && !slice_has_control(s);
}

static bool prefix_ok(struct slice s)
{
    return urlpath_ok(s) && s.ptr[s.len - 1] == '/' && slice_index(s, '*') < 0;
}

/* `//host` would be an address without a scheme: an open door by mistake. */
static bool target_ok(struct slice s)
{
    bool is_path = s.len && s.ptr[0] == '/' && !slice_starts(s, SLICE("//"));
    return s.len < 2048 &&
           (url_ok(s) || (is_path && !slice_has_control(s) && slice_index(s, '\\') < 0));
}

static bool header_name_ok(struct slice s)
{
    static const char letters[] = LOWER UPPER DIGITS "!#$%&'*+.^_`|~-";
    return name_of(s, letters, letters, 200);
}

/* They describe the file or the connection. */
#define GIVEN_HEADERS                                                                          \
    "accept-ranges age connection content-encoding content-length content-range content-type " \
    "date etag keep-alive last-modified location server te trailer transfer-encoding upgrade " \
    "vary x-content-type-options x-release x-request-id"

bool header_is_given(struct slice name)
{
    const char *words = GIVEN_HEADERS;
    for (struct slice word; words_next(&words, &word);) {
        if (slice_eq_nocase(word, name))
            return true;
    }
    return false;
}

static bool header_value_ok(struct slice s)
{
    return s.len < 8192 && !slice_has_control(s);
}

static bool variable_ok(struct slice s)
{
    return name_of(s, LOWER UPPER "_", LOWER UPPER DIGITS "_", 200);
}

static bool secret_ok(struct slice s)
{
    if (s.len && (s.ptr[s.len - 1] == '?' || s.ptr[s.len - 1] == '*'))
        s.len--;
    return variable_ok(s);
}

static bool rule_ok(struct slice s)
{
    return s.len > 0 && s.len <= 4096;
}

static bool status_ok(struct slice s)
{
    uint64_t n;
    return s.len == 3 && slice_to_u64(s, &n) && n >= 400 && n <= 599;
}

static bool event_ok(struct slice s)
{
    ptrdiff_t dot = slice_rindex(s, '.');
    return dot > 0 && name_ok(slice_first(s, (size_t)dot)) &&
           words_have("created updated deleted succeeded failed cancelled",
                      slice_skip(s, (size_t)dot + 1));
}

static bool package_ok(struct slice s)
{
    return name_of(s, LOWER DIGITS, LOWER DIGITS "+.-", 100);
}

static bool command_ok(struct slice s)
{
    return s.len > 0;
}

bool format_ok(enum format format, struct slice s)
{
    static bool (*const checks[FORMAT_COUNT])(struct slice) = {
        [FMT_STRING] = any_ok,
        [FMT_WORD] = none_ok,
        [FMT_SLUG] = slug_ok,
        [FMT_NAME] = name_ok,
        [FMT_COLLECTION] = collection_ok,
        [FMT_PATH] = path_ok,
        [FMT_FOLDER] = folder_ok,
        [FMT_URLPATH] = urlpath_ok,
        [FMT_PREFIX] = prefix_ok,
        [FMT_PATTERN] = pattern_ok,
        [FMT_TARGET] = target_ok,
        [FMT_URL] = url_ok,
        [FMT_ORIGIN] = origin_ok,
        [FMT_HOSTNAME] = hostname_ok,
        [FMT_ADDRESS] = address_ok,
        [FMT_EMAIL] = email_ok,
        [FMT_DESTINATION] = destination_ok,
        [FMT_CRON] = cron_ok,
        [FMT_HEADER_NAME] = header_name_ok,
        [FMT_HEADER_VALUE] = header_value_ok,
        [FMT_VARIABLE] = variable_ok,
        [FMT_SECRET] = secret_ok,
        [FMT_FIELD] = field_ok,
        [FMT_GLOB] = path_ok,
        [FMT_MEDIA] = media_ok,
        [FMT_RULE] = rule_ok,
        [FMT_ACCESS] = rule_ok,
        [FMT_LIMIT] = limit_ok,
        [FMT_STATUS] = status_ok,
        [FMT_EVENT] = event_ok,
        [FMT_PACKAGE] = package_ok,
        [FMT_COMMAND] = command_ok,
    };
    return checks[format](s);
}

/* ---- quantities
 * ---------------------------------------------------------------------------------- */

struct unit {
    const char *name;
    int64_t factor;
};

/* Digits with an optional fraction, then a unit; the plain number only when a unit is "". */
static bool quantity(struct slice s, const struct unit *units, int64_t *ret)
{
    size_t n = 0;
    while (n < s.len && strchr(DIGITS, s.ptr[n]))
        n++;
    uint64_t v;
    if (!slice_to_u64(slice_first(s, n), &v) || v > INT64_MAX)
        return false;
    struct slice rest = slice_trim(slice_skip(s, n));
    for (; units->name; units++) {
        int64_t product;
        if (slice_is(rest, units->name) || (v == 0 && rest.len == 0)) {
            if (__builtin_mul_overflow((int64_t)v, units->factor, &product))
                return false;
            *ret = product;
            return true;
        }
    }
    return false;
}

bool bytes_parse(struct slice s, int64_t *ret)
{
    static const struct unit units[] = {{"", 1},         {"B", 1},        {"KB", 1 << 10},
                                        {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", 1LL << 40},
                                        {NULL, 0}};
    return quantity(s, units, ret);
}

bool duration_parse(struct slice s, int64_t *ret_ms)
{
    static const struct unit units[] = {{"ms", 1},        {"s", 1000},    {"m", 60000},
                                        {"min", 60000},   {"h", 3600000}, {"d", 86400000},
                                        {"w", 604800000}, {NULL, 0}};
    return quantity(s, units, ret_ms);
}

bool duration_range_parse(struct slice s, struct duration_range *ret)
{
    struct duration_range r;
    ptrdiff_t dots = slice_search(s, SLICE(".."));
    struct slice from = dots < 0 ? s : slice_first(s, (size_t)dots);
    struct slice to = dots < 0 ? s : slice_skip(s, (size_t)dots + 2);
    if (!duration_parse(from, &r.min_ms) || !duration_parse(to, &r.max_ms) || r.min_ms > r.max_ms)
        return false;
    *ret = r;
    return true;
}

bool rate_parse(struct slice s, struct rate *ret)
{
    static const struct unit units[] = {{"s", 1000},       {"sec", 1000},   {"min", 60000},
                                        {"m", 60000},      {"h", 3600000},  {"hour", 3600000},
                                        {"day", 86400000}, {"d", 86400000}, {NULL, 0}};
    struct slice count;
    uint64_t n;
    if (slice_is(s, "off")) {
        *ret = (struct rate){0};
        return true;
    }
    if (!slice_cut(&s, '/', &count) || !slice_to_u64(count, &n) || n > 1000000000)
        return false;
    for (size_t i = 0; units[i].name; i++) {
        if (slice_is(s, units[i].name)) {
            *ret = (struct rate){(int64_t)n, units[i].factor};
            return true;
        }
    }
    return false;
}

/* ---- words
 * ------------------------------------------------------------------------------------------ */

bool words_next(const char **words, struct slice *ret)
{
    if (!*words || !**words)
        return false;
    const char *end = strchrnul(*words, ' ');
    *ret = (struct slice){*words, (size_t)(end - *words)};
    *words = *end ? end + 1 : end;
    return true;
}

bool words_have(const char *words, struct slice s)
{
    struct slice word;
    while (words_next(&words, &word)) {
        if (slice_eq(word, s))
            return true;
    }
    return false;
}

bool pattern_matches(const struct path_pattern *p, struct slice path, struct slice *ret_splat)
{
    if (p->wildcard ? !slice_starts(path, p->prefix) : !slice_eq(path, p->prefix))
        return false;
    if (ret_splat)
        *ret_splat = slice_skip(path, p->prefix.len);
    return true;
}
