/* What making a seal, checking it and serving behind it share. */
#pragma once
#include "edge/prepare_impl.h"
#include "edge/seal.h"

#define SEAL_RECORD "/.dais/release.json"
#define SEAL_STAMP  "/.dais/setup"

/* The record of a folder. */
struct seal {
    bool is_there, is_whole; /* not whole: a build of it was interrupted */
    struct slice app;
    char data[PATH_BYTES]; /* a real path, when it was made */
    struct texts persist;
};
/* False when there is one that cannot be understood. Texts are in the arena. */
bool seal_read(const char *dir, struct arena *a, struct seal *ret, struct err *e);
bool seal_is_there(const char *dir);

/* The names of a persisted path in a sealed folder: `shipped` of `p` is below .dais. */
bool seal_paths(struct persist *p, const struct persist_options *o, struct err *e);
enum seal_link { SEAL_LINK_NONE, SEAL_LINK_HERE, SEAL_LINK_ELSEWHERE }; /* no link; ours; another */
bool seal_link_at(const struct persist *p, enum seal_link *ret, struct err *e);

/* At each start: what the link leads to is there; the first time it is what was shipped. */
bool seal_keep(const struct persist_options *o, struct err *e);
