/* A command about accounts, files or jobs: JSON in, JSON out, against a host whose databases can be
 * opened. It blocks. The control socket runs it in a server, app_command() in a process of its own.
 */
#include "app/command_impl.h"

#include <stdio.h>
#include <unistd.h>

#define ANSWER_MAX (16u << 20)

/* ---- members --------------------------------------------------------------------------------- */

struct slice command_str(const struct commanding *c, const char *key)
{
    return json_str(json_find(c->in, slice_from(key)));
}

bool command_words(const struct commanding *c, const char *key, const struct slice **ret,
                   size_t *ret_n)
{
    const struct json *list = json_find(c->in, slice_from(key));
    if (json_type(list) != JSON_ARRAY)
        return false;
    struct slice *words = arena_alloc(c->arena, (json_len(list) + 1) * sizeof *words);
    json_each (it, list)
        words[it.index] = json_str(it.value);
    *ret = words;
    *ret_n = json_len(list);
    return true;
}

bool command_user(struct commanding *c, struct account *ret, struct err *e)
{
    struct slice who = command_str(c, "user");
    struct account *found = NULL;
    size_t n = 0;
    if (slice_index(who, '@') < 0)
        return accounts_get(c->acc, c->arena, who, ret, e);
    const struct account_query q = {.email = who, .limit = 2};
    if (!accounts_list(c->acc, c->arena, &q, &found, &n, e))
        return false;
    if (n > 1)
        return err_set(e, ERR_EXISTS,
                       "several accounts gave the address %.*s; name one by its id (dais user list "
                       "--email %.*s)",
                       SLICE_ARGS(who), SLICE_ARGS(who));
    if (n == 0)
        return err_set(e, ERR_NOT_FOUND, "nobody has the address %.*s", SLICE_ARGS(who));
    *ret = found[0];
    return true;
}

void command_put(struct commanding *c, const char *key, struct slice text)
{
    json_write_key(c->out, slice_from(key));
    json_write_str(c->out, text);
}

void command_put_words(struct commanding *c, const char *key, const struct slice *words, size_t n)
{
    json_write_key(c->out, slice_from(key));
    json_write_array(c->out);
    for (size_t i = 0; i < n; i++)
        json_write_str(c->out, words[i]);
    json_write_array_end(c->out);
}

void command_put_time(struct commanding *c, const char *key, int64_t ms)
{
    char time[RFC3339_LEN + 1] = "";
    if (ms)
        clock_rfc3339(ms, time);
    json_write_key(c->out, slice_from(key));
    json_write_cstr(c->out, ms ? time : NULL);
}

/* ---- whose ----------------------------------------------------------------------------------- */

static bool choose_app(struct commanding *c, struct err *e)
{
    struct host *h = c->host;
    struct slice wanted = command_str(c, "app");
    size_t n = 0;
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        n += app_has_accounts(app);
        if (wanted.len ? slice_eq(app->manifest->slug.s, wanted) : app_has_accounts(app))
            c->app = app;
    }
    if (wanted.len && !c->app)
        return err_set(e, ERR_NOT_FOUND, "there is no app `%.*s` here", SLICE_ARGS(wanted));
    if (!c->app || !app_has_accounts(c->app))
        return err_set(e, ERR_NOT_FOUND,
                       "no app here has accounts; `auth: { signup: closed }` in dais.yaml turns "
                       "them on");
    if (!wanted.len && n > 1)
        return err_set(e, ERR_USAGE, "%zu apps here have accounts; say which: --app NAME", n);
    c->acc = c->app->accounts;
    return true;
}

static bool choose_files(struct commanding *c, struct err *e)
{
    struct slice wanted = command_str(c, "app");
    for (size_t i = 0; i < c->host->n_apps; i++) {
        struct app *app = &c->host->apps[i];
        if (app->files && slice_eq(app->manifest->slug.s, wanted))
            c->app = app;
    }
    return c->app ||
           err_set(e, ERR_NOT_FOUND, "there is no app `%.*s` with files here", SLICE_ARGS(wanted));
}

static bool choose_jobs(struct commanding *c, struct err *e)
{
    struct slice wanted = command_str(c, "app");
    size_t n = 0;
    for (size_t i = 0; i < c->host->n_apps; i++) {
        struct app *app = &c->host->apps[i];
        if (!app->jobs || (wanted.len && !slice_eq(app->manifest->slug.s, wanted)))
            continue;
        c->app = app;
        n++;
    }
    if (!n && wanted.len)
        return err_set(e, ERR_NOT_FOUND, "there is no app `%.*s` with jobs here",
                       SLICE_ARGS(wanted));
    if (!n)
        return err_set(e, ERR_NOT_FOUND, "no app here has jobs; `jobs:` in dais.yaml names them");
    return n == 1 || err_set(e, ERR_USAGE, "%zu apps here have jobs; say which: --app NAME", n);
}

static bool choose(struct commanding *c, const struct command *command, struct err *e)
{
    if (command->about == ABOUT_FILES)
        return choose_files(c, e);
    if (command->about == ABOUT_JOBS)
        return choose_jobs(c, e);
    if (!json_bool(json_find(c->in, SLICE("operator"))))
        return choose_app(c, e);
    c->acc = c->host->operators;
    return c->acc || err_set(e, ERR_NOT_FOUND,
                             "operators look after apps with accounts, and no app here has any");
}

