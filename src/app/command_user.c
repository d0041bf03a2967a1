/* The commands about accounts: `dais user`. */
#include "app/command_impl.h"

static bool add(struct commanding *c, struct err *e);
static bool list(struct commanding *c, struct err *e);
static bool show(struct commanding *c, struct err *e);
static bool change(struct commanding *c, struct err *e);
static bool state(struct commanding *c, struct err *e);
static bool adopt(struct commanding *c, struct err *e);

const struct command user_commands[] = {
    {"user.add", add, ABOUT_ACCOUNTS},     {"user.list", list, ABOUT_ACCOUNTS},
    {"user.show", show, ABOUT_ACCOUNTS},   {"user.change", change, ABOUT_ACCOUNTS},
    {"user.state", state, ABOUT_ACCOUNTS}, {"user.adopt", adopt, ABOUT_ACCOUNTS},
    {NULL, NULL, ABOUT_ACCOUNTS},
};

static const char *const states[] = {
    [ACCOUNT_ACTIVE] = "active", [ACCOUNT_DISABLED] = "disabled", [ACCOUNT_LEAVING] = "leaving"};

/* ---- rows ------------------------------------------------------------------------------------ */

static void put_flag(struct commanding *c, const char *key, bool is)
{
    json_write_key(c->out, slice_from(key));
    json_write_bool(c->out, is);
}

static void put_account(struct commanding *c, const struct account *it)
{
    json_write_object(c->out);
    command_put(c, "id", it->id);
    command_put(c, "email", it->email);
    put_flag(c, "email_verified", it->verified_ms > 0);
    command_put(c, "name", it->name);
    command_put_words(c, "roles", it->roles, it->n_roles);
    command_put(c, "state", slice_from(states[it->state]));
    put_flag(c, "password", it->has_password);
    put_flag(c, "operator", it->is_operator);
    command_put_time(c, "created", it->created_ms);
    json_write_object_end(c->out);
}

static bool put_user(struct commanding *c, const struct account *it)
{
    json_write_key(c->out, SLICE("user"));
    put_account(c, it);
    return true;
}

/* ---- what is done ---------------------------------------------------------------------------- */

static struct account_draft draft_of(const struct commanding *c)
{
    struct account_draft d = {
        .email = command_str(c, "email"),
        .name = command_str(c, "name"),
        .password = command_str(c, "password"),
        .is_verified = json_bool(json_find(c->in, SLICE("verified"))),
    };
    d.has_roles = command_words(c, "roles", &d.roles, &d.n_roles);
    return d;
}

static bool add(struct commanding *c, struct err *e)
{
    struct account made;
    const struct account_draft d = draft_of(c);
    return accounts_add(c->acc, c->arena, &d, &c->from, &made, e) && put_user(c, &made);
}

static bool change(struct commanding *c, struct err *e)
{
    struct account it, after;
    const struct account_draft d = draft_of(c);
    return command_user(c, &it, e) &&
           accounts_change(c->acc, c->arena, it.id, &d, &c->from, &after, e) && put_user(c, &after);
}

static bool list(struct commanding *c, struct err *e)
{
    struct account *rows = NULL;
    size_t n = 0;
    const struct account_query q = {
        .email = command_str(c, "email"), .after = command_str(c, "after"), .limit = 500};
    if (!accounts_list(c->acc, c->arena, &q, &rows, &n, e))
        return false;
    json_write_key(c->out, SLICE("users"));
    json_write_array(c->out);
    for (size_t i = 0; i < n; i++)
        put_account(c, &rows[i]);
    json_write_array_end(c->out);
    if (n == q.limit) /* there may be more behind this one */
        command_put(c, "after", rows[n - 1].id);
    return true;
}

