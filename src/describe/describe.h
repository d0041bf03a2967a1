/* What an app's API looks like, told from its manifest and the schemas of its collections.
 *
 * Three readers get three forms of the same: tools get OpenAPI 3.1, programs the types of their
 * language, whoever asks for one collection its JSON Schema. All are self-contained (a $ref never
 * leaves the text), hold nothing that a collection hides, and are the same bytes for the same app,
 * so that a snapshot of them can be compared.
 *
 * A document has three shapes: what the app's schema says (content); that with the fields dais sets
 * itself and without the hidden ones (as read); and what may be sent (as written: the content,
 * where dais's own fields are ignored, `id` aside).
 *
 * Everything is pure and works on any thread: schemas come from the loader, the outcome is added to
 * a buf. Scratch memory and error texts are in the arena, a few times the size of all schemas. A
 * manifest with errors must not be given; describe_check() finds those that its schemas have. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "manifest/manifest.h"
#include "schema/schema.h"

struct describe_source {
    const struct manifest *manifest;
    const struct schema_loader *schemas; /* their paths are relative to the app's folder */
    struct slice base; /* where the app is: "/", "/charts/", "https://example.org/charts/" */
};

/* The text of the manifest's schemas as files of a folder: read when asked for, at most 1 MB each,
 * never outside of it. `dir` must outlive the loader, texts live in the arena. ERR_NOT_FOUND when
 * there is no such file. The only thing in this room that looks at files. */
struct schema_loader describe_folder(struct arena *a, const char *dir);

/* What is wrong with the schemas that the manifest names, and with what it says about their fields,
 * at the place in the manifest. For `dais check`, and before an app is served. A file that is not
 * there is no problem here: loading the manifest told already. */
void describe_check(struct arena *a, const struct manifest *m, const struct schema_loader *schemas,
                    struct problems *p);

/* ---- what is told -------------------------------------------------------------------------------
 * Each adds a whole text, or fails with a sentence and may leave a part of it in the buf: a schema
 * that is wrong (as describe_check() tells), or a buf that is full. */

/* OpenAPI 3.1, JSON: what GET {api}openapi.json answers. Only what this app has. */
bool describe_openapi(struct arena *a, const struct describe_source *src, struct buf *to,
                      struct err *e);

/* JSON Schema 2020-12 of a document as read: what GET {api}{collection}/schema answers. */
bool describe_collection_schema(struct arena *a, const struct describe_source *src,
                                const struct collection *c, struct buf *to, struct err *e);

/* A module of TypeScript (4.5 on, strict): an interface per shape, `Collections` from a
 * collection's name to its types. */
bool describe_types_ts(struct arena *a, const struct describe_source *src, struct buf *to,
                       struct err *e);

/* A module of Python (3.11 on): a TypedDict per shape, for mypy and pyright. */
bool describe_types_py(struct arena *a, const struct describe_source *src, struct buf *to,
                       struct err *e);

/* JSON as the functions above write it (valid, without spaces), a line for each value: for people,
 * and for keeping a snapshot. */
void describe_indent(struct slice json, struct buf *to);
