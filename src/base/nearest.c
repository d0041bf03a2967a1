/* Edit distance (insert, delete, replace, swap neighbours) of short names. */
#include "base/nearest.h"

#define NAME_MAX_LEN 48u

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

static unsigned char fold(char c)
{
    if (c == '_')
        return '-';
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Three rows are enough: this one, the last, and the one before for swaps. */
static unsigned distance(struct slice a, struct slice b)
{
    unsigned rows[3][NAME_MAX_LEN + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (unsigned j = 0; j <= b.len; j++)
        last[j] = j, before[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned char x = fold(a.ptr[i - 1]), y = fold(b.ptr[j - 1]);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == fold(b.ptr[j - 2]) && fold(a.ptr[i - 2]) == y &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        unsigned *spare = before;
        before = last, last = now, now = spare;
    }
    return last[b.len];
}

void nearest_offer(struct nearest *n, struct slice known)
{
    if (n->typed.len > NAME_MAX_LEN || known.len > NAME_MAX_LEN)
        return;
    unsigned d = distance(n->typed, known);
    unsigned longer = (unsigned)(n->typed.len > known.len ? n->typed.len : known.len);
    /* A third of the letters may differ, one always; more is a guess, not a typo. */
    unsigned allowed = longer / 3 ? longer / 3 : 1;
    bool shares = d < longer;
    if (shares && d <= allowed && (n->best.len == 0 || d < n->distance)) {
        n->best = known;
        n->distance = d;
    }
}
