/* An entry of a folder of backups: its name, and its NAME.json, written and read strictly. */
#include "keep/keep_impl.h"

#include "base/clock.h"
#include "base/random.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 1000
#define TEXT_MAX  100                 /* of a version, of a migration's name */
#define SLUG_MAX  40                  /* as a manifest has it */
#define COUNT_MAX ((uint64_t)1 << 53) /* what every reader of JSON keeps exactly */

/* ---- names ----------------------------------------------------------------------------------- */

#define TIME_LEN 16 /* 20261122T030000Z */

static bool all_of(struct slice s, const char *letters)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!s.ptr[i] || !strchr(letters, s.ptr[i]))
            return false;
    }
    return true;
}

#define DIGITS "0123456789"
#define LOWER  "abcdefghijklmnopqrstuvwxyz"

void keep_name_make(int64_t made_ms, char to[KEEP_NAME_LEN + 1])
{
    char at[RFC3339_LEN + 1];
    unsigned char random[KEEP_NAME_LEN - TIME_LEN - 1];
    clock_rfc3339(made_ms, at); /* 2026-11-22T03:00:00.000Z */
    random_bytes(random, sizeof random);
    snprintf(to, KEEP_NAME_LEN + 1, "%.4s%.2s%.2sT%.2s%.2s%.2sZ-", at, at + 5, at + 8, at + 11,
             at + 14, at + 17);
    for (size_t i = 0; i < sizeof random; i++)
        to[TIME_LEN + 1 + i] = (DIGITS LOWER)[random[i] % 32];
    to[KEEP_NAME_LEN] = '\0';
}

static bool read_time(struct slice name, int64_t *ret)
{
    char text[RFC3339_LEN + 1];
    const char *at = name.ptr;
    int n = snprintf(text, sizeof text, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", at, at + 4, at + 6,
                     at + 9, at + 11, at + 13);
    return n > 0 && clock_parse_rfc3339(text, (uint64_t)n, ret) && *ret >= 0;
}

bool keep_name_check(struct slice name)
{
    int64_t at;
    return name.len == KEEP_NAME_LEN && all_of(slice_first(name, 8), DIGITS) &&
           name.ptr[8] == 'T' && all_of((struct slice){name.ptr + 9, 6}, DIGITS) &&
           name.ptr[15] == 'Z' && name.ptr[TIME_LEN] == '-' &&
           all_of(slice_skip(name, TIME_LEN + 1), DIGITS LOWER) && read_time(name, &at);
}

int64_t keep_name_ms(struct slice name)
{
    int64_t at = 0;
    must(keep_name_check(name) && read_time(name, &at));
    return at;
}

