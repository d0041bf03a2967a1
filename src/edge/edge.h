/* An app's own backend behind dais: which paths are its, and the way there and back.
 *
 * The backend speaks HTTP/1.1, at an address (`backend.url`) or as a process of ours
 * (`backend.run`), for which requests wait while it starts. A request for one of its routes is
 * forwarded with its path normalised as for every other door, hop-by-hop headers taken off and
 * those about the client built anew; bodies stream both ways with bounded buffers; upgrades become
 * tunnels. What a client claims about itself in headers never reaches the backend. */
#pragma once
#include "client/client.h"
#include "edge/backend.h"
#include "edge/seal.h"
#include "http/http.h"
#include "keys/keys.h"
#include "manifest/manifest.h"
#include "web/web.h"

struct edge;

struct edge_options {
    const struct backend_conf *conf; /* must outlive the edge, with the arena it is in */
    struct slice app;                /* its slug; must outlive the edge, too */
    struct backend *backend;         /* the reference is taken */
    struct web *web;                 /* for static_first; may be NULL */
    const struct web_conf *web_conf; /* for its headers; outlives the edge too; NULL: none */
    bool has_cors;                   /* cors_find says what the backend otherwise would */
    bool has_sign_in;                /* who loads a page and has to sign in is sent to /_/sign-in */
    struct slice public_url;         /* PUBLIC_URL; may be empty */
    const struct signer *signer; /* of {jwt}; NULL where the manifest has none. Outlives the edge */
};
/* Can dais speak to the backend there? False: e says what is wrong with the address. */
bool edge_url_is_good(struct slice url, struct err *e);
/* Where a good url leads; authority is its host and port. */
void edge_url_read(struct slice url, struct address *ret, struct slice *ret_authority);
struct edge *edge_new(const struct edge_options *o);
void edge_start(struct edge *g); /* loop 0: its processes */
struct backend *edge_backend(const struct edge *g);
/* Any loop, when no request uses it any more. NULL is fine. */
void edge_free(struct edge *g);

/* `cors:` for a request of the app, its files and its backend alike. For service.find: puts the
 * headers of every answer to it with reply_always. Returns the row that answers a preflight, which
 * nobody else is asked about; NULL for any other request. */
const struct route *cors_find(const struct cors_conf *conf, struct req *rq);
/* Is this the origin, or one of those, that an item of cors.origins means? */
bool cors_matches(struct slice pattern, struct slice origin);

/* The row for a path of the backend; NULL when it is not one of its. For service.find: sets
 * rq->site and rq->max_body. */
const struct route *edge_find(struct edge *g, struct req *rq);
