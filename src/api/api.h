/* The app's HTTP API, below `api:`: rows of routes, and a handler for each call.
 *
 * A handler reads the request, calls docs/, files/, jobs/, and writes the answer; who may do
 * what is decided there, not here. Reads run on the loop and move to a lane when they are not sure
 * to be short; changes are planned where the request is and applied by the database's writer. */
#pragma once
#include "accounts/accounts.h"
#include "docs/docs.h"
#include "files/files.h"
#include "http/http.h"
#include "jobs/jobs.h"

struct api;

struct api_options {
    const struct manifest *manifest;
    struct docs *docs;          /* NULL: the app has no collections */
    struct files *files;        /* NULL: it has no buckets */
    struct jobs *jobs;          /* NULL: it has none */
    struct accounts *accounts;  /* NULL: it has none */
    struct accounts *operators; /* the host's; NULL: no app has accounts */
    /* Counts a request of a batch as if it had come alone; false: that is too often. May be NULL.
     * On the request's thread, which knows who asks. */
    bool (*count)(void *user, struct req *rq, struct slice method, struct slice path,
                  struct err *e);
    void *user;
    struct slice base; /* how people reach the app; no slash at its end; empty: nobody knows */
};
struct api *api_new(const struct api_options *o);
void api_free(struct api *a); /* NULL is fine */

/* The collections of a manifest, compiled; what is wrong with their schemas, rules and checks is
 * added to the problems. NULL: there are none, or something is wrong. Not on a loop that serves. */
struct docs *api_read(const struct manifest *m, struct problems *p);

/* The row for a path below `api:`, with rq->site set; NULL: the path is not the API's. What is
 * below it and does not exist is: its row answers 404. */
const struct route *api_find(struct api *a, struct req *rq);
