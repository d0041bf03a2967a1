/* The thread that tells other processes of commits and hears of theirs. It is beside the writers,
 * so that no commit waits for it, and starts when somebody listens or tells. */
#include "db/ring_impl.h"

#include "base/sha256.h"
#include "db/slot.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PAUSE_NS     1000000 /* between two that are sent */
#define BACK_OFF_MS  20      /* after the first loss; then twice as long */
#define BACK_OFF_MAX 5000
#define LIVED_MS     10000 /* a connection that held so long was a good one */

struct db_ring {
    struct db *db;
    const struct ring_carrier *carrier;
    pthread_t thread;
    int wake_fd;
    _Atomic unsigned unsent; /* bits of topics */
    _Atomic bool is_stopping;

    /* the thread's */
    void *line; /* NULL: not connected */
    unsigned fails;
    bool is_down; /* and the log says so */
    int64_t next_ms, opened_ms, sent_ns;
};

const char *topic_name(enum db_topic topic)
{
    static const char *const names[TOPIC_COUNT] = {"jobs", "job_events"};
    return names[topic];
}

void ring_scope(const char *schema, char to[17])
{
    char hex[SHA256_HEX_LEN + 1];
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, slice_from(schema));
    sha256_end_hex(&h, hex);
    memcpy(to, hex, 16);
    to[16] = '\0';
}

/* ---- the connection ------------------------------------------------------------------------ */

/* Told once; whoever listens looks once a second anyway. */
static void note_down(struct db_ring *r, const struct buf *why)
{
    uint32_t chance;
    random_bytes(&chance, sizeof chance);
    unsigned ms = r->fails < 8 ? BACK_OFF_MS << r->fails : BACK_OFF_MAX;
    r->fails++;
    r->next_ms = clock_mono_ms() + ms / 2 + chance % (ms / 2 + 1);
    if (!r->is_down)
        log_line(LOG_WARN, "servers do not wake each other up; each looks once a second meanwhile",
                 F_CSTR("through", r->carrier->name), F_STR("reason", buf_slice(why)));
    r->is_down = true;
}

static void lose(struct db_ring *r, const struct buf *why)
{
    r->carrier->close(r->line);
    r->line = NULL;
    if (clock_mono_ms() - r->opened_ms > LIVED_MS)
        r->fails = 0;
    note_down(r, why);
}

/* Something may have been missed: all are told. */
static void dial(struct db_ring *r)
{
    struct buf why;
    buf_init(&why, 300);
    r->line = r->carrier->open(r->db, &why);
    if (r->line) {
        if (r->is_down)
            log_line(LOG_INFO, "servers wake each other up again",
                     F_CSTR("through", r->carrier->name));
        r->is_down = false;
        r->opened_ms = clock_mono_ms();
        if (r->db->bell)
            db_bell_ring(r->db->bell, EVERY_TOPIC);
    } else {
        note_down(r, &why);
    }
    buf_done(&why);
}

static void receive(struct db_ring *r)
{
    struct buf why;
    unsigned topics = 0;
    buf_init(&why, 300);
    bool fine = r->carrier->receive(r->line, &topics, &why);
    if (r->db->bell)
        db_bell_ring(r->db->bell, topics);
    if (!fine)
        lose(r, &why);
    buf_done(&why);
}

/* What could not be sent is sent later. While it waited for its answer others may have come. */
static void send_all(struct db_ring *r)
{
    unsigned topics = atomic_exchange(&r->unsent, 0);
    struct buf why;
    buf_init(&why, 300);
    r->sent_ns = clock_mono_ns();
    if (r->carrier->send(r->line, topics, &why)) {
        receive(r);
    } else {
        atomic_fetch_or(&r->unsent, topics);
        lose(r, &why);
    }
    buf_done(&why);
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* -1: for ever */
static int64_t rest_ns(const struct db_ring *r)
{
    int64_t left = -1;
    if (!r->line)
        left = (r->next_ms - clock_mono_ms()) * 1000000;
    else if (atomic_load(&r->unsent))
        left = r->sent_ns + PAUSE_NS - clock_mono_ns();
    else
        return -1;
    return left < 0 ? 0 : left;
}

static void rest(struct db_ring *r)
{
    int64_t left = rest_ns(r);
    struct timespec at = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
    struct pollfd fds[2] = {{.fd = r->wake_fd, .events = POLLIN},
                            {.fd = r->line ? r->carrier->fd(r->line) : -1, .events = POLLIN}};
    if (ppoll(fds, 2, left < 0 ? NULL : &at, NULL) <= 0)
        return;
    uint64_t n;
    if (fds[0].revents && read(r->wake_fd, &n, sizeof n) < 0)
        must(errno == EAGAIN || errno == EINTR);
    if (r->line && fds[1].revents)
        receive(r);
}

/* At the end what was told is sent, if that can be done at once. */
static void *ring_main(void *arg)
{
    struct db_ring *r = arg;
    for (bool is_last = false; !is_last; rest(r)) {
        is_last = atomic_load(&r->is_stopping);
        bool may_dial =
            is_last ? atomic_load(&r->unsent) && !r->fails : clock_mono_ms() >= r->next_ms;
        if (!r->line && may_dial)
            dial(r);
        bool may_send = is_last || clock_mono_ns() - r->sent_ns >= PAUSE_NS;
        if (r->line && may_send && atomic_load(&r->unsent))
            send_all(r);
        if (is_last)
            break;
    }
    if (r->line)
        r->carrier->close(r->line);
    return NULL;
}

static void wake(struct db_ring *r)
{
    uint64_t one = 1;
    must(write(r->wake_fd, &one, sizeof one) == sizeof one);
}

/* ---- from other threads -------------------------------------------------------------------- */

static struct db_ring *ring_new(struct db *db)
{
    struct db_ring *r = mem_new(struct db_ring);
    r->db = db;
    r->carrier = db->redis_url ? &redis_ring : db->driver->ring;
    r->sent_ns = clock_mono_ns() - PAUSE_NS;
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake_fd >= 0 && pthread_create(&r->thread, NULL, ring_main, r) == 0)
        return r;
    log_line(LOG_WARN, "servers do not wake each other up: no thread could be started");
    if (r->wake_fd >= 0)
        close(r->wake_fd);
    free(r);
    return NULL;
}

static struct db_ring *ring_of(struct db *db)
{
    if (!db->driver->ring)
        return NULL;
    struct db_ring *r = atomic_load(&db->ring);
    if (r)
        return r;
    pthread_mutex_lock(&db->ring_lock);
    r = atomic_load(&db->ring);
    if (!r)
        atomic_store(&db->ring, r = ring_new(db));
    pthread_mutex_unlock(&db->ring_lock);
    return r;
}

void db_ring_need(struct db *db)
{
    ring_of(db);
}

void db_ring_send(struct db *db, unsigned topics)
{
    struct db_ring *r = topics ? ring_of(db) : NULL;
    if (r && !atomic_fetch_or(&r->unsent, topics))
        wake(r);
}

void db_ring_stop(struct db *db)
{
    struct db_ring *r = atomic_load(&db->ring);
    if (!r)
        return;
    atomic_store(&r->is_stopping, true);
    wake(r);
    pthread_join(r->thread, NULL);
    close(r->wake_fd);
    free(r);
    atomic_store(&db->ring, NULL);
}
