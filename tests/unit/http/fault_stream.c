/* The failing stream filter: what the plan says, done around the plain stream. */
#include "fault_stream.h"
#include "unit.h"

#include <stdlib.h>
#include <time.h>

#define READ_MOST  100u /* a call does no more: so that a conversation has many calls */
#define WRITE_MOST (128u << 10)
#define HELD_MOST  (64u << 10)

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fault_plan plan;
    unsigned opened, open, happened;
    size_t bytes_read;
    bool has_ended;
} faults = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct faulty {
    struct stream inner;
    struct fault_plan plan;
    unsigned calls[SIDES];
    enum io broken[SIDES]; /* IO_FAIL or IO_EOF stay */
    uint64_t seed;
    char *held;
    size_t held_at, held_len;
};

void faults_plan(const struct fault_plan *plan)
{
    pthread_mutex_lock(&faults.lock);
    faults.plan = *plan;
    faults.opened = faults.happened = 0;
    faults.bytes_read = 0;
    faults.has_ended = false;
    pthread_mutex_unlock(&faults.lock);
}

/* With the lock held. */
static void wait_for_change(const char *what)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 30;
    if (pthread_cond_timedwait(&faults.changed, &faults.lock, &until) != 0)
        fail_msg("30 s passed, and %s", what);
}

unsigned faults_wait_closed(void)
{
    pthread_mutex_lock(&faults.lock);
    while (faults.open > 0 || faults.opened == 0)
        wait_for_change("a connection is still open");
    unsigned happened = faults.happened;
    pthread_mutex_unlock(&faults.lock);
    return happened;
}

void faults_wait_read(size_t n)
{
    pthread_mutex_lock(&faults.lock);
    while (faults.bytes_read < n)
        wait_for_change("the server has not read on");
    pthread_mutex_unlock(&faults.lock);
}

void faults_wait_end(void)
{
    pthread_mutex_lock(&faults.lock);
    while (!faults.has_ended)
        wait_for_change("the server has not seen the client's end");
    pthread_mutex_unlock(&faults.lock);
}

static uint64_t random_of(struct faulty *f, uint64_t n)
{
    f->seed ^= f->seed << 13;
    f->seed ^= f->seed >> 7;
    f->seed ^= f->seed << 17;
    return f->seed % n;
}

static void note_fault(void)
{
    pthread_mutex_lock(&faults.lock);
    faults.happened++;
    pthread_mutex_unlock(&faults.lock);
}

/* What this call comes to before it reaches the socket; IO_OK: go on with at most *n bytes. */
static enum io meddle(struct faulty *f, enum side side, size_t *n)
{
    const struct fault_plan *p = &f->plan;
    unsigned call = ++f->calls[side];
    size_t most = side == READS ? READ_MOST : WRITE_MOST;
    *n = *n < most ? *n : most;
    if (f->broken[side] != IO_OK)
        return f->broken[side];
    if (p->is_odd) {
        size_t odd = 1 + (size_t)random_of(f, side == READS ? 60 : 9000);
        *n = *n < odd ? *n : odd;
        return random_of(f, 5) == 0 ? IO_MORE : IO_OK;
    }
    bool is_now = p->side == side && (p->is_every ? call % 2 == 1 : call == p->at);
    if (!is_now)
        return IO_OK;
    note_fault();
    if (p->fault == FAULT_SHORT) {
        size_t few = p->short_bytes ? p->short_bytes : 1;
        *n = *n < few ? *n : few;
        return IO_OK;
    }
    if (p->fault == FAULT_MORE)
        return IO_MORE;
    return f->broken[side] = p->fault == FAULT_FAIL ? IO_FAIL : IO_EOF;
}

static void note_read(size_t n, enum io io)
{
    pthread_mutex_lock(&faults.lock);
    faults.bytes_read += n;
    faults.has_ended |= io == IO_EOF;
    pthread_cond_broadcast(&faults.changed);
    pthread_mutex_unlock(&faults.lock);
}

