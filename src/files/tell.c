/* Who follows changes of files is told of each of them, inside its write. */
#include "files/files_impl.h"

#define TELL_BYTES  (64u << 10) /* file_json() */
#define RIGHT_BYTES (16u << 20) /* a rule filled in with who asks */

/* What follows is shown to whoever made the change, so it must not show more than they may read. A
 * key may do less than its account, which is who is asked here. */
static bool may_read(const struct subject *asks, const struct file_bucket *b,
                     const struct file *file, struct arena *a)
{
    const struct query *rows = NULL;
    struct identity all = asks->who ? *asks->who : (struct identity){0};
    struct subject who = *asks;
    all.has_every_scope = true;
    who.who = &all;
    return authorize(&who, &b->policy, ACTION_READ, a, &rows, NULL) && file_matches(rows, b, file);
}

static bool tell(const struct files *f, struct db_conn *c, struct change *ch,
                 const struct file *file, bool is_shown, struct err *e)
{
    struct buf text;
    buf_init(&text, TELL_BYTES);
    if (is_shown)
        file_json(&text, file);
    ch->text = buf_slice(&text);
    bool fine = f->on_change(f->on_change_user, c, ch, e);
    buf_done(&text);
    return fine;
}

bool tell_file(const struct files *f, struct db_conn *c, enum change_kind kind,
               const struct file_bucket *b, const struct file *file, const struct subject *who,
               struct err *e)
{
    struct change ch = {.kind = kind, .is_file = true, .of = b->name, .id = file->path};
    struct arena a;
    if (!f->on_change)
        return true;
    ch.by = who ? subject_id(who) : SLICE("");
    ch.is_stranger = who && subject_is_stranger(who);
    ch.depth = who && who->who ? who->who->depth : 0;
    arena_init(&a, RIGHT_BYTES);
    bool is_app = !ch.by.len && !ch.is_stranger;
    bool is_theirs = kind == CHANGE_CREATED && file->version == 1;
    bool is_shown = who ? is_app || is_theirs || may_read(who, b, file, &a)
                        : kind != CHANGE_DELETED; /* what it was goes with them */
    bool fine = tell(f, c, &ch, file, is_shown, e);
    arena_done(&a);
    return fine;
}
