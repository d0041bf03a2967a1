/* Cursors of lists: where the next page begins, as text that says nothing and that nobody makes up.
 *
 *   base64url( MAC of the list and the place | the place, XORed with what the MAC makes )
 *
 * The MAC is both the proof and the start of the key stream, so the same place of the same list is
 * always the same text, and nothing else can be told of it. */
#include "base/base64.h"
#include "files/files_impl.h"

#include <string.h>

#define MAC_LEN    16 /* of the text */
#define FROM_MAX   (FILE_PATH_MAX + 8)
#define CURSOR_MAX (2 * (MAC_LEN + FROM_MAX))

static void mac(const struct files_query *q, struct slice from, unsigned char to[KEY_LEN])
{
    const struct slice parts[] = {
        SLICE("place"),
        q->bucket->name,
        q->space,
        q->prefix,
        q->is_folders ? SLICE("folders") : SLICE("files"),
        from,
    };
    mac_of(q->bucket->files->cursor_key, parts, sizeof parts / sizeof *parts, to);
}

static void hide(const struct files_query *q, const char *proof, char *bytes, size_t n)
{
    unsigned char stream[KEY_LEN];
    for (size_t i = 0; i < n; i++) {
        const unsigned char block[] = {(unsigned char)(i / KEY_LEN)};
        const struct slice parts[] = {SLICE("hidden"), {proof, MAC_LEN}, {(const char *)block, 1}};
        if (i % KEY_LEN == 0)
            mac_of(q->bucket->files->cursor_key, parts, 3, stream);
        bytes[i] = (char)((unsigned char)bytes[i] ^ stream[i % KEY_LEN]);
    }
}

void file_cursor_add(struct buf *to, const struct files_query *q, struct slice from)
{
    unsigned char proof[KEY_LEN];
    char bytes[MAC_LEN + FROM_MAX];
    must(from.len <= FROM_MAX);
    mac(q, from, proof);
    memcpy(bytes, proof, MAC_LEN);
    memcpy(bytes + MAC_LEN, from.ptr, from.len);
    hide(q, bytes, bytes + MAC_LEN, from.len);
    base64_add(to, (struct slice){bytes, MAC_LEN + from.len}, BASE64_URL);
}

bool file_cursor_read(const struct files_query *q, struct arena *a, struct slice *ret_from,
                      struct err *e)
{
    unsigned char proof[KEY_LEN], sent[KEY_LEN];
    struct slice bytes;
    if (q->after.len <= CURSOR_MAX && base64_url_read(q->after, a, &bytes) && bytes.len > MAC_LEN &&
        bytes.len <= MAC_LEN + FROM_MAX) {
        char *from = arena_alloc(a, bytes.len);
        memcpy(from, bytes.ptr, bytes.len);
        size_t n = bytes.len - MAC_LEN;
        hide(q, bytes.ptr, from + MAC_LEN, n);
        *ret_from = (struct slice){from + MAC_LEN, n};
        mac(q, *ret_from, proof);
        memcpy(sent, proof, sizeof sent);
        memcpy(sent, bytes.ptr, MAC_LEN);
        if (mac_is(proof, sent))
            return true;
    }
    return err_set(e, ERR_MALFORMED,
                   "after: this is not where this list goes on. Take `next` of the page before as"
                   " it is, with the same prefix; leave `after` out to begin anew.");
}