static enum io read_held(struct faulty *f, char *to, size_t n, size_t *ret_n)
{
    enum io io = IO_OK;
    if (f->held_len == f->held_at) {
        f->held_at = f->held_len = 0;
        io = f->inner.ops->read(&f->inner, f->held, HELD_MOST, &f->held_len);
    }
    if (io != IO_OK)
        return io;
    size_t left = f->held_len - f->held_at;
    *ret_n = n < left ? n : left;
    memcpy(to, f->held + f->held_at, *ret_n);
    f->held_at += *ret_n;
    return IO_OK;
}

static bool faulty_has_pending(const struct stream *s)
{
    const struct faulty *f = s->state;
    return f->held_at < f->held_len;
}

static enum io faulty_read(struct stream *s, char *to, size_t n, size_t *ret_n)
{
    struct faulty *f = s->state;
    enum io io = meddle(f, READS, &n);
    if (io == IO_OK)
        io = f->held ? read_held(f, to, n, ret_n) : f->inner.ops->read(&f->inner, to, n, ret_n);
    note_read(io == IO_OK ? *ret_n : 0, io);
    return io;
}

static enum io faulty_write(struct stream *s, const struct iovec *iov, int n_iov, bool more,
                            size_t *ret_n)
{
    struct faulty *f = s->state;
    struct iovec less[2];
    size_t n = 0, left;
    int used = 0;
    for (int i = 0; i < n_iov; i++)
        n += iov[i].iov_len;
    enum io io = meddle(f, WRITES, &n);
    if (io != IO_OK)
        return io;
    for (left = n; left > 0; used++) {
        less[used] = iov[used];
        if (less[used].iov_len > left)
            less[used].iov_len = left;
        left -= less[used].iov_len;
    }
    return f->inner.ops->write(&f->inner, less, used, more, ret_n);
}

static enum io faulty_send_file(struct stream *s, int fd, uint64_t offset, size_t n, size_t *ret_n)
{
    struct faulty *f = s->state;
    enum io io = meddle(f, WRITES, &n);
    return io == IO_OK ? f->inner.ops->send_file(&f->inner, fd, offset, n, ret_n) : io;
}

static void faulty_shut(struct stream *s)
{
    struct faulty *f = s->state;
    f->inner.ops->shut(&f->inner);
}

static void faulty_done(struct stream *s)
{
    struct faulty *f = s->state;
    f->inner.ops->done(&f->inner);
    free(f->held);
    free(f);
    pthread_mutex_lock(&faults.lock);
    faults.open--;
    pthread_cond_broadcast(&faults.changed);
    pthread_mutex_unlock(&faults.lock);
}

/* [copies_files][reads_ahead] */
#define OPS(files, pending)                                                               \
    {                                                                                     \
        .name = "faulty", .read = faulty_read, .write = faulty_write, .send_file = files, \
        .has_pending = pending, .shut = faulty_shut, .done = faulty_done                  \
    }
static const struct stream_ops faulty_ops[2][2] = {
    {OPS(faulty_send_file, NULL), OPS(faulty_send_file, faulty_has_pending)},
    {OPS(NULL, NULL), OPS(NULL, faulty_has_pending)},
};

bool faults_wrap(struct stream *s)
{
    struct faulty *f = mem_new(struct faulty);
    f->inner = *s;
    pthread_mutex_lock(&faults.lock);
    f->plan = faults.plan;
    f->seed = faults.plan.seed + ++faults.opened;
    faults.open++;
    pthread_mutex_unlock(&faults.lock);
    f->broken[READS] = f->broken[WRITES] = IO_OK;
    if (f->plan.reads_ahead)
        f->held = mem_alloc(HELD_MOST);
    *s = (struct stream){.ops = &faulty_ops[f->plan.copies_files][f->plan.reads_ahead],
                         .fd = f->inner.fd,
                         .state = f};
    return true;
}
