/* Tokens of running jobs: whom they speak for. */
#include "jobs/jobs_impl.h"

static const struct sql set = {
    "UPDATE dais_jobs SET token = ? WHERE id = ? AND attempt = ? AND state = 1", NULL};
static const struct sql find = {
    "SELECT id, type, owner, depth, is_strangers FROM dais_jobs WHERE token = ? AND state = 1",
    NULL};

static struct slice bytes_of(const unsigned char token[32])
{
    return (struct slice){(const char *)token, 32};
}

bool jobs_set_token(struct db_conn *c, struct slice id, int64_t attempt,
                    const unsigned char token[32], struct err *e)
{
    struct db_stmt *s = db_prepare(c, &set, e);
    if (!s)
        return false;
    db_bind_blob(s, 1, bytes_of(token));
    db_bind_text(s, 2, id);
    db_bind_i64(s, 3, attempt);
    return db_run(s, NULL, e);
}

bool jobs_bearer(struct db_conn *c, const unsigned char token[32], struct arena *a,
                 struct job_bearer *ret, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return false;
    db_bind_blob(s, 1, bytes_of(token));
    enum db_step step = db_step(s, e);
    if (step == DB_ROW)
        *ret = (struct job_bearer){
            .id = arena_dup(a, db_text(s, 0)),
            .type = arena_dup(a, db_text(s, 1)),
            .owner = arena_dup(a, db_text(s, 2)),
            .is_strangers = db_i64(s, 4) != 0,
            .depth = (unsigned)db_i64(s, 3) + 1,
        };
    db_reset(s);
    if (step == DB_END)
        return err_set(e, ERR_UNAUTHENTICATED, "The job that this token was made for is over.");
    return step == DB_ROW;
}
