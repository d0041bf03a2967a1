/* The verb backup: makes backups beside a server, lists them, reads them again, brings one back. */
#include "base/clock.h"
#include "base/nearest.h"
#include "cli/backup_impl.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TELL_MS 200

static int run(const struct args *args);

const struct verb verb_backup = {
    .name = "backup",
    .summary = "Make backups of what apps keep, list and verify them, bring one back.",
    .usage = "create|list|verify|restore [DIR...] [--app NAME] [--at NAME]",
    .help =
        "create   makes one of each app and of the operators, beside a server or without one:\n"
        "         documents, histories, files, accounts and jobs as they were at one moment\n"
        "list     those there are, newest first\n"
        "verify   reads one again, all of it; the exit code is 10 when something is damaged\n"
        "restore  replaces what an app keeps by what a backup holds, in SQLite or Postgres, in\n"
        "         the data folder or an object store; the server must be stopped. What is there\n"
        "         is backed up first, into the folder that is restored from; `list` says that a\n"
        "         restore made it, and the latest is never that one. Each app is restored at once\n"
        "         or not at all, several one after the other. Keys that were revoked since and\n"
        "         passwords that were changed since are as they were then\n\n"
        "They are in the folder that `backups.to` of dais.yaml names (data/backups), each app's "
        "in\n"
        "one of its own; files that several backups hold are there once. Without --at the latest\n"
        "one is meant. The operators' are called `_host`. Not in a backup: the secret and the\n"
        "store of secrets (keep data/secret or DAIS_SECRET elsewhere), sessions, letters that "
        "wait\n"
        "to be sent, and paths of `persist`. create ends with 10 when files were missing or\n"
        "damaged already: the backup has all the others.\n",
    .run = run,
    .flags = {{"--app", "NAME", "Only this app's; `_host` for the operators'.", 0},
              {"--at", "NAME", "verify, restore: which one; else the latest.", 0},
              {"--to", "PLACE", "create: the folder they go into.", 0},
              {"--from", "PLACE", "list, verify, restore: the folder they are in.", 0},
              {"--prune", NULL, "create: then drop what `backups.keep` does not need.", 0},
              {"--unless", "AGE", "create: not where one is younger, such as 1h.", 0},
              {"--no-backup", NULL, "restore: what is there is not backed up first.", 0},
              {"--from-app", "NAME", "restore: into the app of --app, what was backed up of this.",
               0},
              {"--despite-damage", NULL, "restore: all but contents of files that are damaged.", 0},
              {"--yes", NULL, "restore: do not ask.", 0},
              {"--json", NULL, "Print the result as JSON.", 0},
              {"--data", "DIR", "Where data is, as for `dais serve`.", 0}},
    .min_words = 1,
    .max_words = APP_DIRS_MAX + 1,
};

/* ---- progress, on a terminal ----------------------------------------------------------------- */

void backing_clear_line(struct backing *r)
{
    if (r->is_line_open)
        fputs("\r\033[K", stderr);
    r->is_line_open = false;
}

static void show_progress(void *user, uint64_t rows, uint64_t contents, uint64_t all)
{
    struct backing *r = user;
    int64_t now = clock_mono_ms();
    if (!r->shows_progress || now - r->told_ms < TELL_MS)
        return;
    r->told_ms = now;
    r->is_line_open = true;
    fprintf(stderr, "\r\033[K%.*s: %llu rows", SLICE_ARGS(r->unit->slug), (unsigned long long)rows);
    if (all)
        fprintf(stderr, ", %llu of %llu contents", (unsigned long long)contents,
                (unsigned long long)all);
    fflush(stderr);
}

static void tell_lost(void *user, struct slice hash, const struct err *why)
{
    struct backing *r = user;
    r->lost++;
    backing_clear_line(r);
    if (!r->is_json)
        printf("%.*s: content %.*s: %s\n", SLICE_ARGS(r->unit->slug), SLICE_ARGS(hash), why->msg);
}

struct keep_hearer backing_hearer(struct backing *r)
{
    return (struct keep_hearer){.progress = show_progress, .lost = tell_lost, .user = r};
}

/* ---- what is told ---------------------------------------------------------------------------- */

