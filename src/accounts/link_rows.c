/* Rows of links: made for a mail, gone with the write that uses them. */
#include "accounts/people_impl.h"

static const struct sql insert = {
    "INSERT INTO dais_links (token, purpose, user_id, email, expires) VALUES (?, ?, ?, ?, ?)",
    NULL,
};
static const struct sql find = {
    "SELECT user_id, email FROM dais_links WHERE token = ? AND purpose = ? AND expires > ?",
    NULL,
};
static const struct sql use = {"DELETE FROM dais_links WHERE token = ?", NULL};
static const struct sql count = {
    "SELECT COUNT(*) FROM dais_links WHERE user_id = ? AND purpose = ? AND expires > ?",
    NULL,
};
static const struct sql delete_of_user = {"DELETE FROM dais_links WHERE user_id = ?", NULL};

static const int64_t lives_s[] = {
#define X(id, name, seconds) seconds,
    LINK_MAP(X)
#undef X
};

static void bind_digest(struct db_stmt *s, struct slice link, unsigned char digest[DIGEST_LEN])
{
    token_digest(link, digest);
    db_bind_blob(s, 1, (struct slice){(const char *)digest, DIGEST_LEN});
}

bool link_insert(struct db_conn *c, enum link_purpose purpose, struct slice user,
                 struct slice email, int64_t life_s, char ret[TOKEN_MAX], struct err *e)
{
    unsigned char digest[DIGEST_LEN];
    struct db_stmt *s = db_prepare(c, &insert, e);
    if (!s)
        return false;
    token_make(TOKEN_LINK, ret);
    bind_digest(s, slice_from(ret), digest);
    db_bind_i64(s, 2, purpose);
    db_bind_text(s, 3, user);
    db_bind_text(s, 4, email);
    db_bind_i64(s, 5, clock_wall_ms() + (life_s ? life_s : lives_s[purpose]) * 1000);
    return db_run(s, NULL, e);
}

bool link_find(struct db_conn *c, struct slice link, enum link_purpose purpose, struct arena *a,
               struct link_row *ret, bool *ret_found, struct err *e)
{
    unsigned char digest[DIGEST_LEN];
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return false;
    bind_digest(s, link, digest);
    db_bind_i64(s, 2, purpose);
    db_bind_i64(s, 3, clock_wall_ms());
    enum db_step step = db_step(s, e);
    *ret_found = step == DB_ROW;
    if (*ret_found)
        *ret = (struct link_row){arena_dup(a, db_text(s, 0)), arena_dup(a, db_text(s, 1))};
    db_reset(s);
    return step != DB_FAILED;
}

bool link_use(struct db_conn *c, struct slice link, struct err *e)
{
    unsigned char digest[DIGEST_LEN];
    int64_t changed = 0;
    struct db_stmt *s = db_prepare(c, &use, e);
    if (!s)
        return false;
    bind_digest(s, link, digest);
    return db_run(s, &changed, e) && (changed == 1 || link_is_dead(e));
}

bool links_count(struct db_conn *c, enum link_purpose purpose, struct slice user, int64_t *ret,
                 struct err *e)
{
    struct db_stmt *s = db_prepare(c, &count, e);
    if (!s)
        return false;
    db_bind_text(s, 1, user);
    db_bind_i64(s, 2, purpose);
    db_bind_i64(s, 3, clock_wall_ms());
    enum db_step step = db_step(s, e);
    *ret = step == DB_ROW ? db_i64(s, 0) : 0;
    db_reset(s);
    return step != DB_FAILED;
}

bool links_delete(struct db_conn *c, struct slice user, struct err *e)
{
    struct db_stmt *s = db_prepare(c, &delete_of_user, e);
    if (!s)
        return false;
    db_bind_text(s, 1, user);
    return db_run(s, NULL, e);
}

bool link_is_dead(struct err *e)
{
    return err_set(e, ERR_MALFORMED,
                   "This link was used, is too old, or was never one: ask for a new one.");
}
