/* The sign-in page of an app, at /_/sign-in below its mount: everything that people do with their
 * account, as forms that need no script.
 *
 * A page is one of the views of the table in signin_impl.h, a form one row of that in forms.c; what
 * it does is accounts.h's. Every form comes from a page of this origin, or is refused. Addresses to
 * go on to (`next`) stay on it. */
#pragma once
#include "accounts/accounts.h"

struct signin;
struct signin_options {
    const struct manifest *manifest; /* outlives the page, as all of these do */
    struct accounts *accounts;
    struct accounts *operators; /* the host's; NULL: nobody can become the first one here */
    struct slice mount;         /* "" or "/app" */
};
struct signin *signin_new(const struct signin_options *o);
void signin_free(struct signin *s); /* NULL is fine */

/* On the loop: the row for a path of the page or of what it loads, NULL for any other. */
const struct route *signin_find(struct signin *s, struct req *rq);
/* Is it one of those rows? */
bool signin_has(const struct route *row);
/* An error that came before the handler (too often, no room) as a page of this family. */
bool signin_reply_error(struct signin *s, struct req *rq, int status);