void backing_str(struct backing *r, const char *key, struct slice text)
{
    json_write_key(&r->w, slice_from(key));
    json_write_str(&r->w, text);
}

void backing_count(struct backing *r, const char *key, uint64_t n)
{
    json_write_key(&r->w, slice_from(key));
    json_write_u64(&r->w, n);
}

const char *backing_size(uint64_t bytes, char to[BACKING_SIZE])
{
    if (bytes < 1000)
        snprintf(to, BACKING_SIZE, "%d B", (int)bytes);
    else if (bytes < 1000000)
        snprintf(to, BACKING_SIZE, "%.1f KB", (double)bytes / 1e3);
    else if (bytes < 1000000000)
        snprintf(to, BACKING_SIZE, "%.1f MB", (double)bytes / 1e6);
    else
        snprintf(to, BACKING_SIZE, "%.1f GB", (double)bytes / 1e9);
    return to;
}

const char *backing_time(int64_t ms, char to[BACKING_TIME])
{
    time_t at = (time_t)(ms / 1000);
    struct tm tm;
    if (!gmtime_r(&at, &tm) || !strftime(to, BACKING_TIME, "%Y-%m-%d %H:%M:%S UTC", &tm))
        to[0] = '\0';
    return to;
}

void backing_open_item(struct backing *r, const struct keep_entry *entry)
{
    char time[RFC3339_LEN + 1];
    json_write_object(&r->w);
    backing_str(r, "app", r->unit->slug);
    backing_str(r, "name", slice_from(entry->name));
    if (entry->why_damaged[0])
        return;
    clock_rfc3339(entry->made_ms, time);
    backing_str(r, "made", slice_from(time));
    json_write_key(&r->w, SLICE("of_restore"));
    json_write_bool(&r->w, entry->is_of_restore);
    backing_count(r, "rows", entry->rows);
    backing_count(r, "contents", entry->contents);
    backing_count(r, "bytes", entry->content_bytes);
    backing_count(r, "rows_bytes", entry->rows_bytes);
}

/* ---- create ---------------------------------------------------------------------------------- */

static void tell_made(struct backing *r, const struct keep_entry *entry, double seconds)
{
    char size[BACKING_SIZE], packed[BACKING_SIZE];
    backing_clear_line(r);
    if (r->is_json)
        return;
    printf("%.*s: %s: %llu row%s (%s packed), %llu content%s of files (%s, %llu new), %.1f s\n",
           SLICE_ARGS(r->unit->slug), entry->name, BACKING_COUNT(entry->rows),
           backing_size(entry->rows_bytes, packed), BACKING_COUNT(entry->contents),
           backing_size(entry->content_bytes, size), (unsigned long long)entry->copied, seconds);
    if (entry->lost)
        printf("%.*s: not in it: %llu content%s, missing or damaged in the store; `dais verify` "
               "says of which files\n",
               SLICE_ARGS(r->unit->slug), BACKING_COUNT(entry->lost));
}

bool backing_create(struct backing *r, struct app_unit *u, struct keep *k, bool is_first_step,
                    struct keep_entry *ret, struct err *e)
{
    const struct keep_hearer to = backing_hearer(r);
    int64_t began = clock_mono_ms();
    backing_stops(is_first_step
                      ? "\ndais backup: stopped; nothing was changed\n"
                      : "\ndais backup: stopped; what was not told of yet was not made\n");
    r->unit = u;
    r->lost = 0;
    u->from.is_of_restore = is_first_step;
    if (!keep_create(k, &u->from, &to, &r->arena, ret, e)) {
        backing_clear_line(r);
        return false;
    }
    tell_made(r, ret, (double)(clock_mono_ms() - began) / 1e3);
    if (ret->lost && !is_first_step && !r->has_failed)
        r->exit_code = EXIT_DAMAGE;
    return true;
}

static void tell_persist(const struct backing *r)
{
    const struct texts *persist = r->unit->persist;
    if (!persist || !persist->n || r->is_json)
        return;
    printf("%.*s: not in it, because paths of `persist` are not in backups yet:",
           SLICE_ARGS(r->unit->slug));
    for (size_t i = 0; i < persist->n; i++)
        printf("%s %.*s", i ? "," : "", SLICE_ARGS(persist->items[i].s));
    printf("; copy %s yourself\n", persist->n == 1 ? "it" : "them");
}

