/* backup.run: a backup of the app as it is now; then those go that `backups.keep` does not need.
 * Its input says nothing: a schedule's and an event's have what dais puts there.
 *
 * One at a time in a folder: while another one is made, by a command or another server, this comes
 * again later. */
#include "tasks/tasks_impl.h"

#include <stdio.h>

#define ALL       1000000 /* of progress */
#define ROWS_END  100000  /* of it: nobody knows how many rows there are */
#define LOCKED_S  60
#define LOST_TOLD 10

struct backup_run {
    struct task_call *task;
    uint64_t lost, dropped;
    struct keep_entry entry;
};

/* ---- what is told on the way ------------------------------------------------------------------
 */

static void on_progress(void *user, uint64_t rows, uint64_t contents, uint64_t all)
{
    struct backup_run *b = user;
    struct task_call *t = b->task;
    char message[100];
    if (!t->say)
        return;
    int n = all ? snprintf(message, sizeof message, "%llu of %llu contents",
                           (unsigned long long)contents, (unsigned long long)all)
                : snprintf(message, sizeof message, "%llu rows", (unsigned long long)rows);
    int32_t part = ROWS_END;
    if (all)
        part += (int32_t)((double)(ALL - ROWS_END) * (double)contents / (double)all);
    t->say(t, all ? part : -1, (struct slice){message, (size_t)n});
}

static void on_lost(void *user, struct slice hash, const struct err *why)
{
    struct backup_run *b = user;
    if (b->lost++ < LOST_TOLD)
        log_line(LOG_WARN, "the content of a file is not in a backup: dais verify says whose it is",
                 F_STR("content", hash), F_CSTR("reason", why->msg));
}

static bool should_stop(void *user)
{
    const struct backup_run *b = user;
    return b->task->should_stop && b->task->should_stop(b->task);
}

static void tell_result(const struct backup_run *b)
{
    struct json_writer w;
    const struct {
        const char *key;
        uint64_t n;
    } counts[] = {{"rows", b->entry.rows},
                  {"contents", b->entry.contents},
                  {"bytes", b->entry.content_bytes},
                  {"lost", b->lost},
                  {"dropped", b->dropped}};
    json_writer_init(&w, b->task->result, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("name"));
    json_write_cstr(&w, b->entry.name);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        json_write_key(&w, slice_from(counts[i].key));
        json_write_u64(&w, counts[i].n);
    }
    json_write_object_end(&w);
    json_writer_done(&w);
}

/* ---- the task ---------------------------------------------------------------------------------
 */

static bool make(struct keep *k, const struct task_backup *of, struct backup_run *b, struct err *e)
{
    const struct keep_hearer to = {
        .progress = on_progress, .lost = on_lost, .should_stop = should_stop, .user = b};
    return keep_create(k, of->source, &to, b->task->arena, &b->entry, e) &&
           keep_prune(k, &of->rule, &to, &b->dropped, e);
}

/* Somebody else's comes to its end. */
static bool come_again(struct err *e)
{
    struct err why = *e;
    err_set(e, ERR_UNAVAILABLE, "%s", why.msg);
    e->retry_s = LOCKED_S;
    return false;
}

static bool run(void *user, struct task_call *t, struct err *e)
{
    const struct task_place *place = user;
    struct backup_run b = {.task = t};
    if (!place->backup)
        return err_set(e, ERR_INTERNAL,
                       "It is not known what to back up; the server's log says "
                       "why.");
    struct keep *k = keep_open(place->backup->dir, true, e);
    bool fine = k && make(k, place->backup, &b, e);
    keep_close(k);
    if (fine)
        tell_result(&b);
    return fine || (e->code == ERR_LOCKED ? come_again(e) : false);
}

static bool check(const struct pairs *with, const struct manifest *m, struct err *e)
{
    (void)m;
    return with_check(with, "", e);
}

const struct task task_backup_run = {.name = "backup.run", .run = run, .check = check};
