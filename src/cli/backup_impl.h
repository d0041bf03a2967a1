/* What the files of the verb backup share: what is told while it works, and of a backup. */
#pragma once
#include "app/app.h"
#include "cli/ask_impl.h"

struct backing {
    const struct args *args;
    struct app_options options;
    struct app_backups *b;
    struct arena arena;
    struct buf text; /* JSON: what was done, or rows of a table */
    struct json_writer w;
    const struct app_unit *unit; /* the present one */
    int exit_code;               /* of what was done and yet is not 0 */
    bool has_failed;             /* for more than that another one is being made */
    uint64_t lost;               /* told of the present one */
    int64_t told_ms;
    bool is_json, shows_progress, is_line_open;
};

#define EXIT_DAMAGE 10

/* For keep_create() and the others: a line that changes, on a terminal, and lost contents. */
struct keep_hearer backing_hearer(struct backing *r);
void backing_clear_line(struct backing *r);

/* Members of the JSON that is printed in the end. */
void backing_str(struct backing *r, const char *key, struct slice text);
void backing_count(struct backing *r, const char *key, uint64_t n);
/* {"app":…,"name":…,"made":… and counts; closed by the caller. */
void backing_open_item(struct backing *r, const struct keep_entry *entry);

/* For "%llu content%s" */
#define BACKING_COUNT(n) (unsigned long long)(n), (n) == 1 ? "" : "s"

/* "12.3 MB" */
#define BACKING_SIZE 32
const char *backing_size(uint64_t bytes, char to[BACKING_SIZE]);
/* "2026-11-22 03:00:05 UTC" */
#define BACKING_TIME 32
const char *backing_time(int64_t ms, char to[BACKING_TIME]);

/* Those of a unit, newest first. No folder: none. */
bool backing_list(struct backing *r, const struct app_unit *u, struct keep_entry **ret,
                  size_t *ret_n, struct err *e);
/* Makes one of the present unit and tells of it; ERR_NOT_FOUND: nothing is stored yet. */
bool backing_create(struct backing *r, struct app_unit *u, struct keep *k, bool is_first_step,
                    struct keep_entry *ret, struct err *e);

/* Which one is meant of each unit: --at, else the latest. */
struct chosen {
    struct app_unit *unit;
    struct keep *keep; /* open; NULL: the unit has none, or another unit's is meant */
    struct keep_entry entry;
};
/* One of them at least, or ERR_NOT_FOUND. `ret` has a place for each unit. */
bool backing_choose(struct backing *r, bool is_writer, struct chosen *ret, struct err *e);
void backing_leave(struct backing *r, struct chosen *all);

/* Whose backups are wanted: --from-app, else the app's own. */
struct slice backing_wanted(const struct backing *r, const struct app_unit *u);
/* Says which one there is instead of one that is damaged, if any. */
void backing_tell_other(struct backing *r, struct keep *k, const char *than);

/* What is said when somebody stops us from here on; it stays. */
void backing_stops(const char *text);
/* They wait, for a moment: what is done now is done. */
void backing_hold(bool on);

/* The words of the verb. */
bool backing_restore(struct backing *r, struct err *e);
