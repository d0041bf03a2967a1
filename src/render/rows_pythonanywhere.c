/* PythonAnywhere: a command on a socket, or WSGI. */
#include "render/rows_impl.h"

const struct render_row rows_pythonanywhere[] = {
    {0},
};

void facts_pythonanywhere(const struct facts *f)
{
    facts_begin(f, "pythonanywhere");
    facts_end(f);
}

void check_pythonanywhere(const struct manifest *m, const struct target *t, struct problems *p)
{
    (void)m, (void)t, (void)p;
}
