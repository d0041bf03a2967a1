/* Bytes as text: base64 (RFC 4648). */
#pragma once
#include "base/buf.h"

enum base64_kind {
    BASE64,    /* with + and /, filled up with = */
    BASE64_URL /* with - and _, not filled up */
};
void base64_add(struct buf *to, struct slice bytes, enum base64_kind kind);
