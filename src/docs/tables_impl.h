/* The catalogue of an app's tables, and the work on them that goes on while the app serves.
 *
 * dais_fields   a row per column k1, k2…: 'filling' until all rows have it, then 'ready'. 'gone':
 *               no index has the field any more; a column is never used again, since changes made
 *               meanwhile are not in it.
 * dais_indexes  'building', 'ready', or 'violated': a unique index that documents of before break;
 *               then i_NAME_N is there without being unique, and changes look there.
 * dais_meta     'shape NAME'  what a row was made with that is no column: hidden fields, versions
 *               'fill NAME'   rows are being made anew in the order of their ids, up to this one
 *               'shown NAME'  is there while `shown` holds what another manifest hid
 *               'seed NAME'   its seed was loaded, and when
 *
 * Whatever changes what a row has to hold supersedes earlier readings of the manifest (see
 * db_slot_supersede): a request that was under way with one of those is refused at its end. */
#pragma once
#include "docs/docs_impl.h"

#define FILL_ROWS  1000       /* in one write */
#define FILL_BYTES (1u << 20) /* of bodies; one row at least */

enum state { STATE_NONE, STATE_BUILDING, STATE_READY, STATE_VIOLATED };

/* ---- catalogue.c: inside a write, or with a reader's connection ------------------------------ */

/* "KIND NAME" in dais_meta; *ret is empty and *ret_has (may be NULL) false when there is none. */
bool meta_find(struct db_conn *c, const char *kind, struct slice name, struct arena *a,
               struct slice *ret, bool *ret_has, struct err *e);
bool meta_put(struct db_conn *c, const char *kind, struct slice name, struct slice value,
              struct arena *a, struct err *e);
bool meta_drop(struct db_conn *c, const char *kind, struct slice name, struct arena *a,
               struct err *e);

/* *ret_number is 0 when there is none. */
bool field_find(struct db_conn *c, struct slice coll, struct slice path, int64_t *ret_number,
                bool *ret_ready, struct err *e);
bool field_add(struct db_conn *c, struct slice coll, struct slice path, bool is_ready,
               int64_t *ret_number, struct err *e);
/* Those that the collection has no more. *ret: there were some. */
bool fields_forget(struct db_conn *c, const struct doc_coll *coll, bool *ret, struct err *e);
/* All of a collection that were filling. */
bool fields_filled(struct db_conn *c, struct slice coll, struct err *e);

bool index_find(struct db_conn *c, struct slice coll, struct slice spec, int64_t *ret_number,
                enum state *ret_state, struct err *e);
bool index_add(struct db_conn *c, struct slice coll, struct slice spec, int64_t *ret_number,
               struct err *e);
bool index_set(struct db_conn *c, struct slice coll, struct slice spec, enum state state,
               struct err *e);
/* Drops those that the collection has no more. */
bool indexes_forget(struct db_conn *c, const struct doc_coll *coll, struct arena *a, struct err *e);

bool table_has_rows(struct db_conn *c, const struct doc_coll *coll, struct arena *a, bool *ret,
                    struct err *e);
bool run_text(struct db_conn *c, struct slice text, struct err *e);

/* ---- table.c --------------------------------------------------------------------------------- */

/* Both tables of a collection, where they are not there. */
bool table_make(struct db_conn *conn, struct slice coll, struct arena *a, struct err *e);

/* ---- indexes.c ------------------------------------------------------------------------------- */

/* CREATE …INDEX i_NAME_N; `how` "UNIQUE ", "" or "UNIQUE … CONCURRENTLY" parts are the caller's. */
struct slice index_text(const struct doc_coll *c, const struct doc_index *index, int64_t number,
                        const char *how, bool is_sqlite, struct arena *a);
/* What its rows must have besides being there: no part null or missing. */
void index_where(const struct doc_index *index, bool is_sqlite, struct buf *to);
/* One that is being built, whose columns are filled. Blocks for as long as that takes; writes wait
 * on SQLite only. */
bool index_build(struct docs *d, struct doc_coll *c, struct doc_index *index, struct err *e);

/* ---- fill.c ---------------------------------------------------------------------------------- */

/* The next rows of a collection that is being filled; *ret_done: that was all. */
bool fill_some(struct docs *d, struct doc_coll *c, bool *ret_done, struct err *e);
/* Which of its fields, and whether its `shown`, may be counted on now. */
bool fill_look(struct docs *d, struct doc_coll *c, struct db_conn *conn, struct err *e);

/* ---- prune.c --------------------------------------------------------------------------------- */

/* Takes some of what is in the trash for too long; *ret_done: nothing is left. */
bool prune_some(struct docs *d, struct doc_coll *c, int64_t now_ms, bool *ret_done, struct err *e);
