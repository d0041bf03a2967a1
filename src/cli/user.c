/* The verb user: accounts of an app, and operators of the host. */
#include "base/random.h"
#include "cli/accounts_impl.h"

#include <string.h>

static int run(const struct args *args);

const struct verb verb_user = {
    .name = "user",
    .summary = "Add, list and change accounts, and operators of the host.",
    .usage = "add|show|roles|password|disable|enable|remove|adopt USER [DIR...] | list [DIR...]",
    .help =
        "add       makes an account; its password is asked for without showing it, or comes from\n"
        "          standard input, --password-file, or --generate, which prints one once; with\n"
        "          --invite a link is mailed instead\n"
        "list      all of them, or those of --email\n"
        "show      one, with its open sessions\n"
        "roles     gives it exactly the roles of --roles\n"
        "password  sets another one, as add does; every session of the account ends\n"
        "disable   ends its sessions and keeps it out until `enable`\n"
        "remove    for good, with what belongs to it\n"
        "adopt     gives it the documents of the user `local`, who there was before accounts\n\n"
        "USER is an address or an id. With --operator they are those of the host, who sign in at\n"
        "every app with all its roles. With a running server it is asked, else the command works\n"
        "on the data folder itself.\n",
    .run = run,
    .flags = {{"--operator", NULL, "An operator of the host, not an account of an app.", 0},
              {"--app", "NAME", "Which app, where several have accounts.", 0},
              {"--name", "NAME", "add: what the person is called.", 0},
              {"--roles", "[A,B]", "add, roles: of `auth.roles`; nothing for none.", 0},
              {"--password-file", "FILE", "add, password: it is in this file.", 0},
              {"--generate", NULL, "add, password: a random one, printed once.", 0},
              {"--invite", NULL, "add: no password; a link to choose one is mailed.", 0},
              {"--email", "EMAIL", "list: only those with this address.", 0},
              {"--yes", NULL, "remove, adopt: do not ask.", 0},
              {"--json", NULL, "Print the result as JSON.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0}},
    .min_words = 1,
    .max_words = APP_DIRS_MAX + 2,
};

static const char *user_of(const struct request *r)
{
    return r->args->words[1];
}

static struct slice member(const struct request *r, const char *key)
{
    return json_str(json_find(request_found(r, "user"), slice_from(key)));
}

/* What people chose must not steer the terminal: a table cell cleans it, a sentence has ids. */
static bool tell(struct request *r, const char *what)
{
    if (!request_print_json(r))
        printf("%s %.*s\n", what, SLICE_ARGS(member(r, "id")));
    return true;
}

/* ---- passwords ------------------------------------------------------------------------------- */

#define GENERATED_CHARS 24

/* Letters and digits that are not taken for one another: 5 bits each. */
static void generate(struct buf *to)
{
    static const char chars[] = "abcdefghijkmnpqrstuvwxyz23456789";
    unsigned char bytes[GENERATED_CHARS];
    random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        if (i && i % 6 == 0)
            buf_add_char(to, '-');
        buf_add_char(to, chars[bytes[i] & 31]);
    }
    explicit_bzero(bytes, sizeof bytes);
}

static bool add_password(struct request *r, struct buf *password, struct err *e)
{
    buf_init(password, 4096);
    if (args_has(r->args, "--generate"))
        generate(password);
    else if (!cli_read_value("The password", args_flag(r->args, "--password-file"), true, password,
                             e))
        return false;
    json_write_key(&r->w, SLICE("password"));
    json_write_str(&r->w, buf_slice(password));
    return true;
}

/* Shown once, and to nobody else: it is nowhere but in its hash. */
static void end_password(const struct request *r, struct buf *password, bool is_set)
{
    if (is_set && args_has(r->args, "--generate"))
        fprintf(args_has(r->args, "--json") ? stderr : stdout,
                "its password, shown only now: %.*s\n", SLICE_ARGS(buf_slice(password)));
    if (password->len)
        explicit_bzero(password->data, password->len);
    buf_done(password);
}

/* ---- the words ------------------------------------------------------------------------------- */

static bool add(struct request *r, struct err *e)
{
    struct buf password = {0};
    bool is_invited = args_has(r->args, "--invite");
    request_str(r, "email", user_of(r));
    request_str(r, "name", args_flag(r->args, "--name"));
    request_words(r, "roles", args_flag(r->args, "--roles"));
    if (!is_invited) { /* who adds it answers for the address */
        json_write_key(&r->w, SLICE("verified"));
        json_write_bool(&r->w, true);
    }
    bool fine = is_invited || add_password(r, &password, e);
    fine = fine && request_send(r, "user.add", e) && tell(r, is_invited ? "invited" : "added");
    end_password(r, &password, fine);
    return fine;
}

static bool password(struct request *r, struct err *e)
{
    struct buf text = {0};
    request_str(r, "user", user_of(r));
    bool fine = add_password(r, &text, e) && request_send(r, "user.change", e) &&
                tell(r, "another password, and no session any more:");
    end_password(r, &text, fine);
    return fine;
}

static bool roles(struct request *r, struct err *e)
{
    if (!args_has(r->args, "--roles"))
        return err_set(e, ERR_USAGE, "say which: --roles a,b, or --roles alone for none");
    request_str(r, "user", user_of(r));
    request_words(r, "roles", args_flag(r->args, "--roles"));
    return request_send(r, "user.change", e) && tell(r, "changed the roles of");
}

static const struct cli_column columns[] = {
    {"EMAIL", "email"}, {"VERIFIED", "email_verified"}, {"NAME", "name"}, {"ROLES", "roles"},
    {"STATE", "state"}, {"CREATED", "created"},         {"ID", "id"},     {NULL, NULL}};

/* Page by page into one list. */
static bool list_all(struct request *r, struct json_writer *w, struct err *e)
{
    struct slice after = {0};
    do {
        if (after.len)
            request_again(r);
        request_str(r, "email", args_flag(r->args, "--email"));
        if (after.len) {
            json_write_key(&r->w, SLICE("after"));
            json_write_str(&r->w, after);
        }
        if (!request_send(r, "user.list", e))
            return false;
        json_each (it, request_found(r, "users"))
            json_write_value(w, it.value);
        after = arena_dup(&r->arena, json_str(request_found(r, "after")));
    } while (after.len);
    return true;
}

static void print_users(struct request *r, struct slice text)
{
    struct json_doc doc;
    struct err e;
    if (args_has(r->args, "--json")) {
        printf("{\"users\":%.*s}\n", SLICE_ARGS(text));
        return;
    }
    if (!json_parse(&doc, &r->arena, text, NULL, &e))
        fprintf(stderr, "dais user: %s\n", e.msg);
    else if (json_len(json_root(&doc)))
        cli_print_table(json_root(&doc), columns);
    else
        printf("there are none\n");
}

static bool list(struct request *r, struct err *e)
{
    struct json_writer w;
    struct buf all;
    buf_init(&all, 256u << 20);
    json_writer_init(&w, &all, 0);
    json_write_array(&w);
    bool fine = list_all(r, &w, e);
    if (fine) {
        json_write_array_end(&w);
        print_users(r, buf_slice(&all));
    }
    buf_done(&all);
    return fine;
}

static void print_row(const struct json *of, const char *key)
{
    struct buf text;
    buf_init(&text, 64u << 10);
    cli_add_shown(&text, json_str(json_find(of, slice_from(key))));
    printf("  %-10s %.*s\n", key, SLICE_ARGS(buf_slice(&text)));
    buf_done(&text);
}

static bool show(struct request *r, struct err *e)
{
    static const char *const keys[] = {"id", "email", "name", "state", "created"};
    static const struct cli_column of_sessions[] = {{"SESSION", "id"},    {"FROM", "ip"},
                                                    {"SINCE", "created"}, {"UNTIL", "expires"},
                                                    {"WITH", "agent"},    {NULL, NULL}};
    request_str(r, "user", user_of(r));
    if (!request_send(r, "user.show", e))
        return false;
    if (request_print_json(r))
        return true;
    const struct json *user = request_found(r, "user");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        print_row(user, keys[i]);
    printf("  %-10s %s\n", "verified",
           json_bool(json_find(user, SLICE("email_verified"))) ? "yes" : "no");
    printf("  %-10s ", "roles");
    json_each (it, json_find(user, SLICE("roles")))
        printf("%s%.*s", it.index ? ", " : "", SLICE_ARGS(json_str(it.value)));
    printf("\n\n");
    if (json_len(request_found(r, "sessions")))
        cli_print_table(request_found(r, "sessions"), of_sessions);
    else
        printf("signed in nowhere\n");
    return true;
}

static bool set_state(struct request *r, const char *state, const char *told, struct err *e)
{
    request_str(r, "user", user_of(r));
    request_str(r, "state", state);
    return request_send(r, "user.state", e) && tell(r, told);
}

static bool disable(struct request *r, struct err *e)
{
    return set_state(r, "disabled", "disabled", e);
}

static bool enable(struct request *r, struct err *e)
{
    return set_state(r, "active", "enabled", e);
}

static bool remove_one(struct request *r, struct err *e)
{
    struct slice question =
        arena_printf(&r->arena,
                     "This removes %s for good: the account, its sessions and keys, and the "
                     "documents and files that it owns",
                     user_of(r));
    return cli_confirm(r->args, question.ptr, e) && set_state(r, "leaving", "removed", e);
}

static bool adopt(struct request *r, struct err *e)
{
    struct slice question = arena_printf(
        &r->arena, "This gives every document and file of the user `local` to %s", user_of(r));
    if (!cli_confirm(r->args, question.ptr, e))
        return false;
    request_str(r, "user", user_of(r));
    return request_send(r, "user.adopt", e) && tell(r, "has the documents and files of local now:");
}

static const struct {
    const char *word;
    bool (*run)(struct request *r, struct err *e);
    bool has_user;
} actions[] = {{"add", add, true},       {"list", list, false},        {"show", show, true},
               {"roles", roles, true},   {"password", password, true}, {"disable", disable, true},
               {"enable", enable, true}, {"remove", remove_one, true}, {"adopt", adopt, true}};

static int run(const struct args *args)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        struct request r;
        struct err e = {0};
        if (strcmp(args->words[0], actions[i].word) != 0)
            continue;
        if (actions[i].has_user && args->n_words < 2)
            return cli_usage_error(args, "say who: an address or an id");
        request_init(&r, args, actions[i].has_user ? 2 : 1);
        int code = actions[i].run(&r, &e) ? 0 : cli_fail(args, &e);
        request_done(&r);
        return code;
    }
    return cli_usage_error(args,
                           "`%s` is not known; choose add, list, show, roles, password, "
                           "disable, enable, remove or adopt",
                           args->words[0]);
}