bool keep_hash_check(struct slice hash)
{
    return hash.len == SHA256_HEX_LEN && all_of(hash, DIGITS "abcdef");
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_str(struct json_writer *w, const char *key, struct slice value)
{
    json_write_key(w, slice_from(key));
    json_write_str(w, value);
}

static void put_u64(struct json_writer *w, const char *key, uint64_t value)
{
    json_write_key(w, slice_from(key));
    json_write_u64(w, value);
}

void keep_entry_write(const struct keep_entry *entry, struct buf *to)
{
    struct json_writer w;
    char at[RFC3339_LEN + 1];
    clock_rfc3339(entry->made_ms, at);
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    put_u64(&w, "format", KEEP_FORMAT);
    put_str(&w, "app", entry->app);
    put_str(&w, "made_by", entry->made_by);
    put_str(&w, "made_at", slice_from(at));
    put_str(&w, "database", entry->is_sqlite ? SLICE("sqlite") : SLICE("postgres"));
    json_write_key(&w, SLICE("of_restore"));
    json_write_bool(&w, entry->is_of_restore);
    put_u64(&w, "tables", entry->tables);
    put_u64(&w, "rows", entry->rows);
    put_u64(&w, "rows_bytes", entry->rows_bytes);
    put_str(&w, "rows_sha256", slice_from(entry->rows_hash));
    put_u64(&w, "contents", entry->contents);
    put_u64(&w, "content_bytes", entry->content_bytes);
    put_u64(&w, "lost", entry->lost);
    put_str(&w, "secret_mark", slice_from(entry->secret_mark));
    json_write_key(&w, SLICE("steps"));
    json_write_array(&w);
    for (size_t i = 0; i < entry->n_steps; i++)
        json_write_str(&w, entry->steps[i]);
    json_write_array_end(&w);
    json_write_object_end(&w);
    json_writer_done(&w);
    if (!to->full)
        to->len--; /* it is closed behind the digest */
    keep_entry_seal(to);
}

/* ---- the digest ------------------------------------------------------------------------------ */

#define SEAL     ",\"digest\":\""
#define SEAL_END "\"}\n"
#define SEAL_LEN (sizeof SEAL - 1 + SHA256_HEX_LEN + sizeof SEAL_END - 1)

static void digest_of(struct slice text, char to[SHA256_HEX_LEN + 1])
{
    struct sha256 sum;
    sha256_init(&sum);
    sha256_add(&sum, text);
    sha256_end_hex(&sum, to);
}

void keep_entry_seal(struct buf *to)
{
    char digest[SHA256_HEX_LEN + 1];
    digest_of(buf_slice(to), digest);
    buf_printf(to, SEAL "%s" SEAL_END, digest);
}

static bool has_seal(struct slice text)
{
    struct slice end = slice_skip(text, text.len > SEAL_LEN ? text.len - SEAL_LEN : 0);
    return text.len > SEAL_LEN && slice_starts(end, SLICE(SEAL)) &&
           slice_ends(end, SLICE(SEAL_END));
}

static bool is_sealed(struct slice text)
{
    char digest[SHA256_HEX_LEN + 1];
    struct slice body = slice_first(text, text.len - SEAL_LEN);
    digest_of(body, digest);
    return slice_is(slice_first(slice_skip(text, body.len + strlen(SEAL)), SHA256_HEX_LEN), digest);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const struct json *root;
    struct slice text;
    struct arena *a;
    struct err *e;
};

static bool bad(const struct reading *r, const char *key)
{
    return err_set(r->e, ERR_DAMAGED, "Its \"%s\" is not what a backup's is.", key);
}

static bool get_count(const struct reading *r, const char *key, uint64_t *ret)
{
    return (json_u64(json_find(r->root, slice_from(key)), ret) && *ret <= COUNT_MAX) || bad(r, key);
}

/* Into the caller's arena, which a long list of entries may have filled. */
static bool copy_text(const struct reading *r, struct slice text, struct slice *ret)
{
    char *to = arena_try_alloc(r->a, text.len + 1);
    if (!to)
        return err_set(r->e, ERR_DAMAGED, "It is too long to be read with the others.");
    memcpy(to, text.ptr, text.len);
    to[text.len] = '\0';
    *ret = (struct slice){to, text.len};
    return true;
}

static bool get_text(const struct reading *r, const char *key, const struct json *v,
                     struct slice *ret)
{
    struct slice text = json_str(v);
    if (!text.len || text.len > TEXT_MAX || !utf8_is_line(text))
        return bad(r, key);
    return copy_text(r, text, ret);
}

static bool get_app(const struct reading *r, struct slice *ret)
{
    struct slice app = json_str(json_find(r->root, SLICE("app")));
    if (!app.len || app.len > SLUG_MAX || !all_of(app, LOWER DIGITS "-_"))
        return bad(r, "app");
    return copy_text(r, app, ret);
}

static bool get_hash(const struct reading *r, const char *key, bool may_be_empty,
                     char ret[SHA256_HEX_LEN + 1])
{
    const struct json *v = json_find(r->root, slice_from(key));
    struct slice text = json_str(v);
    bool is_empty = may_be_empty && json_type(v) == JSON_STRING && !text.len;
    if (!is_empty && !keep_hash_check(text))
        return bad(r, key);
    memcpy(ret, text.ptr, text.len);
    ret[text.len] = '\0';
    return true;
}

static bool get_time(const struct reading *r, int64_t *ret)
{
    struct slice text = json_str(json_find(r->root, SLICE("made_at")));
    return (text.len == RFC3339_LEN && clock_parse_rfc3339(text.ptr, text.len, ret) && *ret >= 0) ||
           bad(r, "made_at");
}

static bool get_database(const struct reading *r, bool *ret)
{
    struct slice text = json_str(json_find(r->root, SLICE("database")));
    *ret = slice_is(text, "sqlite");
    return *ret || slice_is(text, "postgres") || bad(r, "database");
}

static bool get_of_restore(const struct reading *r, bool *ret)
{
    const struct json *v = json_find(r->root, SLICE("of_restore"));
    *ret = json_bool(v);
    return json_type(v) == JSON_BOOL || bad(r, "of_restore");
}

static bool get_steps(const struct reading *r, struct keep_entry *ret)
{
    const struct json *v = json_find(r->root, SLICE("steps"));
    size_t n = json_len(v);
    if (json_type(v) != JSON_ARRAY || n > STEPS_MAX)
        return bad(r, "steps");
    struct slice *steps = arena_try_alloc(r->a, (n + 1) * sizeof *steps);
    if (!steps)
        return copy_text(r, json_str(NULL), &(struct slice){0}) && bad(r, "steps");
    json_each (it, v) {
        if (!get_text(r, "steps", it.value, &steps[it.index]))
            return false;
    }
    ret->steps = steps;
    ret->n_steps = n;
    return true;
}

static bool get_format(const struct reading *r)
{
    uint64_t format;
    if (json_type(r->root) != JSON_OBJECT || !get_count(r, "format", &format) || !format)
        return bad(r, "format");
    return format <= KEEP_FORMAT ||
           err_set(r->e, ERR_USAGE, "A newer dais made this backup; use that one to read it.");
}

static bool get_digest(const struct reading *r)
{
    return has_seal(r->text) || bad(r, "digest");
}

static bool get_all(const struct reading *r, struct keep_entry *ret)
{
    if (!get_format(r) || !get_digest(r) || !get_app(r, &ret->app) ||
        !get_text(r, "made_by", json_find(r->root, SLICE("made_by")), &ret->made_by) ||
        !get_time(r, &ret->made_ms) || !get_database(r, &ret->is_sqlite) ||
        !get_of_restore(r, &ret->is_of_restore) || !get_count(r, "tables", &ret->tables) ||
        !get_count(r, "rows", &ret->rows) || !get_count(r, "rows_bytes", &ret->rows_bytes) ||
        !get_hash(r, "rows_sha256", false, ret->rows_hash) ||
        !get_count(r, "contents", &ret->contents) ||
        !get_count(r, "content_bytes", &ret->content_bytes) || !get_count(r, "lost", &ret->lost) ||
        !get_hash(r, "secret_mark", true, ret->secret_mark) || !get_steps(r, ret))
        return false;
    return ret->lost <= ret->contents || bad(r, "lost");
}

bool keep_entry_read(struct slice name, struct slice text, struct arena *a, struct keep_entry *ret,
                     struct err *e)
{
    struct arena tree;
    struct json_doc doc;
    struct keep_entry entry = {0};
    struct err why = {0};
    must(keep_name_check(name));
    if (has_seal(text) && !is_sealed(text)) /* before it is taken for one of a newer dais */
        return err_set(e, ERR_DAMAGED, "It was changed after it was written.");
    memcpy(entry.name, name.ptr, name.len);
    arena_init(&tree, 64u << 20);
    bool fine = json_parse(&doc, &tree, text, NULL, &why)
                    ? get_all(&(struct reading){json_root(&doc), text, a, e}, &entry)
                    : err_set(e, ERR_DAMAGED, "It is no JSON: %.150s", why.msg);
    arena_done(&tree);
    if (fine)
        *ret = entry;
    return fine;
}
