/* Operators: the link that makes the first one, and what the host itself shows them. */
#include "accounts/accounts.h"
#include "app/app_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One that people sign in at. Where whoever sits at the machine is everybody's `local`, only once
 * it is reached from elsewhere too. */
static const struct app *first_for_strangers(const struct host *h)
{
    bool is_public = settings_get(&h->settings, SET_PUBLIC_URL).len > 0;
    for (size_t i = 0; i < h->n_apps; i++) {
        bool is_open_here = slice_is(h->apps[i].manifest->auth.local.s, "none");
        if (h->apps[i].accounts && (is_public || !is_open_here))
            return &h->apps[i];
    }
    return NULL;
}

/* To the terminal and never into the log, which others may read: whoever has it is an operator. */
static void print_link(const struct host *h, const struct life *l, const char *token)
{
    struct arena a;
    arena_init(&a, 1u << 20);
    struct slice url = app_public_url(h, first_for_strangers(h), l, &a);
    printf("  There is no operator yet. This link makes the first one; it is good once, for 24\n"
           "  hours, until the next start (or type `dais user add EMAIL --operator`):\n\n"
           "  %.*s/_/sign-in?operator=%s\n\n",
           SLICE_ARGS(url), token);
    fflush(stdout);
    arena_done(&a);
}

bool operators_are_needed(const struct host *h)
{
    return h->operators && first_for_strangers(h);
}

void operators_greet(struct host *h, const struct life *l)
{
    char token[TOKEN_MAX];
    struct err e;
    bool is_any = true;
    if (!operators_are_needed(h))
        return;
    if (!operators_any(h->operators, &is_any, &e)) {
        printf("  Whether there is an operator could not be asked; the log says why.\n\n");
        fflush(stdout);
        return;
    }
    if (!is_any && operators_make_link(h->operators, token, &e))
        print_link(h, l, token);
    explicit_bzero(token, sizeof token);
}

struct greeting {
    struct work work;
    struct host *host;
};

static void greet(struct work *w)
{
    struct host *h = container_of(w, struct greeting, work)->host;
    operators_greet(h, h->life);
}

static void greeted(struct work *w, struct loop *home)
{
    struct greeting *g = container_of(w, struct greeting, work);
    (void)home;
    service_unref(&g->host->service);
    free(g);
}

void operators_greet_later(struct host *h, struct loop *l)
{
    struct greeting *g = mem_new(struct greeting);
    g->work = (struct work){.run = greet, .done = greeted};
    g->host = h;
    service_ref(&h->service);
    if (lane_submit(l, LANE_SLOW, &g->work))
        return;
    log_line(LOG_WARN, "no link for the first operator is shown: too much work is waiting");
    greeted(&g->work, l);
}

/* ---- host paths ------------------------------------------------------------------------------ */

/* A session of an operator counts wherever it was begun: the app of this name knows its cookie; a
 * bearer is the same everywhere. */
void operators_ask(struct host *h, struct req *rq)
{
    const struct app *app = host_app_of_name(h, rq->host);
    if (!app && h->n_apps == 1)
        app = &h->apps[0];
    if (!h->operators)
        return;
    rq->identities = app && app->accounts ? app->identities : accounts_source(h->operators);
    rq->wants_identity = true;
}

bool operator_asks(const struct req *rq)
{
    const struct identity *who = rq->identity;
    return who && who->is_signed_in && who->is_operator && !who->is_local &&
           identity_has_scope(who, SLICE("admin"));
}
