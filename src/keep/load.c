/* A packed file into a new database, some rows in each write.
 *
 * Names in the file decide nothing by themselves: tables and columns are looked up among those that
 * the new database has, and what it does not have is refused. */
#include "keep/keep_impl.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_ROWS  1000
#define BATCH_BYTES (4u << 20)
#define BATCH_ARENA ((size_t)KEEP_LINE_MAX * 2)
#define GROUP       32 /* rows of one statement */
#define TEXT_MAX    (256u << 10)

struct loading {
    const struct keep_tables *tables;
    const struct keep_placing *placing; /* or NULL */
    const struct keep_hearer *to;
    struct db *db;
    struct keep_reader rows;
    uint64_t contents, contents_all;
    struct arena arena;                      /* of the table: what the database has */
    struct buf one, many;                    /* INSERT of one row, of GROUP rows */
    size_t hash, key, size, loose_at, state; /* columns of dais_blobs */
    bool is_blobs;
    struct arena batch; /* of what waits to be written */
    struct keep_cell *cells;
    size_t n, bytes;
};

/* ---- a write ----------------------------------------------------------------------------------
 */

static void bind_cell(struct db_stmt *s, int at, enum keep_kind kind, const struct keep_cell *cell)
{
    if (cell->is_null)
        db_bind_null(s, at);
    else if (kind == KIND_NUMBER)
        db_bind_i64(s, at, cell->number);
    else if (kind == KIND_TEXT)
        db_bind_text(s, at, cell->bytes);
    else
        db_bind_blob(s, at, cell->bytes);
}

static bool insert(struct loading *l, struct db_conn *c, size_t first, size_t n, struct err *e)
{
    const struct keep_table *t = &l->rows.table;
    struct db_stmt *s = db_prepare_text(c, buf_slice(n == 1 ? &l->one : &l->many), e);
    if (!s)
        return false;
    for (size_t i = 0; i < n * t->n; i++)
        bind_cell(s, (int)i + 1, t->columns[i % t->n].kind, &l->cells[first * t->n + i]);
    return db_run(s, NULL, e);
}

/* Again from the start when it has to. */
static bool run_batch(void *arg, struct db_conn *c, struct err *e)
{
    struct loading *l = arg;
    for (size_t i = 0; i < l->n;) {
        size_t n = l->n - i >= GROUP ? GROUP : 1;
        if (!insert(l, c, i, n, e))
            return false;
        i += n;
    }
    return true;
}

/* What the database does not take is the backup's fault; that it cannot be written is not. */
static bool tell_refused(const struct loading *l, struct err *e)
{
    if (e && (e->code == ERR_EXISTS || e->code == ERR_INTERNAL || e->code == ERR_BODY_TOO_LARGE))
        e->code = ERR_DAMAGED;
    return err_prefix(e, "bringing back %.*s, up to line %" PRIu64, SLICE_ARGS(l->rows.table.name),
                      l->rows.line);
}

static bool write_batch(struct loading *l, struct err *e)
{
    if (!l->n)
        return true;
    bool fine = db_write_now(l->db, run_batch, l, e) || tell_refused(l, e);
    arena_reset(&l->batch);
    l->n = l->bytes = 0;
    if (fine && l->to && l->to->progress)
        l->to->progress(l->to->user, l->rows.all_rows, l->contents, l->contents_all);
    return fine && keep_goes_on(l->to, e);
}

/* ---- a table ----------------------------------------------------------------------------------
 */

static const struct db_table *find_table(struct db_table *all, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq(all[i].name, name))
            return &all[i];
    }
    return NULL;
}

struct look {
    struct loading *l;
    const struct keep_family *family;
    struct db_table *all;
    size_t n;
};

/* What there is; a table of a family is made first, when it is not there. */
static bool run_look(void *arg, struct db_conn *c, struct err *e)
{
    struct look *x = arg;
    struct slice name = x->l->rows.table.name;
    if (x->family && !x->family->make(c, name, e))
        return false;
    return db_tables(c, &x->l->arena, &x->all, &x->n, e);
}

