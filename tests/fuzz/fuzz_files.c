/* Fuzzes names and first bytes of files, links and cursors: nothing passes that is not what it
 * should be. The input: a line of the said type, a line of the path, then bytes. */
#include "base/utf8.h"
#include "files/files_impl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(struct slice path)
{
    struct slice rest = path, segment;
    struct err e = {0};
    if (!file_path_check(path, &e)) {
        must(e.code == ERR_MALFORMED && e.msg[0]);
        return;
    }
    must(path.len && path.len <= FILE_PATH_MAX && utf8_is_valid(path));
    for (size_t i = 0; i < path.len; i++)
        must((unsigned char)path.ptr[i] >= ' ' && path.ptr[i] != 0x7f && path.ptr[i] != '\\');
    must(path.ptr[0] != '/' && path.ptr[path.len - 1] != '/');
    must(slice_search(path, SLICE("//")) < 0 && slice_search(path, SLICE("\u202e")) < 0);
    while (slice_cut(&rest, '/', &segment))
        must(segment.len && segment.len <= FILE_NAME_MAX && !slice_is(segment, ".") &&
             !slice_is(segment, ".."));
}

/* Whoever says what: what is shown is what the bytes alone would be shown as, and is no page. */
static void check_type(struct slice bytes, struct slice said, struct slice path)
{
    struct slice type = file_sniff(bytes, said, path);
    struct slice alone = file_sniff(bytes, SLICE(""), SLICE(""));
    must(type.len && slice_index(type, '/') > 0 && slice_index(type, ';') < 0);
    for (size_t i = 0; i < type.len; i++)
        must(type.ptr[i] > ' ' && type.ptr[i] < 0x7f &&
             !(type.ptr[i] >= 'A' && type.ptr[i] <= 'Z'));
    must(!file_type_is_passive(type) || file_type_is_passive(alone));
    if (slice_starts(type, SLICE("text/")))
        must(slice_index(slice_first(bytes, FILE_SNIFF_BYTES), '\0') < 0);
    if (slice_starts_nocase(bytes, SLICE("<script>")) ||
        slice_starts_nocase(bytes, SLICE("<html>")))
        must(!file_type_is_passive(type));
}

static void check_signed(struct slice query, struct slice path)
{
    static struct files files = {.link_key = "a key of thirty-two bytes......",
                                 .cursor_key = "another one of thirty-two......"};
    static struct file_bucket bucket = {.files = &files, .name = SLICE_INIT("b")};
    const struct files_query q = {&bucket, SLICE(""), SLICE(""), query, 0, false};
    const struct file_place at = {&bucket, SLICE(""), path};
    struct file_link l;
    struct arena a;
    struct slice from;
    arena_init(&a, 16u << 20);
    must(!file_link_read(&files, &at, METHOD_GET, query, 1, &a, &l, NULL));
    must(!query.len || !file_cursor_read(&q, &a, &from, NULL));
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = {(const char *)data, size}, said = SLICE(""), path = SLICE("");
    slice_cut(&rest, '\n', &said);
    slice_cut(&rest, '\n', &path);
    check_path(path);
    check_path(rest);
    check_type(rest, said, path);
    check_signed(slice_first(rest, 4096), path);
    return 0;
}
