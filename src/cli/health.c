/* dais health: asks a running server whether it is well, for containers and scripts. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "manifest/manifest.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 3000
#define ANSWER_MAX  (64u << 10)
#define SHOWN_MAX   200

static int run(const struct args *args);

const struct verb verb_health = {
    .name = "health",
    .summary = "Ask a running server whether it is well.",
    .usage = "[URL] [--path PATH]",
    .help = "URL is http://127.0.0.1:8000, or an address as DAIS_LISTEN has it, unix:/path too;\n"
            "without it the one that DAIS_LISTEN and PORT name. One line is printed. The exit\n"
            "code is 0 when the answer is 2xx and whole within 3 s, 6 when nobody listens there,\n"
            "11 otherwise.\n",
    .run = run,
    .flags = {{"--path", "PATH", "What is asked for (default: /healthz).", 0}},
    .max_words = 1,
};

/* ---- where ------------------------------------------------------------------------------------
 */

static struct slice listens_at(struct arena *a, struct err *e)
{
    struct problems problems;
    struct settings settings;
    const struct settings_sources from = {.dir = ".", .environ_ = (const char *const *)environ};
    problems_init(&problems, a);
    settings_load(a, &from, &problems, &settings);
    if (!problems_has_errors(&problems))
        return settings_listen(&settings, a);
    err_set(e, ERR_USAGE, "%.*s", SLICE_ARGS(problems.items[0].text));
    return SLICE("");
}

/* Whoever listens on all addresses is reached at this machine's own. */
static void make_reachable(struct address *a)
{
    if (a->sa.any.sa_family == AF_INET && a->sa.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        a->sa.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (a->sa.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->sa.v6.sin6_addr))
        a->sa.v6.sin6_addr = in6addr_loopback;
}

/* The path of a URL is what is asked for, unless --path says. */
static bool find(const char *word, struct arena *a, struct address *ret, struct slice *path,
                 struct err *e)
{
    struct slice where = word ? slice_from(word) : listens_at(a, e);
    if (!where.len)
        return false;
    bool is_url = slice_starts_nocase(where, SLICE("http://"));
    if (slice_starts_nocase(where, SLICE("https://")))
        return err_set(e, ERR_USAGE, "https is not asked; name the address that dais listens at");
    if (is_url)
        where = slice_skip(where, 7);
    ptrdiff_t slash = is_url ? slice_index(where, '/') : -1;
    if (slash >= 0) {
        struct slice rest = slice_skip(where, (size_t)slash);
        where = slice_first(where, (size_t)slash);
        if (!path->len && rest.len > 1)
            *path = rest;
    }
    if (!where.len)
        return err_set(e, ERR_USAGE, "`%.100s` names no server", word);
    if (is_url && slice_rindex(where, ':') <= slice_rindex(where, ']'))
        where = arena_printf(a, "%.*s:80", SLICE_ARGS(where));
    if (!address_parse(ret, where, e))
        return false;
    make_reachable(ret);
    return true;
}

/* ---- asking -----------------------------------------------------------------------------------
 */

static bool wait_for(int fd, short events, int64_t until, struct err *e)
{
    struct pollfd one = {.fd = fd, .events = events};
    int64_t left = until - clock_mono_ms();
    int n = left > 0 ? poll(&one, 1, (int)left) : 0;
    return n > 0 || (n < 0 && errno == EINTR) ||
           err_set(e, ERR_GATEWAY_TIMEOUT, "no whole answer came within %d s", PATIENCE_MS / 1000);
}

static bool is_connected(int fd, struct err *e)
{
    int why = 0;
    socklen_t n = sizeof why;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &n);
    errno = why;
    return why == 0 || err_set_sys(e, ERR_UNREACHABLE, "nobody listens there");
}

/* The head fits into any socket's buffer. */
static bool exchange(int fd, struct slice head, struct buf *to, int64_t until, struct err *e)
{
    if (!wait_for(fd, POLLOUT, until, e) || !is_connected(fd, e))
        return false;
    if (send(fd, head.ptr, head.len, MSG_NOSIGNAL) != (ssize_t)head.len)
        return err_set_sys(e, ERR_UNREACHABLE, "asking failed");
    for (;;) {
        char bytes[4096];
        if (!wait_for(fd, POLLIN, until, e))
            return false;
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n == 0 || to->full)
            return true;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return err_set_sys(e, ERR_BAD_GATEWAY, "the answer broke off");
        if (n > 0)
            buf_add(to, (struct slice){bytes, (size_t)n});
    }
}

