/* The address where a container's platform keeps keys for it. */
#include "aws/aws_impl.h"

#include <arpa/inet.h>
#include <string.h>

#define PLATFORM     "http://169.254.170.2" /* of ECS; paths alone are below it */
#define CONTAINER_MS 5000
#define TOKEN_MAX    (16u << 10)

/* Where a token may travel in the clear: no further than the machine. */
static bool is_near(struct slice host)
{
    static const char *const near[] = {"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "::1"};
    char text[INET6_ADDRSTRLEN];
    struct in6_addr six, wanted;
    struct in_addr four;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (inet_pton(AF_INET, text, &four) == 1 && ntohl(four.s_addr) >> 24 == 127)
        return true;
    bool is_six = inet_pton(AF_INET6, text, &six) == 1;
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) {
        if (slice_is(host, near[i]))
            return true;
        if (is_six && inet_pton(AF_INET6, near[i], &wanted) == 1 &&
            !memcmp(&six, &wanted, sizeof six))
            return true;
    }
    return slice_eq_nocase(host, SLICE("localhost"));
}

bool container_may_ask(struct slice url)
{
    struct slice rest = slice_skip(url, strlen("http://")), host;
    if (!is_visible(url) || slice_index(url, '\\') >= 0)
        return false;
    if (slice_starts_nocase(url, SLICE("https://")))
        return true;
    if (!slice_starts_nocase(url, SLICE("http://")))
        return false;
    for (size_t i = 0; i < rest.len; i++)
        if (strchr("/?#", rest.ptr[i]))
            rest.len = i;
    if (slice_index(rest, '@') >= 0 || slice_index(rest, '%') >= 0)
        return false;
    if (slice_starts(rest, SLICE("["))) {
        rest = slice_skip(rest, 1);
        return slice_index(rest, ']') > 0 && slice_cut(&rest, ']', &host) &&
               slice_index(host, ':') >= 0 && is_near(host);
    }
    return slice_cut(&rest, ':', &host) && is_near(host);
}

/* The file's token goes first: a platform renews it. */
static bool token_of(const struct asking *q, struct slice *ret, struct err *e)
{
    struct slice file = place_env(q->place, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    *ret = slice_trim(place_env(q->place, "AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    if (file.len && !place_file(q, file, TOKEN_MAX, ret, e))
        return err_prefix(e, "reading AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    for (size_t i = 0; i < ret->len; i++)
        if (ret->ptr[i] < ' ' || ret->ptr[i] > '~')
            return err_set(e, ERR_UNAVAILABLE,
                           "the container's authorization token is no header's value");
    return true;
}

static bool url_of(const struct asking *q, struct slice *ret, struct err *e)
{
    struct slice path = place_env(q->place, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    *ret = place_env(q->place, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (path.len) {
        if (!slice_starts(path, SLICE("/")) || !is_visible(path))
            return err_set(e, ERR_UNAVAILABLE,
                           "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must be a path such as /v2/x");
        *ret = arena_printf(q->arena, PLATFORM "%.*s", SLICE_ARGS(path));
        return true;
    }
    if (container_may_ask(*ret))
        return true;
    return err_set(e, ERR_UNAVAILABLE,
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http at this machine or "
                   "169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
}

static bool ask(const struct asking *q, struct lent *ret, struct err *e)
{
    struct fetch_header header = {SLICE("Authorization"), {0}, true};
    struct slice url, body;
    int status;
    if (!url_of(q, &url, e) || !token_of(q, &header.value, e))
        return false;
    const struct fetch_options o = {
        .url = url, .headers = &header, .n_headers = header.value.len > 0, .max_ms = CONTAINER_MS};
    if (!place_fetch(q, o, &status, &body, e))
        return err_prefix(e, "asking the container's address for keys");
    if (status != 200)
        return err_set(e, ERR_UNAVAILABLE, "the container's address for keys answered %d", status);
    return lent_from_json(body, q->arena, ret, e) ||
           err_prefix(e, "asking the container's address for keys");
}

enum place_said container_ask(const struct asking *q, struct lent *ret, struct err *e)
{
    if (!place_env(q->place, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").len &&
        !place_env(q->place, "AWS_CONTAINER_CREDENTIALS_FULL_URI").len) {
        err_set(e, ERR_UNAVAILABLE, "no AWS_CONTAINER_CREDENTIALS_*");
        return PLACE_IS_EMPTY;
    }
    return ask(q, ret, e) ? PLACE_LENDS : PLACE_FAILED;
}
