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
/* Closes for good, whoever is in it: what waits for a writer is answered, what comes later refused.
 * No thread may use the database meanwhile; those who are in it only leave. */
void db_slot_end(struct db_slot *s);
void db_slot_free(struct db_slot *s); /* closes; nobody may be in it */

/* Enters; NULL: it is not open, and nobody entered. */
struct db *db_slot_enter(struct db_slot *s);
/* Opens it if need be, and enters. Blocks: on a lane, or before the loops run. */
struct db *db_slot_open(struct db_slot *s, struct err *e);
void db_slot_leave(struct db_slot *s);
/* The same for who only looked: it is no use that keeps the database open. */
void db_slot_leave_quietly(struct db_slot *s);
/* Raised each time it is opened: what was prepared in an earlier one may have to be looked at. */
uint64_t db_slot_times(const struct db_slot *s);
/* Closes it if nobody is in it and nobody was for idle_ms. Blocks, as db_slot_open. */
void db_slot_close_idle(struct db_slot *s, int64_t idle_ms);
/* For how long nobody was in it; -1: it is closed, or somebody is. */
int64_t db_slot_idle_ms(const struct db_slot *s);
bool db_slot_is_open(const struct db_slot *s);
bool db_slot_has_failed(const struct db_slot *s); /* the last time it was to be opened */

/* Closes those that are unused for idle_ms, and of more than max_open those that were unused the
 * longest. Blocks. */
void db_slots_tidy(struct db_slot *const *slots, size_t n, int64_t idle_ms, size_t max_open);

/* Readings: those who use the database one after the other, each with its own idea of what a row
 * holds. The number of a new one. */
uint64_t db_slot_join(struct db_slot *s);
/* Rows hold from now on what this one says; false: a later one has said so already. */
bool db_slot_supersede(struct db_slot *s, uint64_t reading);
/* Has no later one? Asked inside a write, after its last statement. */
bool db_slot_is_present(const struct db_slot *s, uint64_t reading);

/* Who is told of a topic, while the database is open: `fn` is called after the commit, on any
 * thread; it must be quick and not call the slot. On Postgres a database with listeners has one
 * connection (or Redis) more, to hear of other processes; each time that is made anew all are told,
 * as something may have been missed. While the database is closed nothing is heard. */
struct db_listener {
    struct list link;
    enum db_topic topic;
    void (*fn)(struct db_listener *l);
};
void db_slot_listen(struct db_slot *s, struct db_listener *l);
void db_slot_unlisten(struct db_slot *s, struct db_listener *l); /* fn is not called after this */
