/* The inside of uploads: a file on its way in (incoming.c), the form it comes in (upload_form.c),
 * and the machine around both (upload.c). */
#pragma once
#include "api/files_impl.h"

#define UPLOAD_PIECE       (2u << 20) /* UPLOAD_RING of these are the most an upload holds */
#define UPLOAD_PIECE_LEAST (64u << 10)
#define UPLOAD_FILES       100                   /* of a form */
#define FORM_MS_MAX        (FILES_ORPHAN_MS / 2) /* its first files have no row until it ends */

/* ---- upload_piece.c (but for its memory pure) -------------------------------------------------
 */

/* Some of a body; zeroed: empty, and without memory. On a loop, but for its bytes. */
struct piece {
    char *data; /* of a large one: whole pages */
    size_t len, room;
    int64_t since_ms, last_ms; /* its first byte came, and its last */
    bool is_last, is_halved;   /* handed over as that */
};
/* What fits of the bytes; how many are taken. `room`: wanted, if it has none yet. */
size_t piece_add(struct piece *p, size_t room, struct slice bytes, int64_t now_ms);
bool piece_is_full(const struct piece *p);
/* How much the next one should hold, now that this one is full: by how quickly it was, whenever
 * that is asked. */
size_t piece_next_room(const struct piece *p);
/* Empties it; keeps its memory if that is large, and as much as will be wanted. */
void piece_clear(struct piece *p, size_t next_room);
void piece_done(struct piece *p); /* again is fine */

/* The pieces of one body, in their order: one is filled; those before it are handed over, to be
 * written and hashed by one worker, or (halved) by two that need not be at the same one. Two are
 * enough but for large ones, where disk and hash do not wait for each other's slow moments. */
#define UPLOAD_RING 4u
struct pieces {
    struct piece ring[UPLOAD_RING];
    unsigned filled, written, hashed; /* how many, so far */
    bool is_writing, is_hashing;
    bool has_failed;
};
/* NULL: as many as may be are on their way, or one has failed. */
struct piece *pieces_filling(struct pieces *p);
/* The one that was filled is handed over. Only a large one that is not the first is halved. */
void pieces_hand(struct pieces *p, bool is_last, bool is_halved);
/* The next to be written (and hashed, unless it is halved), or to be hashed; under way once
 * is_writing or is_hashing is set. NULL: none is now. */
struct piece *pieces_to_write(struct pieces *p);
struct piece *pieces_to_hash(struct pieces *p);
/* That is over; `next_room` as for piece_clear(). */
void pieces_wrote(struct pieces *p, size_t next_room);
void pieces_hashed(struct pieces *p, size_t next_room);
/* One could not be written: what is under way ends, and from now on there is nothing to be filled,
 * written or hashed. */
void pieces_fail(struct pieces *p);
bool pieces_are_busy(const struct pieces *p);
bool pieces_are_through(const struct pieces *p); /* nothing is left of what was handed over */
void pieces_done(struct pieces *p);

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
    const struct slice
        *held_for; /* the form holds room for this owner's files; NULL: for nobody's */
};
/* May it come, and is there room? The reading is entered. */
bool incoming_begin(struct incoming *in, const struct files_reading *r, struct err *e);
/* Its bytes as they come, to tell its type as soon as that can be told: ERR_MEDIA_TYPE. Pure. */
bool incoming_see(struct incoming *in, struct slice bytes, bool is_last, struct err *e);
bool incoming_add(struct incoming *in, struct slice bytes, struct err *e); /* blocks */
/* The two halves of that, for two threads at once, from the second piece on. */
bool incoming_write(struct incoming *in, struct slice bytes, struct err *e); /* blocks */
void incoming_hash(struct incoming *in, struct slice bytes);
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
    int64_t began_ms; /* clock_mono_ms() */
    int64_t held;     /* bytes that are reserved for all of it, as announced; for `owner` */
    struct slice owner;
    bool is_held;
    /* what has come */
    struct file_put *puts; /* UPLOAD_FILES of each */
    struct incoming *ins;
    size_t n, parts;
    struct slice path, prefix;
    struct buf value;   /* of a field */
    struct slice *into; /* the field that is coming; NULL: none that is known */
    bool is_in_file;
};
/* Before the body, by what is announced: is there room? In the database. ERR_QUOTA. */
bool form_hold(struct form *f, const struct files_reading *r, uint64_t announced, struct err *e);
void form_release(struct form *f); /* again is fine */
/* Some of the body. ERR_TIMEOUT: it takes longer than FORM_MS_MAX. Blocks: each of its files is
 * asked for, written and kept. */
bool form_take(struct form *f, struct slice bytes, bool is_last, struct err *e);
/* A file's name as the browser had it, as a path's last segment. Pure; in the arena. */
struct slice form_safe_name(struct slice filename, struct arena *a);
/* Without parameters, in small letters; empty: it is none. In the arena. */
struct slice form_media_type(struct slice content_type, struct arena *a);
