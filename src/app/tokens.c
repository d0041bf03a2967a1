/* Keys of the apps that want tokens ({jwt} in backend.identity), and where others find them. */
#include "app/app_impl.h"

#include <string.h>

static bool jwks(struct req *rq, struct err *e);

const struct route jwks_route = {
    .path = "/_/jwks.json", .name = "jwks", .methods = ON_GET, .handle = jwks};

static bool jwks(struct req *rq, struct err *e)
{
    const struct app *app = rq->site;
    (void)e;
    reply_header(rq, "Cache-Control", SLICE("public, max-age=300"));
    reply_header(rq, "X-Content-Type-Options", SLICE("nosniff"));
    return reply_bytes(rq, 200, "application/jwk-set+json", signer_jwks(app->signer));
}

static bool wants_tokens(const struct manifest *m)
{
    return m->backend.pos.line && slice_search(m->backend.identity.value.s, SLICE("{jwt}")) >= 0;
}

static bool read_secret(struct host *h, struct root_secret *ret, struct err *e)
{
    struct slice given = settings_get(&h->settings, SET_SECRET);
    return given.len ? root_secret_from(ret, given, e) : root_secret_open(ret, h->data_dir, e);
}

bool tokens_open(struct host *h, struct err *e)
{
    bool is_fine = true;
    for (size_t i = 0; i < h->n_apps; i++) {
        struct app *app = &h->apps[i];
        if (!wants_tokens(app->manifest) && !app_has_accounts(app) && !app->files)
            continue;
        if (!h->has_secret && !read_secret(h, &h->secret, e))
            return false;
        h->has_secret = true;
        if (!wants_tokens(app->manifest))
            continue;
        app->signer = signer_new(&h->secret, app->manifest->slug.s, e);
        is_fine &= app->signer != NULL;
    }
    return is_fine;
}
