/* Which URLs are fetched at all, and what a redirect makes of one. */
#include "fetch/fetch_impl.h"

#include <string.h>
#include <strings.h>

/* Other services' ports, where a request could be taken for their language: the list of the Fetch
 * standard, which browsers refuse too. */
static const uint16_t other_ports[] = {
    0,    1,    7,    9,    11,   13,   15,   17,   19,   20,   21,   22,   23,    25,
    37,   42,   43,   53,   69,   77,   79,   87,   95,   101,  102,  103,  104,   109,
    110,  111,  113,  115,  117,  119,  123,  135,  137,  139,  143,  161,  179,   389,
    427,  465,  512,  513,  514,  515,  526,  530,  531,  532,  540,  548,  554,   556,
    563,  587,  601,  636,  989,  990,  993,  995,  1719, 1720, 1723, 2049, 3659,  4045,
    4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
};

bool port_is_for_web(uint16_t port)
{
    for (size_t i = 0; i < sizeof other_ports / sizeof *other_ports; i++) {
        if (other_ports[i] == port)
            return false;
    }
    return true;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

static bool has_part(const struct target *t, CURLUPart part)
{
    char *text = NULL;
    bool found = t->lib->url_get(t->url, part, &text, 0) == CURLUE_OK && text;
    t->lib->free(text);
    return found;
}

static bool copy_part(const struct target *t, CURLUPart part, char *to, size_t room)
{
    char *text = NULL;
    size_t n = 0;
    bool fits = t->lib->url_get(t->url, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK && text &&
                (n = strlen(text)) < room;
    if (fits)
        memcpy(to, text, n + 1);
    t->lib->free(text);
    return fits;
}

/* Fills host, port and is_tls, and refuses what no request is made for. */
static bool look(struct target *t, struct err *e)
{
    char scheme[16], port[8];
    uint64_t number;
    if (!copy_part(t, CURLUPART_SCHEME, scheme, sizeof scheme) ||
        (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0))
        return err_set(e, ERR_INVALID, "only http:// and https:// URLs are fetched");
    if (!copy_part(t, CURLUPART_HOST, t->host, sizeof t->host) || !t->host[0])
        return err_set(e, ERR_INVALID, "the URL names no host, or too long a one");
    if (has_part(t, CURLUPART_USER) || has_part(t, CURLUPART_PASSWORD))
        return err_set(e, ERR_INVALID, "the URL holds a user name or password; none is sent");
    if (!copy_part(t, CURLUPART_PORT, port, sizeof port) ||
        !slice_to_u64(slice_from(port), &number) || number == 0 || number > 65535)
        return err_set(e, ERR_INVALID, "the URL has an impossible port");
    t->port = (uint16_t)number;
    t->is_tls = strcasecmp(scheme, "https") == 0;
    return true;
}

static bool set_url(struct target *t, struct slice text, unsigned flags, struct err *e)
{
    char cstr[FETCH_URL_MAX];
    if (text.len >= sizeof cstr)
        return err_set(e, ERR_INVALID, "the URL is longer than %zu bytes", sizeof cstr - 1);
    if (memchr(text.ptr, '\0', text.len))
        return err_set(e, ERR_INVALID, "the URL holds a NUL byte");
    memcpy(cstr, text.ptr, text.len);
    cstr[text.len] = '\0';
    CURLUcode code = t->lib->url_set(t->url, CURLUPART_URL, cstr, flags);
    if (code == CURLUE_UNSUPPORTED_SCHEME || code == CURLUE_BAD_SCHEME)
        return err_set(e, ERR_INVALID, "only http:// and https:// URLs are fetched");
    if (code != CURLUE_OK)
        return err_set(e, ERR_INVALID, "the URL cannot be read: %s", t->lib->url_strerror(code));
    return look(t, e);
}

bool target_init(struct target *ret, const struct libcurl *lib, struct slice url, struct err *e)
{
    struct target t = {.lib = lib, .url = lib->url()};
    must(t.url);
    if (url.len == 0 || !set_url(&t, url, 0, e)) {
        if (url.len == 0)
            err_set(e, ERR_INVALID, "the URL is empty");
        target_done(&t);
        return false;
    }
    *ret = t;
    return true;
}

bool target_follow(struct target *t, struct slice location, bool may_lose_tls, bool *ret_crossed,
                   struct err *e)
{
    const struct target from = *t;
    if (!set_url(t, location, CURLU_URLENCODE, e))
        return err_prefix(e, "a redirect of %s", from.host);
    if (from.is_tls && !t->is_tls && !may_lose_tls)
        return err_set(e, ERR_INVALID, "%s redirects from https to http; that is not followed",
                       from.host);
    *ret_crossed =
        from.is_tls != t->is_tls || from.port != t->port || strcasecmp(from.host, t->host) != 0;
    return true;
}

bool target_text(const struct target *t, struct arena *a, const char **ret, struct err *e)
{
    char *text = NULL;
    if (t->lib->url_set(t->url, CURLUPART_FRAGMENT, NULL, 0) != CURLUE_OK ||
        t->lib->url_get(t->url, CURLUPART_URL, &text, 0) != CURLUE_OK)
        return err_set(e, ERR_INVALID, "the URL cannot be read");
    size_t n = strlen(text) + 1;
    char *copy = arena_try_alloc(a, n);
    if (copy)
        memcpy(copy, text, n);
    t->lib->free(text);
    *ret = copy;
    return copy ? true : err_set(e, ERR_BAD_GATEWAY, "the redirects' URLs are too long");
}

void target_done(struct target *t)
{
    t->lib->url_cleanup(t->url);
    t->url = NULL;
}
