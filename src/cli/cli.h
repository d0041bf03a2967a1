/* The command line: a row per verb, the flags each takes, and what verbs share.
 *
 * To add a verb: a file src/cli/<verb>.c whose `const struct verb verb_<name>` stands at the top, a
 * declaration here, a line in the table of main.c. Its function returns the exit code: 0, or
 * err_exit() of an error (contract: 1 usage or manifest, 4 lock held, 11 failed at run time ...).
 * --help, unknown flags, missing values and the number of words are dealt with before it runs. */
#pragma once
#include "base/err.h"
#include "base/must.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct cli_flag {
    const char *name;  /* "--listen" */
    const char *value; /* what it takes, "ADDR"; "[ADDR]" may be left out, then ""; NULL: nothing */
    const char *doc;
    char letter; /* "-o"; 0: none */
};

#define CLI_FLAGS_MAX 16

struct args;

struct verb {
    const char *name;
    const char *summary; /* one line, for `dais help` */
    const char *usage;   /* what follows "dais NAME": "[DIR] [--json]" */
    const char *help;    /* paragraphs for `dais help NAME`; may be NULL */
    int (*run)(const struct args *args);
    struct cli_flag flags[CLI_FLAGS_MAX]; /* up to the first without a name */
    size_t min_words, max_words;
};

struct args {
    const struct verb *verb;
    const struct verb *const *verbs; /* the whole table, ending in NULL */
    const char *const *words;        /* what is not a flag, after the verb */
    size_t n_words;
    const char *values[CLI_FLAGS_MAX]; /* by the verb's flags; "" for one without a value */
};

extern const struct verb verb_backup, verb_build, verb_check, verb_debug, verb_doctor, verb_events,
    verb_health, verb_help, verb_job, verb_key, verb_new, verb_openapi, verb_reload, verb_render,
    verb_schema, verb_secret, verb_serve, verb_types, verb_user, verb_verify, verb_version;

/* Finds the verb of argv[1], reads its flags, runs it. Returns the exit code. */
int cli_run(const struct verb *const *verbs, int argc, const char *const *argv);

/* The value of a flag that the verb's row has; NULL when it was not given. The last one wins. */
const char *args_flag(const struct args *args, const char *name);
bool args_has(const struct args *args, const char *name);

/* Prints "dais NAME: message" to standard error, without what steers a terminal; returns the
 * error's exit code. */
int cli_fail(const struct args *args, const struct err *e);
int cli_usage_error(const struct args *args, const char *fmt, ...) PRINTF(2, 3);
void cli_print_verb(const struct verb *verb, FILE *to);

/* Escape sequences, or "" where colours are not wanted: not a terminal, NO_COLOR, TERM=dumb. */
enum cli_style { STYLE_OFF, STYLE_BOLD, STYLE_RED, STYLE_YELLOW, STYLE_GREEN, STYLE_DIM };
const char *cli_style(FILE *to, enum cli_style style);
