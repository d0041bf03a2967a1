/* What the verbs user, key and secret share: values nobody sees, lists, and asking the server. */
#pragma once
#include "app/app.h"
#include "base/json.h"
#include "cli/cli.h"

/* From the file (`-`: standard input), else typed without being shown, else all of standard input.
 * A newline at its end is not part of it; empty is refused. twice: typed again, to be sure. */
bool cli_read_value(const char *prompt, const char *file, bool twice, struct buf *to,
                    struct err *e);
/* "This removes …": true when --yes was given or somebody types yes. */
bool cli_confirm(const struct args *args, const char *question, struct err *e);

/* What people chose must not steer the terminal: controls, and what is no UTF-8, become `?`. */
void cli_add_shown(struct buf *to, struct slice s);

#define CLI_COLUMNS_MAX 10
struct cli_column {
    const char *title, *key; /* the last one has no title */
};
/* Members of the objects in an array, one object a line. */
void cli_print_table(const struct json *rows, const struct cli_column *columns);

/* One request over the control socket (control.c); body may be empty. What is answered is borrowed
 * from `answer`. *ret_is_there: some server listens; then e has the code that it answered with. */
bool cli_ask(const struct app_options *options, const char *method, const char *target,
             struct slice body, struct buf *answer, struct slice *ret_body, bool *ret_is_there,
             struct err *e);
