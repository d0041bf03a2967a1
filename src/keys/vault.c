/* The store of secrets as bytes: a box for each value, a seal over all of them.
 *
 * {"version":1,"key":"…","secrets":[{"app":"notes","name":"KEY","set":1760000000000,
 *  "box":"nonce and ciphertext"}],"seal":"…"}
 *
 * In a box: the name, a zero byte, the value. `key` names the key and tells nothing about it: so a
 * wrong secret and a damaged file are told apart. */
#include "keys/keys.h"

#include "base/base64.h"
#include "base/json.h"

#include <sodium.h>
#include <string.h>

#define VERSION      1
#define KEY_ID_LEN   8
#define NAME_MAX_LEN 200
#define NONCE        crypto_secretbox_NONCEBYTES
#define TAG          crypto_secretbox_MACBYTES
#define TEXT_MAX     (VAULT_VALUE_MAX + NAME_MAX_LEN + 1)

/* ---- in memory ------------------------------------------------------------------------------- */

void vault_init(struct vault *v, struct arena *a)
{
    *v = (struct vault){.arena = a}; /* room comes with the first entry: most hosts have none */
}

struct vault_entry *vault_find(const struct vault *v, struct slice app, struct slice name)
{
    for (size_t i = 0; i < v->n; i++) {
        if (slice_eq(v->items[i].app, app) && slice_eq(v->items[i].name, name))
            return &v->items[i];
    }
    return NULL;
}

bool vault_put(struct vault *v, const struct vault_entry *it, struct err *e)
{
    struct vault_entry *to = vault_find(v, it->app, it->name);
    if (it->value.len > VAULT_VALUE_MAX || it->name.len > NAME_MAX_LEN || !it->name.len)
        return err_set(e, ERR_INVALID, "a secret is at most %d KB long, its name %d characters",
                       VAULT_VALUE_MAX >> 10, NAME_MAX_LEN);
    if (slice_index(it->value, '\0') >= 0 || slice_index(it->name, '\0') >= 0)
        return err_set(e, ERR_INVALID,
                       "the secret holds a NUL byte, which no variable can; encode it");
    if (!to && v->n == VAULT_MAX)
        return err_set(e, ERR_INVALID, "the store has %d secrets and takes no more; remove some",
                       VAULT_MAX);
    if (!v->items)
        v->items = arena_zalloc(v->arena, VAULT_MAX * sizeof *v->items);
    if (!to)
        to = &v->items[v->n++];
    *to = (struct vault_entry){
        .app = arena_dup(v->arena, it->app),
        .name = arena_dup(v->arena, it->name),
        .value = arena_dup(v->arena, it->value),
        .set_ms = it->set_ms,
    };
    return true;
}

