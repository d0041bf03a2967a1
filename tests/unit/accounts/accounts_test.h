/* What tests of accounts share: an app's store, the host's, and what is in them. */
#pragma once
#include "accounts/people_impl.h"
#include "unit.h"

struct rig {
    struct arena a;
    struct manifest *manifest;
    struct db_slot *slots[2]; /* the app's, the host's */
    struct account_store *app, *host;
    struct accounts *accounts, *operators;
    char folder[64], paths[2][96];
    struct db_options options[2];
    struct asker from;
};
extern struct rig rig;
extern struct err err;
extern struct slice details;

#define PASSWORD "correct horse"
#define OTHER    "battery staple"
#define S(text)  slice_from(text)

/* For cmocka: a fresh app with `signup: open`. On Postgres where DAIS_TEST_DATABASE names one. */
int rig_start(void **state);
int rig_stop(void **state);

/* Fails the test unless it works. */
struct signed_in sign_up(const char *email, const char *password);
bool log_in(const char *email, const char *password, struct signed_in *ret);
/* The first operator, with OTHER. */
struct signed_in make_operator(const char *email);
/* The token in the letter that was posted last to the address; "" when it has none. In the arena.
 */
const char *link_to(struct account_store *s, const char *email);
/* Sends one and gives it. */
const char *sent(enum link_purpose purpose, const char *email);
/* How many rows; the text ends behind FROM: "dais_users WHERE …". */
int64_t rows(struct account_store *s, const char *from);
void sql(struct account_store *s, const char *text);
/* Would a request with this token be let in? */
bool is_known(struct account_store *s, const char *token);
