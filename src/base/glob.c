/* Patterns of file names, as `web.rewrite` has them. */
#include "base/glob.h"

/* A star gives back to what follows it, up to the next star: no more steps than one length times
 * the other. */
static bool glob_is_match(struct slice g, struct slice s)
{
    size_t gi = 0, si = 0, star = SIZE_MAX, from = 0;
    while (si < s.len) {
        bool is_slash = s.ptr[si] == '/';
        if (gi < g.len && g.ptr[gi] == '*') {
            star = gi++;
            from = si;
        } else if (gi < g.len && (g.ptr[gi] == s.ptr[si] || (g.ptr[gi] == '?' && !is_slash))) {
            gi++;
            si++;
        } else if (star != SIZE_MAX && s.ptr[from] != '/') {
            gi = star + 1;
            si = ++from;
        } else {
            return false;
        }
    }
    while (gi < g.len && g.ptr[gi] == '*')
        gi++;
    return gi == g.len;
}

bool glob_matches(struct slice glob, struct slice path)
{
    if (slice_starts(glob, SLICE("/")))
        glob = slice_skip(glob, 1);
    else if (slice_index(glob, '/') < 0)
        path = slice_skip(path, (size_t)(slice_rindex(path, '/') + 1));
    return glob_is_match(glob, path);
}
