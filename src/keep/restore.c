/* Bringing a backup back.
 *
 *   keep_verify    all of it is read: what is damaged changes nothing
 *   make_database  a new one beside the one that is there, as the dais of then had it, and its
 * rows; the contents are put into the store on the way (place_content) finish         the app's
 * own, if it has any db_replace     the new one takes the place, at once
 *
 * What one that was killed left is removed by the next. */
#include "keep/keep_impl.h"

#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CACHE_KB 65536

struct restoring {
    struct keep *k;
    const struct keep_entry *entry;
    const struct keep_target *into;
    const struct keep_hearer *to;
    struct db_options made;
    struct arena arena;
    uint64_t lost;            /* contents that are in neither place */
    struct slice store_owner; /* the name of the database in whose place the new one comes */
};

/* ---- may it be? -------------------------------------------------------------------------------
 */

/* The tables of then are made by the first of our steps. */
static bool check_steps(const struct restoring *r, struct err *e)
{
    const struct db_migration *ours = r->into->tables->steps;
    if (!r->entry->n_steps)
        return err_set(e, ERR_DAMAGED, "The backup does not say which tables it has.");
    for (size_t i = 0; i < r->entry->n_steps; i++) {
        if (!ours[i].name)
            return err_set(e, ERR_USAGE,
                           "A newer dais made this backup (%.*s); bring it back with that one.",
                           SLICE_ARGS(slice_first(r->entry->made_by, 60)));
        if (!slice_is(r->entry->steps[i], ours[i].name))
            return err_set(e, ERR_USAGE,
                           "Another program made this backup: its tables were made in steps that "
                           "dais does not have.");
    }
    return true;
}

static bool check(struct restoring *r, struct err *e)
{
    struct keep_verdict v = {0};
    if (r->entry->why_damaged[0])
        return err_set(e, ERR_DAMAGED, "%s", r->entry->why_damaged);
    if (!check_steps(r, e))
        return false;
    if (r->entry->contents && !r->into->blobs)
        return err_set(e, ERR_USAGE,
                       "The backup has files, and the app keeps none; give it a bucket first.");
    if (!keep_verify(r->k, r->entry, r->to, &v, e))
        return false;
    bool is_of_contents = v.contents > 0; /* damaged rows: those of no content are known */
    if (!v.why[0] || (r->into->takes_damaged && is_of_contents))
        return true;
    return err_set(e, ERR_DAMAGED, "%s", v.why);
}

/* ---- contents ---------------------------------------------------------------------------------
 */

/* A key that no content has: whoever asks for its file is told that it is damaged. */
static void key_of_none(struct slice hash, char to[BLOB_KEY_LEN + 1])
{
    char letters[ID_LEN + 1];
    random_id(letters);
    snprintf(to, BLOB_KEY_LEN + 1, "%.*s-%.12s", SLICE_ARGS(hash), letters);
}

static bool is_key_of(struct slice key, struct slice hash)
{
    bool fine = key.len == BLOB_KEY_LEN && slice_starts(key, hash) && key.ptr[hash.len] == '-';
    for (size_t i = hash.len + 1; fine && i < key.len; i++)
        fine = (key.ptr[i] >= 'a' && key.ptr[i] <= 'z') || (key.ptr[i] >= '0' && key.ptr[i] <= '9');
    return fine;
}

/* Is it the backup that does not have it, and not the store that cannot take it? */
static bool is_lost(struct restoring *r, struct slice hash, uint64_t size, const struct err *why)
{
    struct err again = {0};
    if (why->code == ERR_NOT_FOUND || why->code == ERR_DAMAGED)
        return true;
    return why->code == ERR_IO && !content_verify(r->k, hash, size, &again);
}

/* As many may be as were lost when it was made: what goes after it was verified (a disk, another
 * one's order) is refused as it would have been before. */
static bool may_be_lost(struct restoring *r, const struct err *why, struct err *e)
{
    r->lost++;
    return r->into->takes_damaged || r->lost <= r->entry->lost ||
           err_set(e, ERR_DAMAGED, "%s", why->msg);
}

