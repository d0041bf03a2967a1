/* Wake-ups: what a transaction told is passed on after its COMMIT, several as one. */
#include "db/db_impl.h"
#include "db/ring_impl.h"
#include "db/slot.h"

/* ---- who listens --------------------------------------------------------------------------- */

void db_bell_init(struct db_bell *b)
{
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->listeners);
}

void db_bell_done(struct db_bell *b)
{
    must(list_is_empty(&b->listeners));
    pthread_mutex_destroy(&b->lock);
}

void db_bell_add(struct db_bell *b, struct db_listener *l)
{
    pthread_mutex_lock(&b->lock);
    list_add(&b->listeners, &l->link);
    atomic_fetch_add(&b->n_listeners, 1);
    pthread_mutex_unlock(&b->lock);
}

void db_bell_remove(struct db_bell *b, struct db_listener *l)
{
    pthread_mutex_lock(&b->lock);
    list_remove(&l->link);
    atomic_fetch_sub(&b->n_listeners, 1);
    pthread_mutex_unlock(&b->lock);
}

/* Whoever gets the lock calls for all that wait for it: their commits were before. */
void db_bell_ring(struct db_bell *b, unsigned topics)
{
    if (!topics || !atomic_load(&b->n_listeners))
        return;
    atomic_fetch_or(&b->pending, topics);
    pthread_mutex_lock(&b->lock);
    topics = atomic_exchange(&b->pending, 0);
    list_each (link, &b->listeners) {
        struct db_listener *l = container_of(link, struct db_listener, link);
        if (topics & 1u << l->topic)
            l->fn(l);
    }
    pthread_mutex_unlock(&b->lock);
}

/* ---- telling ------------------------------------------------------------------------------- */

void db_tell(struct db_conn *c, enum db_topic topic)
{
    must(c->kind == CONN_WRITER && topic < TOPIC_COUNT);
    c->tells |= 1u << topic;
}

void db_told(struct db *db, unsigned topics)
{
    if (db->bell)
        db_bell_ring(db->bell, topics);
    db_ring_send(db, topics);
}
