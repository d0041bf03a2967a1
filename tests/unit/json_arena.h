/* For tests with documents in JSON: one arena, which begins and ends with the test. */
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "unit.h"

static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 256 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

/* As deep as documents may be; a text that is none fails the test. */
static const struct json *json(const char *text)
{
    struct json_doc doc;
    struct err e = {0};
    const struct json_limits limits = {.max_depth = JSON_DEPTH_MAX};
    if (!json_parse(&doc, &arena, arena_dup(&arena, slice_from(text)), &limits, &e))
        fail_msg("%s: %s", text, e.msg);
    return json_root(&doc);
}
