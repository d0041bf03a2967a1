/* Keys that stand in settings: S3_*, which the caller hands in, and the AWS_* variables. */
#include "aws/aws_impl.h"

#include <stdlib.h>

struct slice place_env(const struct aws_place *p, const char *name)
{
    return p->env ? p->env(p->user, name) : slice_from(getenv(name));
}

enum place_said fixed_ask(const struct asking *q, struct lent *ret, struct err *e)
{
    if (!q->fixed->id.len && !q->fixed->secret.len) {
        err_set(e, ERR_UNAVAILABLE, "no S3_ACCESS_KEY_ID");
        return PLACE_IS_EMPTY;
    }
    *ret = (struct lent){.keys = *q->fixed};
    return keys_check(q->fixed, "S3_ACCESS_KEY_ID", e) ? PLACE_LENDS : PLACE_FAILED;
}

enum place_said environment_ask(const struct asking *q, struct lent *ret, struct err *e)
{
    struct aws_keys keys = {slice_trim(place_env(q->place, "AWS_ACCESS_KEY_ID")),
                            slice_trim(place_env(q->place, "AWS_SECRET_ACCESS_KEY")),
                            slice_trim(place_env(q->place, "AWS_SESSION_TOKEN"))};
    if (!keys.id.len && !keys.secret.len) {
        err_set(e, ERR_UNAVAILABLE, "no AWS_ACCESS_KEY_ID");
        return PLACE_IS_EMPTY;
    }
    *ret = (struct lent){.keys = keys};
    return keys_check(&keys, "the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY)", e)
               ? PLACE_LENDS
               : PLACE_FAILED;
}
