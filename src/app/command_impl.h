/* What `dais user`, `dais key`, `dais job` and `dais verify` ask for, as JSON: the same whether a
 * server runs or not. */
#pragma once
#include "accounts/accounts.h"
#include "app/app_impl.h"
#include "base/clock.h"
#include "base/json.h"

#include <string.h>

struct commanding {
    struct host *host;
    struct app *app;      /* NULL: of the operators */
    struct accounts *acc; /* that is asked */
    const struct json *in;
    struct arena *arena;
    struct json_writer *out; /* members of the answer's object */
    struct asker from;
};

/* Of an app with those; accounts: or of the operators. */
enum command_about { ABOUT_ACCOUNTS, ABOUT_FILES, ABOUT_JOBS };

struct command {
    const char *name; /* "user.add" */
    bool (*run)(struct commanding *c, struct err *e);
    enum command_about about;
};
extern const struct command user_commands[], key_commands[], file_commands[],
    job_commands[]; /* up to the first without a name */

/* Blocks: on a lane, or in a command. */
bool command_run(struct host *h, struct slice name, struct slice body, struct arena *a,
                 struct buf *to, struct err *e);

/* Members of c->in. */
struct slice command_str(const struct commanding *c, const char *key);
/* An array of strings; false: there is none. */
bool command_words(const struct commanding *c, const char *key, const struct slice **ret,
                   size_t *ret_n);
/* The account that "user" names, by its id or its address. */
bool command_user(struct commanding *c, struct account *ret, struct err *e);

void command_put(struct commanding *c, const char *key, struct slice text);
void command_put_words(struct commanding *c, const char *key, const struct slice *words, size_t n);
void command_put_time(struct commanding *c, const char *key, int64_t ms); /* 0: null */
