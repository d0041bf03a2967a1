/* What the files of tasks/ share: what a task is told, breakers, a file on its way into a bucket.
 */
#pragma once
#include "base/base.h"
#include "base/breaker.h"
#include "tasks/tasks.h"

extern const struct task task_nothing, task_http_call, task_mail_send, task_prune_run,
    task_export_run, task_backup_run;

/* ---- what a task is told (with.c; pure) --------------------------------------------------------
 * What `with` says wins, also when it is empty (a setting that is not there): the input cannot say
 * it then. */

const struct text *with_find(const struct pairs *with, const char *name); /* NULL: not there */
/* Has it only these members? `names`: words; the error names the nearest. */
bool with_check(const struct pairs *with, const char *names, struct err *e);
/* A member of `with`, else of the input; empty: of neither. ERR_INVALID: the input's is no text. */
bool told(const struct task_call *t, const char *name, struct slice *ret, struct err *e);
/* The same, and it may not be empty. */
bool told_needed(const struct task_call *t, const char *name, struct slice *ret, struct err *e);
/* Only `with` may say it. Empty where it is there: ERR_INVALID; absent: *ret is empty. */
bool told_by_maker(const struct task_call *t, const char *name, struct slice *ret, struct err *e);
/* %Y %m %d %H %M %S in UTC, %% for a percent sign. ERR_INVALID: something else. In the arena. */
bool told_with_time(struct slice text, int64_t wall_ms, struct arena *a, struct slice *ret,
                    struct err *e);

/* ---- http.call (http_call.c) -------------------------------------------------------------------
 */

/* "https://example.com:8443" of "https://Example.com:8443/x"; ERR_INVALID: it is none we would
 * call. At most CALL_ORIGIN_MAX bytes. Pure. */
#define CALL_ORIGIN_MAX 300
bool call_origin(struct slice url, char to[CALL_ORIGIN_MAX], struct slice *ret, struct err *e);
/* "t=1700000000,v1=HEX": HMAC-SHA256 of "1700000000.BODY". Pure; in the arena. */
struct slice call_signature(struct slice secret, struct slice body, int64_t at_s, struct arena *a);
/* What an answer's status means. Pure. */
bool call_judge(int status, struct err *e);
/* Is that a failure after which the same call may go well? */
bool call_may_be_repeated(enum err_code code);

/* ---- breakers (breakers.c): one for each app and origin; any thread ---------------------------
 */

#define BREAKERS_MAX                                                            \
    256 /* places that have failed lately; then the one unused the longest goes \
         */
extern const struct breaker_rule breakers_rule;

enum breaker_news { BREAKER_FINE, BREAKER_FAILED, BREAKER_UNKNOWN };
struct breaker_turn {
    struct slice app, origin;
    bool is_probe;
};
/* False: *ret_ms is left. Else breakers_leave() follows. */
bool breakers_enter(struct breakers *b, struct breaker_turn *t, int64_t now_ms, int64_t *ret_ms);
void breakers_leave(struct breakers *b, const struct breaker_turn *t, enum breaker_news news,
                    int64_t now_ms);

/* ---- a file on its way into a bucket (file_out.c) ----------------------------------------------
 */

/* In the files' database from before file_out_begin() until file_out_done(); one thread. */
struct file_out {
    struct file_put put; /* all that is asked for is set */
    struct blob_draft draft;
    char first[FILE_SNIFF_BYTES];
    size_t n_first;
    bool is_open; /* the draft is */
    bool is_kept; /* there is a blob that no row needs */
    bool has_row; /* or may have one */
};
bool file_out_begin(struct file_out *f, struct err *e);
bool file_out_add(struct file_out *f, struct slice bytes, struct err *e);
bool file_out_end(struct file_out *f, struct err *e); /* the file is there: put.file */
void file_out_done(struct file_out *f);               /* what is left of it goes */
