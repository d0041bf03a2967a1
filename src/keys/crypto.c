/* Opening libcrypto on first use: an app without {jwt} needs none of it. */
#include "keys/crypto_impl.h"

#include <dlfcn.h>
#include <pthread.h>

struct crypto crypto;
const char *crypto_library = "libcrypto.so.3";

static const char *const names[] = {
#define X(name) #name,
    CRYPTO_MAP(X)
#undef X
};

static bool find_all(void *library, struct err *e)
{
    _Static_assert(sizeof(struct crypto) == sizeof names, "a pointer for each name");
    void **at = (void **)&crypto;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        at[i] = dlsym(library, names[i]);
        if (!at[i])
            return err_set(e, ERR_UNAVAILABLE,
                           "%s has no %s, which {jwt} needs: OpenSSL 3.0 or newer has",
                           crypto_library, names[i]);
    }
    /* Configuration files of the machine are none of ours. */
    if (crypto.OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1)
        return true;
    return err_set(e, ERR_UNAVAILABLE, "%s could not be prepared", crypto_library);
}

bool crypto_load(struct err *e)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool is_loaded;
    pthread_mutex_lock(&lock);
    if (!is_loaded) {
        void *library = dlopen(crypto_library, RTLD_NOW | RTLD_LOCAL);
        if (library)
            is_loaded = find_all(library, e);
        else
            err_set(e, ERR_UNAVAILABLE,
                    "{jwt} needs the library %s, which is not here: install OpenSSL 3"
                    " (apt-get install libssl3)",
                    crypto_library);
        if (library && !is_loaded)
            dlclose(library);
    }
    bool fine = is_loaded;
    pthread_mutex_unlock(&lock);
    return fine;
}