static bool show(struct commanding *c, struct err *e)
{
    struct account it;
    struct session_row *rows = NULL;
    size_t n = 0;
    if (!command_user(c, &it, e) || !accounts_sessions(c->acc, c->arena, it.id, &rows, &n, e))
        return false;
    put_user(c, &it);
    json_write_key(c->out, SLICE("sessions"));
    json_write_array(c->out);
    for (size_t i = 0; i < n; i++) {
        json_write_object(c->out);
        command_put(c, "id", rows[i].id);
        command_put(c, "ip", rows[i].ip);
        command_put(c, "agent", rows[i].agent);
        command_put_time(c, "created", rows[i].created_ms);
        command_put_time(c, "expires", rows[i].expires_ms);
        json_write_object_end(c->out);
    }
    json_write_array_end(c->out);
    return true;
}

/* Nothing but its own word takes an account away. */
static bool state_of(struct slice word, enum account_state *ret, struct err *e)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        if (!slice_is(word, states[i]))
            continue;
        *ret = (enum account_state)i;
        return true;
    }
    return err_set(e, ERR_USAGE, "state: it can be active, disabled or leaving");
}

static bool state(struct commanding *c, struct err *e)
{
    struct account it;
    enum account_state next = ACCOUNT_ACTIVE;
    if (!state_of(command_str(c, "state"), &next, e) || !command_user(c, &it, e) ||
        !accounts_set_state(c->acc, it.id, next, &c->from, e))
        return false;
    it.state = next;
    return put_user(c, &it);
}

static bool is_stopping(const struct host *h)
{
    return h->life && atomic_load(&h->life->is_draining);
}

/* One bit after the other, as there may be very many; what was handed over before a failure stays
 * so. */
static bool goes_on(struct commanding *c, bool has_more, struct err *e)
{
    return !has_more || !is_stopping(c->host) ||
           err_set(e, ERR_UNAVAILABLE,
                   "The server is stopping; some was handed over. Ask again for the rest.");
}

static bool hand_over_documents(struct commanding *c, struct slice to, struct err *e)
{
    struct docs *docs = c->app->docs;
    bool has_more = true, fine = true;
    if (!docs_enter(docs) && !docs_open(docs, e))
        return false;
    while (fine && has_more)
        fine = docs_adopt_owner(docs, SLICE("local"), to, &has_more, e) && goes_on(c, has_more, e);
    docs_leave(docs);
    return fine;
}

static bool hand_over_files(struct commanding *c, struct slice to, struct err *e)
{
    struct files *files = c->app->files;
    bool has_more = true, fine = true;
    if (!files_enter(files) && !files_open(files, e))
        return false;
    while (fine && has_more)
        fine =
            files_adopt_owner(files, SLICE("local"), to, &has_more, e) && goes_on(c, has_more, e);
    files_leave(files);
    return fine;
}

static bool hand_over_jobs(struct commanding *c, struct slice to, struct err *e)
{
    struct jobs *jobs = c->app->jobs;
    bool has_more = true, fine = true;
    if (!jobs_enter(jobs) && !jobs_open(jobs, e))
        return false;
    while (fine && has_more)
        fine = jobs_adopt_owner(jobs, SLICE("local"), to, &has_more, e) && goes_on(c, has_more, e);
    jobs_leave(jobs);
    return fine;
}

static bool hand_over(struct commanding *c, struct slice to, struct err *e)
{
    return (!c->app->docs || hand_over_documents(c, to, e)) &&
           (!c->app->files || hand_over_files(c, to, e)) &&
           (!c->app->jobs || hand_over_jobs(c, to, e));
}

static bool adopt(struct commanding *c, struct err *e)
{
    struct account it;
    if (!c->app)
        return err_set(e, ERR_USAGE,
                       "documents and files are an app's; give them to an account of it");
    if (!c->app->docs && !c->app->files && !c->app->jobs)
        return err_set(e, ERR_NOT_FOUND, "this app keeps no documents, files or jobs");
    return command_user(c, &it, e) && accounts_note_adoption(c->acc, it.id, &c->from, e) &&
           hand_over(c, it.id, e) && put_user(c, &it);
}
