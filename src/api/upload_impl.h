/* The inside of uploads: a file on its way in (incoming.c), the form it comes in (upload_form.c),
 * and the machine around both (upload.c). */
#pragma once
#include "api/files_impl.h"

#define UPLOAD_PIECE (1u << 20) /* two of these are all that an upload holds of its body */
#define UPLOAD_FILES 100        /* of a form */

/* ---- incoming.c ------------------------------------------------------------------------------ */

/* One file: room is reserved for it, its type is told, its bytes are in a draft, then in a blob.
 * One thread at a time. */
struct incoming {
    struct files *files;
    struct file_put *put;
    struct blob_draft draft;
    char first[FILE_SNIFF_BYTES];
    size_t n_first;
    int64_t reserved;
    bool is_reserved, is_open; /* the draft is */
    bool is_kept;              /* there is a blob that no row names (yet) */
};
/* May it come, and is there room? The reading is entered. */
bool incoming_begin(struct incoming *in, const struct files_reading *r, struct err *e);
/* Its bytes as they come, to tell its type as soon as that can be told: ERR_MEDIA_TYPE. Pure. */
bool incoming_see(struct incoming *in, struct slice bytes, bool is_last, struct err *e);
bool incoming_add(struct incoming *in, struct slice bytes, struct err *e); /* blocks */
/* All of it was there: it is a blob now, and `put` says which. Blocks. */
bool incoming_end(struct incoming *in, struct err *e);
void incoming_release(struct incoming *in); /* the room that was reserved; again is fine */
bool incoming_has_leftovers(const struct incoming *in);
/* The draft, and the blob if it is kept for nothing. `far`: also when that needs the network. */
void incoming_drop(struct incoming *in, bool far);
bool incoming_too_large(const struct file_place *at, struct err *e); /* false */

/* ---- upload_form.c --------------------------------------------------------------------------- */

struct form {
    struct multipart engine;
    /* asked for */
    struct files *files;
    const struct subject *who;
    struct arena *arena;
    struct file_place at; /* its path is empty */
    int is_public;
    /* what has come */
    struct file_put *puts; /* UPLOAD_FILES of each */
    struct incoming *ins;
    size_t n, parts;
    struct slice path, prefix;
    struct buf value;   /* of a field */
    struct slice *into; /* the field that is coming; NULL: none that is known */
    bool is_in_file;
};
/* Some of the body. Blocks: each of its files is asked for, written and kept. */
bool form_take(struct form *f, struct slice bytes, bool is_last, struct err *e);
/* A file's name as the browser had it, as a path's last segment. Pure; in the arena. */
struct slice form_safe_name(struct slice filename, struct arena *a);
/* Without parameters, in small letters; empty: it is none. In the arena. */
struct slice form_media_type(struct slice content_type, struct arena *a);
