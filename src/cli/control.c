/* The verbs reload and debug: what is asked of the running server through its control socket. */
#include "cli/ask_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int reload(const struct args *args);
static int debug(const struct args *args);

#define DATA_FLAG                                                               \
    {                                                                           \
        "--data", "DIR", "The server's data folder, where it was given one.", 0 \
    }

const struct verb verb_reload = {
    .name = "reload",
    .summary = "Make the running server read its manifests again.",
    .usage = "[DIR...] [--backend] [--data DIR]",
    .help = "No request is lost: those under way finish with the old manifests. When the new ones\n"
            "have errors the server says so and goes on with the old. Addresses, the data folder,\n"
            "threads, connections and the log stay as they are until a restart.\n\n"
            "A backend whose part of the manifest changed is started beside the old one, which\n"
            "ends after its last request once the new one is ready; one that does not get ready\n"
            "within a minute, or ends three times, is given up, and all stays as it was. All this\n"
            "is waited for, and the setup of a new release too.\n",
    .run = reload,
    .flags = {{"--backend", NULL, "Start every backend anew, changed or not: for new code.", 0},
              DATA_FLAG},
    .max_words = APP_DIRS_MAX,
};

const struct verb verb_debug = {
    .name = "debug",
    .summary = "Show what the running server is doing.",
    .usage = "backends|conns|jobs|lanes|mem [DIR...] [--data DIR]",
    .help = "backends  one line per process: state, address, age, ends, requests, memory\n"
            "conns     one line per connection: where from, what it does, since when\n"
            "jobs      one line per job that runs: type, state, process, age, progress\n"
            "lanes     the worker lanes: what waits, what runs, how long\n"
            "mem       memory by kind\n",
    .run = debug,
    .flags = {DATA_FLAG},
    .min_words = 1,
    .max_words = APP_DIRS_MAX + 1,
};

#define ANSWER_MAX (16u << 20)

/* Connects through the folder's descriptor: the path may be longer than sun_path holds. */
static bool connect_in(int fd, const char *path, const char *slash)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct buf dir;
    buf_init(&dir, 4096);
    buf_add(&dir, (struct slice){path, (size_t)(slash - path) + 1});
    int dir_fd = dir.full ? -1 : open(dir.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    buf_done(&dir);
    if (dir_fd < 0)
        return false;
    snprintf(un.sun_path, sizeof un.sun_path, "/proc/self/fd/%d/%s", dir_fd, slash + 1);
    bool fine = connect(fd, (struct sockaddr *)&un, sizeof un) == 0;
    close(dir_fd);
    return fine;
}

static int connect_unix(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    must(slash);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_set_sys(e, ERR_IO, "making a socket failed");
        return -1;
    }
    if (connect_in(fd, path, slash))
        return fd;
    close(fd);
    err_set(e, ERR_UNREACHABLE,
            "no running server was found at %s; start one with `dais serve`, or name its folder or "
            "--data",
            path);
    return -1;
}

static bool send_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = slice_skip(bytes, (size_t)n);
    }
    return true;
}

static bool exchange(int fd, struct slice head, struct slice body, struct buf *answer,
                     struct err *e)
{
    if (!send_all(fd, head) || !send_all(fd, body))
        return err_set_sys(e, ERR_UNREACHABLE, "asking the server failed");
    for (;;) {
        char *to = buf_reserve(answer, 64u << 10);
        if (!to)
            return err_set(e, ERR_UNREACHABLE, "the server's answer is too long");
        ssize_t n = recv(fd, to, 64u << 10, 0);
        if (n < 0)
            return err_set_sys(e, ERR_UNREACHABLE, "the server did not answer");
        buf_grew(answer, (size_t)n);
        if (n == 0)
            return true;
    }
}

static enum err_code code_of(struct slice slug)
{
    for (int code = 1; code < ERR_COUNT; code++) {
        if (slice_is(slug, err_slug((enum err_code)code)))
            return (enum err_code)code;
    }
    return ERR_UNREACHABLE;
}

/* The messages of "errors", if there are any: they say more than the sentence. */
static void add_errors(const struct json *list, struct buf *to)
{
    json_each (it, list) {
        buf_add_str(to, it.index ? "; " : ": ");
        buf_add(to, json_str(json_find(it.value, SLICE("message"))));
    }
}

