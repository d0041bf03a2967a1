/* Is a backup what it says? All of it is read again. */
#include "keep/keep_impl.h"

#include <stdio.h>
#include <unistd.h>

#define ROWS_PER_LOOK 1000 /* so often whoever waits is told, and asked */

struct verifying {
    struct keep *k;
    const struct keep_entry *entry;
    const struct keep_hearer *to;
    struct keep_verdict *verdict;
    uint64_t content_bytes;
    char gone[sizeof(((struct keep_verdict *)0)->why)]; /* the first content that is missing */
};

/* It is told, and looking goes on. */
static void note(struct verifying *v, const char *why)
{
    v->verdict->damaged++;
    if (!v->verdict->why[0])
        snprintf(v->verdict->why, sizeof v->verdict->why, "%s", why);
}

static bool look_up(const struct verifying *v, struct err *e)
{
    if (v->to && v->to->progress)
        v->to->progress(v->to->user, v->verdict->rows, v->verdict->contents, v->entry->contents);
    return keep_goes_on(v->to, e);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* All lines. More rows than the entry says are not read: they could be without end. */
static bool read_lines(struct verifying *v, struct pack_in *in, struct keep_reader *r,
                       struct err *e)
{
    struct slice line;
    enum keep_line is;
    for (bool has = true; has;) {
        if (!pack_in_line(in, &line, &has, e) || (has && !keep_reader_line(r, line, &is, e)))
            return false;
        v->verdict->rows = r->all_rows;
        if (r->line % ROWS_PER_LOOK == 0 && !look_up(v, e))
            return false;
        if (r->all_rows > v->entry->rows || r->tables > v->entry->tables)
            return err_set(e, ERR_DAMAGED, "There are more rows than the backup says.");
    }
    return r->is_over || err_set(e, ERR_DAMAGED, "The rows are cut off.");
}

static bool compare(const struct verifying *v, struct pack_in *in, const struct keep_reader *r,
                    struct err *e)
{
    uint64_t bytes;
    char hash[SHA256_HEX_LEN + 1];
    pack_in_hash(in, &bytes, hash);
    if (bytes != v->entry->rows_bytes || !slice_is(slice_from(hash), v->entry->rows_hash))
        return err_set(e, ERR_DAMAGED, "The file of rows is another one than was written.");
    return (r->all_rows == v->entry->rows && r->tables == v->entry->tables) ||
           err_set(e, ERR_DAMAGED, "There are fewer rows than the backup says.");
}

/* *ret_fine: they are what they were. False: they could not be looked at. */
static bool verify_rows(struct verifying *v, int fd, bool *ret_fine, struct err *e)
{
    struct keep_reader r;
    struct pack_in *in = pack_in_new(fd);
    struct err why = {0};
    keep_reader_init(&r);
    *ret_fine = read_lines(v, in, &r, &why) && compare(v, in, &r, &why);
    keep_reader_done(&r);
    pack_in_free(in);
    if (*ret_fine)
        return true;
    if (why.code == ERR_DAMAGED)
        note(v, why.msg);
    else if (e)
        *e = why;
    return why.code == ERR_DAMAGED;
}

/* ---- contents -------------------------------------------------------------------------------- */

static bool verify_content(void *user, struct slice hash, struct slice key, uint64_t size,
                           struct err *e)
{
    struct verifying *v = user;
    struct err why = {0};
    (void)key;
    v->verdict->contents++;
    v->content_bytes += size;
    if (!content_verify(v->k, hash, size, &why)) {
        v->verdict->aside += why.code == ERR_DAMAGED && content_set_aside(v->k, hash);
        keep_tell_lost(v->to, hash, &why);
        if (why.code == ERR_NOT_FOUND) {
            v->verdict->missing++;
            if (!v->gone[0])
                snprintf(v->gone, sizeof v->gone, "%s", why.msg);
        } else if (why.code == ERR_DAMAGED || why.code == ERR_IO) { /* one that no disk reads */
            note(v, why.msg);
        } else {
            *e = why;
            return false;
        }
    }
    return look_up(v, e);
}

static bool verify_contents(struct verifying *v, int fd, struct err *e)
{
    struct err why = {0};
    if (!keep_each_content(fd, verify_content, v, &why)) {
        if (why.code != ERR_DAMAGED) {
            *e = why;
            return false;
        }
        note(v, why.msg);
    } else if (v->verdict->contents != v->entry->contents ||
               v->content_bytes != v->entry->content_bytes) {
        note(v, "The rows name other contents than the backup says.");
    }
    if (v->verdict->missing > v->entry->lost && !v->verdict->why[0])
        snprintf(v->verdict->why, sizeof v->verdict->why, "%s", v->gone);
    return true;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool verify_all(struct verifying *v, struct err *e)
{
    struct err why = {0};
    int fd = keep_open_rows(v->k, v->entry->name, false, &why);
    if (fd >= 0) {
        bool is_whole, fine = verify_rows(v, fd, &is_whole, e);
        fine = fine && (!is_whole || verify_contents(v, fd, e));
        close(fd);
        return fine;
    }
    if (why.code != ERR_NOT_FOUND && why.code != ERR_DAMAGED) {
        *e = why;
        return false;
    }
    note(v, why.msg);
    return true;
}

bool keep_verify(struct keep *k, const struct keep_entry *entry, const struct keep_hearer *to,
                 struct keep_verdict *ret, struct err *e)
{
    struct verifying v = {.k = k, .entry = entry, .to = to, .verdict = ret};
    *ret = (struct keep_verdict){0};
    if (!verify_all(&v, e))
        return false;
    /* Pruned while it was read: nothing is wrong with what is not there any more. */
    return !ret->why[0] || keep_has(k, entry->name) ||
           err_set(e, ERR_NOT_FOUND, "The backup %s was removed just now.", entry->name);
}
