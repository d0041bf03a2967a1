/* What tests of jobs share: an app from a manifest's text, its database, who asks, what time it is,
 * and each thing that can be done with a job as one call. */
#pragma once
#include "unit.h"

#include "jobs/jobs_impl.h"

#define S(text) slice_from(text)

struct rig {
    struct arena a;
    struct manifest *manifest;
    struct jobs *jobs;
    struct db_slot *slot;
    struct db_options options;
    struct db_migration steps[3];
    char folder[40], path[64];
    struct identity identity;
    struct subject who;
    int64_t now; /* what every call takes for the time */
};
extern struct rig rig;
extern struct err err;

void rig_start(const char *manifest);
void rig_stop(void);
void rig_be(const char *user); /* "": nobody */
bool is_postgres(void);

/* A setup and a teardown for cmocka. */
#define RIG_OF(manifest)           \
    static int start(void **state) \
    {                              \
        (void)state;               \
        rig_start(manifest);       \
        return 0;                  \
    }                              \
    static int stop(void **state)  \
    {                              \
        (void)state;               \
        rig_stop();                \
        return 0;                  \
    }
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

#define OK(call)                                \
    do {                                        \
        if (!(call))                            \
            fail_msg("%s: %s", #call, err.msg); \
    } while (0)
#define NOT(call, is)                   \
    do {                                \
        assert_false(call);             \
        assert_int_equal(err.code, is); \
    } while (0)

/* Any thread. */
bool written(bool (*run)(void *arg, struct db_conn *c, struct err *e), void *arg, struct err *e);
bool written_loosely(bool (*run)(void *arg, struct db_conn *c, struct err *e), void *arg,
                     struct err *e);
bool read_with(bool (*run)(const struct jobs_reading *r, void *arg), void *arg);

struct wish {
    const char *type, *input; /* input NULL: null */
    const char *after[4];
    int64_t delay_ms;
    int priority;
    bool is_trusted, may_fail;
    const char *owner; /* of a trusted one */
    unsigned depth;
};
/* The row; NULL: err says why. Of who rig_be() said. */
const struct job_row *add_wish(const struct wish *w);
const char *add(const char *type);                                           /* its id */
bool add_as(const struct subject *who, const struct wish *w, struct err *e); /* any thread */
int64_t last_retry_ms(void);

struct job_row row(const char *id); /* as everybody's console sees it */
#define STATE(id, name) assert_string_equal(job_state_name(row(id).state), name)

struct claims {
    struct job_claim *items;
    size_t n;
    bool has_more;
};
/* Of all types, `most` of each. */
struct claims claim(const char *holder, size_t most);
struct claims claim_of(const char *holder, const char *type, size_t most);
/* One that must be there. */
struct job_claim claim_one(const char *holder);
void finish(const char *holder, const struct job_claim *c, enum job_outcome outcome);
void finish_with(const char *holder, const struct job_end *end);
void succeed(const char *id); /* claims until it has it, and ends it */
struct jobs_tending tend(const char *holder, bool is_first);

bool cancel(const char *id);
bool retry(const char *id);
bool charge(const char *id, int64_t ms);
bool beat(const char *holder, const struct job_claim *c, struct job_held *ret);
struct quota_use used(const char *type, const char *owner);
int64_t count_rows(const char *sql); /* SELECT count(*) … */
void run_sql(const char *sql);
/* What jobs_list() says, parsed; NULL: err. */
const struct json *list(const struct jobs_query *q);
