/* Header profiles: rows of web.headers resolved to header lines. */
#pragma once
#include "web/rules_impl.h"

/* One per row of conf->headers (at least one), in the arena. */
struct web_profile *profiles_make(struct arena *a, const struct web_conf *conf, size_t *ret_n);