static bool find_column(const struct db_table *t, const struct keep_column *c, struct err *e)
{
    static const enum keep_kind kinds[] = {
        [DB_NUMBER] = KIND_NUMBER, [DB_TEXT] = KIND_TEXT, [DB_BYTES] = KIND_BYTES};
    for (size_t i = 0; i < t->n; i++) {
        if (slice_eq(t->columns[i].name, c->name) && kinds[t->columns[i].type] == c->kind)
            return true;
    }
    return err_set(e, ERR_DAMAGED,
                   "The backup's table %.*s has a column %.*s as there can be none.",
                   SLICE_ARGS(t->name), SLICE_ARGS(c->name));
}

static bool check_columns(const struct loading *l, const struct keep_family *family,
                          const struct db_table *t, struct err *e)
{
    for (size_t i = 0; i < l->rows.table.n; i++) {
        const struct keep_column *c = &l->rows.table.columns[i];
        if (family && !keep_list_has(family->columns, c->name))
            return err_set(e, ERR_DAMAGED, "The backup's table %.*s has a column that is not kept.",
                           SLICE_ARGS(t->name));
        if (!find_column(t, c, e))
            return false;
    }
    return true;
}

static void make_insert(const struct keep_table *t, size_t rows, struct buf *to)
{
    buf_clear(to);
    buf_add_str(to, "INSERT INTO ");
    db_add_name(to, t->name);
    for (size_t i = 0; i < t->n; i++) {
        buf_add_str(to, i ? ", " : " (");
        db_add_name(to, t->columns[i].name);
    }
    buf_add_str(to, ") VALUES ");
    for (size_t row = 0; row < rows; row++) {
        buf_add_str(to, row ? ", (" : "(");
        for (size_t i = 0; i < t->n; i++)
            buf_add_str(to, i ? ", ?" : "?");
        buf_add_str(to, ")");
    }
    must(!to->full);
}

static bool column_at(const struct keep_table *t, const char *name, size_t *ret, struct err *e)
{
    for (*ret = 0; *ret < t->n; ++*ret) {
        if (slice_is(t->columns[*ret].name, name))
            return true;
    }
    return err_set(e, ERR_DAMAGED, "The backup's table of contents lacks the column %s.", name);
}

static bool find_blob_columns(struct loading *l, struct err *e)
{
    const struct keep_table *t = &l->rows.table;
    l->is_blobs = slice_is(t->name, KEEP_BLOBS);
    return !l->is_blobs ||
           (column_at(t, "hash", &l->hash, e) && column_at(t, "blob_key", &l->key, e) &&
            column_at(t, "size", &l->size, e) && column_at(t, "loose_at", &l->loose_at, e) &&
            column_at(t, "state", &l->state, e));
}

static bool begin_table(struct loading *l, struct err *e)
{
    const struct keep_table *t = &l->rows.table;
    struct look x = {.l = l, .family = keep_family_of(l->tables, t->name)};
    arena_reset(&l->arena);
    if (!db_write_now(l->db, run_look, &x, e))
        return false;
    const struct db_table *has = find_table(x.all, x.n, t->name);
    if (!has || keep_list_has(l->tables->left_out, t->name))
        return err_set(e, ERR_DAMAGED, "The backup has a table %.*s as there can be none.",
                       SLICE_ARGS(t->name));
    if (!check_columns(l, x.family, has, e) || !find_blob_columns(l, e))
        return false;
    make_insert(t, 1, &l->one);
    make_insert(t, GROUP, &l->many);
    return true;
}

/* ---- a row ------------------------------------------------------------------------------------
 */

/* Where its bytes are now. *ret_skip: nobody needs it. A key out of the backup is never kept: it
 * would say which bytes of the store to send or to remove. */
