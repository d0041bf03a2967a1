/* What people do with their own account. */
#include "accounts/accounts_impl.h"

struct getting {
    struct arena *arena;
    struct slice id;
    struct user_row row;
    bool is_found;
};

static bool look(void *arg, struct db_conn *c, struct err *e)
{
    struct getting *g = arg;
    return user_by_id(c, g->id, g->arena, &g->row, &g->is_found, e);
}

bool accounts_get(struct accounts *acc, struct arena *a, struct slice id, struct account *ret,
                  struct err *e)
{
    struct getting g = {.arena = a, .id = id};
    if (!store_read(acc->store, look, &g, e))
        return false;
    if (!g.is_found)
        return err_set(e, ERR_NOT_FOUND, "There is no such account.");
    *ret = g.row.account;
    return true;
}
