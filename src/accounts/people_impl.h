/* What the calls of people share: what was given, whose store it is in, what is written besides. */
#pragma once
#include "accounts/accounts_impl.h"

/* ---- given.c: what was given, checked ---------------------------------------------------------
 * False: e, and *ret_details is the array "errors". */

bool given_tell(struct arena *a, struct slice *ret_details, struct err *e, const char *pointer,
                const char *code, const char *says);
/* *ret_key: as it is compared. */
bool given_email(struct slice text, struct arena *a, struct slice *ret_key,
                 struct slice *ret_details, struct err *e);
bool given_name(struct slice text, struct arena *a, struct slice *ret, struct slice *ret_details,
                struct err *e);
/* Each is one of the manifest's, none twice. */
bool given_roles(const struct accounts *acc, const struct slice *roles, size_t n, struct err *e);

/* ---- whose.c: the app's store, or the operators' ----------------------------------------------
 */

struct whose {
    struct account_store *store; /* NULL: nobody's */
    struct user_row row;         /* dressed */
};
bool whose_id(struct accounts *acc, struct arena *a, struct slice id, struct whose *ret,
              struct err *e);
/* The operator's address first; both are read whatever is found. One that is leaving is nobody, and
 * so is an operator who is disabled. */
bool whose_email(struct accounts *acc, struct arena *a, struct slice key, struct whose *ret,
                 struct err *e);
bool whose_session(struct accounts *acc, struct arena *a, struct slice session, struct whose *ret,
                   struct err *e);
/* Operators have all roles of the app. */
void account_dress(const struct accounts *acc, const struct account_store *s, struct arena *a,
                   struct account *it);
/* As it is now: inside a write's run. *ret_found false: gone, or not to be used any more. */
bool active_user(struct db_conn *c, struct slice id, struct arena *a, struct user_row *ret,
                 bool *ret_found, struct err *e);
/* Inside a write's run: the session or key that asks is still there; what it asked for may have
 * waited while it ended. False: e. */
bool asker_is_in(struct db_conn *c, const struct asker *from, struct err *e);
bool is_verified_by_another(struct db_conn *c, struct slice email, struct slice id, bool *ret,
                            struct err *e);
bool trail(struct db_conn *c, enum event_kind kind, struct slice who, struct slice object,
           const struct asker *from, const char *detail, struct err *e);

/* ---- enter.c: the end of all ways in -----------------------------------------------------------
 */

struct entry {
    struct accounts *acc;
    struct arena *arena;
    const struct asker *from;
    struct whose whose;    /* as it was when the password was looked at */
    char rehash[HASH_MAX]; /* what its password is to be stored as from now on; "": as it is */
    struct signed_in *ret;
};
/* The one refusal. It is an event; as costly whoever it is about. */
bool entry_refuse(struct entry *n, struct err *e);
/* A session, if the row still is what the password was looked at. */
bool entry_write(struct entry *n, struct err *e);
/* Inside a write's run; ret->account is set. */
bool entry_session(struct db_conn *c, const struct entry *n, struct err *e);

/* ---- link_rows.c --------------------------------------------------------------------------------
 */

struct link_row {
    struct slice user, email;
};
/* life_s 0: as LINK_MAP says. */
bool link_insert(struct db_conn *c, enum link_purpose purpose, struct slice user,
                 struct slice email, int64_t life_s, char ret[TOKEN_MAX], struct err *e);
/* *ret_found false: used, too old, of another purpose, none of ours. */
bool link_find(struct db_conn *c, struct slice link, enum link_purpose purpose, struct arena *a,
               struct link_row *ret, bool *ret_found, struct err *e);
/* False (link_is_dead) when somebody else was first. */
bool link_use(struct db_conn *c, struct slice link, struct err *e);
bool links_count(struct db_conn *c, enum link_purpose purpose, struct slice user, int64_t *ret,
                 struct err *e);
/* After its password or its state changed. */
bool links_delete(struct db_conn *c, struct slice user, struct err *e);
/* What every link that leads nowhere is told. */
bool link_is_dead(struct err *e);

/* ---- letters.c ----------------------------------------------------------------------------------
 */

enum letter_kind {
    LETTER_SIGN_IN,
    LETTER_RESET,
    LETTER_VERIFY,
    LETTER_KNOWN,
    LETTER_PASSWORD,
    LETTER_LEFT,
    LETTER_INVITED
};
/* Inside a write's run. `link` empty: to the page. */
bool letter_post(struct db_conn *c, const struct accounts *acc, enum letter_kind kind,
                 const struct account *to, struct slice link, struct slice next, struct err *e);

/* ---- the rest
 * ------------------------------------------------------------------------------------ */

bool password_is_old(const char *hash); /* with less work than today's */
/* leaving.c: inside a write's run; `u` is as it was found, and is changed. */
bool user_leaves(struct db_conn *c, const struct accounts *acc, struct user_row *u,
                 struct slice who, const struct asker *from, struct err *e);
bool keys_delete(struct db_conn *c, struct slice user, struct err *e);
/* Inside a write's run: everything by which somebody could act as this account. */
bool doors_close(struct db_conn *c, struct slice user, struct err *e);
/* Is `word` among auth.methods? */
bool accounts_allow(const struct accounts *acc, const char *method);
