/* dais backup restore: what apps keep becomes what their backups hold.
 *
 *   choose   which backup of which app, and that no server runs
 *   check    all of them can be read, before the first is brought back
 *   keep     what is there now becomes a backup itself
 *   restore  one after the other, each at once */
#include "base/clock.h"
#include "cli/backup_impl.h"

#include <stdio.h>
#include <string.h>

static bool is_first(const struct chosen *all, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (all[k].keep)
            return false;
    }
    return true;
}

/* What is another app's would be taken for this one's: other collections, other accounts. */
static bool are_of_whom(struct backing *r, const struct chosen *all, struct err *e)
{
    bool has_other = args_has(r->args, "--from-app");
    for (size_t i = 0; i < r->b->n; i++) {
        const struct chosen *c = &all[i];
        struct slice wanted = backing_wanted(r, c->unit);
        bool is_mixed = has_other && (!c->unit->app || slice_is(wanted, "_host"));
        if (!c->keep || (slice_eq(c->entry.app, wanted) && !is_mixed))
            continue;
        if (is_mixed || !c->unit->app || slice_is(c->entry.app, "_host"))
            return err_set(e, ERR_USAGE, "backups of operators are no app's: %s is of %.*s",
                           c->entry.name, SLICE_ARGS(c->entry.app));
        return err_set(e, ERR_USAGE,
                       "the backup %s is of the app `%.*s`; `--app %.*s --from-app %.*s` brings it "
                       "back into `%.*s`",
                       c->entry.name, SLICE_ARGS(c->entry.app), SLICE_ARGS(c->unit->slug),
                       SLICE_ARGS(c->entry.app), SLICE_ARGS(c->unit->slug));
    }
    return true;
}

static bool is_one_app(const struct backing *r, struct err *e)
{
    return !args_has(r->args, "--from-app") || args_has(r->args, "--app") ||
           err_set(e, ERR_USAGE, "--from-app needs --app: into which app?");
}

static bool ask(struct backing *r, const struct chosen *all, struct err *e)
{
    struct buf text;
    char time[BACKING_TIME];
    buf_init(&text, 64u << 10);
    buf_add_str(&text, "This replaces all that is kept");
    for (size_t i = 0; i < r->b->n; i++) {
        if (all[i].keep)
            buf_printf(&text, "%s %.*s by its backup %s of %s", is_first(all, i) ? " of" : ", of",
                       SLICE_ARGS(all[i].unit->slug), all[i].entry.name,
                       backing_time(all[i].entry.made_ms, time));
    }
    if (r->b->is_postgres)
        buf_add_str(&text, "; stop every server that uses this database first, on other machines "
                           "too");
    buf_add_char(&text, '\0');
    bool fine = cli_confirm(r->args, text.data, e);
    buf_done(&text);
    return fine;
}

/* The first one is read by its own restore, before anything is changed. */
static bool check(struct backing *r, const struct chosen *all, struct err *e)
{
    const struct keep_hearer to = backing_hearer(r);
    for (size_t i = 0; i < r->b->n; i++) {
        struct keep_verdict v = {0};
        if (!all[i].keep || is_first(all, i))
            continue;
        r->unit = all[i].unit;
        bool fine = keep_verify(all[i].keep, &all[i].entry, &to, &v, e);
        backing_clear_line(r);
        if (!fine)
            return false;
        bool is_of_contents = v.contents > 0;
        if (v.why[0] && !(is_of_contents && args_has(r->args, "--despite-damage")))
            return err_set(e, ERR_DAMAGED,
                           "%.*s: nothing was changed, as the backup %s is damaged: %s",
                           SLICE_ARGS(r->unit->slug), all[i].entry.name, v.why);
    }
    return true;
}

/* Nobody can go on without the database. */
static void tell_without(const struct backing *r, const struct err *why)
{
    bool is_away = why->code == ERR_UNAVAILABLE || why->code == ERR_UNREACHABLE;
    if (!r->b->is_postgres || !is_away)
        fputs("--no-backup goes on without one.\n", stderr);
}

/* Beside what is there already: with --from-app `c->keep` is another app's. */
static bool make_present(struct backing *r, const struct chosen *c, struct keep_entry *ret,
                         struct err *e)
{
    if (!args_has(r->args, "--from-app"))
        return backing_create(r, c->unit, c->keep, true, ret, e);
    struct keep *k = keep_open(c->unit->dir, true, e);
    bool fine = k && backing_create(r, c->unit, k, true, ret, e);
    keep_close(k);
    return fine;
}

/* *ret_name: "" where nothing is there. */
static bool keep_present(struct backing *r, const struct chosen *c,
                         char ret_name[KEEP_NAME_LEN + 1], struct err *e)
{
    struct keep_entry entry;
    struct err why;
    ret_name[0] = '\0';
    bool fine = app_backups_look(r->b, c->unit, &why) && make_present(r, c, &entry, &why);
    if (fine)
        memcpy(ret_name, entry.name, sizeof entry.name);
    if (fine || why.code == ERR_NOT_FOUND)
        return true;
    *e = why;
    tell_without(r, e);
    return err_prefix(e, "%.*s: nothing was changed; backing up what is there now",
                      SLICE_ARGS(c->unit->slug));
}

/* ---- one ------------------------------------------------------------------------------------- */

/* Its secret is another one, or there is none yet. */
static bool is_of_another(const struct chosen *c)
{
    const char *of = c->entry.secret_mark;
    return of[0] && strcmp(of, c->unit->from.secret_mark) != 0;
}

