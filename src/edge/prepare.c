/* The steps before a backend's first start, one after the other.
 *
 *   look        in a worker: packages, persisted paths, has the setup been run?
 *   on_looked   somebody else is at it: again soon; nothing left to do; or the setup runs
 *   finish      whoever waits is called, unless he has gone */
#include "edge/prepare_run_impl.h"
#include "edge/seal_impl.h"
#include "edge/variables_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BUSY_MS 100

struct loop *prepare_home(const struct prepare *p)
{
    return loops_get(p->loops, 0);
}

struct setup_options prepare_setup_options(const struct prepare *p)
{
    return (struct setup_options){.command = p->command,
                                  .dir = p->dir,
                                  .data_dir = p->data_dir,
                                  .app = p->app.ptr,
                                  .persist = &p->persist,
                                  .stamp = p->stamp};
}

/* ---- the end of a run ---------------------------------------------------------------------------
 */

static void unlock(struct prepare *p)
{
    if (p->lock_fd >= 0)
        close(p->lock_fd);
    p->lock_fd = -1;
}

/* The run's own reference goes. */
void prepare_end_run(struct prepare *p)
{
    unlock(p);
    prepare_unref(p);
}

void prepare_finish(struct prepare *p, bool ok, const char *why)
{
    atomic_store(&p->state, ok ? PREPARE_DONE : PREPARE_FAILED);
    unlock(p);
    if (p->prepared)
        p->prepared(p->user, ok, why);
    prepare_end_run(p);
}

bool prepare_is_wanted(const struct prepare *p)
{
    return loop_is_here(prepare_home(p)) && !atomic_load(&p->patience.is_stopped);
}

void prepare_submit(struct prepare *p, void (*run)(struct work *w),
                    void (*done)(struct work *w, struct loop *l))
{
    p->work = (struct work){.run = run, .done = done};
    if (lane_submit(prepare_home(p), LANE_SLOW, &p->work))
        return;
    prepare_finish(p, false, "too much work is waiting");
}

/* ---- looking ------------------------------------------------------------------------------------
 */

