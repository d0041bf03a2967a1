/* Everybody who watches jobs of an app, on whichever loop: when it is looked, and who is given
 * what.
 *
 *   told     the database says that something was committed, on any thread: a post to some loop
 *   begin    on a loop: the jobs that somebody waits for go into a look, which goes to a lane
 *   deliver  back on that loop: each watcher with room is given its pieces, on its own loop it
 * hears
 *
 * One look at a time. A step under way holds the hub and the service, so that what it reads with is
 * there whoever leaves meanwhile. */
#include "api/jobs_impl.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct topic {
    struct list link; /* in the hub's; looked at in turn */
    struct list watchers;
    char id[DOC_ID_MAX + 1];
    int64_t told;         /* the state at the last look; -1: there was none */
    bool is_due, is_held; /* a look has it */
};

struct job_hub {
    _Atomic int refs;
    struct jobs *jobs;
    pthread_mutex_t door; /* of coming in and leaving; before `lock` */
    pthread_mutex_t lock; /* of all that follows, and of what watchers say is the hub's */
    struct list topics;
    struct map by_id;
    size_t n_watchers;
    uint64_t serials;
    struct service *service; /* of the watchers; one as long as there is one */
    bool is_busy;            /* a post or a look is under way */
    bool is_again;           /* and another one has to follow */
    int64_t looked_ms;       /* when all were to be looked at */
    struct post post;
    struct db_listener listeners[2];
};

struct hub_look {
    struct work work;
    struct job_hub *hub;
    struct service *service;
    struct arena arena;
    struct looked *items;
    size_t n;
    bool is_fine;
};

static void begin(struct job_hub *h, struct loop *l);
static void on_told(struct db_listener *l);

struct job_hub *job_hub_new(struct jobs *j)
{
    struct job_hub *h = mem_new(struct job_hub);
    h->refs = 1;
    h->jobs = j;
    pthread_mutex_init(&h->door, NULL);
    pthread_mutex_init(&h->lock, NULL);
    list_init(&h->topics);
    map_init(&h->by_id);
    h->listeners[0] = (struct db_listener){.topic = TOPIC_JOBS, .fn = on_told};
    h->listeners[1] = (struct db_listener){.topic = TOPIC_JOB_EVENTS, .fn = on_told};
    return h;
}

