/* Cutting text into folded words: a table says of each character what it does and what it becomes.
 */
#include "base/words.h"

#include "base/utf8.h"
#include "base/words_table.h"

#include <string.h>

#define SEPARATOR       "\xc2\xb7" /* a middle dot: never in a word, to FTS5's ascii tokenizer one */
#define POSITION_MAX    16383
#define VECTOR_BYTES    1000000 /* a tsvector has less than 1 MB */
#define POSITION_BYTES  5       /* with its count and padding, at most */
#define COUNT(of)       (sizeof(of) / sizeof *(of))
#define HANGUL_FIRST    0xac00
#define HANGUL_LAST     0xd7a3
#define HANGUL_VOWELS   21
#define HANGUL_FINALS   28
#define HANGUL_LEADS_AT 0x1100

enum kind { BREAK, RUN, SKIP, ALONE, JOIN }; /* as in tools/words */

struct character {
    uint32_t cp;
    enum kind kind;
    struct slice bytes;
};

/* How many of the first entries, shifted right, are at most cp. */
static size_t entries_upto(const uint32_t *entries, size_t n, int shift, uint32_t cp)
{
    size_t low = 0;
    while (low < n) {
        size_t mid = low + (n - low) / 2;
        if (entries[mid] >> shift <= cp)
            low = mid + 1;
        else
            n = mid;
    }
    return low;
}

static enum kind kind_of(uint32_t cp)
{
    size_t n = entries_upto(words_kinds, COUNT(words_kinds), 3, cp);
    return n ? (enum kind)(words_kinds[n - 1] & 7) : BREAK;
}

static struct character character_at(struct slice s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    if (c < 0x80) {
        bool is_word = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        return (struct character){c, is_word ? RUN : BREAK, slice_first(s, 1)};
    }
    size_t n = utf8_length(s);
    if (!n)
        return (struct character){0, BREAK, slice_first(s, 1)};
    uint32_t cp = c & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++)
        cp = cp << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    return (struct character){cp, kind_of(cp), slice_first(s, n)};
}

static struct slice encoded(uint32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return (struct slice){out, 1};
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; cp >>= 6)
        out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)((0xf00U >> n & 0xff) | cp);
    return (struct slice){out, n};
}

/* A syllable becomes its two or three parts, as text from elsewhere may have them already. */
static struct slice hangul_parts(uint32_t cp, char out[12])
{
    uint32_t at = cp - HANGUL_FIRST, final = at % HANGUL_FINALS, rest = at / HANGUL_FINALS;
    (void)encoded(HANGUL_LEADS_AT + rest / HANGUL_VOWELS, out);
    (void)encoded(0x1161 + rest % HANGUL_VOWELS, out + 3);
    if (final)
        (void)encoded(0x11a7 + final, out + 6);
    return (struct slice){out, final ? 9 : 6};
}

static const struct words_run *run_find(uint32_t cp)
{
    size_t low = 0, high = COUNT(words_runs);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (words_runs[mid].first <= cp)
            low = mid + 1;
        else
            high = mid;
    }
    if (!low)
        return NULL;
    const struct words_run *run = &words_runs[low - 1];
    uint32_t away = cp - run->first;
    return away % run->stride == 0 && away / run->stride < run->count ? run : NULL;
}

static struct slice folded(const struct character *c, char out[12])
{
    if (c->cp < 0x80) {
        out[0] = (char)(c->cp >= 'A' && c->cp <= 'Z' ? c->cp | 32 : c->cp);
        return (struct slice){out, 1};
    }
    if (c->cp >= HANGUL_FIRST && c->cp <= HANGUL_LAST)
        return hangul_parts(c->cp, out);
    const struct words_run *run = run_find(c->cp);
    if (run)
        return encoded((uint32_t)((int32_t)c->cp + run->distance), out);
    size_t n = entries_upto(words_folds, COUNT(words_folds), 14, c->cp);
    if (n && words_folds[n - 1] >> 14 == c->cp)
        return slice_from(words_pool + (words_folds[n - 1] & 0x3fff));
    return c->bytes;
}

/* Does the word so far end before this character? */
static bool is_end(enum kind kind, bool is_alone)
{
    return kind == BREAK || kind == ALONE || (kind == RUN && is_alone);
}

void words_init(struct words *w, struct slice text)
{
    w->left = text;
}

bool words_cut(struct words *w, struct slice *ret_word)
{
    size_t len = 0;
    bool is_alone = false, is_cut = false;
    while (w->left.len) {
        struct character c = character_at(w->left);
        if (len && is_end(c.kind, is_alone))
            break;
        w->left = slice_skip(w->left, c.bytes.len);
        if (c.kind == BREAK || c.kind == SKIP)
            continue;
        if (!len)
            is_alone = c.kind != RUN;
        char out[12];
        struct slice add = folded(&c, out);
        is_cut = is_cut || len + add.len > WORDS_BYTES_MAX;
        if (!is_cut) {
            memcpy(w->word + len, add.ptr, add.len);
            len += add.len;
        }
    }
    if (len)
        *ret_word = (struct slice){w->word, len};
    return len;
}

void words_add(struct buf *to, struct slice text)
{
    struct words w;
    struct slice word;
    const char *between = to->len ? " " SEPARATOR " " : "";
    words_init(&w, text);
    while (!to->full && words_cut(&w, &word)) {
        buf_add_str(to, between);
        buf_add(to, word);
        between = " ";
    }
}

void words_add_vector(struct buf *to, struct words_vector *v, struct slice text)
{
    struct words w;
    struct slice word;
    words_init(&w, text);
    if (v->position)
        v->position++;
    while (!to->full && words_cut(&w, &word)) {
        bool has_position = v->position < POSITION_MAX;
        v->bytes += word.len + (has_position ? POSITION_BYTES : 0);
        if (v->bytes > VECTOR_BYTES)
            break;
        buf_add_str(to, to->len ? " '" : "'");
        buf_add(to, word);
        buf_add_char(to, '\'');
        if (has_position) {
            buf_add_char(to, ':');
            buf_add_u64(to, ++v->position);
            if (v->weight)
                buf_add_char(to, v->weight);
        }
    }
}
