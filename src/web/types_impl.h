/* What a file's name and first bytes say about it: its type, and for how long it may be kept. */
#pragma once
#include "base/slice.h"

enum {
    TYPE_TEXT = 1, /* has a charset, may be rewritten */
    TYPE_PACK = 2, /* worth compressing */
    TYPE_HTML = 4,
    TYPE_IMAGE = 8, /* its first bytes are looked at too */
};

struct web_type {
    const char *ext, *type; /* type with its charset, as sent */
    unsigned flags;
};

/* By the extension of the last name, any case; never NULL. */
const struct web_type *type_of(struct slice path);
/* The type of an image by its first bytes (16 are enough); NULL when they are none we know. */
const char *image_sniff(struct slice first);

/* "/a/b.js": yes; "/v1.2", "/a/": no. An extension is letters and digits, with a letter in it. */
bool path_has_extension(struct slice path);
/* A name that starts with a dot somewhere in the path. */
bool path_has_dot_name(struct slice path);
/* Does the name hold a hash of the content, as bundlers write it? Such a URL never changes. */
bool path_is_hashed(struct slice path);
