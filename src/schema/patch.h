/* Changes of documents: JSON Merge Patch (RFC 7396), JSON Patch (RFC 6902), and the difference of
 * two documents as a JSON Patch. Pure: trees in, text out. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

#define PATCH_OPS_MAX   1000
#define PATCH_NODES_MAX JSON_NODES_DEFAULT /* of the outcome: `copy` could double it each time */

/* Writes the target (NULL: there is none) with the patch applied. Members keep their order, new
 * ones come last. to->full when it did not fit. */
void patch_merge(const struct json *target, const struct json *patch, struct buf *to);

/* Writes the target with the operations applied, or nothing: false with a sentence, ERR_MALFORMED
 * when the patch is none, ERR_INVALID when it does not fit the target ("/2: test failed ..."). */
bool patch_apply(const struct json *target, const struct json *patch, struct buf *to,
                 struct err *e);

/* Writes a JSON Patch that makes `to_doc` of `from`; [] when they are equal. Lists are compared
 * from both ends: what is put in, taken out or changed in one place is told as that. */
void patch_diff(const struct json *from, const struct json *to_doc, struct buf *to);
