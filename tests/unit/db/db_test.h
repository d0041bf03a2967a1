/* What the tests of the database room share: a file in a folder of its own, one table, a write. */
#pragma once
#include "db/db_impl.h"
#include "unit.h"

extern char folder[], path[]; /* the folder, and the database in it */
extern struct err err;        /* what was refused last */

extern const struct db_migration steps[];
extern const struct sql by_id;     /* t, b and id of the thing */
extern const struct sql count_all; /* how many things there are */

/* NULL with `err`. */
struct db *try_open(const struct db_migration *migrations, struct loops *loops);
/* With `steps`; fails the test. */
struct db *open_with(struct loops *loops);

/* `err` has this code and has these words in it. */
void expect(enum err_code code, const char *words);

struct thing {
    int64_t id;
    struct slice t, b;
};

/* For db_write_now; `arg` is a thing. */
bool add_thing(void *arg, struct db_conn *c, struct err *e);
/* False with `err`. */
bool add(struct db *db, int64_t id, struct slice t);
/* How many things there are, for this reader. */
int64_t read_count(struct db_conn *c);
int64_t count(struct db *db);

int make_folder(void **state);
int remove_folder(void **state);
int remove_files(void **state);

/* Each test begins without a file. */
#define T(name) cmocka_unit_test_setup(name, remove_files)
#define DB_TESTS(...)                                                     \
    int main(void)                                                        \
    {                                                                     \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                  \
        return cmocka_run_group_tests(tests, make_folder, remove_folder); \
    }