static const struct command *find(struct slice name)
{
    static const struct command *const tables[] = {user_commands, key_commands, file_commands,
                                                   job_commands};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const struct command *it = tables[i]; it->name; it++) {
            if (slice_is(name, it->name))
                return it;
        }
    }
    return NULL;
}

bool command_run(struct host *h, struct slice name, struct slice body, struct arena *a,
                 struct buf *to, struct err *e)
{
    const struct command *command = find(name);
    struct json_doc doc;
    struct json_writer w;
    if (!command)
        return err_set(e, ERR_NOT_FOUND,
                       "this server has no command `%.*s`; it is of another version of dais",
                       SLICE_ARGS(slice_first(name, 40)));
    if (!json_parse(&doc, a, body, NULL, e))
        return false;
    struct commanding c = {.host = h, .in = json_root(&doc), .arena = a, .out = &w};
    c.from = (struct asker){.ip = SLICE(""), .agent = SLICE("command line"), .request = SLICE("")};
    if (!choose(&c, command, e))
        return false;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    bool fine = command->run(&c, e);
    if (fine)
        json_write_object_end(&w);
    return fine && (!to->full || err_set(e, ERR_OVER_BUDGET, "the answer is too long"));
}

/* ---- in a server ----------------------------------------------------------------------------- */

static bool on_command(struct req *rq, struct err *e)
{
    struct buf out;
    struct slice name = slice_skip(rq->path, (size_t)slice_rindex(rq->path, '/') + 1);
    buf_init(&out, ANSWER_MAX);
    bool fine = command_run(container_of(rq->service, struct host, service), name, rq->body,
                            rq->arena, &out, e);
    struct slice text = fine ? arena_dup(rq->arena, buf_slice(&out)) : SLICE("");
    if (out.len) /* it may hold a key that is shown once */
        explicit_bzero(out.data, out.len);
    buf_done(&out);
    return fine && reply_bytes(rq, 200, "application/json", text);
}

#define ROW(name_)                                                                  \
    {                                                                               \
        .path = "/accounts/" name_, .name = "control_accounts", .methods = ON_POST, \
        .handle = on_command, .run = RUN_SLOW, .max_body = 64u << 10                \
    }
#define JOB_ROW(name_)                                                                            \
    {                                                                                             \
        .path = "/jobs/" name_, .name = "control_jobs", .methods = ON_POST, .handle = on_command, \
        .run = RUN_SLOW, .max_body = 2u << 20                                                     \
    }
const struct route command_routes[] = {
    ROW("user.add"),
    ROW("user.list"),
    ROW("user.show"),
    ROW("user.change"),
    ROW("user.state"),
    ROW("user.adopt"),
    ROW("key.add"),
    ROW("key.list"),
    ROW("key.remove"),
    JOB_ROW("job.list"),
    JOB_ROW("job.show"),
    JOB_ROW("job.watch"),
    JOB_ROW("job.add"),
    JOB_ROW("job.cancel"),
    JOB_ROW("job.retry"),
    {.path = "/files/files.recheck",
     .name = "control_files",
     .methods = ON_POST,
     .handle = on_command,
     .run = RUN_STORE,
     .max_body = 64u << 10},
    {.path = "/files/files.recount",
     .name = "control_files",
     .methods = ON_POST,
     .handle = on_command,
     .run = RUN_SLOW,
     .max_body = 64u << 10},
};
const size_t n_command_routes = sizeof command_routes / sizeof *command_routes;

/* ---- without one ----------------------------------------------------------------------------- */

static void open_apps(struct host *h, struct life *l)
{
    for (size_t i = 0; i < h->n_apps; i++) {
        if (h->apps[i].docs || h->apps[i].files || h->apps[i].jobs)
            database_attach(h, &h->apps[i], l);
        if (h->apps[i].files)
            store_attach(h, &h->apps[i], l);
        if (h->apps[i].jobs)
            app_jobs_open(h, &h->apps[i], l);
        if (app_has_accounts(&h->apps[i]))
            app_accounts_open(h, &h->apps[i], l);
    }
}

/* Warnings are for whoever serves it. */
static bool read_host(struct life *l, struct err *e)
{
    struct buf problems;
    buf_init(&problems, PROBLEM_BYTES);
    l->host = host_try(&l->options, &problems);
    if (!l->host)
        fwrite(problems.data, 1, problems.len, stderr);
    buf_done(&problems);
    return l->host || err_set(e, ERR_MANIFEST, "the manifests have errors");
}

bool app_command(const struct app_options *options, struct slice name, struct slice body,
                 struct arena *a, struct buf *to, struct err *e)
{
    struct life l = {.options = *options, .lock_fd = -1};
    list_init(&l.databases);
    list_init(&l.stores);
    pthread_mutex_init(&l.databases_lock, NULL);
    if (!read_host(&l, e))
        return false;
    bool fine = life_take_data(&l, e) && tokens_open(l.host, e) && stores_open(l.host, &l, e);
    if (fine) {
        open_apps(l.host, &l);
        fine = command_run(l.host, name, body, a, to, e);
    }
    databases_end(&l);
    service_unref(&l.host->service);
    databases_free(&l);
    stores_free(&l);
    pthread_mutex_destroy(&l.databases_lock);
    if (l.lock_fd >= 0)
        close(l.lock_fd);
    return fine;
}