/* One that the store still has is used as it is. */
static bool place_content(void *user, struct slice hash, uint64_t size, struct slice key,
                          char to[BLOB_KEY_LEN + 1], bool *ret_lost, struct err *e)
{
    struct restoring *r = user;
    struct err why = {0};
    *ret_lost = false;
    if (!r->into->blobs)
        return err_set(e, ERR_DAMAGED, "The backup has files, and its entry says it has none.");
    if (is_key_of(key, hash) && blob_verify(r->into->blobs, key, size, &why)) {
        memcpy(to, key.ptr, BLOB_KEY_LEN);
        to[BLOB_KEY_LEN] = '\0';
        return true;
    }
    if (content_give(r->k, r->into->blobs, hash, size, to, &why))
        return true;
    *ret_lost = is_lost(r, hash, size, &why);
    if (!*ret_lost) {
        *e = why;
        return false;
    }
    key_of_none(hash, to);
    return may_be_lost(r, &why, e);
}

/* ---- the database -----------------------------------------------------------------------------
 */

/* A store of files belongs to the database that first kept its files there, by a name (files/). The
 * new one takes the name of the one whose place it takes: the store is the same. */
static const struct sql get_owner = {"SELECT value FROM dais_meta WHERE name = 'files_owner'",
                                     NULL};
static const struct sql put_owner = {"INSERT INTO dais_meta (name, value) VALUES ('files_owner', ?)"
                                     " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                                     NULL};

/* Whatever is wrong with the old one, it is to be replaced. */
static void read_owner(struct restoring *r)
{
    struct err ignored;
    struct db_options o = *r->into->db;
    o.loops = NULL;
    o.migrations = r->into->tables->steps;
    o.is_reader = o.is_any_age = true;
    struct db *db = r->into->blobs ? db_open(&o, &ignored) : NULL;
    struct db_conn *c = db ? db_conn_take(db, &ignored) : NULL;
    struct db_stmt *s = c ? db_prepare(c, &get_owner, &ignored) : NULL;
    if (s) {
        if (db_step(s, &ignored) == DB_ROW)
            r->store_owner = arena_dup(&r->arena, db_text(s, 0));
        db_reset(s);
    }
    if (c)
        db_conn_give(c);
    db_close(db);
}

static bool run_owner(void *arg, struct db_conn *c, struct err *e)
{
    const struct restoring *r = arg;
    struct db_stmt *s = db_prepare(c, &put_owner, e);
    if (!s)
        return false;
    db_bind_text(s, 1, r->store_owner);
    return db_run(s, NULL, e);
}

static bool fill(struct restoring *r, struct db *db, struct err *e)
{
    const struct keep_placing placing = {.place = place_content, .user = r};
    int fd = keep_open_rows(r->k, r->entry->name, false, e);
    bool fine = fd >= 0 && keep_load(r->into->tables, db, fd, r->entry, &placing, r->to, e) &&
                (!r->store_owner.len || db_write_now(db, run_owner, r, e));
    if (fd >= 0)
        close(fd);
    return fine;
}

static bool make_database(struct restoring *r, struct err *e)
{
    struct db_options o = r->made;
    o.steps_max = (unsigned)r->entry->n_steps;
    o.cache_kb = CACHE_KB;
    o.writers = 1;
    struct db *db = db_open(&o, e);
    bool fine = db && fill(r, db, e);
    db_close(db);
    return fine && (!r->into->finish || r->into->finish(r->into->user, &r->made, e));
}

bool keep_restore(struct keep *k, const struct keep_entry *entry, const struct keep_target *into,
                  const struct keep_hearer *to, struct err *e)
{
    struct restoring r = {.k = k, .entry = entry, .into = into, .to = to};
    if (!check(&r, e))
        return false;
    arena_init(&r.arena, 1u << 20);
    db_beside(into->db, &r.arena, &r.made);
    r.made.migrations = into->tables->steps;
    read_owner(&r);
    bool fine = db_drop(&r.made, e);
    if (fine) {
        fine = make_database(&r, e) && db_replace(&r.made, into->db, e);
        if (!fine)
            db_drop(&r.made, NULL);
    }
    arena_done(&r.arena);
    return fine;
}
