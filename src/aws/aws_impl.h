/* What the files of aws/ share: places that may have keys, and readers of what they answer. */
#pragma once
#include "aws/aws.h"
#include "fetch/fetch.h"

/* Escapes all but what never needs it, and '/' on request; %20 for a space. */
void aws_escape(struct buf *to, struct slice s, bool keeps_slash);

/* ---- places ------------------------------------------------------------------------------------
 * A place that was not set up is passed by. One that was, and fails, ends the search: other keys
 * than those that somebody named would be somebody else's. */

enum place_said {
    PLACE_LENDS,
    PLACE_IS_EMPTY, /* e->msg: what it lacks, a few words */
    PLACE_FAILED    /* e->msg: a sentence */
};

struct lent {
    struct aws_keys keys;
    int64_t ends_ms; /* since 1970; 0: they do not end */
};

/* One search. */
struct asking {
    const struct aws_place *place;
    const struct aws_keys *fixed; /* id empty: there are none */
    struct arena *arena;          /* for answers; what a file or server sends is bounded */
    int64_t now_ms;
};

enum place_said fixed_ask(const struct asking *q, struct lent *ret, struct err *e);
enum place_said environment_ask(const struct asking *q, struct lent *ret, struct err *e);
enum place_said web_identity_ask(const struct asking *q, struct lent *ret, struct err *e);
enum place_said profile_ask(const struct asking *q, struct lent *ret, struct err *e);
enum place_said container_ask(const struct asking *q, struct lent *ret, struct err *e);
enum place_said machine_ask(const struct asking *q, struct lent *ret, struct err *e);

/* Of the process or of a test; empty: it is not set. */
struct slice place_env(const struct aws_place *p, const char *name);

/* ---- web identity (identity.c) --------------------------------------------------------------- */

struct identity {
    struct slice role, token_file, session, region; /* the last two may be empty */
};
/* A role's keys for the token in the file. */
enum place_said identity_exchange(const struct asking *q, const struct identity *who,
                                  struct lent *ret, struct err *e);

/* ---- profiles (profile_read.c) --------------------------------------------------------------- */

struct profile {
    struct slice id, secret, token, region;
    struct slice role, token_file, session;
    struct slice source, source_kind, process, sso, sso_start; /* what dais does not do */
    bool is_there;
};
/* The profile of that name in a file's text; `is_config`: sections are called [profile NAME] there,
 * but for [default]. What it says points into `text`. ERR_INVALID: "line 3 ...", never with what
 * the line says, for it may be a secret. */
bool profile_read(struct slice text, bool is_config, struct slice name, struct profile *ret,
                  struct err *e);
/* Of both files; the credentials file goes first. */
bool profile_find(const struct asking *q, struct profile *ret, struct err *e);

/* ---- answers (answer.c) ---------------------------------------------------------------------- */

/* Blocks; no redirects are followed. *ret_body is in the arena. Any status is an answer. */
bool place_fetch(const struct asking *q, struct fetch_options o, int *ret_status,
                 struct slice *ret_body, struct err *e);
/* All of a file, without spaces at its ends, in the arena. ERR_IO with errno's text. */
bool place_file(const struct asking *q, struct slice path, size_t max, struct slice *ret,
                struct err *e);
/* {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}, as containers and machines say it. */
bool lent_from_json(struct slice text, struct arena *a, struct lent *ret, struct err *e);
/* <Credentials> of STS. */
bool lent_from_xml(struct slice text, struct arena *a, struct lent *ret, struct err *e);
/* The text of the one element <tag> in `xml`; empty: there is none, several, or it has more than
 * plain text. */
struct slice xml_find(struct slice xml, const char *tag);
/* Visible ASCII and neither too short nor too long: fit for a header. `what` names the place. */
bool keys_check(const struct aws_keys *keys, const char *what, struct err *e);
bool is_visible(struct slice s); /* ASCII without spaces, and not empty */
/* Letters, digits and these: fit for a name in a URL or a sentence. */
bool is_name(struct slice s, const char *also);

/* ---- containers (container.c) ---------------------------------------------------------------- */

/* https anywhere; http only to this machine and to where containers keep keys. */
bool container_may_ask(struct slice url);
