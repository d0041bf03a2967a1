/* What tests of making and bringing back share: an app's database, on SQLite or in a Postgres of
 * the tests' own, a store of its files, and a folder of backups. */
#pragma once
#include "pg.h"
#include "docs/docs.h"
#include "keep/keep_impl.h"
#include "unit.h"

struct rig {
    struct arena a;
    char folder[64], path[96];
    struct db_options options;
    struct db *db; /* between rig_open and rig_close */
    struct blob_store *blobs;
};
extern struct err err;
extern char keep_folder[64];

extern struct db_migration rig_steps[6]; /* documents, answers, files, and things of the tests */
extern const struct keep_tables rig_tables;

/* The group's: the server, once it is needed, and the folder of backups. */
int rig_begin(void **state);
int rig_end(void **state);

void rig_start(struct rig *r, bool is_sqlite);
void rig_stop(struct rig *r);
void rig_open(struct rig *r);
void rig_close(struct rig *r);

/* Several statements in a write; false with `err`. */
bool rig_try(struct rig *r, const char *many);
void rig_say(struct rig *r, const char *many);
/* The first value of the first row; -1 without one. The text is the arena's. */
int64_t rig_number(struct rig *r, const char *sql);
struct slice rig_text(struct rig *r, const char *sql);

/* A file of that content: its bytes in the store, its rows in the database. */
void rig_put(struct rig *r, const char *path, const char *content);
/* Its bytes as the store has them; "" and `err` when it does not. In the arena. */
struct slice rig_get(struct rig *r, const char *path);

struct keep *keep_of(bool is_writer);
struct keep_entry make_backup(struct rig *r); /* in the rig's arena; with a closed database, too */
struct keep_target target_of(struct rig *r);
bool bring_back(struct rig *into, const struct keep_entry *entry); /* with `err` */

#define OK(call)                                \
    do {                                        \
        if (!(call))                            \
            fail_msg("%s: %s", #call, err.msg); \
    } while (0)
#define NOT(call, is)                                                     \
    do {                                                                  \
        err = (struct err){0};                                            \
        assert_false(call);                                               \
        if (err.code != (is))                                             \
            fail_msg("%s is %s: %s", #call, err_slug(err.code), err.msg); \
    } while (0)
