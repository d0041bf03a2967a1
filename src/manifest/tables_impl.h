/* How the manifest's tables are written: a shape per object, a row per key. The rows drive the
 * reader, the checks of single values, the JSON Schema, the help and docs/MANIFEST.md. */
#pragma once
#include "manifest/manifest.h"

#include <stddef.h>

enum kind {
    K_TEXT,     /* struct text */
    K_BOOL,     /* bool */
    K_INT,      /* int64_t */
    K_BYTES,    /* int64_t; "100MB" */
    K_DURATION, /* int64_t, ms; "10m" */
    K_RANGE,    /* struct duration_range; "10s..5m" */
    K_RATE,     /* struct rate; "10/min" */
    K_PATTERN,  /* struct path_pattern */
    K_TEXTS,    /* struct texts; a list, or one value */
    K_OBJECT,   /* the shape's struct */
    K_LIST,     /* {items, n}; items of kind `item` */
    K_MAP       /* {items, n}; each item starts with its key */
};

/*           id           what it is, for people                          JSON Schema pattern */
#define FORMAT_MAP(X)                                                                              \
    X(FMT_STRING, "text", NULL)                                                                    \
    X(FMT_WORD, "a word", NULL)                                                                    \
    X(FMT_SLUG, "lower-case letters, digits and dashes, at most 40, starting with a letter",       \
      "^[a-z][a-z0-9-]{0,39}$")                                                                    \
    X(FMT_NAME,                                                                                    \
      "a name of lower-case letters, digits, `_` and `-`, at most 40, starting with a letter",     \
      "^[a-z][a-z0-9_-]{0,39}$")                                                                   \
    X(FMT_COLLECTION,                                                                              \
      "a name of lower-case letters, digits and `_`, at most 40, starting with a letter",          \
      "^[a-z][a-z0-9_]{0,39}$")                                                                    \
    X(FMT_PATH, "a path inside the app folder, such as web/dist", "^[^/]")                         \
    X(FMT_FOLDER, "a path, which may lead outside the app folder", "^.")                           \
    X(FMT_URLPATH, "a path of the site, such as /docs/a", "^/")                                    \
    X(FMT_PREFIX, "a path that starts and ends with a slash, such as /docs/", "^/(.*/)?$")         \
    X(FMT_PATTERN, "a path, or the start of one followed by `*`, such as /docs/*", "^/[^*]*[*]?$") \
    X(FMT_TARGET, "a path of the site, or an http:// or https:// address", "^(/|https?://)")       \
    X(FMT_URL, "an address, such as http://127.0.0.1:9000", "^https?://")                          \
    X(FMT_ORIGIN, "an origin, such as https://example.com or https://*.example.com",               \
      "^https?://[^/]+$")                                                                          \
    X(FMT_HOSTNAME, "a host name, such as charts.example.com", "^[A-Za-z0-9.-]+$")                 \
    X(FMT_ADDRESS, "an address to listen at: 127.0.0.1:8000, [::1]:8000, :8000 or unix:/path",     \
      "^(unix:/|.*:[0-9]+$)")                                                                      \
    X(FMT_EMAIL, "an e-mail address", "^[^@ ]+@[^@ ]+$")                                           \
    X(FMT_DESTINATION, "what ssh connects to, such as root@203.0.113.9",                           \
      "^[A-Za-z0-9_.@:%+\\[\\]][A-Za-z0-9_.@:%+\\[\\]-]*$")                                        \
    X(FMT_CRON, "five cron fields in UTC, such as \"0 3 * * *\"", "^\\S+( +\\S+){4}$")             \
    X(FMT_HEADER_NAME, "a header's name, such as X-Robots-Tag", "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")   \
    X(FMT_HEADER_VALUE, "a header's value on one line", "^[^\\x00-\\x1f\\x7f]*$")                  \
    X(FMT_VARIABLE, "a variable's name, such as API_KEY", "^[A-Za-z_][A-Za-z0-9_]*$")              \
    X(FMT_SECRET, "a variable's name, with `?` behind it or ending in `*` if it may be missing",   \
      "^[A-Za-z_][A-Za-z0-9_]*[?*]?$")                                                             \
    X(FMT_FIELD, "a field's name, with `-` before it for descending order",                        \
      "^-?[A-Za-z_][A-Za-z0-9_.]*$")                                                               \
    X(FMT_GLOB, "a pattern of file names, such as *.js or assets/*.css", "^[^/]")                  \
    X(FMT_MEDIA, "a media type, such as text/csv or image/*", "^[a-z0-9.+-]+/([a-z0-9.+-]+|[*])$") \
    X(FMT_RULE, "a rule word such as signed_in, owner, role:NAME or nobody, or an expression",     \
      "^.")                                                                                        \
    X(FMT_ACCESS, "a rule: public, signed_in, operator, role:NAME, scope:NAME or nobody", "^.")    \
    X(FMT_LIMIT, "login, signup, reset, publish, upload, write, read, or \"METHOD /prefix\"",      \
      "^(login|signup|reset|publish|upload|write|read|([A-Z]+|[*]) /.*)$")                         \
    X(FMT_STATUS, "a status from 400 to 599", "^[45][0-9][0-9]$")                                  \
    X(FMT_EVENT, "NAME.created, .updated or .deleted, or JOB.succeeded, .failed or .cancelled",    \
      "^[a-z][a-z0-9_-]*[.](created|updated|deleted|succeeded|failed|cancelled)$")                 \
    X(FMT_PACKAGE, "a package's name, such as ffmpeg", "^[a-z0-9][a-z0-9+.-]*$")                   \
    X(FMT_COMMAND, "a command for the shell", "^.")

enum format {
#define X(id, what, pattern) id,
    FORMAT_MAP(X)
#undef X
        FORMAT_COUNT
};

extern const char *const format_what[FORMAT_COUNT];
extern const char *const format_pattern[FORMAT_COUNT]; /* NULL: any text */
bool format_ok(enum format format, struct slice s);

enum field_flag {
    REQUIRED = 1,
    LATER = 2,    /* read and checked, but this version does nothing with it yet */
    ONE_OK = 4,   /* one value may stand for a list of one */
    EMPTY_OK = 8, /* of texts: "" is fine */
    UNSET_IS_MINUS_ONE = 16,
    NONE_OK = 32 /* a required list may be without values */
};

struct field {
    const char *name;
    const char *doc; /* one sentence */
    const char *def; /* the default as people would write it; NULL: none; lists: by spaces */
    const struct shape *shape; /* of K_OBJECT, or of items that are objects */
    const char *words; /* what it may be, by spaces; with a format besides FMT_WORD: as well */
    int64_t min, max;  /* of K_INT, K_BYTES, K_DURATION; max 0: no limit */
    size_t offset, item_size, value_offset; /* the latter two of lists and maps */
    enum kind kind, item;
    enum format format, key_format;
    unsigned flags;
};

struct shape {
    const char *name; /* for people: "a collection" */
    const struct field *fields;
    bool inherits;         /* keys not written stay unset: another profile may set them */
    const char *shorthand; /* the key that a single value stands for; NULL: none */
    size_t n, pos_offset;  /* NO_POS: the struct does not say where it stood */
};
#define NO_POS ((size_t)-1)

extern const struct shape manifest_shape, host_shape, header_profile_shape, job_shape;

/* "100MB" and the like; false when it is none. */
bool bytes_parse(struct slice s, int64_t *ret);
bool duration_range_parse(struct slice s, struct duration_range *ret);
bool rate_parse(struct slice s, struct rate *ret);
bool words_have(const char *words, struct slice s); /* words by spaces */
bool words_next(const char **words, struct slice *ret);
