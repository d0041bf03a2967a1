/* The commands about keys of programs: `dais key`. */
#include "app/command_impl.h"

static bool add(struct commanding *c, struct err *e);
static bool list(struct commanding *c, struct err *e);
static bool remove_one(struct commanding *c, struct err *e);

const struct command key_commands[] = {{"key.add", add, ABOUT_ACCOUNTS},
                                       {"key.list", list, ABOUT_ACCOUNTS},
                                       {"key.remove", remove_one, ABOUT_ACCOUNTS},
                                       {NULL, NULL, ABOUT_ACCOUNTS}};

#define DAY_MS   (24LL * 3600 * 1000)
#define DAYS_MAX 36500

static void put_key(struct commanding *c, const struct key_row *k)
{
    json_write_object(c->out);
    command_put(c, "id", k->id);
    command_put(c, "name", k->name);
    command_put(c, "user", k->user);
    command_put(c, "hint", k->hint);
    command_put_words(c, "scopes", k->scopes, k->n_scopes);
    command_put_words(c, "roles", k->roles, k->n_roles);
    command_put_time(c, "created", k->created_ms);
    command_put_time(c, "expires", k->expires_ms);
    command_put_time(c, "used", k->used_ms);
    json_write_object_end(c->out);
}

/* "user" may be left out: then it is the app's own, or all are meant. */
static bool owner_of(struct commanding *c, struct slice *ret, struct err *e)
{
    struct account it = {0};
    if (!c->app)
        return err_set(e, ERR_USAGE, "keys are of apps; operators have none");
    if (command_str(c, "user").len && !command_user(c, &it, e))
        return false;
    *ret = it.id;
    return true;
}

/* Left out: it has no end. One that cannot be read must not be taken for that. */
static bool end_of(const struct commanding *c, int64_t *ret_ms, struct err *e)
{
    const struct json *given = json_find(c->in, SLICE("days"));
    int64_t days = 0;
    if (!given)
        return true;
    if (!json_i64(given, &days) || days < 1 || days > DAYS_MAX)
        return err_set(e, ERR_USAGE, "days: it must be a number from 1 to %d", DAYS_MAX);
    *ret_ms = clock_wall_ms() + days * DAY_MS;
    return true;
}

static bool add(struct commanding *c, struct err *e)
{
    struct key_made made = {0};
    struct key_row k = {.name = command_str(c, "name")};
    if (!owner_of(c, &k.user, e) || !end_of(c, &k.expires_ms, e))
        return false;
    command_words(c, "scopes", &k.scopes, &k.n_scopes);
    command_words(c, "roles", &k.roles, &k.n_roles);
    if (!keys_add(c->acc, c->arena, &k, &c->from, &made, e))
        return false;
    command_put(c, "token", slice_from(made.token));
    json_write_key(c->out, SLICE("key"));
    put_key(c, &made.row);
    explicit_bzero(&made.token, sizeof made.token);
    return true;
}

static bool list(struct commanding *c, struct err *e)
{
    struct key_row *rows = NULL;
    struct slice user;
    size_t n = 0;
    if (!owner_of(c, &user, e) || !keys_list(c->acc, c->arena, user, user.len == 0, &rows, &n, e))
        return false;
    json_write_key(c->out, SLICE("keys"));
    json_write_array(c->out);
    for (size_t i = 0; i < n; i++)
        put_key(c, &rows[i]);
    json_write_array_end(c->out);
    return true;
}

static bool remove_one(struct commanding *c, struct err *e)
{
    struct slice user, id = command_str(c, "id");
    if (!owner_of(c, &user, e) || !keys_remove(c->acc, SLICE(""), true, id, &c->from, e))
        return false;
    command_put(c, "removed", id);
    return true;
}