bool vault_remove(struct vault *v, struct slice app, struct slice name)
{
    struct vault_entry *it = vault_find(v, app, name);
    if (!it)
        return false;
    memmove(it, it + 1, (size_t)(v->items + v->n - (it + 1)) * sizeof *it);
    v->n--;
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void key_id(const struct root_secret *s, char to[2 * KEY_ID_LEN + 1])
{
    unsigned char id[KEY_ID_LEN];
    root_secret_derive(s, "secrets id", SLICE(""), id, sizeof id);
    sodium_bin2hex(to, 2 * KEY_ID_LEN + 1, id, sizeof id);
}

/* Parts that cannot run into each other; the order of the entries counts. */
struct seal {
    crypto_auth_hmacsha256_state state;
};

static void seal_init(struct seal *seal, const struct root_secret *s)
{
    unsigned char key[crypto_auth_hmacsha256_KEYBYTES];
    root_secret_derive(s, "secrets seal", SLICE(""), key, sizeof key);
    crypto_auth_hmacsha256_init(&seal->state, key, sizeof key);
    sodium_memzero(key, sizeof key);
}

static void seal_part(struct seal *seal, struct slice part)
{
    uint64_t len = part.len;
    crypto_auth_hmacsha256_update(&seal->state, (const unsigned char *)&len, sizeof len);
    crypto_auth_hmacsha256_update(&seal->state, (const unsigned char *)part.ptr, part.len);
}

static void seal_entry(struct seal *seal, const struct vault_entry *it, struct slice box)
{
    seal_part(seal, it->app);
    seal_part(seal, it->name);
    seal_part(seal, (struct slice){(const char *)&it->set_ms, sizeof it->set_ms});
    seal_part(seal, box);
}

static void seal_done(struct seal *seal, unsigned char to[crypto_auth_hmacsha256_BYTES])
{
    crypto_auth_hmacsha256_final(&seal->state, to);
}

/* ---- out ------------------------------------------------------------------------------------- */

static void add_base64(struct buf *to, const void *bytes, size_t n)
{
    buf_clear(to);
    base64_add(to, (struct slice){bytes, n}, BASE64);
}

/* Nonce and ciphertext, in the arena. */
static struct slice box_of(const struct vault_entry *it, const struct root_secret *s,
                           struct arena *a)
{
    unsigned char key[crypto_secretbox_KEYBYTES];
    size_t n = it->name.len + 1 + it->value.len;
    unsigned char *box = arena_alloc(a, NONCE + TAG + n), *text = box + NONCE + TAG;
    memcpy(text, it->name.ptr, it->name.len);
    text[it->name.len] = '\0';
    memcpy(text + it->name.len + 1, it->value.ptr, it->value.len);
    randombytes_buf(box, NONCE);
    root_secret_derive(s, "secrets", it->app, key, sizeof key);
    crypto_secretbox_easy(box + NONCE, text, n, box, key); /* the two may overlap */
    sodium_memzero(key, sizeof key);
    return (struct slice){(const char *)box, NONCE + TAG + n};
}

static void write_entry(struct json_writer *w, const struct vault_entry *it, struct slice box,
                        struct buf *text)
{
    add_base64(text, box.ptr, box.len);
    json_write_object(w);
    json_write_key(w, SLICE("app"));
    json_write_str(w, it->app);
    json_write_key(w, SLICE("name"));
    json_write_str(w, it->name);
    json_write_key(w, SLICE("set"));
    json_write_i64(w, it->set_ms);
    json_write_key(w, SLICE("box"));
    json_write_str(w, buf_slice(text));
    json_write_object_end(w);
}

void vault_write(const struct vault *v, const struct root_secret *s, struct buf *to)
{
    unsigned char seal_bytes[crypto_auth_hmacsha256_BYTES];
    char id[2 * KEY_ID_LEN + 1];
    struct json_writer w;
    struct seal seal;
    struct buf text;
    must(sodium_init() >= 0);
    buf_init(&text, 2 * TEXT_MAX);
    json_writer_init(&w, to, 0);
    seal_init(&seal, s);
    key_id(s, id);
    json_write_object(&w);
    json_write_key(&w, SLICE("version"));
    json_write_u64(&w, VERSION);
    json_write_key(&w, SLICE("key"));
    json_write_cstr(&w, id);
    json_write_key(&w, SLICE("secrets"));
    json_write_array(&w);
    for (size_t i = 0; i < v->n; i++) {
        struct slice box = box_of(&v->items[i], s, v->arena);
        seal_entry(&seal, &v->items[i], box);
        write_entry(&w, &v->items[i], box, &text);
    }
    json_write_array_end(&w);
    seal_done(&seal, seal_bytes);
    add_base64(&text, seal_bytes, sizeof seal_bytes);
    json_write_key(&w, SLICE("seal"));
    json_write_str(&w, buf_slice(&text));
    json_write_object_end(&w);
    buf_add_char(to, '\n');
    buf_done(&text);
}

/* ---- in -------------------------------------------------------------------------------------- */

static bool damaged(struct err *e)
{
    return err_set(e, ERR_IO,
                   "the store of secrets is damaged, or was changed by somebody without the "
                   "secret; restore secrets.json in the data folder, or remove it and add the "
                   "secrets again");
}

/* Into the arena; false: it is no base64. */
static bool bytes_of(const struct json *v, struct arena *a, struct slice *ret)
{
    struct slice text = json_str(v);
    size_t n = 0;
    unsigned char *to = arena_alloc(a, text.len + 1);
    if (sodium_base642bin(to, text.len + 1, text.ptr, text.len, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return false;
    *ret = (struct slice){(const char *)to, n};
    return text.len > 0;
}

static bool open_box(struct slice box, const struct root_secret *s, struct arena *a,
                     struct vault_entry *it)
{
    unsigned char key[crypto_secretbox_KEYBYTES];
    const unsigned char *bytes = (const unsigned char *)box.ptr;
    if (box.len < NONCE + TAG || box.len > NONCE + TAG + TEXT_MAX)
        return false;
    unsigned char *text = arena_alloc(a, box.len);
    root_secret_derive(s, "secrets", it->app, key, sizeof key);
    bool is_ours =
        crypto_secretbox_open_easy(text, bytes + NONCE, box.len - NONCE, bytes, key) == 0;
    sodium_memzero(key, sizeof key);
    struct slice rest = {(const char *)text, box.len - NONCE - TAG}, name;
    if (!is_ours || slice_index(rest, '\0') < 0)
        return false;
    slice_cut(&rest, '\0', &name);
    it->value = rest;
    return slice_eq(name, it->name);
}

static bool read_entry(struct vault *v, const struct json *from, const struct root_secret *s,
                       struct seal *seal, struct err *e)
{
    struct slice box;
    struct vault_entry it = {
        .app = json_str(json_find(from, SLICE("app"))),
        .name = json_str(json_find(from, SLICE("name"))),
    };
    if (!json_i64(json_find(from, SLICE("set")), &it.set_ms) ||
        !bytes_of(json_find(from, SLICE("box")), v->arena, &box) || it.app.len > NAME_MAX_LEN ||
        vault_find(v, it.app, it.name) || !open_box(box, s, v->arena, &it))
        return damaged(e);
    seal_entry(seal, &it, box);
    return vault_put(v, &it, e);
}

static bool is_of_key(const struct json *root, const struct root_secret *s, struct err *e)
{
    char id[2 * KEY_ID_LEN + 1];
    int64_t version;
    if (!json_i64(json_find(root, SLICE("version")), &version))
        return damaged(e);
    if (version != VERSION)
        return err_set(e, ERR_IO, "the store of secrets is of a newer dais; use that one");
    key_id(s, id);
    return slice_is(json_str(json_find(root, SLICE("key"))), id) ||
           err_set(e, ERR_FORBIDDEN,
                   "the store of secrets was made under another secret than the present one");
}

bool vault_read(struct vault *ret, struct arena *a, struct slice text, const struct root_secret *s,
                struct err *e)
{
    unsigned char wanted[crypto_auth_hmacsha256_BYTES];
    struct json_doc doc;
    struct err why;
    struct seal seal;
    struct slice found;
    must(sodium_init() >= 0);
    vault_init(ret, a);
    if (!json_parse(&doc, a, text, NULL, &why))
        return damaged(e);
    const struct json *root = json_root(&doc), *list = json_find(root, SLICE("secrets"));
    if (!is_of_key(root, s, e))
        return false;
    if (json_type(list) != JSON_ARRAY || json_len(list) > VAULT_MAX)
        return damaged(e);
    seal_init(&seal, s);
    json_each (it, list) {
        if (!read_entry(ret, it.value, s, &seal, e))
            return false;
    }
    seal_done(&seal, wanted);
    return (bytes_of(json_find(root, SLICE("seal")), a, &found) && found.len == sizeof wanted &&
            sodium_memcmp(found.ptr, wanted, sizeof wanted) == 0) ||
           damaged(e);
}
