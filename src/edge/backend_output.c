/* What a backend says: its lines go into the log, as many a second as a log can bear. */
#include "edge/backend_impl.h"

#include <errno.h>
#include <unistd.h>

#define SAID_MAX      8192 /* longer lines are logged in pieces */
#define LINE_BYTES    1024 /* a longer one counts as several */
#define LINES_PER_S   1000
#define LINES_AT_ONCE 2000
#define TELL_MS       1000
#define READS_A_TURN  8
#define READS_AT_END  256 /* more than any pipe holds */

static struct instance *instance_of(struct output *o)
{
    return container_of(o, struct instance, output);
}

/* ---- how much may be said ----------------------------------------------------------------------
 */

static void tell_dropped(struct output *o)
{
    struct instance *i = instance_of(o);
    if (!o->dropped)
        return;
    log_line(LOG_WARN, "the backend says too much; lines were dropped", F_STR("app", i->of->app),
             F_INT("dropped", o->dropped), F_INT("lines_per_s", LINES_PER_S));
    o->dropped = 0;
}

static void on_timer(struct timer *t, struct loop *l)
{
    (void)l;
    tell_dropped(container_of(t, struct output, timer));
}

static bool may_say(struct output *o, size_t bytes)
{
    struct loop *home = backend_home(instance_of(o)->of);
    int64_t now = loop_now_ms(home), since = now - o->filled_ms;
    unsigned cost = 1 + (unsigned)(bytes / LINE_BYTES);
    if (since > 0) {
        int64_t room = o->room + (since < TELL_MS * 2 ? since : TELL_MS * 2) * LINES_PER_S / 1000;
        o->room = room < LINES_AT_ONCE ? (unsigned)room : LINES_AT_ONCE;
        o->filled_ms = now;
    }
    if (o->room >= cost) {
        o->room -= cost;
        return true;
    }
    if (o->dropped++ == 0)
        timer_set(&o->timer, home, TELL_MS);
    return false;
}

/* ---- lines -------------------------------------------------------------------------------------
 */

/* The indent stays: tracebacks are read by it. */
static struct slice trim_line(struct slice line)
{
    struct slice text = slice_trim(line);
    while (text.len && text.ptr > line.ptr && (text.ptr[-1] == ' ' || text.ptr[-1] == '\t')) {
        text.ptr--;
        text.len++;
    }
    return text;
}

static void log_said(struct output *o)
{
    struct instance *i = instance_of(o);
    struct buf shown;
    bool is_cut = o->said.len == SAID_MAX;
    buf_init(&shown, 4 * SAID_MAX);
    size_t taken = mask_add(prepare_mask(i->of->prepare), buf_slice(&o->said), !is_cut, &shown);
    struct slice text = trim_line(buf_slice(&shown));
    if (text.len && may_say(o, text.len)) {
        if (i->of->n > 1)
            log_line(LOG_INFO, "backend", F_STR("app", i->of->app), F_INT("instance", i->number),
                     F_STR("said", text));
        else
            log_line(LOG_INFO, "backend", F_STR("app", i->of->app), F_STR("said", text));
    }
    buf_done(&shown);
    buf_consume(&o->said, taken ? taken : o->said.len);
}

static void take(struct output *o, struct slice bytes)
{
    while (bytes.len) {
        ptrdiff_t end = slice_index(bytes, '\n');
        size_t room = SAID_MAX - o->said.len;
        size_t n = end < 0 ? bytes.len : (size_t)end + 1;
        n = n < room ? n : room;
        buf_add(&o->said, slice_first(bytes, n));
        bytes = slice_skip(bytes, n);
        if (o->said.len == SAID_MAX || o->said.data[o->said.len - 1] == '\n')
            log_said(o);
    }
}

/* ---- the pipe ----------------------------------------------------------------------------------
 */

static void on_closed(struct watch *w)
{
    instance_watch_closed(container_of(w, struct instance, output.watch));
}

static void close_pipe(struct instance *i)
{
    struct output *o = &i->output;
    o->is_open = false;
    watch_close(&o->watch, on_closed);
    close(o->fd);
    log_said(o);
    timer_off(&o->timer);
    tell_dropped(o);
}

static void read_some(struct instance *i, int reads)
{
    struct output *o = &i->output;
    char bytes[16384];
    while (o->is_open && reads-- > 0) {
        ssize_t n = read(o->fd, bytes, sizeof bytes);
        if (n > 0) {
            take(o, (struct slice){bytes, (size_t)n});
        } else {
            if (n == 0 || (errno != EAGAIN && errno != EINTR))
                close_pipe(i);
            return;
        }
    }
}

static void on_ready(struct watch *w, int events)
{
    (void)events;
    read_some(container_of(w, struct instance, output.watch), READS_A_TURN);
}

void output_read(struct instance *i)
{
    read_some(i, READS_AT_END);
}

void output_open(struct instance *i, int fd)
{
    struct output *o = &i->output;
    struct err ignored;
    if (fd < 0)
        return;
    o->fd = fd;
    o->timer.fn = on_timer;
    o->watch.on_ready = on_ready;
    o->room = LINES_AT_ONCE;
    o->filled_ms = loop_now_ms(backend_home(i->of));
    o->is_open = watch_open(&o->watch, backend_home(i->of), fd, &ignored);
    if (!o->is_open) {
        close(fd);
        return;
    }
    buf_init(&o->said, SAID_MAX);
    i->open_watches++;
    watch_want(&o->watch, WATCH_READ);
}

void output_close(struct instance *i)
{
    output_read(i); /* what it said last is in the pipe */
    if (i->output.is_open)
        close_pipe(i);
    buf_done(&i->output.said);
}
