/* What this binary is: version, release and kind of build. */
#pragma once

extern const char build_version[]; /* 0.1.0 */
extern const char build_release[]; /* the commit, or "source" from an exported tree */
extern const char build_mode[];    /* debug, release, ... */
