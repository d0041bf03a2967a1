/* The end of a process that found itself in a state it must never be in. */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local const char *now_request;
static _Thread_local const char *now_step;

void must_context(const char *request_id, const char *step)
{
    now_request = request_id;
    now_step = step;
}

void must_failed(const char *cond, const char *file, int line, const char *func)
{
    fprintf(stderr, "dais: broken invariant: %s (%s:%d, %s); request %s, step %s\n", cond, file,
            line, func, now_request ? now_request : "-", now_step ? now_step : "-");
    abort();
}
