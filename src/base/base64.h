/* Bytes as text: base64 (RFC 4648). */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum base64_kind {
    BASE64,    /* with + and /, filled up with = */
    BASE64_URL /* with - and _, not filled up */
};
void base64_add(struct buf *to, struct slice bytes, enum base64_kind kind);
/* BASE64_URL back, in the arena. False: other characters, or bits left over that say something, so
 * that bytes have one spelling. */
bool base64_url_read(struct slice text, struct arena *a, struct slice *ret);