static bool prune(struct backing *r, struct keep *k, uint64_t *ret_n, struct err *e)
{
    const struct keep_hearer to = backing_hearer(r);
    *ret_n = 0;
    if (!args_has(r->args, "--prune"))
        return true;
    bool fine = keep_prune(k, &r->unit->rule, &to, ret_n, e) ||
                err_prefix(e, "the backup was made, but while older ones were dropped");
    backing_clear_line(r);
    if (fine && *ret_n && !r->is_json)
        printf("%.*s: %llu older dropped, which `backups.keep` does not need\n",
               SLICE_ARGS(r->unit->slug), (unsigned long long)*ret_n);
    return fine;
}

static bool create_in(struct backing *r, struct app_unit *u, struct keep *k, struct err *e)
{
    struct keep_entry entry;
    uint64_t dropped;
    if (!backing_create(r, u, k, false, &entry, e) || !prune(r, k, &dropped, e))
        return false;
    if (!r->is_json)
        printf("%.*s: in %s\n", SLICE_ARGS(u->slug), u->dir);
    tell_persist(r);
    backing_open_item(r, &entry);
    backing_count(r, "copied", entry.copied);
    backing_count(r, "lost", entry.lost);
    backing_count(r, "dropped", dropped);
    backing_str(r, "dir", slice_from(u->dir));
    json_write_object_end(&r->w);
    return true;
}

/* Of the operators nothing is told while there are none. */
static bool tell_nothing(const struct backing *r, const struct app_unit *u)
{
    if (u->app && !r->is_json)
        printf("%.*s: nothing is stored yet\n", SLICE_ARGS(u->slug));
    return true;
}

/* *ret: one of them is younger than --unless says. One of the future is of a clock that was wrong,
 * and what a restore replaced is not what is there now. */
static bool is_young(struct backing *r, const struct app_unit *u, int64_t age_ms, bool *ret,
                     struct err *e)
{
    struct keep_entry *list;
    size_t n;
    *ret = false;
    if (!age_ms)
        return true;
    if (!backing_list(r, u, &list, &n, e))
        return false;
    size_t i = 0;
    int64_t now_ms = clock_wall_ms();
    while (i < n && (list[i].why_damaged[0] || list[i].is_of_restore || list[i].made_ms > now_ms))
        i++;
    *ret = i < n && now_ms - list[i].made_ms < age_ms;
    if (*ret && !r->is_json)
        printf("%.*s: %s is young enough\n", SLICE_ARGS(u->slug), list[i].name);
    return true;
}

static bool create_one(struct backing *r, struct app_unit *u, int64_t age_ms, struct err *e)
{
    bool young;
    r->unit = u;
    if (!is_young(r, u, age_ms, &young, e))
        return false;
    if (young)
        return true;
    if (!app_backups_look(r->b, u, e))
        return e->code == ERR_NOT_FOUND && tell_nothing(r, u);
    struct keep *k = keep_open(u->dir, true, e);
    bool fine = k && create_in(r, u, k, e);
    keep_close(k);
    return fine || (k && e->code == ERR_NOT_FOUND && tell_nothing(r, u));
}

/* The exit code is the first one's, and counts more than contents that are lost. That another one
 * is being made counts least: a timer takes it for success. */
static void tell_failure(struct backing *r, struct err *e)
{
    backing_clear_line(r);
    fflush(stdout);
    err_prefix(e, "%.*s", SLICE_ARGS(r->unit->slug));
    int code = cli_fail(r->args, e);
    if (!r->exit_code || (e->code != ERR_LOCKED && !r->has_failed))
        r->exit_code = code;
    r->has_failed |= e->code != ERR_LOCKED;
}

/* One that cannot be made keeps no other from being made. */
static bool create(struct backing *r, struct err *e)
{
    const char *unless = args_flag(r->args, "--unless");
    int64_t age_ms = 0;
    struct err why;
    if (unless && (!duration_parse(slice_from(unless), &age_ms) || age_ms <= 0))
        return err_set(e, ERR_USAGE, "--unless is an age such as 30m, 6h or 2d");
    if (!app_backups_have_data(r->b, e) || !app_backups_are_private(r->b, e))
        return false;
    for (size_t i = 0; i < r->b->n; i++) {
        if (!create_one(r, &r->b->units[i], age_ms, &why))
            tell_failure(r, &why);
    }
    app_backups_give(r->b);
    return true;
}

