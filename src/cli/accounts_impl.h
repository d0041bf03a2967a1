/* What the verbs user, key and job share: a JSON object to send, who answers it, and what it says.
 */
#pragma once
#include "cli/ask_impl.h"

struct request {
    const struct args *args;
    struct arena arena;
    struct buf body, answer; /* wiped at the end: there may be passwords and keys in them */
    struct json_writer w;    /* members of the body */
    struct app_options options;
    struct json_doc doc;
    int exit_code;     /* of what was done and yet is not 0 */
    bool needs_server; /* to be set: it is not done here where none runs */
    bool is_unserved;  /* the last one was done here */
};

/* first_dir: the word from which on folders are named. Adds "app" and "operator" of the flags. */
void request_init(struct request *r, const struct args *args, size_t first_dir);
void request_done(struct request *r);
void request_str(struct request *r, const char *key, const char *value); /* NULL: left out */
/* "a,b" as an array of strings; "" is the empty one. */
void request_words(struct request *r, const char *key, const char *value);

/* Asks the running server, or does it here where none runs: r->doc is the answer. */
bool request_send(struct request *r, const char *command, struct err *e);
/* A new body, for another one. */
void request_again(struct request *r);
/* Prints the answer as JSON when --json was given. */
bool request_print_json(struct request *r);
void request_print_members(struct request *r, const char *key); /* {"key":…} of it alone */
const struct json *request_found(const struct request *r, const char *key);
