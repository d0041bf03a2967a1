/* Referential checks of a document: what its schema cannot say, since it spans several lists.
 *
 *     unique_keys(chapters, 'key')                          no two items have the same `key`
 *     refs_exist(chapters[].needs, chapters, 'key')         each value is the `key` of an item
 *     refs_exist(people[].knows{}, people, 'key')           each member's name is one
 *     acyclic(chapters, 'key', 'needs')                     following `needs` never leads back
 *
 * A path goes down by names and dots, `[]` is every item of a list, a last `{}` every member's
 * name; odd names stand in quotes, which plain ones may, too. What is referred to is the value at
 * the end of its path, or each item when that is a list. A list that stands below `[]` is checked
 * for itself in every item, and refs_exist looks for keys only below the item that both paths have
 * in common.
 *
 * Keys are text, numbers and booleans, equal by value (1 and 1.0 are, 1 and "1" are not). What is
 * missing or null is passed over, and so is a list that is none: telling that is for the schema.
 * Time and memory are in proportion to the document; nothing here recurses. Pure: any thread. */
#pragma once
#include "schema/schema.h"

#define CHECK_BYTES_MAX 1000
#define CHECK_STEPS_MAX 16 /* of one path */

struct doc_check;

/* One check, in the arena. NULL with ERR_MANIFEST and a sentence that names the column and what
 * would be right there. */
const struct doc_check *doc_check_parse(struct arena *a, struct slice text, struct err *e);

/* Does the schema know the fields that the check names? A misspelt one would never fail. False with
 * ERR_MANIFEST and a sentence that names the column. */
bool doc_check_fits(const struct doc_check *c, const struct schema *s, struct err *e);

/* Does the document hold? Adds a violation per key or reference, with the check's name as code. */
bool doc_check_holds(const struct doc_check *c, const struct json *doc, struct violations *to);
