/* The life of a serving dais, in order: read, open, serve, reload, drain, end. */
#include "app/app_impl.h"
#include "base/build.h"
#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_NAME "dais.sock"
#define LOCK_NAME    "dais.lock"
#define DENIED_COUNT 20 /* answers 401 and 403 in a minute, of one account or address: often */
#define DENIED_MS    60000
#define DENIED_KEYS  8192
#define LOCK_WAIT_MS 1000
#define LOCK_POLL_MS 10
#define READY_S      20 /* a word that is lost would have us killed */

/* ---- opening
 * ------------------------------------------------------------------------------------------ */

/* As many descriptors as the system lets us have: every connection is one. */
static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static unsigned thread_count(const struct host *h)
{
    uint64_t n;
    if (slice_to_u64(settings_get(&h->settings, SET_THREADS), &n)) /* checked: 1 to 64 */
        return (unsigned)n;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > 16 ? 16 : (unsigned)cores;
}

/* An app folder is often a checkout, which is none the dirtier for our data. */
static void hide_from_git(const char *dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/.gitignore", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) /* theirs, or a folder we cannot write: that is told elsewhere */
        return;
    if (write(fd, "*\n", 2) != 2)
        unlink(path);
    close(fd);
}

bool app_make_data(const char *dir, struct err *e)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set_sys(e, ERR_IO,
                           "making the data folder %s failed; choose another with --data", dir);
    hide_from_git(dir);
    return true;
}

/* Processes of one that was killed have its lock until they see that it is gone. */
static bool wait_for_lock(int fd)
{
    const struct timespec moment = {.tv_nsec = LOCK_POLL_MS * 1000000L};
    int64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || clock_mono_ms() >= until_ms)
            return false;
        nanosleep(&moment, NULL);
    }
    return true;
}

/* One server per data folder: the second is told who has it. */
bool life_take_data(struct life *l, struct err *e)
{
    char path[4096];
    const char *dir = l->host->data_dir;
    if (!app_make_data(dir, e))
        return false;
    snprintf(path, sizeof path, "%s/" LOCK_NAME, dir);
    l->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->lock_fd < 0)
        return err_set_sys(e, ERR_IO, "opening %s failed; choose another folder with --data", path);
    if (wait_for_lock(l->lock_fd)) {
        backends_clean(dir);
        return true;
    }
    return err_set(e, ERR_LOCKED,
                   "another dais serves the data folder %s; stop it, or choose another with --data",
                   dir);
}

static bool keep_listener(struct life *l, struct listener *ln)
{
    if (!ln)
        return false;
    l->listeners = mem_realloc(l->listeners, (l->n_listeners + 1) * sizeof(struct listener *));
    l->listeners[l->n_listeners++] = ln;
    return true;
}

static bool add_listener(struct life *l, const struct address *a, struct front *front,
                         struct err *e)
{
    const struct listen_options options = {.on_accept = server_accept, .user = front};
    return keep_listener(l, listener_open(l->loops, a, &options, e));
}

/* Sockets of a .socket unit: they stay open while we restart, so nobody is refused meanwhile. */
static bool listen_passed(struct life *l, struct err *e)
{
    const struct listen_options options = {.on_accept = server_accept, .user = &l->front};
    for (unsigned i = 0; i < l->n_passed; i++) {
        int fd = SYSTEMD_FIRST + (int)i;
        if (!keep_listener(l, listener_take(l->loops, fd, &options, e)))
            return false;
    }
    return true;
}

static bool listen_at(struct life *l, struct slice text, struct err *e)
{
    struct address a;
    return address_parse(&a, text, e) && add_listener(l, &a, &l->front, e);
}

static bool listen_public(struct life *l, struct err *e)
{
    struct host *h = l->host;
    const struct host_conf *conf = h->site->host;
    bool is_given = h->settings.of[SET_LISTEN].source > SOURCE_MANIFEST ||
                    h->settings.of[SET_PORT].source > SOURCE_MANIFEST;
    if (l->n_passed)
        return listen_passed(l, e);
    if (is_given || !conf || conf->listen.n == 0)
        return listen_at(l, settings_listen(&h->settings, &h->arena), e);
    for (size_t i = 0; i < conf->listen.n; i++) {
        if (!listen_at(l, conf->listen.items[i].s, e))
            return false;
    }
    return true;
}

