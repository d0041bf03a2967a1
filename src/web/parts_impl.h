/* Several ranges of one file as multipart/byteranges, made while they are sent. */
#pragma once
#include "web/answer_impl.h"

struct parts_from {
    struct shared *body; /* gets its own reference; or NULL and: */
    int fd;              /* taken */
    uint64_t size;
    const char *type; /* of each part; outlives the answer: a static string */
};
/* For reply_source with parts_type(). Never NULL. */
struct source *parts_new(const struct parts_from *from, const struct h1_judged *judged);
/* The answer's Content-Type, in the arena. */
const char *parts_type(struct source *s, struct arena *a);
