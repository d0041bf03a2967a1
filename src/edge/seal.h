/* Sealed folders: an app made ready once by `dais build --release`, when its image is built say,
 * and then served without a change to its folder, which may be read-only and somebody else's.
 *
 *   .dais/release.json   what the folder was sealed for: the app, the data folder, the paths
 *   .dais/setup          what its setup was made from, as prepare_release.c writes it
 *   .dais/shipped/PATH   what came with the release at a persisted path, where a link to the data
 *                        folder stands now
 *
 * docs/decisions/0011-sealed-releases.md says why. */
#pragma once
#include "loop/spawn.h"
#include "manifest/manifest.h"

struct seal_options {
    const struct manifest *m;   /* with backend.run */
    const char *data_dir;       /* where it will be; need not be there */
    const struct pairs *env;    /* of the setup, besides PATH, HOME, LANG and TZ */
    const struct slice *hidden; /* values that nobody is shown */
    size_t n_hidden;
    struct spawner *spawner;
    void (*say)(struct slice line); /* what is done, and what the setup prints, as it comes */
};
/* Checks packages, runs the setup, puts the links in place and writes the record. What an earlier
 * one did is undone first, so again is fine, after a crash or with another manifest too. Blocks. */
bool seal_make(const struct seal_options *o, struct err *e);

/* What keeps a sealed folder from being served with this manifest and data folder, as errors.
 * Nothing where there is no seal. Changes nothing. */
void seal_check(const struct manifest *m, const char *data_dir, struct problems *p);
