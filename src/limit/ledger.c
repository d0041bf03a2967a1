/* What was taken since it was last told: a small table of rows, found by hash. */
#include "limit/limit.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS (LEDGER_ROWS * 2) /* a power of two, never more than half full */

struct ledger {
    pthread_mutex_t lock;
    uint16_t at[SLOTS]; /* row + 1; 0: none */
    struct ledger_row rows[LEDGER_ROWS];
    size_t n;
};

struct ledger *ledger_new(void)
{
    struct ledger *l = mem_new(struct ledger);
    must(pthread_mutex_init(&l->lock, NULL) == 0);
    return l;
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static int compare(const void *a_, const void *b_)
{
    const struct ledger_row *a = a_, *b = b_;
    int order = strcmp(a->bucket, b->bucket);
    if (!order)
        order = memcmp(a->key, b->key, a->key_len < b->key_len ? a->key_len : b->key_len);
    return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

/* The row's slot, or the free one where it belongs. */
static uint16_t *find(struct ledger *l, const struct ledger_row *row)
{
    size_t i = map_hash((struct slice){(const char *)row->key, row->key_len}) % SLOTS;
    while (l->at[i] && compare(&l->rows[l->at[i] - 1], row) != 0)
        i = (i + 1) % SLOTS;
    return &l->at[i];
}

bool ledger_add(struct ledger *l, const struct ledger_row *row)
{
    must(row->key_len <= LEDGER_KEY_MAX);
    pthread_mutex_lock(&l->lock);
    uint16_t *at = find(l, row);
    bool fits = *at || l->n < LEDGER_ROWS;
    if (*at) {
        l->rows[*at - 1].taken += row->taken;
    } else if (fits) {
        l->rows[l->n++] = *row;
        *at = (uint16_t)l->n;
    }
    pthread_mutex_unlock(&l->lock);
    return fits;
}

size_t ledger_take(struct ledger *l, struct ledger_row *to)
{
    pthread_mutex_lock(&l->lock);
    size_t n = l->n;
    memcpy(to, l->rows, n * sizeof *to);
    if (n)
        memset(l->at, 0, sizeof l->at);
    l->n = 0;
    pthread_mutex_unlock(&l->lock);
    qsort(to, n, sizeof *to, compare); /* all who write many rows do it in the same order */
    return n;
}
