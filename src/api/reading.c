/* An app's collections as its manifest has them, with everything that is wrong with them. */
#include "api/api_impl.h"
#include "describe/describe.h"

#define SCRATCH_BYTES (256u << 20)

struct docs *api_read(const struct manifest *m, struct problems *p)
{
    struct arena scratch;
    size_t had = p->n_errors;
    if (!m->collections.n)
        return NULL;
    arena_init(&scratch, SCRATCH_BYTES);
    const struct schema_loader schemas = describe_folder(&scratch, m->dir.ptr);
    describe_check(&scratch, m, &schemas, p);
    arena_done(&scratch);
    if (p->n_errors > had)
        return NULL;
    struct docs *d = docs_new(m, p);
    if (p->n_errors == had)
        return d;
    docs_free(d);
    return NULL;
}