void job_hub_unref(struct job_hub *h)
{
    if (!h || atomic_fetch_sub(&h->refs, 1) > 1)
        return;
    must(list_is_empty(&h->topics));
    map_done(&h->by_id);
    pthread_mutex_destroy(&h->door);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

/* ---- when it is looked -------------------------------------------------------------------------
 */

/* A step begins, with the lock. */
static void hold(struct job_hub *h)
{
    atomic_fetch_add(&h->refs, 1);
    service_ref(h->service);
    h->is_busy = true;
    h->is_again = false;
}

static void let_go(struct job_hub *h, struct service *s)
{
    job_hub_unref(h);
    service_unref(s);
}

static void all_are_due(struct job_hub *h)
{
    list_each (link, &h->topics)
        container_of(link, struct topic, link)->is_due = true;
    h->looked_ms = clock_mono_ms();
}

static void on_post(struct post *p, struct loop *l)
{
    struct job_hub *h = container_of(p, struct job_hub, post);
    struct service *s = h->service;
    begin(h, l);
    let_go(h, s);
}

/* On which loop does not matter: on that of whoever is first. */
static struct loop *some_loop(const struct job_hub *h)
{
    const struct topic *t = container_of(h->topics.next, struct topic, link);
    return container_of(t->watchers.next, struct watcher, link)->loop;
}

/* With the lock. */
static void post_look(struct job_hub *h)
{
    hold(h);
    h->post.fn = on_post;
    loop_post(some_loop(h), &h->post);
}

static void on_told(struct db_listener *l)
{
    struct job_hub *h =
        container_of(l - (l->topic == TOPIC_JOB_EVENTS), struct job_hub, listeners[0]);
    pthread_mutex_lock(&h->lock);
    all_are_due(h);
    h->is_again = true;
    if (!h->is_busy && h->n_watchers)
        post_look(h);
    pthread_mutex_unlock(&h->lock);
}

/* On the loop `l`: at once, if nothing is under way. */
static void look_soon(struct job_hub *h, struct loop *l)
{
    pthread_mutex_lock(&h->lock);
    bool is_free = !h->is_busy && h->n_watchers;
    struct service *s = h->service;
    h->is_again = true;
    if (is_free)
        hold(h);
    pthread_mutex_unlock(&h->lock);
    if (!is_free)
        return;
    begin(h, l);
    let_go(h, s);
}

void job_hub_tick(struct watcher *w)
{
    struct job_hub *h = w->hub;
    pthread_mutex_lock(&h->lock);
    bool is_time = clock_mono_ms() - h->looked_ms >= WATCH_LOOK_MS * 9 / 10;
    if (is_time)
        all_are_due(h);
    pthread_mutex_unlock(&h->lock);
    if (is_time)
        look_soon(h, w->loop);
}

/* ---- a look -----------------------------------------------------------------------------------
 */

static bool is_hungry(const struct watcher *w)
{
    return !w->n_pieces && !w->is_over;
}

/* With the lock. False: nobody of this job has room. */
static bool describe(const struct topic *t, struct looked *to)
{
    bool any = false;
    *to = (struct looked){.id = slice_from(t->id), .known = t->told};
    list_each (link, &t->watchers) {
        const struct watcher *w = container_of(link, struct watcher, link);
        to->has_programs |= w->who->who && w->who->who->is_of_job;
        if (!is_hungry(w))
            continue;
        if (!any || w->seq < to->after)
            to->after = w->seq;
        to->wants_state |= w->told != t->told || t->told < 0;
        any = true;
    }
    return any;
}

/* With the lock. Those that are taken go to the end: all have their turn. */
static size_t take_due(struct job_hub *h, struct looked *items)
{
    struct topic *mark = NULL;
    size_t n = 0;
    list_each_safe (link, &h->topics) {
        struct topic *t = container_of(link, struct topic, link);
        if (n == WATCH_TOPICS || t == mark)
            break;
        if (!t->is_due || !describe(t, &items[n]))
            continue;
        items[n++].topic = t;
        t->is_due = false;
        t->is_held = true;
        mark = mark ? mark : t;
        list_remove(&t->link);
        list_add(&h->topics, &t->link);
    }
    h->is_again |= n == WATCH_TOPICS;
    return n;
}

static void run_look(struct work *work)
{
    struct hub_look *k = container_of(work, struct hub_look, work);
    k->is_fine = job_look(k->hub, k->hub->jobs, &k->arena, k->items, k->n);
}

static void topic_free(struct topic *t)
{
    if (!list_is_empty(&t->watchers) || t->is_held)
        return;
    free(t);
}

static void drop_look(struct hub_look *k)
{
    arena_done(&k->arena);
    free(k->items);
    free(k);
}

/* ---- what it brought --------------------------------------------------------------------------
 */

static void add_piece(struct watcher *w, struct shared *bytes, size_t at, size_t end, bool is_final,
                      bool has_id)
{
    struct watch_piece *p = &w->pieces[w->n_pieces++];
    must(w->n_pieces <= WATCH_PIECES);
    *p = (struct watch_piece){.bytes = shared_ref(bytes), .at = at, .end = end};
    if (has_id)
        snprintf(p->id, sizeof p->id, "id: %lld%s\n", (long long)w->seq, is_final ? ".end" : "");
}

static void add_state(struct watcher *w, const struct looked *it)
{
    add_piece(w, it->state_text, 0, it->state_text->len, it->is_final, true);
    w->told = it->state;
}

static void add_notes(struct watcher *w, const struct looked *it)
{
    size_t i = 0, from = 0;
    while (i < it->n_frames && it->frames[i].seq <= w->seq)
        from = it->frames[i++].end;
    if (i == it->n_frames)
        return;
    /* what nobody has any more was known to who knows more */
    if (it->has_gap && (w->seq == it->after || w->seq + 1 < it->frames[i].seq)) {
        char text[64];
        int n = snprintf(text, sizeof text, "event: gap\ndata: {\"after\":%lld}\n\n",
                         (long long)w->seq);
        struct shared *gap = shared_new((struct slice){text, (size_t)n});
        add_piece(w, gap, 0, gap->len, false, false);
        shared_unref(gap);
    }
    add_piece(w, it->notes, from, it->notes->len, false, false);
    w->seq = it->frames[it->n_frames - 1].seq;
}

static bool is_denied(const struct looked *it, uint64_t serial)
{
    for (size_t i = 0; i < it->n_denied; i++) {
        if (it->denied[i] == serial)
            return true;
    }
    return false;
}

/* The state that a job begins with goes before its notes, the one it ends with behind them. With a
 * gap there may be three pieces, and the last state is for the next look. */
static void give(struct watcher *w, const struct looked *it)
{
    bool is_new = it->state_text && w->told != it->state;
    if (is_new && !it->is_final)
        add_state(w, it);
    add_notes(w, it);
    bool is_last = is_new && it->is_final && !it->has_more && w->n_pieces < WATCH_PIECES;
    if (is_last)
        add_state(w, it);
    w->is_over |= is_last;
    w->has_missed = it->has_more || (it->is_final && !is_last);
}

static void on_wake(struct post *p, struct loop *l)
{
    struct watcher *w = container_of(p, struct watcher, post);
    struct job_hub *h = w->hub;
    (void)l;
    pthread_mutex_lock(&h->lock);
    bool has_left = w->has_left;
    w->is_posted = false;
    pthread_mutex_unlock(&h->lock);
    if (!has_left) {
        w->wake(w);
        return;
    }
    w->freed(w);
    job_hub_unref(h);
}

/* With the lock. */
static void wake(struct watcher *w)
{
    if (w->is_posted)
        return;
    w->is_posted = true;
    w->post.fn = on_wake;
    loop_post(w->loop, &w->post);
}

/* Not who had no room when it was begun, or came since: what they lack may not be in it. */
static bool is_for(const struct looked *it, const struct watcher *w)
{
    return w->seq >= it->after && (it->state_text || w->told >= 0);
}

/* With the lock. */
static void deliver(struct job_hub *h, const struct looked *it)
{
    struct topic *t = it->topic;
    t->is_held = false;
    if (!it->is_done)
        t->is_due = h->is_again = true;
    if (it->is_done && !it->is_gone)
        t->told = it->state;
    list_each (link, &t->watchers) {
        struct watcher *w = container_of(link, struct watcher, link);
        if (!it->is_done)
            continue;
        if (it->is_gone || is_denied(it, w->serial))
            w->is_over = true;
        else if (is_hungry(w) && is_for(it, w))
            give(w, it);
        else
            w->has_missed = true;
        if (w->n_pieces || w->is_over)
            wake(w);
        else if (w->has_missed)
            t->is_due = h->is_again = true;
    }
    shared_unref(it->state_text);
    shared_unref(it->notes);
    if (list_is_empty(&t->watchers))
        topic_free(t);
}

static void looked(struct work *work, struct loop *home)
{
    struct hub_look *k = container_of(work, struct hub_look, work);
    struct job_hub *h = k->hub;
    struct service *s = k->service;
    pthread_mutex_lock(&h->lock);
    for (size_t i = 0; i < k->n; i++)
        deliver(h, &k->items[i]);
    h->is_busy = false;
    bool is_again = h->is_again && k->is_fine && h->n_watchers; /* else with the next second */
    if (is_again)
        hold(h);
    pthread_mutex_unlock(&h->lock);
    drop_look(k);
    if (is_again) {
        begin(h, home);
        let_go(h, s);
    }
    let_go(h, s);
}

/* The step that holds the hub goes on as a look, or ends. */
static void begin(struct job_hub *h, struct loop *l)
{
    struct hub_look *k = mem_new(struct hub_look);
    arena_init(&k->arena, 256u << 20);
    k->work = (struct work){.run = run_look, .done = looked};
    k->items = mem_alloc(WATCH_TOPICS * sizeof *k->items);
    k->hub = h;
    pthread_mutex_lock(&h->lock);
    k->service = h->service;
    h->is_again = false;
    k->n = take_due(h, k->items);
    bool is_nothing = !k->n;
    if (is_nothing)
        h->is_busy = false;
    else
        atomic_fetch_add(&h->refs, 1);
    pthread_mutex_unlock(&h->lock);
    if (!is_nothing)
        service_ref(k->service);
    if (is_nothing) {
        drop_look(k);
    } else if (!lane_submit(l, LANE_READ, &k->work)) {
        k->is_fine = false; /* with the next second */
        looked(&k->work, l);
    }
}

struct look_guest *job_hub_guests(struct job_hub *h, struct topic *t, struct arena *a,
                                  size_t *ret_n)
{
    size_t n = 0;
    pthread_mutex_lock(&h->lock);
    list_each (link, &t->watchers)
        n++;
    struct look_guest *all = arena_alloc(a, n * sizeof *all);
    *ret_n = n;
    n = 0;
    list_each (link, &t->watchers) {
        const struct watcher *w = container_of(link, struct watcher, link);
        all[n].serial = w->serial;
        subject_copy(w->who, a, &all[n++].who);
    }
    pthread_mutex_unlock(&h->lock);
    return all;
}

/* ---- watchers --------------------------------------------------------------------------------
 */

static struct topic *topic_of(struct job_hub *h, struct slice id)
{
    struct topic *t = map_find(&h->by_id, id);
    if (t)
        return t;
    t = mem_new(struct topic);
    must(id.len < sizeof t->id);
    memcpy(t->id, id.ptr, id.len);
    t->told = -1;
    list_init(&t->watchers);
    list_add(&h->topics, &t->link);
    map_put(&h->by_id, slice_from(t->id), t);
    return t;
}

void job_hub_join(struct job_hub *h, struct watcher *w, struct slice id, struct service *s)
{
    w->hub = h;
    w->told = -1;
    atomic_fetch_add(&h->refs, 1);
    pthread_mutex_lock(&h->door);
    pthread_mutex_lock(&h->lock);
    bool is_first = h->n_watchers++ == 0;
    h->service = s;
    w->serial = ++h->serials;
    w->topic = topic_of(h, id);
    list_add(&w->topic->watchers, &w->link);
    w->topic->is_due = true;
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; is_first && i < 2; i++)
        db_slot_listen(jobs_slot(h->jobs), &h->listeners[i]);
    pthread_mutex_unlock(&h->door);
    look_soon(h, w->loop);
}

