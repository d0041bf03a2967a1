/* dais for tests, never shipped: the real server, but who asks is what X-Test-User says.
 *
 *   X-Test-User: alice;role=editor;role=admin;scope=read;email=a@b.example;name=Alice;operator
 *
 * Without a scope it is a session with all of them; `bad` is a credential that does not hold. */
#include "app/app.h"
#include "cli/cli.h"

#define PARTS_MAX 16

static void read_part(struct identity *who, struct slice part)
{
    struct slice key, value = part;
    slice_cut(&value, '=', &key);
    if (slice_is(key, "role") && who->n_roles < PARTS_MAX) {
        ((struct slice *)(uintptr_t)who->roles)[who->n_roles++] = value;
    } else if (slice_is(key, "scope") && who->n_scopes < PARTS_MAX) {
        ((struct slice *)(uintptr_t)who->scopes)[who->n_scopes++] = value;
        who->has_every_scope = false;
    } else if (slice_is(key, "email")) {
        who->email = value;
    } else if (slice_is(key, "name")) {
        who->name = value;
    } else if (slice_is(key, "operator")) {
        who->is_operator = true;
    } else if (slice_is(key, "local")) {
        who->is_local = true;
    }
}

/* %0d%0a and the like, for values that no header can bring. */
static struct slice decoded(struct req *rq, struct slice raw)
{
    struct slice found = {0};
    struct err e;
    char *room = arena_alloc(rq->arena, raw.len + 1);
    return query_decode(raw, room, &found, &e) ? arena_dup(rq->arena, found) : raw;
}

static enum identity_found find(struct identity_source *s, struct req *rq, struct identity *ret,
                                struct err *e)
{
    struct slice rest = req_header(rq, "X-Test-User"), part;
    (void)s;
    must(!rq->is_on_lane); /* what http.h promises to every source */
    if (!rest.len)
        return FOUND;
    rest = decoded(rq, rest);
    if (slice_is(rest, "bad")) {
        err_set(e, ERR_UNAUTHENTICATED, "This token is not known.");
        return FOUND_BAD;
    }
    *ret = (struct identity){.is_signed_in = true, .has_every_scope = true};
    ret->email = ret->name = SLICE("");
    ret->roles = arena_zalloc(rq->arena, PARTS_MAX * sizeof *ret->roles);
    ret->scopes = arena_zalloc(rq->arena, PARTS_MAX * sizeof *ret->scopes);
    slice_cut(&rest, ';', &ret->id);
    while (slice_cut(&rest, ';', &part))
        read_part(ret, part);
    return FOUND;
}

static int serve(const struct args *args)
{
    static struct identity_source source = {.find = find};
    const struct app_options options = {
        .dirs = args->words,
        .n_dirs = args->n_words,
        .listen = args_flag(args, "--listen"),
        .data = args_flag(args, "--data"),
        .identities = &source,
    };
    return app_serve(&options);
}

static const struct verb test_serve = {
    .name = "serve",
    .summary = "Serve an app, for tests.",
    .usage = "[DIR...] [--listen ADDR] [--data DIR]",
    .run = serve,
    .flags = {{"--listen", "ADDR", "Where.", 'l'}, {"--data", "DIR", "What it writes.", 0}},
    .max_words = APP_DIRS_MAX,
};

int main(int argc, char **argv)
{
    static const struct verb *const verbs[] = {&test_serve, &verb_reload, NULL};
    return cli_run(verbs, argc, (const char *const *)argv);
}
