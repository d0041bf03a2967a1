/* The verb key: keys of programs that use an app. */
#include "cli/accounts_impl.h"

#include <string.h>

static int run(const struct args *args);

const struct verb verb_key = {
    .name = "key",
    .summary = "Make, list and remove keys of programs.",
    .usage = "add NAME [DIR...] | list [DIR...] | remove ID [DIR...]",
    .help =
        "add     makes a key and prints it once: send it as `Authorization: Bearer dak_...`\n"
        "list    all keys of the app, or those of --user; never the keys themselves\n"
        "remove  ends one at once\n\n"
        "A key may do what its scopes say and no more: read, write, read:COLLECTION,\n"
        "write:COLLECTION, jobs, files, admin. With --user it acts for that account within them;\n"
        "without, it is the app's own, with the roles of --roles.\n",
    .run = run,
    .flags = {{"--scopes", "A,B", "add: what it may do; read when not said.", 0},
              {"--user", "USER", "add, list: the account's, by address or id.", 0},
              {"--roles", "A,B", "add: roles of a key without an account.", 0},
              {"--days", "N", "add: it ends after so many days.", 0},
              {"--app", "NAME", "Which app, where several have accounts.", 0},
              {"--operator", NULL, "Operators have no keys; says so.", 0},
              {"--yes", NULL, "remove: do not ask.", 0},
              {"--json", NULL, "Print the result as JSON.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0}},
    .min_words = 1,
    .max_words = APP_DIRS_MAX + 2,
};

static bool add_days(struct request *r, struct err *e)
{
    const char *text = args_flag(r->args, "--days");
    uint64_t days;
    if (!text)
        return true;
    if (!slice_to_u64(slice_from(text), &days) || days < 1 || days > 36500)
        return err_set(e, ERR_USAGE, "--days is a number from 1 to 36500");
    json_write_key(&r->w, SLICE("days"));
    json_write_u64(&r->w, days);
    return true;
}

static bool add(struct request *r, struct err *e)
{
    const char *scopes = args_flag(r->args, "--scopes");
    request_str(r, "name", r->args->words[1]);
    request_str(r, "user", args_flag(r->args, "--user"));
    request_words(r, "scopes", scopes ? scopes : "read");
    request_words(r, "roles", args_flag(r->args, "--roles"));
    if (!add_days(r, e) || !request_send(r, "key.add", e))
        return false;
    if (!request_print_json(r))
        printf("%.*s\n\nThat is the key, shown only now; its id is %.*s.\n",
               SLICE_ARGS(json_str(request_found(r, "token"))),
               SLICE_ARGS(json_str(json_find(request_found(r, "key"), SLICE("id")))));
    return true;
}

static bool list(struct request *r, struct err *e)
{
    static const struct cli_column columns[] = {
        {"ID", "id"},         {"NAME", "name"}, {"BEGINS", "hint"},
        {"SCOPES", "scopes"}, {"USER", "user"}, {"ROLES", "roles"},
        {"ENDS", "expires"},  {"USED", "used"}, {NULL, NULL}};
    request_str(r, "user", args_flag(r->args, "--user"));
    if (!request_send(r, "key.list", e))
        return false;
    const struct json *keys = request_found(r, "keys");
    if (request_print_json(r))
        return true;
    if (json_len(keys))
        cli_print_table(keys, columns);
    else
        printf("there are none\n");
    return true;
}

static bool remove_one(struct request *r, struct err *e)
{
    struct slice question =
        arena_printf(&r->arena, "This ends the key %s for whatever uses it", r->args->words[1]);
    if (!cli_confirm(r->args, question.ptr, e))
        return false;
    request_str(r, "id", r->args->words[1]);
    if (!request_send(r, "key.remove", e))
        return false;
    if (!request_print_json(r))
        printf("removed %s\n", r->args->words[1]);
    return true;
}

static const struct {
    const char *word;
    bool (*run)(struct request *r, struct err *e);
    const char *needs; /* NULL: nothing */
} actions[] = {{"add", add, "a NAME"}, {"list", list, NULL}, {"remove", remove_one, "an ID"}};

static int run(const struct args *args)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        struct request r;
        struct err e = {0};
        if (strcmp(args->words[0], actions[i].word) != 0)
            continue;
        if (actions[i].needs && args->n_words < 2)
            return cli_usage_error(args, "%s is missing", actions[i].needs);
        request_init(&r, args, actions[i].needs ? 2 : 1);
        int code = actions[i].run(&r, &e) ? 0 : cli_fail(args, &e);
        request_done(&r);
        return code;
    }
    return cli_usage_error(args, "`%s` is not known; choose add, list or remove", args->words[0]);
}
