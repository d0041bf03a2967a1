/* The way out through a server: one conversation for one letter, by libcurl. */
#include "fetch/curl_library.h"
#include "mail/mail_impl.h"

#include "base/mem.h"
#include "net/net.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_MS 10000L
#define ALL_MS     60000L
#define HOST_MAX   256
#define MASKED_MIN 4 /* bytes; shorter ones would tear up any text */

/* What libcurl may fail with, where its own word for it is not the one to pass on. */
static const struct {
    CURLcode code;
    const char *text;
} endings[] = {
    {CURLE_COULDNT_RESOLVE_HOST, "there is no such name"},
    {CURLE_COULDNT_CONNECT, "it does not accept a connection"},
    {CURLE_OPERATION_TIMEDOUT, "it takes too long to answer"},
    {CURLE_PEER_FAILED_VERIFICATION, "its certificate is not trusted"},
    {CURLE_SSL_CONNECT_ERROR, "it does not speak TLS as it should"},
    {CURLE_SSL_CACERT_BADFILE, "the list of trusted certificates is not there"},
    {CURLE_USE_SSL_FAILED, "it does not offer STARTTLS, and a password is not sent without"},
    {CURLE_LOGIN_DENIED, "it refuses the user or the password in SMTP_URL"},
    {CURLE_SEND_ERROR, "it closed the connection"},
    {CURLE_RECV_ERROR, "it closed the connection"},
    {CURLE_GOT_NOTHING, "it closed the connection without an answer"},
    {CURLE_ABORTED_BY_CALLBACK, "the sending was broken off"},
};

/* How far a conversation came: what a refusal is about. */
enum stage { STAGE_HELLO, STAGE_SENDER, STAGE_RECIPIENT, STAGE_TEXT };

struct conversation {
    const struct libcurl *lib;
    const struct smtp *smtp;
    CURL *easy;
    CURLU *url;
    struct curl_slist *recipients;
    char host[HOST_MAX];
    char *user, *password; /* decoded; libcurl's; NULL: none */
    bool is_tls, is_local;
    struct slice left; /* of the message */
    enum stage stage;
    bool is_over;     /* what is said from here on is a farewell */
    struct buf reply; /* the last line the server said before */
};

/* ---- SMTP_URL -------------------------------------------------------------------------------- */

/* What never leaves the machine needs no certificate that others trust, and has none mostly. */
static bool is_local(const char *host)
{
    struct slice name = slice_from(host);
    struct ip ip;
    if (slice_starts(name, SLICE("[")) && slice_ends(name, SLICE("]")))
        name = slice_first(slice_skip(name, 1), name.len - 2);
    return slice_eq_nocase(name, SLICE("localhost")) ||
           (ip_parse(&ip, name) && ip_is_loopback(&ip));
}

static char *part(const struct conversation *c, CURLUPart which, unsigned flags)
{
    char *text = NULL;
    return c->lib->url_get(c->url, which, &text, flags) == CURLUE_OK ? text : NULL;
}

static bool set_part(const struct conversation *c, CURLUPart which, const char *text)
{
    return c->lib->url_set(c->url, which, text, 0) == CURLUE_OK;
}

/* The path is what we call ourselves: most servers want a name with a dot, which machines often do
 * not have. */
static bool set_own_name(const struct conversation *c, const struct sender *from)
{
    char *path = part(c, CURLUPART_PATH, 0);
    bool is_given = path && strlen(path) > 1;
    c->lib->free(path);
    if (is_given)
        return true;
    char name[ADDRESS_MAX + 2];
    ptrdiff_t at = slice_index(from->address, '@');
    snprintf(name, sizeof name, "/%.*s", SLICE_ARGS(slice_skip(from->address, (size_t)at + 1)));
    return set_part(c, CURLUPART_PATH, name);
}

static bool read_host(struct conversation *c)
{
    char *host = part(c, CURLUPART_HOST, 0), *scheme = part(c, CURLUPART_SCHEME, 0);
    bool fine = host && scheme && strlen(host) < sizeof c->host &&
                (strcasecmp(scheme, "smtp") == 0 || strcasecmp(scheme, "smtps") == 0);
    if (fine) {
        memcpy(c->host, host, strlen(host) + 1);
        c->is_tls = strcasecmp(scheme, "smtps") == 0;
        c->is_local = is_local(host);
    }
    c->lib->free(host);
    c->lib->free(scheme);
    return fine;
}

/* A name or a password that cannot be decoded is no reason to go on without. */
static bool read_login(struct conversation *c)
{
    char *user = part(c, CURLUPART_USER, 0), *password = part(c, CURLUPART_PASSWORD, 0);
    bool has_user = user && user[0], has_password = password && password[0];
    if (password)
        explicit_bzero(password, strlen(password));
    c->lib->free(user);
    c->lib->free(password);
    if (has_user)
        c->user = part(c, CURLUPART_USER, CURLU_URLDECODE);
    if (has_password)
        c->password = part(c, CURLUPART_PASSWORD, CURLU_URLDECODE);
    return (!has_user || c->user) && (!has_password || c->password);
}

