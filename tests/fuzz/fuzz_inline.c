/* Fuzzes the reader of HTML that finds scripts and styles, and what policies are filled with. */
#include "web/inline_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct inline_found f;
    inline_scan((struct slice){(const char *)data, size}, &f);
    must(!f.scripts.full && !f.styles.full);
    must(f.n_scripts <= INLINE_MAX && f.n_styles <= INLINE_MAX);
    must((f.n_scripts == 0) == (f.scripts.len == 0) && (f.n_styles == 0) == (f.styles.len == 0));
    inline_done(&f);
    return 0;
}
