/* A place for a database that is opened when it is first needed, and closed when nobody has used it
 * for a while: an app that is not asked for anything costs nothing.
 *
 * Whoever uses the database has entered its slot, and leaves it after the last statement and the
 * last answer. Any thread; only db_slot_open blocks. */
#pragma once
#include "db/db.h"

struct db_slot;

/* What `o` points to must outlive the slot; nothing is opened yet. */
struct db_slot *db_slot_new(const struct db_options *o);
void db_slot_free(struct db_slot *s); /* closes; nobody may be in it */

/* Enters; NULL: it is not open, and nobody entered. */
struct db *db_slot_enter(struct db_slot *s);
/* Opens it if need be, and enters. Blocks: on a lane, or before the loops run. */
struct db *db_slot_open(struct db_slot *s, struct err *e);
void db_slot_leave(struct db_slot *s);
/* Raised each time it is opened: what was prepared in an earlier one may have to be looked at. */
uint64_t db_slot_times(const struct db_slot *s);
/* Closes it if nobody is in it and nobody was for idle_ms. Blocks, as db_slot_open. */
void db_slot_close_idle(struct db_slot *s, int64_t idle_ms);