static bool listen_control(struct life *l, struct err *e)
{
    struct address a = {.len = 1};
    a.sa.any.sa_family = AF_UNIX;
    int n = snprintf(a.path, sizeof a.path, "%s/" CONTROL_NAME, l->host->data_dir);
    if (n < 0 || (size_t)n >= sizeof a.path)
        return err_set(e, ERR_USAGE, "the path of the data folder is too long; shorten it");
    return add_listener(l, &a, &l->control_front, e);
}

static void make_server(struct life *l)
{
    const struct host_conf *conf = l->host->site->host;
    const struct server_options options = {
        .conns_max = conf ? (unsigned)conf->limits.connections : 0,
        .trust = l->host->trust,
        .log_requests = true,
        .release = build_release,
    };
    service_ref(&l->host->service); /* the server's; ours stays with l->host */
    l->server = server_new(l->loops, &options, &l->host->service);
    l->front = (struct front){.server = l->server};
    l->control_front = (struct front){.server = l->server, .is_control = true};
}

static bool open_all(struct life *l, struct err *e)
{
    if (!life_take_data(l, e))
        return false;
    databases_forget_drafts(l->host);
    if (!tokens_open(l->host, e) || !stores_open(l->host, l, e))
        return false;
    l->spawner = spawner_open(e);
    if (!l->spawner)
        return false;
    unsigned threads = thread_count(l->host);
    l->loops = loops_new(threads);
    if (!lanes_start(l->loops, threads < 2 ? 2 : threads, e))
        return false;
    if (!listen_public(l, e) || !listen_control(l, e)) /* backends are told where that is */
        return false;
    if (!identity_is_safe(l->host, l, e) || !jobs_have_place(l->host, e))
        return false;
    jobman_open(l);
    host_open(l->host, l, l->loops, &l->budgets[0]);
    make_server(l);
    return true;
}

/* ---- signals: stop, reload
 * ------------------------------------------------------------------------------- */

/* Of the last request, and of the last job that ran. */
static void on_left(void *arg)
{
    struct life *l = arg;
    if (--l->leaving == 0)
        loops_stop(l->loops);
}

struct closing {
    struct post post;
    struct life *life;
};

static void on_close_doors(struct post *p, struct loop *loop)
{
    struct closing *c = container_of(p, struct closing, post);
    for (size_t i = 0; i < c->life->n_listeners; i++)
        listener_stop(c->life->listeners[i], loop);
    free(c);
}

/* Stop accepting everywhere, then finish what is under way. A second signal does not wait. */
static void begin_drain(struct life *l)
{
    if (atomic_exchange(&l->is_draining, true)) {
        log_line(LOG_WARN, "stopping at once");
        loops_stop(l->loops);
        return;
    }
    log_line(LOG_INFO, "stopping: finishing open requests");
    life_note(l, SLICE(""), &(struct event){.kind = EVENT_SERVER_STOPPED});
    systemd_tell("STOPPING=1", 0);
    for (unsigned i = 0; i < loops_count(l->loops); i++) {
        struct closing *c = mem_new(struct closing);
        *c = (struct closing){.post.fn = on_close_doors, .life = l};
        loop_post(loops_get(l->loops, i), &c->post);
    }
    host_stop(l->host); /* ends live-reload streams, which would hold the drain up */
    l->leaving = 2;
    jobman_stop(l, on_left, l); /* what runs may still call us meanwhile */
    server_drain(l->server, on_left, l);
}

size_t life_file_bytes(struct life *l)
{
    return atomic_load(&l->budgets[0].used) + atomic_load(&l->budgets[1].used);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct life *l = handle->data;
    if (signum == SIGHUP) {
        life_hangup(l);
        return;
    }
    l->exit_code = signum == SIGINT ? 130 : 0;
    begin_drain(l);
}

static void watch_signals(struct life *l)
{
    static const int signums[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signums / sizeof *signums; i++) {
        must(uv_signal_init(loop_uv(loops_get(l->loops, 0)), &l->signals[i]) == 0);
        l->signals[i].data = l;
        must(uv_signal_start(&l->signals[i], on_signal, signums[i]) == 0);
    }
    l->n_signals = sizeof signums / sizeof *signums;
}

/* ---- from the first line to the last connection
 * ------------------------------------------------------------ */

