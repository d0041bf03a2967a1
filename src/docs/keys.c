/* Keys that fit into an index: short ones as they are, of long ones the beginning and a digest. */
#include "base/sha256.h"
#include "docs/docs_impl.h"

const struct slice doc_key_unordered = SLICE_INIT("\xff");

void doc_key(struct buf *to, const struct json *value)
{
    size_t start = to->len;
    if (!query_key(to, value)) {
        buf_truncate(to, start);
        buf_add(to, doc_key_unordered);
        return;
    }
    size_t n = to->len - start;
    if (n < KEY_MAX || to->full) /* a whole one of KEY_MAX could be made up to equal a cut one */
        return;
    unsigned char digest[SHA256_LEN];
    sha256_of((struct slice){to->data + start, n}, digest);
    buf_truncate(to, start + KEY_HEAD);
    buf_add(to, (struct slice){(const char *)digest, sizeof digest});
}

bool doc_key_is_whole(struct slice key)
{
    return key.len <= KEY_HEAD;
}
