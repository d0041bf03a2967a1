/* What the files of render share: facts, filling, quoting, headers, and YAML as a way to JSON. */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "base/map.h"
#include "base/sha256.h"
#include "render/render.h"

/* ---- facts.c: everything a template may ask for ------------------------------------------------
 * Names and shapes are the same for every manifest: what is absent is null, "" or an empty list. */
const struct json *render_facts(struct arena *a, const struct render_options *o, struct err *e);

/* Sections of the facts, each writing one key and its value into the root object. */
struct facts {
    struct json_writer *w;
    struct arena *a;
    const struct render_options *o;
    const struct manifest *m;
    const struct target *t; /* never NULL: empty when there is none */
};
void facts_str(const struct facts *f, const char *key, struct slice value);
void facts_i64(const struct facts *f, const char *key, int64_t value);
void facts_bool(const struct facts *f, const char *key, bool value);
void facts_texts(const struct facts *f, const char *key, const struct texts *list);
/* A list of objects with `name` and `value`. */
void facts_pairs(const struct facts *f, const char *key, const struct pairs *list);
void facts_begin(const struct facts *f, const char *key);      /* an object */
void facts_begin_list(const struct facts *f, const char *key); /* a list */
void facts_end(const struct facts *f);
void facts_end_list(const struct facts *f);
void facts_settings(const struct facts *f); /* facts_env.c: what is in .env files */

/* ---- fill.c: templates ------------------------------------------------------------------------
 * <%fact.path|filter%>                  a value, quoted by the filter: always named (quote.c)
 * <%if fact%> <%else%> <%end%>          true: not null, false, 0, "", [] or {}
 * <%unless fact%> <%else%> <%end%>
 * <%each facts as name%> <%end%>        a list; inside, `if @first` and `if @last`
 * <%include file%>                      another template; each line moved to where the tag stands,
 *                                       when that is alone on its line (or <%indented file%>)
 * <%! remark%>
 * A tag that is no value and alone on its line takes the line with it. */
bool fill_template(const char *name, const struct json *facts, struct buf *to, struct err *e);
bool fill_text(const char *name, struct slice text, const struct json *facts, struct buf *to,
               struct err *e);
const struct json *facts_find(const struct json *facts, struct slice path); /* NULL: no such */
bool facts_is_true(const struct json *v);

/* ---- quote.c ------------------------------------------------------------------------------------
 */
typedef bool quote_fn(struct buf *to, struct slice value);
/* NULL: there is none of that name. A quote_fn is false when the format cannot hold the value. */
quote_fn *quote_find(struct slice name);

/* ---- calendar.c: cron as systemd says it
 * A schedule of five fields (numbers, in UTC) as up to two OnCalendar expressions that elapse at
 * the same times: cron means either of a day of the month and a day of the week, systemd both.
 * Returns how many; 0: it is no schedule, or names a day that never comes. */
#define CALENDARS_MAX 2
size_t cron_calendars(struct slice cron, struct arena *a, struct slice ret[CALENDARS_MAX]);

/* ---- yaml_json.c: a template of YAML, filled, as JSON -------------------------------------------
 * Plain true, false, null and numbers are what they look like, everything else is a string. */
bool yaml_to_json(struct slice yaml, struct arena *a, struct buf *to, struct err *e);

/* ---- header.c -----------------------------------------------------------------------------------
 * The digest is of the whole file with its own digits as zeros and without carriage returns. */
/* Puts the header into a text, in the comments of its kind; a first line that must stay first
 * (#!, #cloud-config) does. `to` is empty before; comments of this kind of file must be known.
 * False: a value of JSON is the very text that marks the header's place. */
bool header_add(struct slice path, struct slice text, struct buf *to);
enum header_found { HEADER_NONE, HEADER_INTACT, HEADER_EDITED };
enum header_found header_look(struct slice text);

/* ---- files.c ------------------------------------------------------------------------------------
 * Of a file's bytes. False with errno: ENOENT, EISDIR for what is no file.
 */
bool digest_of_file(const char *path, char ret[SHA256_HEX_LEN + 1]);

/* ---- listing.c: files without a header, by their digests ----------------------------------------
 */
struct listing {
    struct map digests;  /* path below the output folder -> digest, in hex */
    struct slice folder; /* of the listing, ends in a slash */
    bool is_there;       /* a listing, whole as it was made */
    bool is_foreign;     /* none, but the folder has files */
};
/* Reads what an earlier time left. An empty path is a listing of nothing. Fails when it cannot be
 * read. listing_done() in any case. */
bool listing_read(struct arena *a, const char *folder, struct slice path, struct listing *ret,
                  struct err *e);
void listing_done(struct listing *l);

/* ---- diff.c -------------------------------------------------------------------------------------
 * Adds a unified diff of two texts by lines, 3 lines of context, as `patch` reads it; a sentence
 * when they are too large or too different. */
void diff_add(struct buf *to, struct slice name, struct slice before, struct slice after);
