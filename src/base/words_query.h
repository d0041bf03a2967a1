/* What a person types into a search box, and what each database is asked for it.
 *
 *     war peace        both words, anywhere
 *     "war and peace"  these words in a row; typographic quotes do as well
 *     libr*            words that begin so; after a phrase, its last word: "new yo*" or "new yo"*
 *     -film            not that word, or -"not this phrase"
 *
 * A word is a beginning only where it says so with `*`. What words.h cuts into several words is a
 * phrase without quotes too: don't, 3.14, 東京. Only folded words reach a database, so that nothing
 * typed means anything in its language; whatever else was typed is passed over.
 * Everything here is pure: any thread, no I/O. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define WORDS_QUERY_BYTES_MAX 1024
#define WORDS_QUERY_TERMS_MAX 20
#define WORDS_QUERY_WORDS_MAX 100 /* of all terms: phrases, and characters that are words */

struct words_term {
    struct slice words; /* folded, a space between them; in the arena */
    bool is_prefix;     /* of the last word */
    bool is_excluded;
};

struct words_query {
    struct words_term terms[WORDS_QUERY_TERMS_MAX]; /* at least one is not excluded */
    size_t n_terms;
};

/* ERR_MALFORMED when it is too long, has no word, or only says what to leave out. */
bool words_query_parse(struct arena *a, struct slice text, struct words_query *ret,
                       struct err *e) MUST_CHECK;

void words_query_fts5(const struct words_query *q, struct buf *to);    /* after MATCH, as a value */
void words_query_tsquery(const struct words_query *q, struct buf *to); /* for `$1::tsquery` */