static bool place_row(struct loading *l, char key[BLOB_KEY_LEN + 1], bool *ret_skip, struct err *e)
{
    struct keep_cell *cells = l->rows.cells;
    bool is_lost = false;
    *ret_skip = !cells[l->loose_at].is_null;
    if (*ret_skip)
        return true;
    if (!keep_hash_check(cells[l->hash].bytes) || cells[l->size].is_null ||
        cells[l->size].number < 0)
        return err_set(e, ERR_DAMAGED, "The backup's table of contents has a row that names none.");
    if (!keep_goes_on(l->to, e) ||
        !l->placing->place(l->placing->user, cells[l->hash].bytes, (uint64_t)cells[l->size].number,
                           cells[l->key].bytes, key, &is_lost, e))
        return false;
    cells[l->key] = (struct keep_cell){.bytes = {key, BLOB_KEY_LEN}};
    cells[l->state] = (struct keep_cell){.number = is_lost}; /* as in files/: damaged */
    l->contents++;
    if (l->to && l->to->progress)
        l->to->progress(l->to->user, l->rows.all_rows, l->contents, l->contents_all);
    return true;
}

static bool add_row(struct loading *l, struct err *e)
{
    char key[BLOB_KEY_LEN + 1];
    bool is_skipped = false;
    size_t n = l->rows.table.n;
    if (l->is_blobs && l->placing && !place_row(l, key, &is_skipped, e))
        return false;
    if (is_skipped)
        return true;
    struct keep_cell *to = &l->cells[l->n * n];
    for (size_t i = 0; i < n; i++) {
        to[i] = l->rows.cells[i];
        to[i].bytes = arena_dup(&l->batch, to[i].bytes);
        l->bytes += to[i].bytes.len;
    }
    l->n++;
    return (l->n < BATCH_ROWS && l->bytes < BATCH_BYTES) || write_batch(l, e);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static bool run_settle(void *arg, struct db_conn *c, struct err *e)
{
    struct loading *l = arg;
    return !l->tables->settle || l->tables->settle(c, e);
}

static bool take_line(struct loading *l, struct slice line, struct err *e)
{
    enum keep_line is;
    if (!keep_reader_line(&l->rows, line, &is, e))
        return false;
    switch (is) {
    case LINE_TABLE:
        return begin_table(l, e);
    case LINE_ROW:
        return add_row(l, e);
    case LINE_END:
        return write_batch(l, e);
    default:
        return db_write_now(l->db, run_settle, l, e);
    }
}

static bool is_of_entry(struct pack_in *in, const struct keep_entry *entry, struct err *e)
{
    uint64_t bytes;
    char hash[SHA256_HEX_LEN + 1];
    pack_in_hash(in, &bytes, hash);
    return strcmp(hash, entry->rows_hash) == 0 ||
           err_set(e, ERR_DAMAGED, "The rows of the backup are not those it was made with.");
}

static bool load_all(struct loading *l, struct pack_in *in, const struct keep_entry *entry,
                     struct err *e)
{
    struct slice line;
    bool has_more = true;
    for (;;) {
        if (!pack_in_line(in, &line, &has_more, e))
            return false;
        if (!has_more)
            break;
        if (!take_line(l, line, e))
            return false;
    }
    return (l->rows.is_over || err_set(e, ERR_DAMAGED, "The rows are cut off.")) &&
           is_of_entry(in, entry, e);
}

bool keep_load(const struct keep_tables *tables, struct db *db, int fd,
               const struct keep_entry *entry, const struct keep_placing *placing,
               const struct keep_hearer *to, struct err *e)
{
    struct loading *l = mem_new(struct loading);
    l->tables = tables;
    l->placing = placing;
    l->to = to;
    l->db = db;
    l->contents_all = entry->contents;
    l->cells = mem_alloc(sizeof *l->cells * BATCH_ROWS * KEEP_COLUMNS_MAX);
    keep_reader_init(&l->rows);
    arena_init(&l->arena, 256u << 20); /* for as many tables as a backup may have */
    arena_init(&l->batch, BATCH_ARENA);
    buf_init(&l->one, TEXT_MAX);
    buf_init(&l->many, TEXT_MAX);
    struct pack_in *in = pack_in_new(fd);
    bool fine = load_all(l, in, entry, e);
    pack_in_free(in);
    buf_done(&l->many);
    buf_done(&l->one);
    arena_done(&l->batch);
    arena_done(&l->arena);
    keep_reader_done(&l->rows);
    free(l->cells);
    free(l);
    return fine;
}
