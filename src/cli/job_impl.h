/* What the halves of `dais job` share: how jobs are told of, and following one until its end. */
#pragma once
#include "cli/accounts_impl.h"

struct slice job_member(const struct json *job, const char *key); /* "" if no text */
bool job_is_over(const struct json *job);
/* "1.3 s", "2 min 5 s" */
void job_add_time(struct buf *to, int64_t ms);

void job_print(const struct json *job);     /* all there is of one */
void job_print_end(const struct json *job); /* one that was followed: how it ended, its result */
void job_print_list(struct request *r, const struct json *items);
/* Bytes of its log, harmless for a terminal, in whole lines. */
void job_print_log(FILE *to, struct slice text);

/* Until it is over: a line of progress on standard error, its log (--log) and its end on standard
 * output. False: it did not succeed, or nobody runs it. */
bool job_follow(struct request *r, struct slice id, struct err *e);
/* All of its log that is there. */
bool job_show_log(struct request *r, struct slice id, struct err *e);
/* As many as --limit says, of as many pages of the server as that takes. */
bool job_list(struct request *r, struct err *e);
/* The number of a flag; without it *ret_value stays as it is. */
bool job_read_number(const struct request *r, const char *flag, int64_t *ret_value, struct err *e);
