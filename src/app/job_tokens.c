/* Who asks with the token of a running job.
 *
 *   of a run of this process    known at once, but for the account that it works for
 *   of another process's        asked of the database, as is the account: on a lane */
#include "app/job_tokens_impl.h"

#include "app/app_impl.h"
#include "base/sha256.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX       "djt_"
#define RANDOM_CHARS 43

struct job_tokens {
    struct identity_source source;
    struct job_tokens_options o;
    const struct slice *roles;
    size_t n_roles;
};

/* ---- the token ------------------------------------------------------------------------------- */

static struct slice token_of(const struct req *rq)
{
    struct slice rest = h1_get(rq->h1, HEADER_AUTHORIZATION), scheme;
    if (!slice_cut(&rest, ' ', &scheme) || !slice_eq_nocase(scheme, SLICE("bearer")))
        return SLICE("");
    rest = slice_trim(rest);
    return slice_starts(rest, SLICE(PREFIX)) ? rest : SLICE("");
}

static bool tell_unknown(struct err *e)
{
    return err_set(e, ERR_UNAUTHENTICATED,
                   "This token is of no running job: it ended with its job.");
}

/* ---- who it speaks for -----------------------------------------------------------------------
 */

static bool is_of_app(const struct job_tokens *t, const struct job_bearer *b)
{
    const struct job_type *type = job_type_find(t->o.jobs, b->type);
    return (!b->owner.len && !b->is_strangers) ||
           (type && slice_is(job_type_conf(type)->acts_as.s, "app"));
}

static bool is_local(const struct job_tokens *t, struct slice owner)
{
    return t->o.local && slice_eq(owner, t->o.local->id);
}

static void begin(const struct job_bearer *b, struct identity *ret)
{
    *ret = (struct identity){
        .is_signed_in = true,
        .is_of_job = true,
        .depth = b->depth,
        .has_every_scope = true,
        .id = SLICE(""),
        .email = SLICE(""),
        .name = b->type,
        .session = b->id,
    };
}

static void take_roles(struct identity *who, const struct slice *roles, size_t n)
{
    who->roles = roles;
    who->n_roles = n;
}

/* Without an account to look at. */
static bool is_quick(const struct job_tokens *t, const struct job_bearer *b)
{
    return is_of_app(t, b) || b->is_strangers || is_local(t, b->owner) || !t->o.accounts;
}

static void take_quick(const struct job_tokens *t, const struct job_bearer *b, struct identity *ret)
{
    if (b->is_strangers && !is_of_app(t, b)) {
        *ret = (struct identity){.is_of_job = true, .depth = b->depth, .session = b->id};
        return;
    }
    begin(b, ret);
    if (is_of_app(t, b)) {
        take_roles(ret, t->roles, t->n_roles);
        return;
    }
    ret->id = ret->name = b->owner;
    if (is_local(t, b->owner))
        take_roles(ret, t->o.local->roles, t->o.local->n_roles);
}

static bool tell_gone(struct err *e)
{
    return err_set(
        e, ERR_UNAUTHENTICATED,
        "Whoever this job works for has no account here any more, or none that is used.");
}

/* A key that has no account stands for itself: its scopes are the job's, too. */
static bool take_key(const struct job_tokens *t, struct slice id, struct arena *a,
                     struct identity *ret, struct err *e)
{
    struct key_row *rows;
    size_t n;
    if (!keys_list(t->o.accounts, a, SLICE(""), true, &rows, &n, e))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct key_row *k = &rows[i];
        bool has_ended = k->expires_ms && k->expires_ms <= clock_wall_ms();
        if (!slice_eq(k->id, id) || k->user.len || has_ended)
            continue;
        ret->id = id;
        ret->name = k->name;
        ret->has_every_scope = false;
        ret->scopes = k->scopes;
        ret->n_scopes = k->n_scopes;
        take_roles(ret, k->roles, k->n_roles);
        return true;
    }
    return tell_gone(e);
}

/* An operator has no account of the app, and every role of it. */
static bool take_operator(const struct job_tokens *t, struct slice id, struct arena *a,
                          struct identity *ret, struct err *e)
{
    struct account it;
    if (!t->o.operators || !accounts_get(t->o.operators, a, id, &it, e))
        return false;
    if (it.state != ACCOUNT_ACTIVE)
        return tell_gone(e);
    ret->id = it.id;
    ret->name = it.name;
    take_roles(ret, t->roles, t->n_roles);
    return true;
}

/* Blocks. */
static bool take_account(const struct job_tokens *t, const struct job_bearer *b, struct arena *a,
                         struct identity *ret, struct err *e)
{
    struct account it;
    begin(b, ret);
    if (!accounts_get(t->o.accounts, a, b->owner, &it, e))
        return e->code == ERR_NOT_FOUND &&
               (take_operator(t, b->owner, a, ret, e) ||
                (e->code == ERR_NOT_FOUND && take_key(t, b->owner, a, ret, e)));
    if (it.state != ACCOUNT_ACTIVE)
        return tell_gone(e);
    ret->id = it.id;
    ret->name = it.name;
    ret->email = it.verified_ms ? it.email : SLICE("");
    take_roles(ret, it.roles, it.n_roles);
    return true;
}

/* ---- on a lane ------------------------------------------------------------------------------- */

struct asking {
    struct work work;
    const struct job_tokens *tokens; /* of the request's service, which it holds */
    struct req *rq;                  /* the loop's, until `asked` */
    unsigned char digest[SHA256_LEN];
    struct job_bearer bearer;
    bool is_known, is_found;
    struct arena arena;
    struct identity who;
    struct err err;
};

