/* What follows what: changes of documents and files, and ends of jobs, add the jobs whose `on`
 * names them, in the same write. Their input tells what happened; no rule and no schema is asked of
 * it.
 *
 * It is shown to whoever the job is for, who is whoever did what it follows: so documents and files
 * come without what they may not read (docs_on_change), and jobs without input and result where
 * their read rule does not let them. */
#include "jobs/jobs_impl.h"

#define TRIGGER_BYTES (64u << 20) /* an input of JOB_INPUT_MAX, read */

static const char *const change_words[] = {
    [CHANGE_CREATED] = "created", [CHANGE_UPDATED] = "updated", [CHANGE_DELETED] = "deleted"};

struct follower {
    const struct job_type *type;
    struct follower *next; /* in the manifest's order */
};
struct triggers {
    struct map by_event; /* "charts.created": struct follower */
};

/* ---- which ----------------------------------------------------------------------------------- */

static void forget(void *arg)
{
    map_done(arg);
}

static void add(struct jobs *j, struct slice event, const struct job_type *type)
{
    struct follower *new = arena_new(&j->arena, struct follower);
    struct follower *it = map_find(&j->triggers->by_event, event);
    new->type = type;
    if (!it)
        map_put(&j->triggers->by_event, event, new);
    while (it && it->type != type && it->next)
        it = it->next;
    if (it && it->type != type)
        it->next = new;
}

void triggers_compile(struct jobs *j, struct problems *p)
{
    (void)p; /* what is wrong with an `on` the manifest's own check has told */
    j->triggers = arena_new(&j->arena, struct triggers);
    map_init(&j->triggers->by_event);
    arena_defer(&j->arena, forget, &j->triggers->by_event);
    for (size_t i = 0; i < j->n_types; i++) {
        const struct texts *on = &j->types[i].conf->on;
        for (size_t k = 0; k < on->n; k++)
            add(j, on->items[k].s, &j->types[i]);
    }
}

bool jobs_have_triggers(const struct jobs *j)
{
    size_t at = 0;
    return map_next(&j->triggers->by_event, &at) != NULL;
}

/* ---- what they are told ---------------------------------------------------------------------- */

struct happening {
    struct slice event, id, by;
    const char *what;  /* "document", "file" or "job" */
    bool is_stranger;  /* `by` is empty because they were signed out */
    struct slice text; /* it, as JSON; empty: it is not told */
    unsigned depth;    /* how many jobs led to what follows */
};

static void tell(struct buf *to, const struct happening *h, bool has_text)
{
    struct json_writer w;
    json_writer_init(&w, to, 0);
    json_write_object(&w);
    json_write_key(&w, SLICE("event"));
    json_write_str(&w, h->event);
    json_write_key(&w, SLICE("id"));
    json_write_str(&w, h->id);
    json_write_key(&w, SLICE("by"));
    if (h->by.len)
        json_write_str(&w, h->by);
    else
        json_write_null(&w);
    json_write_key(&w, slice_from(h->what));
    if (has_text)
        json_write_raw(&w, h->text);
    else
        json_write_null(&w);
    json_write_object_end(&w);
}

/* A document may be larger, and deeper, than an input: then it is not told, and can be read. */
static bool make_input(struct job_order *o, const struct happening *h, struct err *e)
{
    struct json_doc doc;
    struct err ignored;
    struct buf b;
    bool fine = false;
    buf_init(&b, JOB_INPUT_MAX);
    for (int has_text = h->text.len > 0; !fine && has_text >= 0; has_text--) {
        buf_clear(&b);
        tell(&b, h, has_text);
        o->text = arena_dup(o->arena, buf_slice(&b));
        fine = !b.full && json_parse(&doc, o->arena, o->text, NULL, &ignored);
    }
    buf_done(&b);
    if (!fine)
        return err_set(e, ERR_IO, "What happened could not be told to a job that follows it.");
    o->input = json_root(&doc);
    return true;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static bool follow(struct jobs *j, struct db_conn *c, const struct follower *f,
                   const struct happening *h, int64_t now_ms, struct arena *a, struct err *e)
{
    const struct identity who = {
        .is_signed_in = h->by.len > 0, .has_every_scope = true, .id = h->by};
    struct subject subject;
    struct job_order o = {.arena = a};
    if (!make_input(&o, h, e))
        return false;
    subject_from(&who, a, &subject);
    for (; f; f = f->next) {
        struct job_order one = {.jobs = j,
                                .type = f->type,
                                .who = &subject,
                                .arena = a,
                                .input = o.input,
                                .text = o.text,
                                .owner = h->by,
                                .is_strangers = h->is_stranger,
                                .depth = h->depth,
                                .is_trusted = true,
                                .may_fail = true};
        int64_t ignored;
        if (!job_order_apply(&one, c, now_ms, &ignored, e))
            return false;
    }
    return true;
}

static const struct follower *find(const struct jobs *j, struct slice of, const char *word,
                                   struct arena *a, struct slice *ret_event)
{
    *ret_event = arena_printf(a, "%.*s.%s", SLICE_ARGS(of), word);
    return map_find(&j->triggers->by_event, *ret_event);
}

bool jobs_on_change(void *user, struct db_conn *c, const struct change *ch, struct err *e)
{
    struct jobs *j = user;
    struct happening h = {.id = ch->id,
                          .by = ch->by,
                          .is_stranger = ch->is_stranger,
                          .what = ch->is_file ? "file" : "document",
                          .text = ch->text,
                          .depth = ch->depth};
    struct arena a;
    arena_init(&a, TRIGGER_BYTES);
    const struct follower *f = find(j, ch->of, change_words[ch->kind], &a, &h.event);
    bool fine = !f || follow(j, c, f, &h, clock_wall_ms(), &a, e);
    arena_done(&a);
    return fine;
}

/* Who may not see the job sees no more of it through another one. Roles are not known here. */
static bool is_shown(const struct jobs *j, const struct job_row *row, struct arena *a)
{
    const struct identity who = {
        .is_signed_in = !row->is_strangers, .has_every_scope = true, .id = row->owner};
    struct subject subject;
    if (!row->owner.len && !row->is_strangers)
        return true;
    subject_from(&who, a, &subject);
    return job_may_read(j, &subject, row, a);
}

static struct slice text_of(const struct job_row *row, bool is_whole, struct arena *a)
{
    struct json_writer w;
    struct buf b;
    buf_init(&b, JOB_INPUT_MAX);
    json_writer_init(&w, &b, 0);
    json_write_object(&w);
    job_write(&w, row, is_whole);
    json_write_object_end(&w);
    struct slice text = b.full ? SLICE("") : arena_dup(a, buf_slice(&b));
    buf_done(&b);
    return text;
}

bool jobs_trigger_job(struct jobs *j, struct db_conn *c, const struct job_row *row, int64_t now_ms,
                      struct arena *a, struct err *e)
{
    struct happening h = {.id = row->id,
                          .by = row->owner,
                          .is_stranger = row->is_strangers,
                          .what = "job",
                          .depth = row->depth + 1};
    struct arena own; /* many may end in one write, each with all it was given and gave */
    const struct follower *f = find(j, row->type, job_state_name(row->state), a, &h.event);
    if (!f)
        return true;
    arena_init(&own, TRIGGER_BYTES);
    if (is_shown(j, row, &own))
        h.text = text_of(row, true, &own);
    if (!h.text.len)
        h.text = text_of(row, false, &own);
    bool fine = follow(j, c, f, &h, now_ms, &own, e);
    arena_done(&own);
    return fine;
}
