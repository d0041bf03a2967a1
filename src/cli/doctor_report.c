/* The findings of the verb doctor, one after the other. */
#include "cli/doctor_impl.h"

#include <stdarg.h>
#include <stdio.h>

const char *verdict_word(enum verdict v)
{
    static const char *const words[] = {
#define X(id, word, style) word,
        VERDICT_MAP(X)
#undef X
    };
    return words[v];
}

void report_add(struct report *r, enum verdict verdict, const char *subject, struct slice value,
                const char *fmt, ...)
{
    char text[512];
    va_list list;
    va_start(list, fmt);
    int n = vsnprintf(text, sizeof text, fmt, list);
    va_end(list);
    r->counts[verdict]++;
    if (r->n == FINDINGS_MAX)
        return;
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    r->items[r->n++] = (struct finding){
        .group = r->group,
        .subject = subject,
        .verdict = verdict,
        .value = value,
        .text = arena_dup(r->arena, (struct slice){text, len}),
    };
}

bool report_is_fine(const struct report *r)
{
    return !r->counts[VERDICT_MISSING] && !r->counts[VERDICT_CONFLICT] && !r->counts[VERDICT_BAD];
}
