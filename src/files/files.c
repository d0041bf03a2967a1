/* An app's buckets, compiled from its manifest, and being in their database. */
#include "files/files_impl.h"

#include "base/hkdf.h"

#include <stdlib.h>
#include <string.h>

#define FILES_BYTES (4u << 20)

/* ---- compiling ------------------------------------------------------------------------------- */

/* With `visibility: choice` a file that its writer made public is everybody's to read. */
static bool let_choose(struct file_bucket *b, struct arena *a, struct err *e)
{
    const struct query *rule = b->policy.rules[ACTION_READ];
    struct query *chosen = query_parse(a, SLICE("public = true"), e);
    if (!chosen)
        return false;
    if (rule) {
        struct query *either = arena_new(a, struct query);
        *either = (struct query){
            .kind = QUERY_OR, .left = (struct query *)(uintptr_t)rule, .right = chosen};
        chosen = either;
    }
    b->policy.rules[ACTION_READ] = chosen;
    return true;
}

static void compile(struct files *f, struct file_bucket *b, struct problems *p)
{
    static const struct query_context nobody;
    const struct text *wrong = &b->conf->name;
    struct err e;
    b->name = b->conf->name.s;
    b->has_choice = slice_is(b->conf->visibility.s, "choice");
    b->has_spaces = slice_is(b->conf->scope.s, "user");
    b->is_per_app = slice_is(b->conf->quota.per.s, "app");
    if (!policy_compile(&b->policy, &f->arena, &b->conf->rules, b->conf->owner, &wrong, &e) ||
        (b->has_choice && !let_choose(b, &f->arena, &e))) {
        problems_add(p, PROBLEM_ERROR, f->manifest->file, wrong->pos, "%s", e.msg);
        return;
    }
    b->policy.name = b->name;
    b->policy.scope = "files";
    const struct query *read = b->policy.rules[ACTION_READ];
    const struct query *open = read ? query_bind(&f->arena, read, &nobody) : NULL;
    if (open && open->kind != QUERY_FALSE)
        b->open = open;
}

struct files *files_new(const struct manifest *m, struct problems *p)
{
    struct files *f = mem_new(struct files);
    f->manifest = m;
    arena_init(&f->arena, FILES_BYTES);
    map_init(&f->by_name);
    map_init(&f->reserved);
    f->order = &f->own_order;
    pthread_mutex_init(&f->lock, NULL);
    f->n_buckets = m->files.n;
    f->buckets = arena_zalloc(&f->arena, f->n_buckets * sizeof *f->buckets);
    for (size_t i = 0; i < f->n_buckets; i++) {
        struct file_bucket *b = &f->buckets[i];
        *b = (struct file_bucket){.conf = &m->files.items[i], .files = f};
        compile(f, b, p);
        map_put(&f->by_name, b->name, b);
    }
    return f;
}

static void derive(const struct files *f, struct slice secret, const char *what,
                   unsigned char to[KEY_LEN])
{
    hkdf_sha256(secret, slice_from(what), f->manifest->slug.s, to, KEY_LEN);
}

void files_attach(struct files *f, struct db_slot *slot, struct blob_store *store,
                  struct slice secret)
{
    f->slot = slot;
    f->store = store;
    derive(f, secret, "dais: links to files", f->link_key);
    derive(f, secret, "dais: cursors of files", f->cursor_key);
}

void files_free(struct files *f)
{
    size_t at = 0;
    if (!f)
        return;
    for (struct map_entry *m; (m = map_next(&f->reserved, &at));) {
        struct reserved *r = m->value;
        free(r->key);
        free(r);
    }
    map_done(&f->reserved);
    map_done(&f->by_name);
    pthread_mutex_destroy(&f->lock);
    explicit_bzero(f->link_key, sizeof f->link_key);
    explicit_bzero(f->cursor_key, sizeof f->cursor_key);
    arena_done(&f->arena);
    free(f);
}

const struct file_bucket *files_find(const struct files *f, struct slice name)
{
    return map_find(&f->by_name, name);
}

size_t files_count(const struct files *f)
{
    return f->n_buckets;
}

const struct file_bucket *files_at(const struct files *f, size_t i)
{
    return &f->buckets[i];
}

const struct bucket *file_bucket_conf(const struct file_bucket *b)
{
    return b->conf;
}

struct blob_store *files_store(const struct files *f)
{
    return f->store;
}

/* ---- being in the database ------------------------------------------------------------------- */

bool files_enter(struct files *f)
{
    struct db *db = db_slot_enter(f->slot);
    if (db)
        atomic_store(&f->db, db);
    return db != NULL;
}

bool files_open(struct files *f, struct err *e)
{
    struct db *db = db_slot_open(f->slot, e);
    if (db)
        atomic_store(&f->db, db);
    return db != NULL;
}

void files_leave(struct files *f)
{
    db_slot_leave(f->slot);
}

struct db *files_db(const struct files *f)
{
    return atomic_load(&f->db);
}

/* ---- shared ---------------------------------------------------------------------------------- */

void mac_of(const unsigned char key[KEY_LEN], const struct slice *parts, size_t n,
            unsigned char to[KEY_LEN])
{
    struct buf told;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += sizeof(uint64_t) + parts[i].len;
    buf_init(&told, bytes);
    for (size_t i = 0; i < n; i++) {
        uint64_t len = parts[i].len;
        buf_add(&told, (struct slice){(const char *)&len, sizeof len});
        buf_add(&told, parts[i]);
    }
    must(!told.full);
    hmac_sha256((struct slice){(const char *)key, KEY_LEN}, buf_slice(&told), to);
    buf_done(&told);
}

bool mac_is(const unsigned char *a, const unsigned char *b)
{
    unsigned differ = 0;
    for (size_t i = 0; i < KEY_LEN; i++)
        differ |= (unsigned)(a[i] ^ b[i]);
    return differ == 0;
}

struct slice file_now(struct arena *a)
{
    char now[RFC3339_LEN + 1];
    clock_rfc3339(clock_wall_ms(), now);
    return arena_dup(a, slice_from(now));
}

struct slice file_owner_of(const struct file_place *at, const struct subject *who)
{
    return at->bucket->has_spaces ? at->space : subject_id(who);
}

void files_guard(struct files *f, files_is_in is_in)
{
    f->is_in = is_in;
}

void files_on_change(struct files *f, change_hook fn, void *user)
{
    f->on_change = fn;
    f->on_change_user = user;
}

/* Whoever a link stands for has no session, but an account. Others without one are no rows. */
bool still_in(const struct files *f, const struct subject *who, struct db_conn *c, struct err *e)
{
    const struct identity *it = who->who;
    bool is_asked =
        it && (it->is_signed_in || it->is_of_job) && (it->session.len || it->is_of_link);
    return !f->is_in || !is_asked || f->is_in(c, it, e);
}