static void serve(struct life *l)
{
    watch_signals(l);
    for (unsigned i = 0; i < loops_count(l->loops); i++) {
        for (size_t n = 0; n < l->n_listeners; n++)
            listener_start(l->listeners[n], loops_get(l->loops, i));
    }
    host_start(l->host);
    keeper_start(l);
    watchman_start(l);
    storeman_start(l);
    life_note(l, SLICE(""), &(struct event){.kind = EVENT_SERVER_STARTED});
    banner_print(l, l->host);
    rest_begin();
    operators_greet(l->host, l);
    systemd_tell("READY=1", READY_S);
    loops_run(l->loops);
}

static void close_all(struct life *l)
{
    if (l->host)
        host_stop(l->host);
    for (size_t i = 0; i < l->n_signals; i++)
        uv_close((uv_handle_t *)&l->signals[i], NULL);
    for (size_t i = 0; i < l->n_listeners; i++) { /* after a drain nothing is left to do here */
        for (unsigned n = 0; n < loops_count(l->loops); n++)
            listener_stop(l->listeners[i], loops_get(l->loops, n));
    }
    mail_end(l);
    if (l->loops)
        lanes_stop(l->loops);
    keeper_stop(l);
    watchman_stop(l);
    storeman_stop(l);
    databases_end(l); /* while those are there whom it still answers */
    jobman_free(l);
    life_reload_end(l);
    if (l->server)
        server_free(l->server);
    if (l->host)
        service_unref(&l->host->service);
    databases_free(l);
    stores_free(l);
    limit_free(l->denials);
    if (l->loops)
        loops_free(l->loops);
    if (l->spawner)
        spawner_close(l->spawner);
    for (size_t i = 0; i < l->n_listeners; i++)
        listener_free(l->listeners[i]);
    free(l->listeners);
    if (l->lock_fd >= 0)
        close(l->lock_fd);
}

/* Errors are for whoever starts us; what does not keep us from serving goes into the log, unless
 * that is a terminal, where somebody reads. */
static bool read_host(struct life *l, struct err *e)
{
    struct buf problems;
    buf_init(&problems, PROBLEM_BYTES);
    l->host = host_try(&l->options, &problems);
    bool fine = l->host && log_setup(l->host->log.level, l->host->log.format, l->host->log.path);
    int log_errno = errno;
    bool is_read = isatty(STDERR_FILENO) && l->host && l->host->log.format != LOG_JSON;
    if (fine && !is_read)
        life_log_problems(LOG_WARN, buf_slice(&problems));
    else if (problems.len)
        fwrite(problems.data, 1, problems.len, stderr);
    buf_done(&problems);
    if (!l->host)
        return err_set(e, ERR_MANIFEST, "the manifests have errors");
    errno = log_errno;
    return fine || err_set_sys(e, ERR_IO, "opening the log file %s failed", l->host->log.path);
}

int app_serve(const struct app_options *options)
{
    unsigned n_passed = systemd_sockets(); /* they are for the process that we began as */
    init_split();
    struct life l = {.options = *options, .lock_fd = -1, .started_ms = clock_mono_ms()};
    struct err e;
    list_init(&l.backends);
    list_init(&l.asks);
    list_init(&l.databases);
    list_init(&l.stores);
    pthread_mutex_init(&l.databases_lock, NULL);
    l.denials = limit_new(DENIED_COUNT, DENIED_MS, DENIED_KEYS);
    l.n_passed = n_passed;
    systemd_meet();
    if (options->dev && !app_build(options, true, &e)) {
        fprintf(stderr, "dais: %s\n", e.msg);
        return err_exit(e.code);
    }
    signal(SIGPIPE, SIG_IGN); /* a client or a reader of the log that goes is no reason to end */
    mallopt(M_ARENA_MAX, 2);  /* a few threads: more arenas only hold more memory */
    raise_limits();
    if (read_host(&l, &e) && open_all(&l, &e)) {
        serve(&l);
    } else {
        if (l.host) /* else the list of its errors was printed */
            fprintf(stderr, "dais: %s\n", e.msg);
        l.exit_code = err_exit(e.code);
    }
    close_all(&l);
    return l.exit_code;
}

bool app_control_path(const struct app_options *options, char *to, size_t n, struct err *e)
{
    size_t room = sizeof "/" CONTROL_NAME;
    must(n > room);
    if (!host_find_data(options, to, n - room))
        return err_set(e, ERR_USAGE, "the path of the data folder is too long");
    memcpy(to + strlen(to), "/" CONTROL_NAME, room);
    return true;
}
