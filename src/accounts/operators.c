/* The operators of a host; the first one comes by a link that the console shows. */
#include "accounts/people_impl.h"

#include <string.h>

static const struct sql any_active = {"SELECT 1 FROM dais_users WHERE state = 0 LIMIT 1", NULL};
static const struct sql end_links = {"DELETE FROM dais_links WHERE purpose = ?", NULL};

static struct slice own(struct slice s)
{
    char *copy = mem_alloc(s.len + 1);
    memcpy(copy, s.ptr ? s.ptr : "", s.len);
    copy[s.len] = '\0';
    return (struct slice){copy, s.len};
}

struct accounts *accounts_of_operators(struct account_store *operators,
                                       const struct root_secret *secret, struct slice public_url)
{
    static const char cookie[] = "dais__host";
    struct accounts *a = mem_new(struct accounts);
    a->store = operators;
    memcpy(a->cookie, cookie, sizeof cookie);
    a->mount = own(SLICE(""));
    a->public_url = own(public_url);
    root_secret_derive(secret, "account links", SLICE("_host"), a->link_key, sizeof a->link_key);
    accounts_source_init(a);
    return a;
}

static bool look_any(void *arg, struct db_conn *c, struct err *e)
{
    bool *ret = arg;
    struct db_stmt *s = db_prepare(c, &any_active, e);
    if (!s)
        return false;
    enum db_step step = db_step(s, e);
    db_reset(s);
    *ret = step == DB_ROW;
    return step != DB_FAILED;
}

bool operators_any(struct accounts *operators, bool *ret, struct err *e)
{
    return store_read(operators->store, look_any, ret, e);
}

/* ---- the first one --------------------------------------------------------------------------- */

static bool delete_links(struct db_conn *c, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &end_links, e);
    if (!s)
        return false;
    db_bind_i64(s, 1, LINK_OPERATOR);
    return db_run(s, NULL, e);
}

static bool run_make(void *arg, struct db_conn *c, struct err *e)
{
    bool is_any = false;
    if (!look_any(&is_any, c, e))
        return false;
    if (is_any)
        return err_set(e, ERR_EXISTS, "There is an operator already, who can add others.");
    return delete_links(c, e) && link_insert(c, LINK_OPERATOR, SLICE(""), SLICE(""), 0, arg, e);
}

bool operators_make_link(struct accounts *operators, char ret[TOKEN_MAX], struct err *e)
{
    return store_write(operators->store, run_make, ret, e);
}

struct following {
    struct accounts *acc;
    struct arena *arena;
    struct slice link, key, name;
    const struct asker *from;
    char hash[HASH_MAX];
    struct signed_in *ret;
    bool is_found;
};

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct following *f = arg;
    struct link_row row;
    bool is_any = false;
    if (!look_any(&is_any, c, e) ||
        !link_find(c, f->link, LINK_OPERATOR, f->arena, &row, &f->is_found, e))
        return false;
    f->is_found &= !is_any;
    return true;
}

static bool run(void *arg, struct db_conn *c, struct err *e)
{
    struct following *f = arg;
    struct user_row u = {.account = {.email = f->key, .name = f->name}};
    char *id = arena_alloc(f->arena, ID_LEN + 1);
    if (!look(f, c, e))
        return false;
    if (!f->is_found)
        return link_is_dead(e);
    random_id(id);
    u.account.id = slice_from(id);
    u.account.created_ms = u.account.updated_ms = u.account.verified_ms = clock_wall_ms();
    u.account.has_password = u.account.is_operator = true;
    memcpy(u.hash, f->hash, sizeof u.hash);
    f->ret->account = u.account;
    const struct entry n = {.acc = f->acc, .from = f->from, .ret = f->ret};
    return link_use(c, f->link, e) && delete_links(c, e) && user_insert(c, &u, e) &&
           trail(c, EVENT_ADDED, u.account.id, u.account.id, f->from, "the first operator", e) &&
           entry_session(c, &n, e);
}

bool operators_follow_link(struct accounts *operators, struct arena *a, struct slice link,
                           const struct sign_up *in, const struct asker *from,
                           struct signed_in *ret, struct slice *ret_details, struct err *e)
{
    struct following f = {.acc = operators, .arena = a, .link = link, .from = from, .ret = ret};
    enum token_kind kind;
    if (!token_kind_of(link, &kind) || kind != TOKEN_LINK)
        return link_is_dead(e);
    if (!store_read(operators->store, look, &f, e))
        return false;
    if (!f.is_found)
        return link_is_dead(e);
    return given_email(in->email, a, &f.key, ret_details, e) &&
           given_name(in->name, a, &f.name, ret_details, e) &&
           password_is_good(in->password, f.key, ret_details, e) &&
           password_hash(in->password, f.hash, e) && store_write(operators->store, run, &f, e);
}
