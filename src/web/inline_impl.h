/* The scripts and styles written in an HTML file, as sources of a Content-Security-Policy. */
#pragma once
#include "base/buf.h"

#define INLINE_MAX 100 /* of each; a head with more would be too long for many proxies */

struct inline_found {
    struct buf scripts, styles; /* "'sha256-...' 'sha256-...'", each content once */
    unsigned n_scripts, n_styles;
    unsigned n_handlers; /* onclick="..." and the like, which have no hash of their own */
    bool is_too_many;    /* some were left out */
};
/* Reads the file as a browser does: comments, text areas and attributes hold no scripts, a script
 * ends where it ends for a browser. Scripts that are only data are left out. */
void inline_scan(struct slice html, struct inline_found *ret);
void inline_done(struct inline_found *f);