static bool ask(const struct address *at, struct slice path, struct buf *to, struct err *e)
{
    int64_t until = clock_mono_ms() + PATIENCE_MS;
    struct buf head;
    int fd = address_connect(at, e);
    if (fd < 0)
        return false;
    buf_init(&head, 8192);
    buf_printf(&head, "GET %.*s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
               SLICE_ARGS(path));
    bool fine = head.full ? err_set(e, ERR_USAGE, "the path is too long")
                          : exchange(fd, buf_slice(&head), to, until, e);
    buf_done(&head);
    close(fd);
    return fine;
}

/* ---- what it said -----------------------------------------------------------------------------
 */

/* Chunks' sizes and control characters are no matter: one line is shown. */
static void add_line(struct buf *to, struct slice where, struct slice status, struct slice body)
{
    buf_printf(to, "%.*s: %.*s", SLICE_ARGS(where), SLICE_ARGS(status));
    body = slice_first(slice_trim(body), SHOWN_MAX);
    if (body.len)
        buf_add_char(to, ' ');
    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];
        bool is_control = utf8_is_control(slice_skip(body, i));
        buf_add_char(to, is_control ? ' ' : c);
        i += is_control && !char_is_control(c);
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200" and its end, or a reason. */
static bool is_status_line(struct slice head)
{
    const char *p = head.ptr;
    return head.len >= 12 && slice_starts(head, SLICE("HTTP/1.")) && p[8] == ' ' && p[9] >= '1' &&
           p[9] <= '5' && is_digit(p[10]) && is_digit(p[11]) &&
           (head.len == 12 || p[12] == ' ' || p[12] == '\r');
}

/* Fewer bytes than it said itself: who answered died over it. */
static bool is_cut_short(struct slice head, size_t came)
{
    struct slice line;
    uint64_t n;
    while (slice_cut(&head, '\n', &line)) {
        if (slice_starts_nocase(line, SLICE("Content-Length:")) &&
            slice_to_u64(slice_trim(slice_skip(line, 15)), &n))
            return came < n;
    }
    return false;
}

static bool judge(struct slice where, const struct buf *all, struct err *e)
{
    struct slice answer = buf_slice(all);
    struct buf line;
    ptrdiff_t blank = slice_search(answer, SLICE("\r\n\r\n"));
    struct slice head = slice_first(answer, blank < 0 ? 0 : (size_t)blank);
    struct slice body = slice_skip(answer, head.len + 4);
    if (!is_status_line(head))
        return err_set(e, ERR_BAD_GATEWAY, "%.*s: what answers there is no HTTP server",
                       SLICE_ARGS(where));
    if (!all->full && is_cut_short(head, body.len))
        return err_set(e, ERR_BAD_GATEWAY, "%.*s: the answer broke off", SLICE_ARGS(where));
    buf_init(&line, 8192);
    add_line(&line, where, slice_first(slice_skip(answer, 9), 3), body);
    bool fine = answer.ptr[9] == '2' || err_set(e, ERR_UNAVAILABLE, "%s", line.data);
    if (fine)
        printf("%s\n", line.data);
    buf_done(&line);
    return fine;
}

static bool is_good_path(struct slice path)
{
    bool fine = path.len && path.ptr[0] == '/';
    for (size_t i = 0; i < path.len; i++)
        fine = fine && path.ptr[i] > ' ' && path.ptr[i] != 127;
    return fine;
}

static bool health(const char *word, const char *asked, struct arena *a, struct err *e)
{
    struct address at;
    struct buf answer;
    struct err why;
    char text[ADDRESS_TEXT_LEN];
    struct slice path = asked ? slice_from(asked) : SLICE("");
    if (!find(word, a, &at, &path, e))
        return false;
    if (!path.len && !asked)
        path = SLICE("/healthz");
    if (!is_good_path(path))
        return err_set(e, ERR_USAGE, "`%.*s` is no path; it begins with / and has no spaces",
                       SLICE_ARGS(slice_first(path, 100)));
    address_text(&at, text);
    struct slice where = arena_printf(a, "%s%.*s", text, SLICE_ARGS(path));
    buf_init(&answer, ANSWER_MAX);
    bool fine =
        ask(&at, path, &answer, &why)
            ? judge(where, &answer, e)
            : err_set(e, why.code, "%.*s: %s", SLICE_ARGS(slice_first(where, 120)), why.msg);
    buf_done(&answer);
    return fine;
}

static int run(const struct args *args)
{
    struct arena a;
    struct err e;
    arena_init(&a, 16u << 20);
    bool fine = health(args->n_words ? args->words[0] : NULL, args_flag(args, "--path"), &a, &e);
    arena_done(&a);
    return fine ? 0 : cli_fail(args, &e);
}