/* ---- list ------------------------------------------------------------------------------------ */

bool backing_list(struct backing *r, const struct app_unit *u, struct keep_entry **ret,
                  size_t *ret_n, struct err *e)
{
    struct keep *k = keep_open(u->dir, false, e);
    *ret_n = 0;
    if (!k)
        return e->code == ERR_NOT_FOUND;
    bool fine = keep_list(k, &r->arena, ret, ret_n, e);
    keep_close(k);
    return fine;
}

static struct slice state_of(const struct backing *r, const struct keep_entry *entry)
{
    if (entry->why_damaged[0])
        return SLICE("damaged");
    return entry->is_of_restore && !r->is_json ? SLICE("complete, made by a restore")
                                               : SLICE("complete");
}

static void list_entry(struct backing *r, const struct keep_entry *entry)
{
    char time[BACKING_TIME], size[BACKING_SIZE];
    bool is_damaged = entry->why_damaged[0] != '\0';
    backing_open_item(r, entry);
    if (!is_damaged)
        backing_count(r, "lost", entry->lost);
    backing_str(r, "state", state_of(r, entry));
    if (is_damaged)
        backing_str(r, "why", slice_from(entry->why_damaged));
    else if (!r->is_json) { /* for the table */
        backing_str(r, "when", slice_from(backing_time(entry->made_ms, time)));
        backing_str(r, "size",
                    slice_from(backing_size(entry->rows_bytes + entry->content_bytes, size)));
    }
    json_write_object_end(&r->w);
}

static bool list(struct backing *r, struct err *e)
{
    for (size_t i = 0; i < r->b->n; i++) {
        struct keep_entry *all;
        size_t n;
        r->unit = &r->b->units[i];
        if (!backing_list(r, r->unit, &all, &n, e))
            return false;
        for (size_t k = 0; k < n; k++)
            list_entry(r, &all[k]);
    }
    return true;
}

/* Of those that cannot be read the reason follows below. */
static bool print_list(struct backing *r, struct err *e)
{
    static const struct cli_column columns[] = {
        {"APP", "app"},   {"NAME", "name"},      {"MADE", "when"},
        {"ROWS", "rows"}, {"FILES", "contents"}, {"SIZE", "size"},
        {"LOST", "lost"}, {"STATE", "state"},    {NULL, NULL}};
    struct json_doc doc;
    json_write_array_end(&r->w);
    if (!json_parse(&doc, &r->arena, buf_slice(&r->text), NULL, e))
        return false;
    if (!json_len(json_root(&doc))) {
        printf("there are none yet in %s; `dais backup create` makes one\n", r->b->units[0].dir);
        return true;
    }
    cli_print_table(json_root(&doc), columns);
    json_each (it, json_root(&doc)) {
        struct slice why = json_str(json_find(it.value, SLICE("why")));
        if (why.len)
            printf("%.*s: %.*s\n", SLICE_ARGS(json_str(json_find(it.value, SLICE("name")))),
                   SLICE_ARGS(why));
    }
    return true;
}

/* ---- which one ------------------------------------------------------------------------------- */

static const char *wanted(const struct backing *r)
{
    const char *at = args_flag(r->args, "--at");
    return at ? at : "latest";
}

struct slice backing_wanted(const struct backing *r, const struct app_unit *u)
{
    const char *other = args_flag(r->args, "--from-app");
    return other ? slice_from(other) : u->slug;
}

/* Another app's: from the folder that has its name, else from this app's. */
static struct keep *open_other(struct backing *r, const struct app_unit *u, struct err *e)
{
    struct slice dir = slice_from(u->dir), other = backing_wanted(r, u);
    dir.len -= u->slug.len;
    struct slice path = arena_printf(&r->arena, "%.*s%.*s", SLICE_ARGS(dir), SLICE_ARGS(other));
    struct keep *k = slice_search(other, SLICE("/")) < 0 ? keep_open(path.ptr, false, e) : NULL;
    return k ? k : keep_open(u->dir, false, e);
}