static bool read_bearer(struct asking *k)
{
    struct jobs *j = k->tokens->o.jobs;
    if (!jobs_open(j, &k->err))
        return err_set(&k->err, ERR_UNAVAILABLE, "The database cannot be opened just now.");
    struct db_conn *c = db_conn_take(jobs_db(j), &k->err);
    bool fine = c && jobs_bearer(c, k->digest, &k->arena, &k->bearer, &k->err);
    if (c)
        db_conn_give(c);
    jobs_leave(j);
    return fine;
}

static void ask(struct work *w)
{
    struct asking *k = container_of(w, struct asking, work);
    k->is_found = k->is_known || read_bearer(k);
    if (k->is_found && is_quick(k->tokens, &k->bearer))
        take_quick(k->tokens, &k->bearer, &k->who);
    else if (k->is_found)
        k->is_found = take_account(k->tokens, &k->bearer, &k->arena, &k->who, &k->err);
}

static void asked(struct work *w, struct loop *home)
{
    struct asking *k = container_of(w, struct asking, work);
    struct req *rq = k->rq;
    struct subject copy;
    struct err why = k->err;
    bool is_found = k->is_found;
    (void)home;
    if (is_found)
        subject_copy(&(struct subject){.who = &k->who}, rq->arena, &copy);
    else if (why.code != ERR_UNAUTHENTICATED)
        err_set(&why, ERR_UNAVAILABLE, "Nobody can say just now whose token this is.");
    arena_done(&k->arena);
    free(k);
    req_identified(rq, is_found ? copy.who : NULL, &why);
}

static enum identity_found ask_on_lane(const struct job_tokens *t, struct req *rq,
                                       const unsigned char digest[SHA256_LEN],
                                       const struct job_bearer *known, struct err *e)
{
    if (!rq->can_wait_for_identity) {
        err_set(e, ERR_UNAVAILABLE, "Nobody can say just now whose token this is.");
        return FOUND_BAD;
    }
    struct asking *k = mem_new(struct asking);
    k->work = (struct work){.run = ask, .done = asked};
    k->tokens = t;
    k->rq = rq;
    memcpy(k->digest, digest, SHA256_LEN);
    arena_init(&k->arena, 4u << 20);
    if (known) {
        k->is_known = true;
        k->bearer = (struct job_bearer){.id = arena_dup(&k->arena, known->id),
                                        .type = arena_dup(&k->arena, known->type),
                                        .owner = arena_dup(&k->arena, known->owner),
                                        .is_strangers = known->is_strangers,
                                        .depth = known->depth};
    }
    if (lane_submit(rq->loop, LANE_READ, &k->work))
        return FOUND_LATER;
    arena_done(&k->arena);
    free(k);
    err_set(e, ERR_UNAVAILABLE, "Too much work is waiting; try again in a moment.");
    return FOUND_BAD;
}

/* ---- the source ------------------------------------------------------------------------------ */

static enum identity_found find(struct identity_source *s, struct req *rq, struct identity *ret,
                                struct err *e)
{
    struct job_tokens *t = container_of(s, struct job_tokens, source);
    struct slice token = token_of(rq);
    struct job_bearer bearer;
    unsigned char digest[SHA256_LEN];
    if (!token.len)
        return t->o.rest ? t->o.rest->find(t->o.rest, rq, ret, e) : FOUND;
    if (token.len != sizeof PREFIX - 1 + RANDOM_CHARS) {
        tell_unknown(e);
        return FOUND_BAD;
    }
    sha256_of(token, digest);
    bool is_known = t->o.knows && t->o.knows(t->o.user, digest, rq->arena, &bearer);
    if (!is_known || !is_quick(t, &bearer))
        return ask_on_lane(t, rq, digest, is_known ? &bearer : NULL, e);
    take_quick(t, &bearer, ret);
    return FOUND;
}

/* The process that asks is gone with its job. */
static void watch(struct identity_source *s, const struct identity *who, struct session_watch *w)
{
    const struct job_tokens *t = container_of(s, struct job_tokens, source);
    if (!who->is_of_job && t->o.rest && t->o.rest->watch)
        t->o.rest->watch(t->o.rest, who, w);
}

static void unwatch(struct identity_source *s, struct session_watch *w)
{
    const struct job_tokens *t = container_of(s, struct job_tokens, source);
    t->o.rest->unwatch(t->o.rest, w);
}

struct job_tokens *job_tokens_new(const struct job_tokens_options *o)
{
    struct job_tokens *t = mem_new(struct job_tokens);
    struct slice *roles = mem_alloc((o->roles->n + 1) * sizeof *roles);
    for (size_t i = 0; i < o->roles->n; i++)
        roles[i] = o->roles->items[i].s;
    t->source = (struct identity_source){.find = find, .watch = watch, .unwatch = unwatch};
    t->o = *o;
    t->roles = roles;
    t->n_roles = o->roles->n;
    return t;
}

void job_tokens_free(struct job_tokens *t)
{
    if (!t)
        return;
    free((void *)(uintptr_t)t->roles);
    free(t);
}

struct identity_source *job_tokens_source(struct job_tokens *t)
{
    return &t->source;
}

bool job_tokens_is_in(struct db_conn *c, const struct identity *who, struct err *e)
{
    return who->is_of_job ? jobs_vouch(c, who->session, e) : accounts_is_in(c, who, e);
}