/* The sentence of a problem+json, and its code. */
static void set_problem(struct slice body, struct err *e)
{
    struct arena a;
    struct json_doc doc;
    struct err unused;
    struct buf text;
    enum err_code code = ERR_UNREACHABLE;
    arena_init(&a, 1u << 20);
    buf_init(&text, 64u << 10);
    if (json_parse(&doc, &a, body, NULL, &unused)) {
        buf_add(&text, json_str(json_find(json_root(&doc), SLICE("detail"))));
        add_errors(json_find(json_root(&doc), SLICE("errors")), &text);
        code = code_of(json_str(json_find(json_root(&doc), SLICE("code"))));
    }
    if (!text.len)
        buf_add(&text, slice_trim(body));
    err_set(e, code, "%.*s", SLICE_ARGS(buf_slice(&text)));
    buf_done(&text);
    arena_done(&a);
}

static bool is_answered(const char *path, struct buf *answer, struct slice *ret_body, struct err *e)
{
    ptrdiff_t blank = slice_search(buf_slice(answer), SLICE("\r\n\r\n"));
    if (blank < 0 || !slice_starts(buf_slice(answer), SLICE("HTTP/1.1 ")))
        return err_set(e, ERR_UNREACHABLE, "what listens at %s is no dais", path);
    *ret_body = slice_skip(buf_slice(answer), (size_t)blank + 4);
    if (answer->data[9] == '2')
        return true;
    struct slice head = slice_first(buf_slice(answer), (size_t)blank);
    if (slice_search(head, SLICE("application/problem+json")) >= 0)
        set_problem(*ret_body, e);
    else /* the list of what is wrong in the manifests */
        err_set(e, ERR_MANIFEST, "the manifests have errors; the server goes on with the old ones");
    return false;
}

bool cli_ask(const struct app_options *options, const char *method, const char *target,
             struct slice body, struct buf *answer, struct slice *ret_body, bool *ret_is_there,
             struct err *e)
{
    const struct timeval patience = {.tv_sec = 30};
    char path[512], head[320];
    *ret_is_there = false;
    if (!app_control_path(options, path, sizeof path, e))
        return false;
    int fd = connect_unix(path, e);
    if (fd < 0)
        return false;
    *ret_is_there = true;
    int n = snprintf(head, sizeof head,
                     "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                     method, target, body.len);
    if (strcmp(method, "GET") == 0) /* a reload takes as long as the setup of a new release does */
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool fine = exchange(fd, (struct slice){head, (size_t)n}, body, answer, e);
    close(fd);
    return fine && is_answered(path, answer, ret_body, e);
}

static int ask_and_print(const struct args *args, const char *method, const char *target,
                         size_t first_dir)
{
    const struct app_options options = {
        .dirs = args->words + first_dir,
        .n_dirs = args->n_words - first_dir,
        .data = args_flag(args, "--data"),
    };
    struct buf answer;
    struct slice body = {0};
    struct err e;
    bool is_there;
    buf_init(&answer, ANSWER_MAX);
    bool fine = cli_ask(&options, method, target, SLICE(""), &answer, &body, &is_there, &e);
    if (!fine && e.code != ERR_MANIFEST) /* whatever keeps the server from it */
        e.code = ERR_UNREACHABLE;
    if (fine && first_dir)
        fwrite(body.ptr, 1, body.len, stdout);
    else if (fine)
        printf("reloaded\n");
    else if (e.code == ERR_MANIFEST)
        fwrite(body.ptr, 1, body.len, stderr);
    buf_done(&answer);
    return fine ? 0 : cli_fail(args, &e);
}

static int reload(const struct args *args)
{
    bool all = args_flag(args, "--backend");
    return ask_and_print(args, "POST", all ? "/reload/backends" : "/reload", 0);
}

static int debug(const struct args *args)
{
    static const char *const kinds[] = {"backends", "conns", "jobs", "lanes", "mem"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(args->words[0], kinds[i]) != 0)
            continue;
        char target[32];
        snprintf(target, sizeof target, "/debug/%s", kinds[i]);
        return ask_and_print(args, "GET", target, 1);
    }
    return cli_usage_error(args, "`%s` is not known; choose backends, conns, jobs, lanes or mem",
                           args->words[0]);
}
