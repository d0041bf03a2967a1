/* What tests of tasks share: a call made of `with` and an input, as a crew would make it. */
#pragma once
#include "base/mem.h"
#include "tasks/tasks_impl.h"
#include "unit.h"

#define S(text) slice_from(text)

struct asked {
    struct arena a;
    struct buf result;
    struct pair pairs[8];
    struct pairs with;
    struct task_call call;
    struct err err;
};

/* `with`: "name=value" texts, then NULL. */
static inline void asked_init(struct asked *k, const char *const *with, const char *input)
{
    struct json_doc doc;
    memset(k, 0, sizeof *k);
    arena_init(&k->a, 64u << 20);
    buf_init(&k->result, JOB_RESULT_MAX);
    for (k->with.items = k->pairs; with && *with; with++) {
        struct slice value = S(*with), key = {0};
        assert_true(k->with.n < 8 && slice_cut(&value, '=', &key));
        k->pairs[k->with.n++] = (struct pair){{.s = key}, {.s = value}};
    }
    assert_true(json_parse(&doc, &k->a, arena_dup(&k->a, S(input)), NULL, &k->err));
    k->call = (struct task_call){.id = SLICE("0123456789abcdefghij"),
                                 .attempt = 2,
                                 .input = json_root(&doc),
                                 .with = &k->with,
                                 .arena = &k->a,
                                 .result = &k->result};
}

static inline void asked_done(struct asked *k)
{
    buf_done(&k->result);
    arena_done(&k->a);
}

#define WITH(...) ((const char *const[]){__VA_ARGS__, NULL})