static struct keep *open_own(const struct app_unit *u, bool is_writer, struct err *e)
{
    struct keep *k = keep_open(u->dir, false, e); /* it is not made for this */
    if (!k || !is_writer)
        return k;
    keep_close(k);
    return keep_open(u->dir, true, e);
}

void backing_tell_other(struct backing *r, struct keep *k, const char *than)
{
    struct keep_entry *all;
    size_t n, i = 0;
    if (!keep_list(k, &r->arena, &all, &n, NULL))
        return;
    while (i < n && (all[i].why_damaged[0] || all[i].is_of_restore || !strcmp(all[i].name, than)))
        i++;
    if (i < n)
        fprintf(stderr, "Another one is %s: `--at %s` takes that.\n", all[i].name, all[i].name);
}

/* What other units do not have is no mistake, as a name is of one of them. */
static bool choose_of(struct backing *r, bool is_writer, struct chosen *c, struct err *e)
{
    struct keep *k = args_has(r->args, "--from-app") ? open_other(r, c->unit, e)
                                                     : open_own(c->unit, is_writer, e);
    if (k && keep_find(k, slice_from(wanted(r)), &r->arena, &c->entry, e)) {
        c->keep = k;
        return true;
    }
    if (k && e->code != ERR_NOT_FOUND && c->entry.name[0])
        backing_tell_other(r, k, c->entry.name);
    keep_close(k);
    return false;
}

bool backing_choose(struct backing *r, bool is_writer, struct chosen *ret, struct err *e)
{
    bool any = false;
    struct err why;
    for (size_t i = 0; i < r->b->n; i++)
        ret[i] = (struct chosen){.unit = &r->b->units[i]};
    for (size_t i = 0; i < r->b->n; i++) {
        if (choose_of(r, is_writer, &ret[i], &why))
            any = true;
        else if (why.code != ERR_NOT_FOUND) {
            *e = why;
            return err_prefix(e, "%s", ret[i].unit->dir);
        } else if (i == 0) {
            *e = why;
        }
    }
    if (!any)
        return err_prefix(e, "%s", ret[0].unit->dir);
    for (size_t i = 0; i < r->b->n && !r->is_json && !args_has(r->args, "--at"); i++) {
        if (!ret[i].keep && ret[i].unit->app)
            printf("%.*s: there is no backup of it\n", SLICE_ARGS(ret[i].unit->slug));
    }
    return true;
}