static void leave_topic(struct job_hub *h, struct topic *t, struct watcher *w)
{
    list_remove(&w->link);
    if (!list_is_empty(&t->watchers))
        return;
    map_remove(&h->by_id, slice_from(t->id));
    list_remove(&t->link);
    topic_free(t);
}

void job_hub_leave(struct watcher *w)
{
    struct job_hub *h = w->hub;
    pthread_mutex_lock(&h->door);
    pthread_mutex_lock(&h->lock);
    bool is_last = --h->n_watchers == 0, is_posted = w->is_posted;
    leave_topic(h, w->topic, w);
    w->has_left = true;
    pthread_mutex_unlock(&h->lock);
    for (size_t i = 0; is_last && i < 2; i++)
        db_slot_unlisten(jobs_slot(h->jobs), &h->listeners[i]);
    pthread_mutex_unlock(&h->door);
    for (size_t i = 0; i < w->n_pieces; i++)
        shared_unref(w->pieces[i].bytes);
    w->n_pieces = 0;
    if (is_posted)
        return;
    w->freed(w);
    job_hub_unref(h);
}

static bool take_piece(struct watch_piece *p, struct buf *to, size_t room)
{
    size_t had = to->len;
    buf_add_str(to, p->id);
    p->id[0] = '\0';
    size_t left = p->end - p->at, fits = room - (to->len - had);
    size_t n = left < fits ? left : fits;
    buf_add(to, slice_first(slice_skip(shared_slice(p->bytes), p->at), n));
    p->at += n;
    return p->at == p->end;
}

enum io job_hub_take(struct watcher *w, struct buf *to, size_t room)
{
    struct job_hub *h = w->hub;
    bool wants_more = false;
    size_t had = to->len, i = 0;
    pthread_mutex_lock(&h->lock);
    while (i < w->n_pieces && room - (to->len - had) > WATCH_ID_MAX &&
           take_piece(&w->pieces[i], to, room - (to->len - had)))
        shared_unref(w->pieces[i++].bytes);
    w->n_pieces -= i;
    memmove(w->pieces, w->pieces + i, w->n_pieces * sizeof *w->pieces);
    bool is_over = w->is_over && !w->n_pieces;
    if (is_hungry(w) && (w->has_missed || w->topic->is_due)) {
        w->has_missed = false;
        w->topic->is_due = wants_more = true;
    }
    pthread_mutex_unlock(&h->lock);
    if (wants_more)
        look_soon(h, w->loop);
    return to->len > had ? IO_OK : is_over ? IO_EOF : IO_MORE;
}

void job_hub_end(struct watcher *w)
{
    pthread_mutex_lock(&w->hub->lock);
    w->is_over = true;
    pthread_mutex_unlock(&w->hub->lock);
    w->wake(w);
}
