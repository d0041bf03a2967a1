/* Links that are sent after the answer: nobody can tell from it, nor from how long it took, whether
 * somebody has the address. */
#include "accounts/accounts_impl.h"

#include <stdlib.h>

#define AGENT_MAX 1024
#define ARENA_MAX (64u << 10)

struct sending {
    struct work work;
    struct arena arena;
    struct service *service; /* keeps the accounts */
    struct accounts *acc;
    enum link_purpose purpose;
    struct slice email, next;
    struct asker from;
};

static void send_it(struct work *w)
{
    struct sending *s = container_of(w, struct sending, work);
    struct err e;
    if (!accounts_send_link(s->acc, s->purpose, s->email, s->next, &s->from, &e) &&
        e.code != ERR_TOO_MANY) /* of that there is an event */
        log_line(LOG_ERROR, "a link could not be sent", F_CSTR("reason", e.msg));
}

static void drop(struct sending *s)
{
    service_unref(s->service);
    arena_done(&s->arena);
    free(s);
}

static void sent(struct work *w, struct loop *home)
{
    (void)home;
    drop(container_of(w, struct sending, work));
}

bool accounts_send_link_later(struct accounts *acc, struct req *rq, enum link_purpose purpose,
                              struct slice email, struct slice next, struct err *e)
{
    struct sending *s = mem_new(struct sending);
    struct asker from = asker_of(rq);
    arena_init(&s->arena, ARENA_MAX);
    s->work = (struct work){.run = send_it, .done = sent};
    s->service = rq->service;
    service_ref(s->service);
    s->acc = acc;
    s->purpose = purpose;
    s->email = arena_dup(&s->arena, email);
    s->next = arena_dup(&s->arena, next);
    s->from = (struct asker){.ip = arena_dup(&s->arena, from.ip),
                             .agent = arena_dup(&s->arena, slice_first(from.agent, AGENT_MAX)),
                             .request = arena_dup(&s->arena, from.request)};
    if (lane_submit(rq->loop, LANE_SLOW, &s->work))
        return true;
    drop(s);
    return err_set(e, ERR_UNAVAILABLE, "Too much work is waiting; try again in a moment.");
}
