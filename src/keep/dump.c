/* A database into a packed file: every table that is kept, as of one moment.
 *
 * It is read as fast as gzip packs: some 50 MB a second. On SQLite the log cannot begin
 * anew meanwhile and grows by what is written; a dump that began again when that is long would read
 * as long as the first, with as much written meanwhile, so it does not. Nobody waits for it, and a
 * disk that is nearly full ends it (pack.c), which lets the log go. */
#include "keep/keep_impl.h"

#define OURS      "dais_" /* others' tables in the same place are theirs to keep */
#define LOOK_ROWS 256     /* between two looks at whether it is to stop */

bool keep_list_has(const char *list, struct slice word)
{
    struct slice rest = slice_from(list), each;
    while (slice_cut(&rest, ' ', &each)) {
        if (slice_eq(each, word))
            return true;
    }
    return false;
}

const struct keep_family *keep_family_of(const struct keep_tables *tables, struct slice table)
{
    for (size_t i = 0; i < tables->n_families; i++) {
        if (slice_starts(table, slice_from(tables->families[i].prefix)))
            return &tables->families[i];
    }
    return NULL;
}

struct dumping {
    const struct keep_tables *tables;
    const struct keep_hearer *to;
    struct db_conn *conn;
    struct pack_out *out;
    struct buf line;
    struct keep_entry *entry;
};

/* ---- what is kept ---------------------------------------------------------------------------- */

static bool is_kept(const struct keep_tables *tables, struct slice table)
{
    return keep_family_of(tables, table) != NULL ||
           (slice_starts(table, SLICE(OURS)) && !keep_list_has(tables->left_out, table));
}

/* `part`: the same table with the columns that are kept, in both forms. */
static bool choose_columns(const struct dumping *d, const struct db_table *t, struct db_table *part,
                           struct keep_table *as, struct err *e)
{
    static const enum keep_kind kinds[] = {
        [DB_NUMBER] = KIND_NUMBER, [DB_TEXT] = KIND_TEXT, [DB_BYTES] = KIND_BYTES};
    const struct keep_family *family = keep_family_of(d->tables, t->name);
    part->name = as->name = t->name;
    part->n = as->n = 0;
    bool fine = keep_word_check(t->name);
    for (size_t i = 0; fine && i < t->n; i++) {
        if (family && !keep_list_has(family->columns, t->columns[i].name))
            continue;
        fine = as->n < KEEP_COLUMNS_MAX && keep_word_check(t->columns[i].name);
        if (!fine)
            break;
        as->columns[as->n++] = (struct keep_column){t->columns[i].name, kinds[t->columns[i].type]};
        part->columns[part->n++] = t->columns[i];
    }
    return (fine && as->n) || err_set(e, ERR_USAGE, "The table %.*s is not such as can be kept.",
                                      SLICE_ARGS(slice_first(t->name, 60)));
}

/* ---- lines ------------------------------------------------------------------------------------
 */

static bool put_line(struct dumping *d, struct slice table, struct err *e)
{
    bool fine = !d->line.full ? pack_out_add(d->out, buf_slice(&d->line), e)
                              : err_set(e, ERR_USAGE, "A row of %.*s is too long to be kept.",
                                        SLICE_ARGS(table));
    buf_clear(&d->line);
    return fine;
}

static void read_cells(const struct db_stmt *s, const struct keep_table *as,
                       struct keep_cell *cells)
{
    for (size_t i = 0; i < as->n; i++) {
        int at = (int)i;
        cells[i] = (struct keep_cell){.is_null = db_is_null(s, at)};
        if (cells[i].is_null)
            continue;
        if (as->columns[i].kind == KIND_NUMBER)
            cells[i].number = db_i64(s, at);
        else
            cells[i].bytes = db_blob(s, at);
    }
}

static bool look_around(const struct dumping *d, struct err *e)
{
    if (d->entry->rows % LOOK_ROWS != 0)
        return true;
    if (d->to && d->to->progress)
        d->to->progress(d->to->user, d->entry->rows, 0, 0);
    return keep_goes_on(d->to, e);
}

static bool dump_rows(struct dumping *d, struct db_rows *rows, const struct keep_table *as,
                      uint64_t *ret_n, struct err *e)
{
    struct keep_cell cells[KEEP_COLUMNS_MAX];
    enum db_step step;
    *ret_n = 0;
    while ((step = db_rows_next(rows, e)) == DB_ROW) {
        read_cells(db_rows_at(rows), as, cells);
        keep_line_row(&d->line, as, cells);
        d->entry->rows++;
        ++*ret_n;
        if (!put_line(d, as->name, e) || !look_around(d, e))
            return false;
    }
    return step == DB_END;
}

/* Of dais_blobs only what a file names: the rest is about to go. */
static bool dump_table(struct dumping *d, const struct db_table *t, struct err *e)
{
    struct db_column columns[KEEP_COLUMNS_MAX];
    struct db_table part = {.columns = columns};
    struct keep_table as;
    uint64_t n;
    if (!choose_columns(d, t, &part, &as, e))
        return false;
    keep_line_table(&d->line, &as);
    const char *where = slice_is(t->name, KEEP_BLOBS) ? "loose_at IS NULL" : NULL;
    struct db_rows *rows = put_line(d, t->name, e) ? db_rows_open(d->conn, &part, where, e) : NULL;
    bool fine = rows && dump_rows(d, rows, &as, &n, e);
    db_rows_close(rows);
    if (!fine)
        return false;
    keep_line_end(&d->line, t->name, n);
    d->entry->tables++;
    return put_line(d, t->name, e);
}

/* dais_blobs goes first: see lines.c. */
static bool dump_all(struct dumping *d, const struct db_table *all, size_t n, struct err *e)
{
    for (int turn = 0; turn < 2; turn++) {
        for (size_t i = 0; i < n; i++) {
            bool is_first = slice_is(all[i].name, KEEP_BLOBS);
            if (is_first == (turn == 0) && is_kept(d->tables, all[i].name) &&
                !dump_table(d, &all[i], e))
                return false;
        }
    }
    keep_line_last(&d->line, d->entry->tables, d->entry->rows);
    return put_line(d, SLICE("-"), e) &&
           pack_out_end(d->out, &d->entry->rows_bytes, d->entry->rows_hash, e);
}

bool keep_dump(const struct keep_source *from, struct db *db, int fd, const struct keep_hearer *to,
               struct arena *a, struct keep_entry *entry, struct err *e)
{
    struct dumping d = {.tables = from->tables, .to = to, .entry = entry};
    struct db_table *all = NULL;
    struct slice *steps = NULL;
    size_t n = 0;
    entry->is_sqlite = db_is_sqlite(db);
    entry->tables = entry->rows = 0;
    d.conn = db_conn_take(db, e);
    if (!d.conn)
        return false;
    d.out = pack_out_new(fd);
    buf_init(&d.line, KEEP_LINE_MAX);
    bool fine = db_steps(d.conn, a, &steps, &entry->n_steps, e) &&
                db_tables(d.conn, a, &all, &n, e) && dump_all(&d, all, n, e);
    entry->steps = steps;
    buf_done(&d.line);
    pack_out_free(d.out);
    db_conn_give(d.conn);
    return fine;
}
