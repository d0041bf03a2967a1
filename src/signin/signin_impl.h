/* The inside of signin/: the views, what one of them shows, and the way from a request to it.
 *
 *   signin.c  routes, which view a request asks for      forms.c  what is sent
 *   view.c    a view as HTML
 *   words.h   every string */
#pragma once
#include "signin/signin.h"
#include "signin/words.h"

#include "base/utf8.h"

#define SIGNIN_PATH "/_/sign-in"

/* ---- the views ------------------------------------------------------------------------------- */

/*  field     input's name    type        autocomplete        most */
#define FIELD_MAP(X)                                                              \
    X(EMAIL, "email", "email", "username", ACCOUNT_EMAIL_MAX)                     \
    X(PASSWORD, "password", "password", "current-password", ACCOUNT_PASSWORD_MAX) \
    X(NEW, "new_password", "password", "new-password", ACCOUNT_PASSWORD_MAX)      \
    X(NAME, "name", "text", "name", ACCOUNT_NAME_MAX)
enum field {
#define X(id, name, type, autocomplete, most) FIELD_##id,
    FIELD_MAP(X)
#undef X
        FIELDS
};
#define WITH(id) (1u << FIELD_##id)

/*  view          name         heading     lead             button        fields */
#define VIEW_MAP(X)                                                                           \
    X(SIGN_IN, "sign-in", SIGN_IN, NO_WORD, SIGN_IN, WITH(EMAIL) | WITH(PASSWORD))            \
    X(SIGN_UP, "sign-up", SIGN_UP, NO_WORD, SIGN_UP_DO, WITH(EMAIL) | WITH(NEW) | WITH(NAME)) \
    X(LINK, "link", LINK, LINK_LEAD, LINK_DO, WITH(EMAIL))                                    \
    X(FORGOT, "forgot", FORGOT, FORGOT_LEAD, LINK_DO, WITH(EMAIL))                            \
    X(RESET, "reset", RESET, RESET_LEAD, RESET_DO, WITH(NEW))                                 \
    X(MAGIC, "magic", SIGN_IN, MAGIC_LEAD, SIGN_IN, 0)                                        \
    X(VERIFY, "verify", VERIFY, VERIFY_LEAD, VERIFY_DO, WITH(PASSWORD))                       \
    X(OPERATOR, "operator", OPERATOR, OPERATOR_LEAD, OPERATOR_DO,                             \
      WITH(EMAIL) | WITH(NEW) | WITH(NAME))                                                   \
    X(ACCOUNT, "account", ACCOUNT, NO_WORD, NO_WORD, 0)                                       \
    X(CHANGE, "password", PASSWORD, PASSWORD_LEAD, PASSWORD_DO, WITH(PASSWORD) | WITH(NEW))   \
    X(SESSIONS, "sessions", SESSIONS, SESSIONS_LEAD, NO_WORD, 0)                              \
    X(DELETE, "delete", DELETE, DELETE_LEAD, DELETE_DO, WITH(PASSWORD))                       \
    X(SIGN_OUT, "sign-out", SIGN_OUT, NO_WORD, SIGN_OUT_DO, 0)                                \
    X(SIGNED_OUT, "", SIGNED_OUT, SIGNED_OUT_LEAD, NO_WORD, 0)                                \
    X(SENT_LINK, "", SENT, SENT_LINK, NO_WORD, 0)                                             \
    X(SENT_RESET, "", SENT, SENT_RESET, NO_WORD, 0)                                           \
    X(DELETED, "", DELETED, DELETED_LEAD, NO_WORD, 0)                                         \
    X(CONFIRMED, "", VERIFY, VERIFIED, NO_WORD, 0)                                            \
    X(BAD_LINK, "", BAD_LINK, BAD_LINK_LEAD, NO_WORD, 0)                                      \
    X(CLOSED, "", CLOSED, CLOSED_LEAD, NO_WORD, 0)                                            \
    X(TOO_MANY, "", TOO_MANY, TOO_MANY_LEAD, NO_WORD, 0)                                      \
    X(BUSY, "", BUSY, BUSY_LEAD, NO_WORD, 0)                                                  \
    X(CROSS_SITE, "", CROSS_SITE, CROSS_SITE_LEAD, NO_WORD, 0)                                \
    X(UNKNOWN, "", UNKNOWN, UNKNOWN_LEAD, NO_WORD, 0)                                         \
    X(FAILED, "", FAILED, FAILED_LEAD, NO_WORD, 0)
enum view_id {
#define X(id, name, heading, lead, button, fields) VIEW_##id,
    VIEW_MAP(X)
#undef X
        VIEWS
};

struct signin {
    struct signin_options options;
    struct slice title, home; /* home: the mount with a slash */
    bool is_open, has_password, has_link;
    struct shared *style;
    char version[17]; /* of what pages load */
    struct arena arena;
};

/* One page as it will be shown. Zeroed but for what is known. */
struct view {
    enum view_id id;
    struct signin *signin;
    struct req *rq;
    int status;
    struct slice next, token;    /* next: good, or empty */
    struct slice values[FIELDS]; /* what was typed; never passwords */
    struct slice wrong[FIELDS];  /* at a field */
    struct slice error;          /* of the whole form */
    enum word lead, notice;      /* lead: instead of the view's own */
    unsigned fields;             /* of the view, or fewer */
    const struct identity *who;  /* never NULL; signed out or in */
    struct account account;      /* of who is signed in, where a view shows it */
    const struct session_row *sessions;
    size_t n_sessions;
};

/* view.c */
void view_init(struct view *v, enum view_id id, struct req *rq);
void view_settle(struct view *v); /* its fields, once it is known who asks */
bool view_reply(struct view *v);  /* the whole answer */
bool view_by_name(struct slice name, enum view_id *ret);
/* 303 to a page of this family: what follows "/_/sign-in", and `next` with it if there is one. */
bool view_go(struct req *rq, const char *query, struct slice next);
bool view_leave(struct req *rq, struct slice next); /* 303 to next, or to the app */
const char *word_text(enum word id);

/* signin.c */
/* Who asks; a session that has ended is nobody. NULL: e says why that is not known just now. */
const struct identity *signin_who(struct req *rq, struct err *e);
/* The page for an error that is nobody's field; false: it is for the log. */
bool signin_fail(struct req *rq, const struct err *e);
/* Reads what a view of someone signed in shows. On a lane. */
bool signin_fill(struct view *v, struct err *e);

/* forms.c */
bool signin_post(struct req *rq, struct err *e);
