/* Entries of backups: what is read is written again to the same; names lead nowhere else. */
#include "base/utf8.h"
#include "keep/keep_impl.h"

#include <string.h>

static void check_name(struct slice name)
{
    if (!keep_name_check(name))
        return;
    must(name.len == KEEP_NAME_LEN && !memchr(name.ptr, '/', name.len) &&
         !memchr(name.ptr, '.', name.len) && utf8_is_line(name));
    must(keep_name_ms(name) >= 0 && keep_name_ms(name) % 1000 == 0);
}

static bool check_entry(struct slice text, struct buf *to)
{
    struct keep_entry entry;
    struct arena a;
    struct err e = {0};
    arena_init(&a, 1u << 20);
    bool fine = keep_entry_read(SLICE("20261122T030000Z-k3v9"), text, &a, &entry, &e);
    if (fine) {
        must(utf8_is_line(entry.made_by) && utf8_is_line(entry.app) && entry.app.len);
        must(keep_hash_check(slice_from(entry.rows_hash)) && !entry.why_damaged[0]);
        must(!entry.secret_mark[0] || keep_hash_check(slice_from(entry.secret_mark)));
        must(entry.made_ms >= 0 && entry.lost <= entry.contents);
        keep_entry_write(&entry, to);
    } else {
        must((e.code == ERR_DAMAGED || e.code == ERR_USAGE) && e.msg[0]);
    }
    arena_done(&a);
    return fine;
}

/* What is read is written again to the same. */
static void check_again(struct slice text)
{
    struct buf once, twice;
    buf_init(&once, 16u << 20);
    buf_init(&twice, 16u << 20);
    if (check_entry(text, &once)) {
        must(check_entry(buf_slice(&once), &twice));
        must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    }
    buf_done(&once);
    buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = {(const char *)data, size};
    struct buf sealed; /* no digest is hit upon */
    check_name(text);
    check_again(text);
    buf_init(&sealed, 16u << 20);
    buf_add(&sealed, text);
    keep_entry_seal(&sealed);
    if (!sealed.full)
        check_again(buf_slice(&sealed));
    buf_done(&sealed);
    return 0;
}
