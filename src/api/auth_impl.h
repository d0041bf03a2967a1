/* What the calls for accounts and keys share: who may ask what, bodies, answers. */
#pragma once
#include "api/api_impl.h"

#define AUTH_BODY_MAX (16u << 10)

/* auth_own.c, auth_mail.c, auth_export.c: handlers of auth_routes */
bool auth_me(struct req *rq, struct err *e);
bool auth_password(struct req *rq, struct err *e);
bool auth_sessions(struct req *rq, struct err *e);
bool auth_session(struct req *rq, struct err *e);
bool auth_magic_link(struct req *rq, struct err *e);
bool auth_verify(struct req *rq, struct err *e);
bool auth_reset(struct req *rq, struct err *e);
bool auth_export(struct req *rq, struct err *e);
/* export.c: those lines, then the documents of who asks, collection by collection. */
bool export_owned(struct req *rq, struct slice first_lines, struct err *e);

/* The app's accounts, for a call that belongs to one of `auth.methods` (NULL: to any). NULL: it has
 * none, or signs nobody in that way (ERR_NOT_FOUND); or a page of another site asks
 * (ERR_FORBIDDEN): it could sign the visitor in as somebody else. */
struct accounts *auth_begin(struct req *rq, const char *method, struct err *e);
/* The token of a job is refused there: e. */
bool auth_is_of_job(const struct identity *who, struct err *e);
/* Who is signed in; a key only with the scope `admin`, so that none makes a wider one. */
const struct identity *auth_who(struct req *rq, struct err *e);
/* On a lane already? If not, the handler returns true at once and runs again on that one. */
bool auth_moves(struct req *rq, enum run run);

/* The body as an object, `{}` when there is none. Only application/json: what a form or a plain
 * fetch of another site can send is refused. */
const struct json *auth_body(struct req *rq, struct err *e);
/* A string member. Absent or null is "", or is_needed's failure; other types are ERR_INVALID. */
bool auth_text(struct req *rq, const struct json *body, const char *name, bool is_needed,
               struct slice *ret, struct err *e);
/* ERR_INVALID with one row of "errors"; the words are ours and need no escapes. */
bool auth_tell(struct req *rq, const char *pointer, const char *code, const char *says,
               struct err *e);
/* Could it be the id of a row? */
bool auth_is_id(struct slice id);
/* Text for people: UTF-8 without control characters, at most ACCOUNT_NAME_MAX bytes. */
bool auth_is_name(struct slice name);

/* 200 or the like with a JSON text that no cache keeps; the buf is done. */
bool auth_reply(struct req *rq, int status, struct buf *json);
bool auth_reply_signed_in(struct req *rq, int status, const struct accounts *acc,
                          const struct signed_in *in);
bool auth_reply_user(struct req *rq, const struct account *account);
/* 202: what is done about it is not told. */
bool auth_reply_accepted(struct req *rq, const char *says);
/* The cookie ends, unless another origin asks, which has none of ours. */
void auth_end_cookie(struct req *rq, const struct accounts *acc);

void key_write(struct json_writer *w, const struct key_row *row, const char *token);
void session_write(struct json_writer *w, const struct session_row *row, struct slice present);
/* A time, or null for 0. */
void auth_write_time(struct json_writer *w, const char *name, int64_t ms);