static bool read_url(struct conversation *c, const struct sender *from, struct err *e)
{
    char *text = mem_alloc(c->smtp->url.len + 1);
    memcpy(text, c->smtp->url.ptr, c->smtp->url.len);
    text[c->smtp->url.len] = '\0';
    bool fine = set_part(c, CURLUPART_URL, text) && read_host(c) && read_login(c) &&
                set_part(c, CURLUPART_USER, NULL) && set_part(c, CURLUPART_PASSWORD, NULL) &&
                set_own_name(c, from);
    explicit_bzero(text, c->smtp->url.len);
    free(text);
    if (fine)
        return true;
    return err_set(e, ERR_USAGE,
                   "SMTP_URL cannot be read: it has the form smtp://user:password@host:587 or"
                   " smtps://…, and in a password the characters : / ? # @ %% are written as"
                   " %%3A %%2F %%3F %%23 %%40 %%25");
}

/* ---- what libcurl calls ---------------------------------------------------------------------- */

static size_t on_read(char *to, size_t one, size_t n, void *user)
{
    struct conversation *c = user;
    size_t room = one * n;
    struct slice piece = slice_first(c->left, room);
    memcpy(to, piece.ptr, piece.len);
    c->left = slice_skip(c->left, piece.len);
    return piece.len;
}

static size_t on_reply(char *data, size_t one, size_t n, void *user)
{
    struct conversation *c = user;
    struct slice line = slice_trim((struct slice){data, one * n});
    if (line.len && !c->is_over) {
        buf_clear(&c->reply);
        line_add(&c->reply, line, c->reply.max);
    }
    return one * n;
}

/* What we say: only the names of commands are looked at. */
static int on_debug(CURL *easy, curl_infotype type, char *data, size_t n, void *user)
{
    static const char *const commands[] = {
        [STAGE_SENDER] = "MAIL FROM:", [STAGE_RECIPIENT] = "RCPT TO:", [STAGE_TEXT] = "DATA"};
    struct conversation *c = user;
    (void)easy;
    for (int i = STAGE_SENDER; type == CURLINFO_HEADER_OUT && i <= STAGE_TEXT; i++) {
        if (slice_starts((struct slice){data, n}, slice_from(commands[i])))
            c->stage = (enum stage)i;
    }
    c->is_over |=
        type == CURLINFO_HEADER_OUT && slice_starts((struct slice){data, n}, SLICE("QUIT"));
    return 0;
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t f)
{
    const struct conversation *c = user;
    (void)a, (void)b, (void)d, (void)f;
    return c->smtp->is_stopped && atomic_load(c->smtp->is_stopped);
}

/* ---- options --------------------------------------------------------------------------------- */