void backing_leave(struct backing *r, struct chosen *all)
{
    for (size_t i = 0; i < r->b->n; i++)
        keep_close(all[i].keep);
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* A content that is there is not copied again, whatever is in it; one that was set aside is. */
static void tell_cure(const struct backing *r, const struct keep_verdict *v)
{
    if (v->contents && v->aside == v->damaged)
        printf("%.*s: `dais backup create` copies what is told above again from what the app has\n",
               SLICE_ARGS(r->unit->slug));
    else if (v->contents)
        printf("%.*s: remove what is told above from %s/contents, then `dais backup create` copies "
               "it again from what the app has\n",
               SLICE_ARGS(r->unit->slug), r->unit->dir);
    else
        printf("%.*s: `dais backup list` shows others; `dais backup create` makes another one\n",
               SLICE_ARGS(r->unit->slug));
}

static void tell_verdict(struct backing *r, const struct keep_entry *entry,
                         const struct keep_verdict *v)
{
    backing_clear_line(r);
    if (v->why[0])
        r->exit_code = EXIT_DAMAGE;
    backing_open_item(r, entry);
    backing_str(r, "state", v->why[0] ? SLICE("damaged") : SLICE("whole"));
    backing_str(r, "why", slice_from(v->why));
    backing_count(r, "damaged", v->damaged);
    backing_count(r, "missing", v->missing);
    backing_count(r, "lost", entry->lost);
    json_write_object_end(&r->w);
    if (r->is_json)
        return;
    printf("%.*s: %s: ", SLICE_ARGS(r->unit->slug), entry->name);
    if (v->why[0])
        printf("damaged: %s\n", v->why);
    else
        printf("%llu row%s and %llu content%s of files, all as written%s\n", BACKING_COUNT(v->rows),
               BACKING_COUNT(v->contents - v->missing),
               v->missing ? ", but for what is told above" : "");
    if (v->why[0])
        tell_cure(r, v);
    if (entry->lost)
        printf("%.*s: %llu content%s missing or damaged in the app already when it was made, and "
               "never in it; `dais verify` says of which files\n",
               SLICE_ARGS(r->unit->slug), BACKING_COUNT(entry->lost));
}

static bool verify_chosen(struct backing *r, struct chosen *all, struct err *e)
{
    const struct keep_hearer to = backing_hearer(r);
    for (size_t i = 0; i < r->b->n; i++) {
        struct keep_verdict v = {0};
        if (!all[i].keep)
            continue;
        r->unit = all[i].unit;
        bool fine = keep_verify(all[i].keep, &all[i].entry, &to, &v, e);
        backing_clear_line(r);
        if (!fine)
            return false;
        tell_verdict(r, &all[i].entry, &v);
    }
    return true;
}

static bool verify(struct backing *r, struct err *e)
{
    struct chosen *all = arena_zalloc(&r->arena, r->b->n * sizeof *all);
    bool fine = backing_choose(r, false, all, e) && verify_chosen(r, all, e);
    backing_leave(r, all);
    return fine;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static const struct {
    const char *word, *place, *done;
    bool (*run)(struct backing *r, struct err *e);
    bool (*print)(struct backing *r, struct err *e); /* without --json; may be NULL */
} actions[] = {
    {"create", "--to", "made", create, NULL},
    {"list", "--from", "backups", list, print_list},
    {"verify", "--from", "verified", verify, NULL},
    {"restore", "--from", "restored", backing_restore, NULL},
};
#define N_ACTIONS (sizeof actions / sizeof *actions)

static void print_json(struct backing *r, const char *done)
{
    json_write_array_end(&r->w);
    printf("{\"ok\":%s,\"%s\":%.*s}\n", r->exit_code ? "false" : "true", done, (int)r->text.len,
           r->text.data);
}

static int run_action(const struct args *args, size_t i)
{
    struct err e = {0};
    struct backing r = {.args = args,
                        .options = {.dirs = args->words + 1,
                                    .n_dirs = args->n_words - 1,
                                    .data = args_flag(args, "--data")},
                        .is_json = args_has(args, "--json")};
    r.shows_progress = isatty(STDERR_FILENO) && !r.is_json;
    arena_init(&r.arena, 1u << 30);
    buf_init(&r.text, 256u << 20);
    json_writer_init(&r.w, &r.text, 0);
    json_write_array(&r.w);
    r.b = app_backups_open(&r.options, args_flag(args, actions[i].place), args_flag(args, "--app"),
                           &e);
    bool fine = r.b && actions[i].run(&r, &e);
    if (fine && r.is_json)
        print_json(&r, actions[i].done);
    else if (fine && actions[i].print)
        fine = actions[i].print(&r, &e);
    if (r.b)
        app_backups_close(r.b);
    buf_done(&r.text);
    arena_done(&r.arena);
    fflush(stdout); /* what was made, before why another was not */
    return fine ? r.exit_code : cli_fail(args, &e);
}

/* A flag that would be ignored was meant otherwise. */
static const char *useless(const struct args *args, const char *word)
{
    static const struct {
        const char *flag, *words;
    } rows[] = {{"--to", "create"},         {"--from", "list verify restore"},
                {"--at", "verify restore"}, {"--prune", "create"},
                {"--unless", "create"},     {"--no-backup", "restore"},
                {"--from-app", "restore"},  {"--despite-damage", "restore"},
                {"--yes", "restore"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (args_has(args, rows[i].flag) && !strstr(rows[i].words, word))
            return rows[i].flag;
    }
    return NULL;
}

static int run(const struct args *args)
{
    const char *word = args->words[0], *flag;
    size_t i = 0;
    while (i < N_ACTIONS && strcmp(actions[i].word, word) != 0)
        i++;
    if (i == N_ACTIONS)
        return cli_usage_error(args, "`%s` is not known; choose create, list, verify or restore",
                               word);
    if ((flag = useless(args, word)))
        return cli_usage_error(args, "%s is not for `%s`", flag, word);
    return run_action(args, i);
}
