/* Passwords: argon2id as RFC 9106 describes it, 19 MiB and two passes, which is what a core can do
 * in some 20 ms. A password is its bytes: nothing is trimmed, folded or normalised. */
#include "accounts/people_impl.h"

#include <sodium.h>
#include <string.h>

#define MEMORY_BYTES (19456u << 10)
#define PASSES       2

static bool start(struct err *e)
{
    return sodium_init() >= 0 || err_set(e, ERR_INTERNAL, "The password library did not start.");
}

/* The two that take a core for a while; on a thread that gives way to all others. */
struct hashing {
    struct slice password;
    const char *hash; /* to verify; NULL: `text` is made */
    char text[crypto_pwhash_STRBYTES];
    int failed;
};

static void hash_or_verify(void *arg)
{
    struct hashing *h = arg;
    const char *password = h->password.ptr ? h->password.ptr : "";
    h->failed = h->hash ? crypto_pwhash_str_verify(h->hash, password, h->password.len)
                        : crypto_pwhash_str_alg(h->text, password, h->password.len, PASSES,
                                                MEMORY_BYTES, crypto_pwhash_ALG_ARGON2ID13);
}

bool password_hash(struct slice password, char to[HASH_MAX], struct err *e)
{
    struct hashing h = {.password = password};
    if (!start(e))
        return false;
    run_gently(hash_or_verify, &h);
    if (h.failed)
        return err_set(e, ERR_UNAVAILABLE, "There is no memory for this just now.");
    memcpy(to, h.text, sizeof h.text);
    return true;
}

/* What nobody's password is compared with: as much work as a real one, and no password fits. */
static const char nobodys[] = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA"
                              "$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

bool password_is(const char *hash, struct slice password)
{
    struct err e;
    if (!start(&e))
        return false;
    bool is_somebodys = hash && hash[0];
    struct hashing h = {.password = password, .hash = is_somebodys ? hash : nobodys};
    run_gently(hash_or_verify, &h);
    return is_somebodys && !h.failed;
}

bool password_is_old(const char *hash)
{
    return crypto_pwhash_str_needs_rehash(hash && hash[0] ? hash : nobodys, PASSES, MEMORY_BYTES) !=
           0;
}

/* Texts of the program: they outlive every arena. */
#define TELL(ret_details, e, code, says)                                                        \
    (*(ret_details) =                                                                           \
         SLICE("[{\"pointer\":\"/password\",\"code\":\"" code "\",\"message\":\"" says "\"}]"), \
     err_set(e, ERR_INVALID, "%s", says))

/* Letters of any script count as one each. */
static size_t count_chars(struct slice text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* "aaaaaaaa", "12121212", "password" and what else is tried first. */
static bool is_common(struct slice password)
{
    static const char *const all[] = {
        "password",  "password1",  "password12", "password123", "passw0rd",   "12345678",
        "123456789", "1234567890", "87654321",   "qwertyui",    "qwertyuiop", "qwerty123",
        "1q2w3e4r",  "1qaz2wsx",   "iloveyou",   "sunshine",    "princess",   "football",
        "baseball",  "superman",   "letmein1",   "welcome1",    "admin123",   "trustno1",
        "abcd1234",  "asdfghjk",   "changeme",   "passwort",    "hallo123",   "starwars",
    };
    bool repeats = true;
    for (size_t i = 2; i < password.len; i++)
        repeats &= password.ptr[i] == password.ptr[i - 2];
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        repeats |= slice_eq_nocase(password, slice_from(all[i]));
    return repeats;
}

bool password_is_good(struct slice password, struct slice email, struct slice *ret_details,
                      struct err *e)
{
    if (count_chars(password) < ACCOUNT_PASSWORD_MIN)
        return TELL(ret_details, e, "too_short", "The password needs at least 8 characters.");
    if (password.len > ACCOUNT_PASSWORD_MAX)
        return TELL(ret_details, e, "too_long", "The password may have at most 1,024 bytes.");
    if (slice_eq_nocase(password, email))
        return TELL(ret_details, e, "is_email", "The password must not be the address.");
    if (is_common(password))
        return TELL(ret_details, e, "common",
                    "This password is among the first that are tried: take another one.");
    return true;
}