/* An option that cannot be set would leave a door open: the first failure is kept. */
#define SET(option, value) \
    (code = code ? code : c->lib->easy_setopt(c->easy, CURLOPT_##option, (value)))

static CURLcode set_safety(const struct conversation *c)
{
    CURLcode code = CURLE_OK;
    bool is_login = c->user || c->password;
    bool is_checked = c->is_tls || !c->is_local;
    SET(PROTOCOLS_STR, "smtp,smtps");
    SET(PROXY, "");
    SET(NOPROXY, "*");
    SET(NETRC, (long)CURL_NETRC_IGNORED);
    SET(NOSIGNAL, 1L);
    SET(CONNECTTIMEOUT_MS, CONNECT_MS);
    SET(TIMEOUT_MS, ALL_MS);
    (void)c->lib->easy_setopt(c->easy, CURLOPT_QUICK_EXIT, 1L); /* since 7.87 */
    SET(USE_SSL, (long)(is_login && !c->is_local ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    SET(SSL_VERIFYPEER, is_checked ? 1L : 0L);
    SET(SSL_VERIFYHOST, is_checked ? 2L : 0L);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (c->smtp->ca_file)
        SET(CAINFO, c->smtp->ca_file);
    if (c->user)
        SET(USERNAME, c->user);
    if (c->password)
        SET(PASSWORD, c->password);
    return code;
}

static CURLcode set_callbacks(struct conversation *c)
{
    CURLcode code = CURLE_OK;
    SET(READFUNCTION, on_read);
    SET(READDATA, c);
    SET(HEADERFUNCTION, on_reply);
    SET(HEADERDATA, c);
    SET(WRITEFUNCTION, on_reply); /* nothing comes there, and it must not go to the console */
    SET(WRITEDATA, c);
    SET(XFERINFOFUNCTION, on_progress);
    SET(XFERINFODATA, c);
    SET(NOPROGRESS, 0L);
    SET(DEBUGFUNCTION, on_debug);
    SET(DEBUGDATA, c);
    SET(VERBOSE, 1L);
    return code;
}

static struct curl_slist *append(const struct conversation *c, struct curl_slist *list,
                                 const char *text)
{
    struct curl_slist *more = c->lib->slist_append(list, text);
    must(more);
    return more;
}

static CURLcode set_letter(struct conversation *c, const struct sender *from, struct slice to)
{
    CURLcode code = CURLE_OK;
    char text[ADDRESS_MAX + 3];
    snprintf(text, sizeof text, "<%.*s>", SLICE_ARGS(to));
    c->recipients = append(c, NULL, text);
    snprintf(text, sizeof text, "<%.*s>", SLICE_ARGS(from->address));
    SET(CURLU, c->url);
    SET(MAIL_FROM, text); /* copied */
    SET(MAIL_RCPT, c->recipients);
    SET(UPLOAD, 1L);
    SET(INFILESIZE_LARGE, (curl_off_t)c->left.len);
    return code;
}

/* ---- what came of it ------------------------------------------------------------------------- */

/* Only what is said about this recipient or this text is about this letter; a sender or a password
 * that is refused is set right one day, and nothing is lost until then. 421: it closes. 530: first
 * something else has to be. */
static enum outcome judge(CURLcode code, enum stage stage, long status)
{
    if (code == CURLE_OK)
        return MAIL_SENT;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return MAIL_STOPPED;
    bool is_answer =
        code == CURLE_SEND_ERROR || code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_RECV_ERROR;
    if (!is_answer || stage < STAGE_RECIPIENT || status < 400 || status > 599 || status == 421 ||
        status == 530)
        return MAIL_NOBODY;
    return status >= 500 ? MAIL_REFUSED : MAIL_LATER;
}

/* A server that says our password back must not get it into a log. */
static void add_masked(const struct conversation *c, struct slice text, struct buf *to)
{
    struct slice password = slice_from(c->password);
    if (password.len >= MASKED_MIN)
        buf_add_replacing(to, text, password, SLICE("***"));
    else
        buf_add(to, text);
}

static void explain(const struct conversation *c, CURLcode code, long status, struct err *e)
{
    const char *text = c->lib->easy_strerror(code);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (endings[i].code == code)
            text = endings[i].text;
    }
    if (status < 400 || !c->reply.len) {
        err_set(e, ERR_UNREACHABLE, "%s: %s", c->host, text);
        return;
    }
    struct buf said;
    buf_init(&said, 2 * c->reply.max);
    add_masked(c, buf_slice(&c->reply), &said);
    bool is_login = code == CURLE_LOGIN_DENIED;
    err_set(e, ERR_BAD_GATEWAY, "%s: %s%s%.*s", c->host, is_login ? text : "it says",
            is_login ? ", and says " : " ", SLICE_ARGS(buf_slice(&said)));
    buf_done(&said);
}

static enum outcome run(struct conversation *c, const struct sender *from, struct slice to,
                        struct err *e)
{
    long status = 0;
    if (!read_url(c, from, e))
        return MAIL_NOBODY;
    CURLcode code = set_safety(c);
    code = code ? code : set_callbacks(c);
    code = code ? code : set_letter(c, from, to);
    if (code != CURLE_OK) {
        err_set(e, ERR_UNAVAILABLE, "this libcurl lacks an option (%s); install 7.85 or newer",
                c->lib->easy_strerror(code));
        return MAIL_NOBODY;
    }
    code = c->lib->easy_perform(c->easy);
    (void)c->lib->easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK)
        explain(c, code, status, e);
    return judge(code, c->stage, status);
}

static void done(struct conversation *c)
{
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    c->lib->free(c->user);
    c->lib->free(c->password);
    c->lib->easy_cleanup(c->easy);
    c->lib->slist_free_all(c->recipients);
    c->lib->url_cleanup(c->url);
    buf_done(&c->reply);
}

enum outcome smtp_send(const struct smtp *s, const struct sender *from, struct slice to,
                       struct slice message, struct err *e)
{
    const struct libcurl *lib = libcurl_get(e);
    if (!lib)
        return MAIL_NOBODY;
    struct conversation c = {.lib = lib, .smtp = s, .left = message};
    c.easy = lib->easy_init();
    c.url = lib->url();
    must(c.easy && c.url);
    buf_init(&c.reply, 200);
    struct curl_slist *resolve = NULL;
    for (const char *const *it = s->resolve; it && *it; it++)
        resolve = append(&c, resolve, *it);
    (void)lib->easy_setopt(c.easy, CURLOPT_RESOLVE, resolve);
    enum outcome out = run(&c, from, to, e);
    done(&c);
    lib->slist_free_all(resolve);
    return out;
}
