/* Making a backup: the rows, then the contents they name, then the entry.
 *
 *   open_source   a connection of its own to the database, which is read for as long as it takes
 *   keep_dump     NAME.jsonl.gz, as of one moment
 *   take_content  each of the contents that the folder does not have yet
 *   keep_put      NAME.json
 *
 * A file that is deleted meanwhile has its bytes for an hour more. When they are gone before they
 * were copied, the rows name what is nowhere, and it begins again. */
#include "keep/keep_impl.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TRIES   3
#define READ_MS (12 * 3600 * 1000) /* for all rows together */

struct making {
    struct keep *k;
    const struct keep_source *from;
    const struct keep_hearer *to;
    struct arena *arena;
    struct db *db;
    struct keep_entry *entry;
    uint64_t all; /* contents that the rows name */
    bool is_last; /* of the tries */
    bool is_gone; /* a content that no row names any more: the rows are too old */
};

static struct db *open_source(const struct keep_source *from, struct err *e)
{
    struct db_options o = *from->db;
    o.loops = NULL;
    o.migrations = from->tables->steps;
    o.is_reader = o.is_any_age = true;
    o.read_ms = READ_MS;
    o.writers = 1;
    o.redis_url = SLICE("");
    return db_open(&o, e);
}

/* ---- contents ---------------------------------------------------------------------------------
 */

/* The key that the database has for a hash by now; empty: no file needs it any more. */
static bool find_key(struct making *m, struct slice hash, struct slice *ret, struct err *e)
{
    static const struct sql find = {
        "SELECT blob_key FROM dais_blobs WHERE hash = ? AND loose_at IS NULL", NULL};
    struct db_conn *c = db_conn_take(m->db, e);
    struct db_stmt *s = c ? db_prepare(c, &find, e) : NULL;
    enum db_step step = DB_FAILED;
    *ret = SLICE("");
    if (s) {
        db_bind_text(s, 1, hash);
        step = db_step(s, e);
        if (step == DB_ROW)
            *ret = arena_dup(m->arena, db_text(s, 0));
        db_reset(s);
    }
    if (c)
        db_conn_give(c);
    return step != DB_FAILED;
}

/* Is it the store that cannot give it, and not the folder that cannot take it? */
static bool is_of_store(struct making *m, struct slice key, uint64_t size, const struct err *why)
{
    struct err again = {0};
    if (why->code == ERR_NOT_FOUND || why->code == ERR_DAMAGED)
        return true;
    return why->code == ERR_IO && !blob_verify(m->from->blobs, key, size, &again) &&
           again.code == ERR_IO;
}

static bool take_one(struct making *m, struct slice hash, struct slice key, uint64_t size,
                     struct err *why)
{
    if (!m->from->blobs)
        return err_set(why, ERR_NOT_FOUND, "The place of the stored files is not there.");
    return content_take(m->k, m->from->blobs, key, hash, size, m->to, why);
}

/* It could not be taken for `why`: was its file deleted or stored anew meanwhile? */
static bool take_again(struct making *m, struct slice hash, struct slice key, uint64_t size,
                       struct err *why, struct err *e)
{
    struct slice now;
    struct arena_mark mark = arena_mark(m->arena); /* there may be very many */
    if (!find_key(m, hash, &now, e))
        return false;
    if (!now.len && !m->is_last) {
        m->is_gone = true;
        return err_set(e, ERR_UNAVAILABLE, "A file was deleted before it was copied.");
    }
    bool is_taken = now.len && !slice_eq(now, key) && take_one(m, hash, now, size, why);
    arena_rewind(m->arena, mark);
    if (is_taken) {
        m->entry->copied++;
        return true;
    }
    m->entry->lost++;
    keep_tell_lost(m->to, hash, why);
    return true;
}

static bool take_content(void *user, struct slice hash, struct slice key, uint64_t size,
                         struct err *e)
{
    struct making *m = user;
    struct err why = {0};
    if (!keep_goes_on(m->to, e))
        return false;
    bool has = content_has(m->k, hash, size), takes = !has && take_one(m, hash, key, size, &why);
    m->entry->copied += takes;
    if (!has && !takes) {
        if (!is_of_store(m, key, size, &why)) {
            *e = why;
            return false;
        }
        if (!take_again(m, hash, key, size, &why, e) || !keep_goes_on(m->to, e))
            return false;
    }
    m->entry->contents++;
    m->entry->content_bytes += size;
    if (m->to && m->to->progress)
        m->to->progress(m->to->user, m->entry->rows, m->entry->contents, m->all);
    return true;
}

static bool count_content(void *user, struct slice hash, struct slice key, uint64_t size,
                          struct err *e)
{
    struct making *m = user;
    (void)hash;
    (void)key;
    (void)size;
    (void)e;
    m->all++;
    return true;
}

/* ---- a try ------------------------------------------------------------------------------------
 */

static void begin_entry(struct making *m)
{
    struct keep_entry *entry = m->entry;
    *entry = (struct keep_entry){.made_ms = clock_wall_ms(),
                                 .is_of_restore = m->from->is_of_restore,
                                 .app = arena_dup(m->arena, m->from->app),
                                 .made_by = arena_dup(m->arena, m->from->made_by)};
    keep_name_make(entry->made_ms, entry->name);
    snprintf(entry->secret_mark, sizeof entry->secret_mark, "%s",
             m->from->secret_mark ? m->from->secret_mark : "");
}

static bool dump(struct making *m, int fd, struct err *e)
{
    if (keep_dump(m->from, m->db, fd, m->to, m->arena, m->entry, e))
        return true;
    return e && e->code == ERR_FULL && err_prefix(e, "writing the rows to %s", m->k->path);
}

static bool make_one(struct making *m, struct err *e)
{
    m->is_gone = false;
    m->all = 0;
    begin_entry(m);
    int fd = keep_open_rows(m->k, m->entry->name, true, e);
    if (fd < 0)
        return false;
    bool fine = dump(m, fd, e) && keep_each_content(fd, count_content, m, e) &&
                keep_each_content(fd, take_content, m, e) && keep_put(m->k, m->entry, e);
    close(fd);
    if (!fine)
        keep_drop(m->k, m->entry->name, NULL);
    return fine;
}

bool keep_create(struct keep *k, const struct keep_source *from, const struct keep_hearer *to,
                 struct arena *a, struct keep_entry *ret, struct err *e)
{
    struct making m = {.k = k, .from = from, .to = to, .arena = a, .entry = ret};
    must(k->lock_fd >= 0);
    keep_tidy(k);
    *ret = (struct keep_entry){0};
    m.db = open_source(from, e);
    if (!m.db)
        return false;
    bool fine = false;
    for (int i = 1; i <= TRIES && !fine; i++) {
        m.is_last = i == TRIES;
        fine = make_one(&m, e);
        if (!fine && !m.is_gone)
            break;
    }
    db_close(m.db);
    return fine;
}
