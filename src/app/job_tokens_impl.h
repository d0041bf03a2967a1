/* Who asks with the token of a running job, before everybody else's identity source is asked.
 *
 * A program of a job proves itself with `Authorization: Bearer djt_…`. It is then whoever the job
 * is for, as that account is now (`acts_as: owner`), or the app itself (`acts_as: app`, or a job of
 * nobody's): with an empty id, every role, and no rule that refuses it. Never an operator, and
 * nothing that is about accounts or keys is its to ask. */
#pragma once
#include "accounts/accounts.h"
#include "jobs/jobs.h"

struct job_tokens;
struct job_tokens_options {       /* what they point to outlives the source */
    struct identity_source *rest; /* whoever brings no such token; NULL: they are signed out */
    struct jobs *jobs;
    struct accounts *accounts;    /* NULL: the app has none */
    struct accounts *operators;   /* the host's; with accounts */
    const struct identity *local; /* whoever is at this machine; NULL: that is nobody here */
    const struct texts *roles;    /* all of the app */
    /* Runs of this process, asked before the database: crew_knows(). Any thread; may be NULL. */
    bool (*knows)(void *user, const unsigned char token[32], struct arena *a,
                  struct job_bearer *ret);
    void *user;
};
struct job_tokens *job_tokens_new(const struct job_tokens_options *o);
void job_tokens_free(struct job_tokens *t); /* NULL is fine */
struct identity_source *job_tokens_source(struct job_tokens *t);

/* For docs_guard(), files_guard() and jobs_guard(), in place of accounts_is_in(): a job's token
 * counts as long as its job runs. */
bool job_tokens_is_in(struct db_conn *c, const struct identity *who, struct err *e);
