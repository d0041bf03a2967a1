/* Links of a site moved below a base: nothing is lost, and what was moved is left alone the next
 * time. */
#include "base/must.h"
#include "render/pages_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {"/index.html", "/a.js", "/a/index.html", "/c/a.js", "/ b"};
    struct map map;
    struct buf once, twice;
    if (size < 1)
        return 0;
    map_init(&map);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        map_put(&map, slice_from(paths[i]), &map);
    enum links_kind kind = (enum links_kind)(data[0] % (LINKS_DATA + 1));
    const struct links links = {SLICE("/c/"), &map, data[0] & 0x80 ? SLICE("/a/") : SLICE("")};
    const struct slice text = {(const char *)data + 1, size - 1};
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    size_t moved = links_move(kind, text, &links, &once);
    must(links.folder.len || once.full || once.len == text.len + 2 * moved);
    must(moved || links.folder.len || slice_eq(buf_slice(&once), text));
    must(links_move(kind, buf_slice(&once), &links, &twice) == 0 || links.folder.len);
    must(links.folder.len || slice_eq(buf_slice(&once), buf_slice(&twice)));
    buf_done(&twice);
    buf_done(&once);
    map_done(&map);
    return 0;
}
