/* The verb secret: values in the store, which the settings and the apps' secrets are read from. */
#include "base/clock.h"
#include "cli/ask_impl.h"
#include "keys/keys.h"
#include "manifest/manifest.h"

#include <string.h>
#include <unistd.h>

static int run(const struct args *args);

const struct verb verb_secret = {
    .name = "secret",
    .summary = "Keep secrets, encrypted, in the data folder.",
    .usage = "add|remove NAME [DIR...] | list [DIR...] | rotate [DIR...]",
    .help =
        "add     asks for the value without showing it, or takes it from standard input or --file\n"
        "list    names and where each value comes from; never a value\n"
        "remove  takes one out of the store\n"
        "rotate  encrypts all of them under a new secret of the installation\n\n"
        "Values lie in secrets.json of the data folder, encrypted under DAIS_SECRET (or under the\n"
        "file `secret` beside it). The environment, NAME_FILE and .env are stronger than the "
        "store.\n"
        "A name that is a setting (DATABASE_URL, SMTP_URL ...) is the host's, any other one "
        "app's.\n"
        "A running server reads them with `dais reload --backend`.\n\n"
        "rotate without --to-file makes a new file `secret`; with it the new DAIS_SECRET is what\n"
        "the file holds: set it before the next start. Sessions and keys stay; links in mails "
        "that\n"
        "are on their way end, and tokens of {jwt} are signed with another key from then on.\n",
    .run = run,
    .flags = {{"--app", "NAME", "Which app, where there are several.", 0},
              {"--file", "FILE", "add: the value is in this file.", 0},
              {"--to-file", "FILE", "rotate: the new DAIS_SECRET is in this file.", 0},
              {"--yes", NULL, "remove: do not ask.", 0},
              {"--json", NULL, "Print the result as JSON.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0}},
    .min_words = 1,
    .max_words = APP_DIRS_MAX + 2,
};

struct secreting {
    const struct args *args;
    struct arena arena;
    struct site *site;
    struct settings settings;
    const char *data_dir;
    struct slice given; /* DAIS_SECRET */
    struct vault vault;
    struct slice name, app; /* app empty: the host's */
};

/* ---- where ----------------------------------------------------------------------------------- */

static void find_data(struct secreting *s, size_t first_dir, struct problems *p)
{
    const struct args *args = s->args;
    s->site = site_load(&s->arena, args->words + first_dir, args->n_words - first_dir, p);
    const struct settings_sources from = {
        .dir = s->site->dir.ptr,
        .environ_ = (const char *const *)environ,
        .flags = {[SET_DATA] = args_flag(args, "--data")},
    };
    settings_load(&s->arena, &from, p, &s->settings);
    s->data_dir = settings_data_dir(&s->settings, s->site);
    s->given = settings_get(&s->settings, SET_SECRET);
}

/* Problems of the manifest that are none of ours do not keep a secret out of the store. */
static bool open_site(struct secreting *s, size_t first_dir, struct err *e)
{
    struct problems p;
    problems_init(&p, &s->arena);
    find_data(s, first_dir, &p);
    if (s->site->n_apps)
        return true;
    return err_set(e, ERR_MANIFEST, "%.*s: %.*s", SLICE_ARGS(p.n ? p.items[0].file : SLICE("")),
                   SLICE_ARGS(p.n ? p.items[0].text : SLICE("there is no app here")));
}

static bool choose_app(struct secreting *s, struct err *e)
{
    const char *wanted = args_flag(s->args, "--app");
    if (setting_is_known(s->name) && !wanted)
        return true; /* the host's */
    for (size_t i = 0; i < s->site->n_apps; i++) {
        struct slice slug = s->site->apps[i]->slug.s;
        if (wanted ? slice_is(slug, wanted) : s->site->n_apps == 1)
            s->app = slug;
    }
    if (s->app.len)
        return true;
    if (wanted)
        return err_set(e, ERR_USAGE, "there is no app `%s` here", wanted);
    return err_set(e, ERR_USAGE, "there are %zu apps here; say whose it is: --app NAME",
                   s->site->n_apps);
}

static bool is_name(struct slice s)
{
    bool fine = s.len && s.len <= 200 && !(s.ptr[0] >= '0' && s.ptr[0] <= '9');
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        fine &= c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    }
    return fine;
}

static bool check_name(struct slice name, struct err *e)
{
    if (slice_index(name, '=') >= 0) /* said without the value, which is in it */
        return err_set(e, ERR_USAGE,
                       "a value on the command line can be read by everybody on this machine, and "
                       "stays in the shell's history; give only the NAME: the value is asked for");
    if (!is_name(name))
        return err_set(e, ERR_USAGE, "`%.*s` is no name: it has letters, digits and `_`",
                       SLICE_ARGS(slice_first(name, 60)));
    if (slice_starts(name, SLICE("DAIS_")) || slice_is(name, "PORT"))
        return err_set(e, ERR_USAGE,
                       "%.*s cannot be in the store; set it in the environment or in "
                       ".env",
                       SLICE_ARGS(name));
    return true;
}

/* ---- add, remove ----------------------------------------------------------------------------- */

static bool add_to(struct secreting *s, struct slice value, struct err *e)
{
    const struct vault_entry it = {s->app, s->name, value, clock_wall_ms()};
    return vault_open_locked(&s->vault, &s->arena, s->data_dir, s->given, e) &&
           vault_put(&s->vault, &it, e) && vault_save(&s->vault, s->data_dir, s->given, e);
}

static void tell(const struct secreting *s, const char *what)
{
    struct slice whose = s->app.len ? s->app : SLICE("host");
    printf("%s %.*s of the %s%.*s; `dais reload --backend` gives it to a running server\n", what,
           SLICE_ARGS(s->name), s->app.len ? "app " : "", SLICE_ARGS(whose));
}

static bool add(struct secreting *s, struct err *e)
{
    struct buf value;
    buf_init(&value, VAULT_VALUE_MAX + 2);
    int fd = -1;
    bool fine = app_make_data(s->data_dir, e) &&
                cli_read_value("Its value", args_flag(s->args, "--file"), false, &value, e);
    fine = fine && (fd = vault_lock(s->data_dir, e)) >= 0 && add_to(s, buf_slice(&value), e);
    if (fd >= 0)
        close(fd);
    if (value.len)
        explicit_bzero(value.data, value.len);
    buf_done(&value);
    struct setting from;
    if (!fine)
        return false;
    tell(s, "stored");
    struct problems p;
    problems_init(&p, &s->arena);
    if (settings_look(&s->settings, s->name, &p, &from))
        printf("%snote:%s %.*s also comes from %.*s, which is stronger\n",
               cli_style(stdout, STYLE_YELLOW), cli_style(stdout, STYLE_OFF), SLICE_ARGS(s->name),
               SLICE_ARGS(from.from));
    return true;
}

static bool remove_from(struct secreting *s, struct err *e)
{
    if (!vault_open_locked(&s->vault, &s->arena, s->data_dir, s->given, e))
        return false;
    if (!vault_remove(&s->vault, s->app, s->name))
        return err_set(e, ERR_NOT_FOUND, "the store has no %.*s of the %s%.*s", SLICE_ARGS(s->name),
                       s->app.len ? "app " : "host", SLICE_ARGS(s->app));
    return vault_save(&s->vault, s->data_dir, s->given, e);
}

static bool remove_one(struct secreting *s, struct err *e)
{
    struct slice question =
        arena_printf(&s->arena, "This removes %.*s of the %s%.*s, and its value is nowhere else",
                     SLICE_ARGS(s->name), s->app.len ? "app " : "host", SLICE_ARGS(s->app));
    int fd = -1;
    bool fine = cli_confirm(s->args, question.ptr, e) && (fd = vault_lock(s->data_dir, e)) >= 0 &&
                remove_from(s, e);
    if (fd >= 0)
        close(fd);
    if (fine)
        tell(s, "removed");
    return fine;
}

/* ---- rotate ---------------------------------------------------------------------------------- */

static bool rotate_to(struct secreting *s, struct slice next, struct err *e)
{
    int fd = vault_lock(s->data_dir, e);
    bool fine = fd >= 0 && vault_rotate(s->data_dir, s->given, next, e);
    if (fd >= 0)
        close(fd);
    return fine;
}

static bool rotate(struct secreting *s, struct err *e)
{
    const char *file = args_flag(s->args, "--to-file");
    struct buf next;
    if (!file && s->given.len)
        return err_set(e, ERR_USAGE,
                       "the secret is DAIS_SECRET (from %.*s), which is not mine to change; write "
                       "the new one into a file and name that with --to-file",
                       SLICE_ARGS(s->settings.of[SET_SECRET].from));
    buf_init(&next, 4096);
    bool fine = app_make_data(s->data_dir, e) &&
                (!file || cli_read_value("", file, false, &next, e)) &&
                rotate_to(s, buf_slice(&next), e);
    if (next.len)
        explicit_bzero(next.data, next.len);
    buf_done(&next);
    if (fine && file)
        printf("rotated; now set DAIS_SECRET to what %s holds (or DAIS_SECRET_FILE to its path), "
               "then restart the server: with the old one it would not start\n",
               file);
    else if (fine)
        printf("rotated; `dais reload` makes a running server use the new secret\n");
    if (fine)
        printf("Sessions and keys stay. Links in mails on their way end, and tokens of {jwt} are "
               "signed with another key: whoever keeps /_/jwks.json reads it again.\n");
    return fine;
}

/* ---- list ------------------------------------------------------------------------------------ */

struct listing {
    struct secreting *s;
    struct json_writer w;
};

static void write_row(struct listing *l, struct slice app, struct slice name, struct slice from,
                      bool is_needed)
{
    struct json_writer *w = &l->w;
    json_write_object(w);
    json_write_key(w, SLICE("app"));
    if (app.len)
        json_write_str(w, app);
    else
        json_write_null(w);
    json_write_key(w, SLICE("name"));
    json_write_str(w, name);
    json_write_key(w, SLICE("from"));
    if (from.len)
        json_write_str(w, from);
    else
        json_write_null(w);
    json_write_key(w, SLICE("needed"));
    json_write_bool(w, is_needed);
    json_write_key(w, SLICE("stored"));
    json_write_bool(w, vault_find(&l->s->vault, app, name) != NULL);
    json_write_object_end(w);
}

static bool is_listed(const struct secrets *all, struct slice name)
{
    for (size_t i = 0; i < all->n; i++) {
        if (slice_eq(all->items[i].name, name))
            return true;
    }
    return false;
}

static void write_app(struct listing *l, const struct manifest *m, struct problems *p)
{
    struct secrets all;
    secrets_load(&l->s->settings, m, p, &all);
    for (size_t i = 0; i < all.n; i++)
        write_row(l, m->slug.s, all.items[i].name,
                  all.items[i].value.len ? all.items[i].from : SLICE(""), all.items[i].is_required);
    for (size_t i = 0; i < l->s->vault.n; i++) {
        const struct vault_entry *it = &l->s->vault.items[i];
        if (slice_eq(it->app, m->slug.s) && !is_listed(&all, it->name))
            write_row(l, it->app, it->name, SLICE("the store of secrets"), false);
    }
}

static bool is_served(const struct secreting *s, struct slice app)
{
    for (size_t i = 0; i < s->site->n_apps; i++) {
        if (slice_eq(s->site->apps[i]->slug.s, app))
            return true;
    }
    return false;
}

/* The host's, and those of apps that are not here (any more). */
static void write_others(struct listing *l, struct problems *p)
{
    for (size_t i = 0; i < l->s->vault.n; i++) {
        const struct vault_entry *it = &l->s->vault.items[i];
        struct setting found = {.from = SLICE("the store of secrets")};
        if (is_served(l->s, it->app))
            continue;
        if (!it->app.len)
            settings_look(&l->s->settings, it->name, p, &found);
        write_row(l, it->app, it->name, found.from, false);
    }
}

static void print_list(const struct secreting *s, struct slice text)
{
    static const struct cli_column columns[] = {
        {"APP", "app"}, {"NAME", "name"}, {"FROM", "from"}, {"NEEDED", "needed"}, {0}};
    struct json_doc doc;
    struct arena a;
    struct err e;
    if (args_has(s->args, "--json")) {
        printf("{\"secrets\":%.*s}\n", SLICE_ARGS(text));
        return;
    }
    arena_init(&a, 64u << 20);
    must(json_parse(&doc, &a, text, NULL, &e));
    if (json_len(json_root(&doc)))
        cli_print_table(json_root(&doc), columns);
    else
        printf(
            "no app here has `secrets`, and the store has none; `dais secret add NAME` adds one\n");
    arena_done(&a);
}

static bool list(struct secreting *s, struct err *e)
{
    struct problems p;
    struct listing l = {.s = s};
    struct buf text;
    problems_init(&p, &s->arena);
    app_settings_finish(&s->settings, s->site, false, &p);
    if (!vault_open(&s->vault, &s->arena, s->data_dir, s->given, e))
        return false;
    buf_init(&text, 16u << 20);
    json_writer_init(&l.w, &text, 0);
    json_write_array(&l.w);
    for (size_t i = 0; i < s->site->n_apps; i++)
        write_app(&l, s->site->apps[i], &p);
    write_others(&l, &p);
    json_write_array_end(&l.w);
    print_list(s, buf_slice(&text));
    buf_done(&text);
    return true;
}

/* ---- which ----------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    bool (*run)(struct secreting *s, struct err *e);
    bool has_name;
} actions[] = {{"add", add, true},
               {"list", list, false},
               {"remove", remove_one, true},
               {"rotate", rotate, false}};

static int act(struct secreting *s, size_t which)
{
    struct err e;
    bool fine = !actions[which].has_name || check_name(s->name, &e);
    fine = fine && open_site(s, actions[which].has_name ? 2 : 1, &e) &&
           (!actions[which].has_name || choose_app(s, &e)) && actions[which].run(s, &e);
    return fine ? 0 : cli_fail(s->args, &e);
}

static int run(const struct args *args)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (strcmp(args->words[0], actions[i].word) != 0)
            continue;
        if (actions[i].has_name && args->n_words < 2)
            return cli_usage_error(args, "a NAME is missing");
        struct secreting s = {.args = args};
        arena_init(&s.arena, (size_t)1 << 30);
        if (actions[i].has_name)
            s.name = slice_from(args->words[1]);
        int code = act(&s, i);
        arena_done(&s.arena);
        return code;
    }
    return cli_usage_error(args, "`%s` is not known; choose add, list, remove or rotate",
                           args->words[0]);
}
