/* The tables of jobs; who uses which index is said beside it. */
#include "jobs/jobs_impl.h"

#define JOBS(text, blob)                                                                           \
    "CREATE TABLE dais_jobs (id " text " PRIMARY KEY, type " text " NOT NULL, owner " text         \
    " NOT NULL, is_strangers BIGINT NOT NULL, state BIGINT NOT NULL, priority BIGINT NOT NULL, "   \
    "created BIGINT NOT NULL,"                                                                     \
    " due BIGINT NOT NULL, set_at BIGINT NOT NULL, blocked BIGINT NOT NULL,"                       \
    " attempt BIGINT NOT NULL, lost BIGINT NOT NULL, again BIGINT NOT NULL,"                       \
    " holder " text " NOT NULL, lease BIGINT NOT NULL, started BIGINT NOT NULL,"                   \
    " ended BIGINT NOT NULL, run_ms BIGINT NOT NULL, charged_ms BIGINT NOT NULL,"                  \
    " charged_since BIGINT NOT NULL, progress BIGINT NOT NULL, message TEXT NOT NULL,"             \
    " depth BIGINT NOT NULL, cache " blob ", is_cached BIGINT NOT NULL,"                           \
    " quota_since BIGINT NOT NULL, cancel_at BIGINT NOT NULL, error_code BIGINT NOT NULL,"         \
    " error TEXT NOT NULL, token " blob                                                            \
    ", input TEXT NOT NULL, result TEXT NOT NULL);" /* claiming: the owners of a type in turn, of  \
                                                       each the oldest; figures */                 \
    "CREATE INDEX dais_jobs_ready ON dais_jobs (type, priority, owner, id, due)"                   \
    " WHERE state = 0;" /* how many of whom are running */                                         \
    "CREATE INDEX dais_jobs_running ON dais_jobs (type, owner) WHERE state = 1;" /* what is due,   \
                                                                                    and what has   \
                                                                                    to be set anew \
                                                                                    after the      \
                                                                                    clock jumped   \
                                                                                  */               \
    "CREATE INDEX dais_jobs_due ON dais_jobs (due, set_at) WHERE state = 2 AND blocked = 0;"       \
    "CREATE INDEX dais_jobs_waiting ON dais_jobs (type) WHERE state = 2;" /* lists, people who     \
                                                                             leave */              \
    "CREATE INDEX dais_jobs_owner ON dais_jobs (owner, id);" /* what is kept for too long */       \
    "CREATE INDEX dais_jobs_over ON dais_jobs (type, ended) WHERE state >= 3;"                     \
    "CREATE INDEX dais_jobs_cache ON dais_jobs (cache, is_cached, state, ended)"                   \
    " WHERE cache IS NOT NULL;"                                                                    \
    "CREATE INDEX dais_jobs_token ON dais_jobs (token) WHERE token IS NOT NULL;"
/* Each note counts on from the one before it: `step` is the last one with a message, `level` the
 * progress by then; steps, pieces and bytes are all there ever were. */
#define NOTES(text, blob, end)                                                               \
    "CREATE TABLE dais_job_notes (job " text " NOT NULL, seq BIGINT NOT NULL,"               \
    " attempt BIGINT NOT NULL, at BIGINT NOT NULL, kind BIGINT NOT NULL,"                    \
    " progress BIGINT NOT NULL, message TEXT NOT NULL, body " blob ", step BIGINT NOT NULL," \
    " level BIGINT NOT NULL, steps BIGINT NOT NULL, pieces BIGINT NOT NULL,"                 \
    " bytes BIGINT NOT NULL, PRIMARY KEY (job, seq))" end ";"
#define LINKS(text, end)                                                       \
    "CREATE TABLE dais_job_links (after " text " NOT NULL, job " text          \
    " NOT NULL, kind BIGINT NOT NULL, PRIMARY KEY (after, job, kind))" end ";" \
    "CREATE INDEX dais_job_links_job ON dais_job_links (job);"
#define USAGE(text, end)                                                          \
    "CREATE TABLE dais_job_usage (owner " text " NOT NULL, type " text            \
    " NOT NULL, since BIGINT NOT NULL, runs BIGINT NOT NULL, ms BIGINT NOT NULL," \
    " PRIMARY KEY (owner, type, since))" end ";"                                  \
    "CREATE INDEX dais_job_usage_since ON dais_job_usage (since);"
#define SCHEDULES(text, end)                                            \
    "CREATE TABLE dais_job_schedules (type " text " PRIMARY KEY, spec " \
    "TEXT NOT NULL, due BIGINT NOT NULL, set_at BIGINT NOT NULL)" end ";"
#define ALL(text, blob, end) \
    JOBS(text, blob) NOTES(text, blob, end) LINKS(text, end) USAGE(text, end) SCHEDULES(text, end)

const struct db_migration jobs_migrations[] = {
    {
        "jobs",
        ALL("TEXT", "BLOB", " WITHOUT ROWID"),
        ALL("TEXT COLLATE \"C\"", "BYTEA", ""),
    },
    {0},
};