static void tell(struct backing *r, const struct chosen *c, const char *kept, double seconds)
{
    char size[BACKING_SIZE];
    backing_clear_line(r);
    backing_open_item(r, &c->entry);
    json_write_key(&r->w, SLICE("present"));
    json_write_cstr(&r->w, kept[0] ? kept : NULL);
    json_write_key(&r->w, SLICE("same_secret"));
    json_write_bool(&r->w, !is_of_another(c));
    json_write_object_end(&r->w);
    if (r->is_json)
        return;
    printf("%.*s: restored %s: %llu row%s, %llu content%s of files (%s), %.1f s\n",
           SLICE_ARGS(c->unit->slug), c->entry.name, BACKING_COUNT(c->entry.rows),
           BACKING_COUNT(c->entry.contents), backing_size(c->entry.content_bytes, size), seconds);
    if (kept[0])
        printf("%.*s: what was there before is the backup %s in %s; `--at %s` brings it back, and "
               "the latest is never it\n",
               SLICE_ARGS(c->unit->slug), kept, c->unit->dir, kept);
    if (c->entry.lost || r->lost)
        printf("%.*s: without %llu content%s; `dais verify` says of which files\n",
               SLICE_ARGS(c->unit->slug),
               BACKING_COUNT(c->entry.lost > r->lost ? c->entry.lost : r->lost));
}

/* From here to the end of the restore nobody stops it: it is a moment. */
static bool finish(void *user, const struct db_options *made, struct err *e)
{
    const struct keep_target *own = user;
    bool fine = !own->finish || own->finish(own->user, made, e);
    backing_hold(true);
    return fine;
}

static bool change(const struct chosen *c, const struct keep_hearer *to, struct err *e)
{
    struct keep_target own = c->unit->into, into = own;
    into.finish = finish;
    into.user = &own;
    bool fine = keep_restore(c->keep, &c->entry, &into, to, e);
    if (fine)
        backing_stops("\ndais backup: stopped; what is told of is restored, the others are as they "
                      "were\n");
    backing_hold(false);
    return fine;
}

static bool restore_one(struct backing *r, const struct chosen *c, const char *kept, struct err *e)
{
    const struct keep_hearer to = backing_hearer(r);
    int64_t began = clock_mono_ms();
    r->unit = c->unit;
    r->lost = 0;
    c->unit->into.takes_damaged = args_has(r->args, "--despite-damage");
    bool fine = app_backups_make(r->b, c->unit, c->entry.contents > 0, e) && change(c, &to, e);
    backing_clear_line(r);
    if (!fine && e->code == ERR_DAMAGED)
        backing_tell_other(r, c->keep, c->entry.name);
    if (!fine && e->code == ERR_DAMAGED && r->lost)
        fputs("--despite-damage brings back all but these; their files are told to be damaged.\n",
              stderr);
    if (!fine)
        return err_prefix(e, "%.*s: %s", SLICE_ARGS(c->unit->slug), c->entry.name);
    tell(r, c, kept, (double)(clock_mono_ms() - began) / 1e3);
    return true;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void tell_commands(const struct backing *r)
{
    fputs("Next: `dais serve", stdout);
    for (size_t i = 0; i < r->options.n_dirs; i++)
        printf(" %s", r->options.dirs[i]);
    fputs("`, where everybody signs in again, then `dais verify", stdout);
    for (size_t i = 0; i < r->options.n_dirs; i++)
        printf(" %s", r->options.dirs[i]);
    puts("`.");
}

static void tell_next(const struct backing *r, const struct chosen *all)
{
    bool is_foreign = false;
    for (size_t i = 0; i < r->b->n; i++)
        is_foreign |= all[i].keep && is_of_another(&all[i]);
    if (is_foreign)
        fprintf(stderr,
                "The backup was made under another secret than this data folder has. Put that "
                "secret back (data/secret, or DAIS_SECRET) before `dais serve`; else links of "
                "before do not work, and stored secrets cannot be read.\n");
    if (!r->is_json)
        tell_commands(r);
}

static bool restore_all(struct backing *r, const struct chosen *all, struct err *e)
{
    char(*kept)[KEEP_NAME_LEN + 1] = arena_zalloc(&r->arena, r->b->n * sizeof *kept);
    bool wants_present = !args_has(r->args, "--no-backup");
    backing_stops("\ndais backup: stopped; nothing was changed\n");
    for (size_t i = 0; i < r->b->n; i++) {
        if (all[i].keep && wants_present && !keep_present(r, &all[i], kept[i], e))
            return false;
    }
    for (size_t i = 0; i < r->b->n; i++) {
        if (all[i].keep && !restore_one(r, &all[i], kept[i], e))
            return false;
    }
    tell_next(r, all);
    return true;
}

bool backing_restore(struct backing *r, struct err *e)
{
    struct chosen *all = arena_zalloc(&r->arena, r->b->n * sizeof *all);
    bool writes = !args_has(r->args, "--no-backup");
    bool fine = (!writes || app_backups_are_private(r->b, e)) && is_one_app(r, e) &&
                backing_choose(r, writes, all, e) && are_of_whom(r, all, e) &&
                app_backups_own(r->b, e) && ask(r, all, e) && check(r, all, e) &&
                restore_all(r, all, e);
    backing_leave(r, all);
    app_backups_give(r->b);
    return fine;
}
