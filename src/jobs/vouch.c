/* Does the job whose program asks still run? Asked in the write that it asks for. */
#include "jobs/jobs.h"

static const struct sql running = {"SELECT 1 FROM dais_jobs WHERE id = ? AND state = 1", NULL};

bool jobs_vouch(struct db_conn *c, struct slice id, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &running, e);
    if (!s)
        return false;
    db_bind_text(s, 1, id);
    enum db_step step = db_step(s, e);
    db_reset(s);
    return step == DB_ROW ||
           (step == DB_END && err_set(e, ERR_UNAUTHENTICATED, "This token ended with its job."));
}
