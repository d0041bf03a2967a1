/* Opening libpq on first use: whoever stays with SQLite needs none of it. */
#include "db/postgres_impl.h"

#include <dlfcn.h>

struct pq pq;
const char *pq_library = "libpq.so.5";

static const char *const names[] = {
#define X(name) #name,
    PQ_MAP(X)
#undef X
};

static bool find_all(void *library, struct err *e)
{
    _Static_assert(sizeof(struct pq) == sizeof names, "a pointer for each name");
    void **at = (void **)&pq;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        at[i] = dlsym(library, names[i]);
        if (!at[i])
            return err_set(e, ERR_UNAVAILABLE,
                           "%s is too old for the database (it has no %s): Postgres 14's or newer"
                           " is needed",
                           pq_library, names[i]);
    }
    return true;
}

/* It stays open: its libraries do not like to be closed. */
bool pq_load(struct err *e)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool is_loaded;
    pthread_mutex_lock(&lock);
    if (!is_loaded) {
        void *library = dlopen(pq_library, RTLD_NOW | RTLD_LOCAL);
        if (library)
            is_loaded = find_all(library, e);
        else
            err_set(e, ERR_UNAVAILABLE,
                    "a postgres:// database needs the library %s, which is not here: install"
                    " libpq5 (apt-get install libpq5)",
                    pq_library);
        if (library && !is_loaded)
            dlclose(library);
    }
    bool fine = is_loaded;
    pthread_mutex_unlock(&lock);
    return fine;
}