/* One at a time for an app: a reload may have another one at work on the same folder. */
static bool take_lock(struct prepare *p, bool *ret_busy)
{
    char path[4096];
    *ret_busy = false;
    snprintf(path, sizeof path, "%s/apps/%.*s", p->data_dir, SLICE_ARGS(p->app));
    if (!folders_make(path, 0700, &p->error))
        return false;
    snprintf(path, sizeof path, "%s/apps/%.*s/prepare.lock", p->data_dir, SLICE_ARGS(p->app));
    p->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (p->lock_fd < 0)
        return err_set_sys(&p->error, ERR_IO, "opening %s failed", path);
    if (flock(p->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    *ret_busy = errno == EWOULDBLOCK || errno == EINTR;
    err_set_sys(&p->error, ERR_IO, "locking %s failed", path);
    unlock(p);
    return false;
}

static bool look_for_packages(struct prepare *p)
{
    struct buf missing;
    if (!p->packages.n)
        return true;
    buf_init(&missing, 64u << 10);
    enum packages found = packages_look(p->spawner, &p->packages, &missing);
    struct slice names = buf_slice(&missing);
    if (found == PACKAGES_MISSING) {
        struct slice line =
            arena_printf(&p->arena, "sudo apt-get install -y %.*s", SLICE_ARGS(names));
        log_line(LOG_ERROR, "the backend needs packages; it is not started", F_STR("app", p->app),
                 F_STR("install", line), F_CSTR("next", "install them, then `dais reload`"));
        err_set(&p->error, ERR_UNAVAILABLE, "packages are missing");
    } else if (found == PACKAGES_UNKNOWN) {
        log_line(LOG_WARN, "packages the backend needs cannot be looked up here, without dpkg",
                 F_STR("app", p->app), F_STR("packages", names));
    }
    buf_done(&missing);
    return found != PACKAGES_MISSING;
}

static bool link_persisted(struct prepare *p)
{
    struct buf release;
    bool fine = true;
    buf_init(&release, 100);
    release_identity(p->dir, &release);
    for (size_t i = 0; fine && i < p->persist.n; i++) {
        const struct persist_options o = {.app = p->app.ptr,
                                          .dir = p->dir,
                                          .data_dir = p->data_dir,
                                          .release = release.data,
                                          .path = p->persist.items[i].s,
                                          .is_running = p->is_running,
                                          .patience = &p->patience};
        fine = p->stamp ? seal_keep(&o, &p->error) : persist_one(&o, &p->error);
        if (!fine)
            log_line(LOG_ERROR, "what the backend persists is not in its place; it is not started",
                     F_STR("app", p->app), F_STR("path", o.path), F_CSTR("why", p->error.msg),
                     F_CSTR("next", "put it right, then `dais reload`"));
    }
    buf_done(&release);
    return fine;
}

static enum looked look_for_setup(struct prepare *p)
{
    struct setup_options o = prepare_setup_options(p);
    if (!p->command.len)
        return LOOKED_READY;
    setup_digest(&o, p->now);
    if (setup_is_done(&o, p->now))
        return LOOKED_READY;
    if (p->stamp) {
        setup_tell_failure(p, SLICE("this release was built from something else; build it again "
                                    "with `dais build --release`"));
        return LOOKED_FAILED;
    }
    buf_clear(&p->inputs);
    setup_inputs(&o, &p->inputs);
    if (setup_forget(&o, &p->error))
        return LOOKED_SETUP;
    setup_tell_failure(p, slice_from(p->error.msg));
    return LOOKED_FAILED;
}

static void look(struct work *w)
{
    struct prepare *p = container_of(w, struct prepare, work);
    bool is_busy;
    if (!take_lock(p, &is_busy)) {
        p->looked = is_busy ? LOOKED_BUSY : LOOKED_FAILED;
        p->step = "it cannot be prepared";
        if (!is_busy)
            log_line(LOG_ERROR, "the backend cannot be prepared", F_STR("app", p->app),
                     F_CSTR("why", p->error.msg));
        return;
    }
    p->looked = LOOKED_FAILED;
    p->step = "packages it needs are missing";
    if (!look_for_packages(p))
        return;
    p->step = "what it persists is not in its place";
    if (!link_persisted(p))
        return;
    p->step = "its setup cannot be run";
    p->looked = look_for_setup(p);
}

static void on_looked(struct work *w, struct loop *l)
{
    struct prepare *p = container_of(w, struct prepare, work);
    if (!prepare_is_wanted(p)) {
        prepare_end_run(p);
        return;
    }
    switch (p->looked) {
    case LOOKED_BUSY:
        timer_set(&p->timer, l, BUSY_MS);
        break;
    case LOOKED_FAILED:
        prepare_finish(p, false, p->step);
        break;
    case LOOKED_READY:
        prepare_finish(p, true, "");
        break;
    case LOOKED_SETUP:
        setup_begin(p);
        break;
    }
}

static void begin_look(struct prepare *p)
{
    atomic_store(&p->state, PREPARE_LOOKING);
    prepare_submit(p, look, on_looked);
}

static void on_timer(struct timer *t, struct loop *l)
{
    (void)l;
    begin_look(container_of(t, struct prepare, timer));
}

void prepare_begin(struct prepare *p, void (*prepared)(void *user, bool ok, const char *why),
                   void *user)
{
    must(atomic_load(&p->state) == PREPARE_IDLE);
    if (!p->packages.n && !p->persist.n && !p->command.len) {
        atomic_store(&p->state, PREPARE_DONE);
        prepared(user, true, "");
        return;
    }
    p->prepared = prepared;
    p->user = user;
    prepare_ref(p);
    begin_look(p);
}

void prepare_end(struct prepare *p)
{
    if (atomic_exchange(&p->patience.is_stopped, true))
        return;
    p->prepared = NULL;
    if (prepare_state(p) != PREPARE_DONE)
        atomic_store(&p->state, PREPARE_FAILED);
    setup_cancel(p);
    if (list_is_linked(&p->timer.link)) {
        timer_off(&p->timer);
        prepare_end_run(p);
    }
}

void prepare_wait(struct prepare *p)
{
    setup_wait(p);
}

/* ---- making -------------------------------------------------------------------------------------
 */

static struct texts copy_texts(struct arena *a, const struct texts *from)
{
    struct texts to = {.n = from->n};
    to.items = arena_zalloc(a, from->n * sizeof *to.items);
    for (size_t i = 0; i < from->n; i++)
        to.items[i].s = arena_dup(a, from->items[i].s);
    return to;
}

static const char *real_path(struct arena *a, const char *path)
{
    char *real = realpath(path, NULL);
    const char *kept = arena_cstr(a, slice_from(real ? real : path));
    free(real);
    return kept;
}

struct prepare *prepare_new(const struct prepare_options *o)
{
    struct prepare *p = mem_new(struct prepare);
    struct arena *a = &p->arena;
    atomic_store(&p->refs, 1);
    arena_init(a, 128u << 20); /* all secrets, and a row for each of their lines */
    p->lock_fd = -1;
    p->timer.fn = on_timer;
    p->app = arena_dup(a, o->app);
    p->command = arena_dup(a, o->conf->setup.s);
    p->timeout_ms = o->conf->setup_timeout_ms;
    p->dir = real_path(a, arena_cstr(a, o->dir.len ? o->dir : SLICE(".")));
    p->data_dir = real_path(a, o->data_dir);
    if (seal_is_there(p->dir))
        p->stamp = arena_printf(a, "%s" SEAL_STAMP, p->dir).ptr;
    p->packages = copy_texts(a, &o->conf->packages);
    p->persist = copy_texts(a, &o->conf->persist);
    p->loops = o->loops;
    p->spawner = o->spawner;
    p->is_running = o->is_running;
    p->patience.is_draining = o->is_draining;
    p->env = variables_make(a, (const char *[]){NULL}, o->env);
    mask_init(&p->mask, a, o->hidden, o->n_hidden);
    setup_open(p);
    struct setup_options setup = prepare_setup_options(p);
    if (p->command.len)
        setup_digest(&setup, p->digest);
    return p;
}

struct prepare *prepare_ref(struct prepare *p)
{
    atomic_fetch_add(&p->refs, 1);
    return p;
}

void prepare_unref(struct prepare *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    setup_close(p);
    arena_done(&p->arena);
    free(p);
}

/* ---- asking -------------------------------------------------------------------------------------
 */

static bool is_same_list(const struct texts *a, const struct texts *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = slice_eq(a->items[i].s, b->items[i].s);
    return same;
}

bool prepare_is_same(const struct prepare *p, const struct prepare *next)
{
    return prepare_state(p) != PREPARE_FAILED && slice_eq(p->command, next->command) &&
           strcmp(p->dir, next->dir) == 0 && strcmp(p->data_dir, next->data_dir) == 0 &&
           strcmp(p->digest, next->digest) == 0 && is_same_list(&p->packages, &next->packages) &&
           is_same_list(&p->persist, &next->persist);
}

enum prepare_state prepare_state(const struct prepare *p)
{
    return (enum prepare_state)atomic_load(&p->state);
}

const struct mask *prepare_mask(const struct prepare *p)
{
    return p ? &p->mask : NULL;
}

const char *prepare_excuse(const struct prepare *p)
{
    switch (p ? prepare_state(p) : PREPARE_DONE) {
    case PREPARE_SETTING_UP:
        return "The app is being set up; try again in a few minutes.";
    case PREPARE_FAILED:
        return "The app could not be started; whoever runs it finds the reason in its log.";
    default:
        return NULL;
    }
}
