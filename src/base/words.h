/* How full-text search cuts text into words: by us, so that every database finds the same.
 *
 * A word is a run of letters, digits, marks and private use characters; everything else separates,
 * apostrophes too: "l'école" is `l ecole`, and what is typed with one is searched as a phrase.
 * Words are folded: case (ß is ss), diacritics (é is e, й is и, ł is l, æ is ae; hamza and vowel
 * points too), wide, ligature and superscript forms, and the digits of all scripts. Marks that make
 * another letter stay, decomposed: vowels of Indic scripts, the voicing of kana (ガ is not カ).
 * Soft hyphens, joiners and variation selectors are as if not there.
 *
 * Scripts that put no spaces between words (Han, kana, Thai, Lao, Khmer, Myanmar), and Hangul,
 * whose particles are written on to the noun: each character, with its marks, is a word, and
 * several in a row are searched as a phrase. So any part of a text is found, though a common one
 * slowly.
 *
 * Of a longer word only the first WORDS_BYTES_MAX bytes count, cut at a character's end. The rules
 * are in tools/words, which writes the table from Unicode 14. Everything here is pure: any thread,
 * time linear in the text. Text should be UTF-8; malformed bytes separate. */
#pragma once
#include "base/buf.h"

#define WORDS_BYTES_MAX 64
/* Kept beside an index: built with another number, it must be built anew. */
#define WORDS_VERSION 1

struct words {
    struct slice left;
    char word[WORDS_BYTES_MAX];
};

void words_init(struct words *w, struct slice text);     /* the text is borrowed */
bool words_cut(struct words *w, struct slice *ret_word); /* in w, until the next call */

/* For FTS5 with `tokenize = 'ascii'`, which splits this at its spaces and nowhere else: the words
 * of a text with a space between them. When `to` is not empty a separator comes first, which no
 * query can ask for: no phrase reaches from one text into the next. */
void words_add(struct buf *to, struct slice text);

/* For Postgres, `$1::tsvector`: 'word':1 'other':2. Starts as {0} and goes through all texts of a
 * document; no phrase reaches from one into the next.
 *
 * What a tsvector cannot hold: from the 16384th word on words have no position and no phrase finds
 * them; a word has at most 256 positions (Postgres drops the others, which matters where each
 * character is a word); beyond about 1 MB words are left out. */
struct words_vector {
    char weight; /* A to D, of the words from now on; 0: none, which is D */
    uint32_t position;
    size_t bytes;
};

void words_add_vector(struct buf *to, struct words_vector *v, struct slice text);
