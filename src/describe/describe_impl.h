/* What the texts of this room are made from: the app's schemas, taken apart into named ones. */
#pragma once
#include "base/json.h"
#include "base/map.h"
#include "describe/describe.h"

#define TEXT_MAX (64u << 20) /* of everything told about one app */

/* The fields of every document that dais sets itself. */
#define OWN_FIELDS 5
extern const struct slice own_fields[OWN_FIELDS];
bool is_own_field(struct slice name);

/* Which shape of a schema is meant. */
enum shape {
    SHAPE_PLAIN,  /* as it is written */
    SHAPE_BESIDE, /* applied to a document beside others: lets dais's own fields pass */
    SHAPE_WRITTEN,
    SHAPE_READ,
};

/* A schema with a name, self-contained but for references to others of the same bundle. */
struct part {
    struct slice name; /* letters and digits, an upper-case letter first */
    struct slice json;
    const struct json *root;     /* the same, parsed when first asked for */
    const struct schema *schema; /* whose compilation node is part of; NULL: there is no file */
    const struct json *node;
    struct slice file; /* that node is in */
    enum shape shape;
    const struct slice *hidden; /* paths that are taken out, seen from node */
    size_t n_hidden;
    struct part *next;
};

/* A collection with what became of its schema. */
struct described {
    const struct collection *conf;
    const struct schema *schema; /* NULL: any document */
    struct slice singular;       /* "Chart" of charts; as names of parts */
    struct part *read, *written; /* written is NULL where only reading was asked for */
};

/* The shapes that accounts bring, in the order of their names in accounts.c. */
enum account_shape {
    ACCOUNT_USER,
    ACCOUNT_SIGNED_IN,
    ACCOUNT_SESSION,
    ACCOUNT_KEY,
    ACCOUNT_NEW_KEY,
    ACCOUNT_SHAPES
};

/* A type of job. */
struct described_job {
    const struct job *conf;
    struct slice name;        /* "ImportVideoJob" */
    const struct part *input; /* NULL: any JSON value */
};

struct bundle {
    struct arena *a;
    const struct describe_source *src;
    struct slice prefix; /* of references: "#/$defs/" */
    struct described *collections;
    size_t n;
    struct described_job *jobs;
    size_t n_jobs;
    const struct part *job; /* the shape of one; NULL: the app has none */
    struct part *parts, *last;
    struct map by_place, by_name;                /* parts */
    struct map names;                            /* taken */
    const struct part *accounts[ACCOUNT_SHAPES]; /* NULL: the app has none */
};

/* Compiles and takes apart the schemas of all collections, or of one. In the arena; NULL: why is in
 * e. */
struct bundle *bundle_new(struct arena *a, const struct describe_source *src,
                          const struct collection *only, struct slice prefix, struct err *e);
/* The part that stands for a schema in a shape; a new one when it is the first time. */
struct part *bundle_part(struct bundle *b, const struct part *from, const struct json *node,
                         const struct schema_place *place, struct slice reference, enum shape shape,
                         const struct slice *hidden, size_t n_hidden);
/* A name like the wanted one that no other part has, and takes it. */
struct slice bundle_name(struct bundle *b, struct slice wanted);
/* A part of dais's own, whose JSON is whole; its name may have become another. */
const struct part *bundle_add(struct bundle *b, struct slice wanted, struct slice json);
/* A part of the app's that nothing refers to: a whole schema, as it is written. */
const struct part *bundle_top(struct bundle *b, struct slice name, const struct schema *schema);
/* "Two words" from whatever is given: TwoWords; never empty. */
struct slice camel(struct arena *a, struct slice text);

/* Writes part->json: the schema in its shape, with references to parts. */
bool part_write(struct bundle *b, struct part *part, struct err *e);

/* ---- documents.c: a row per call ----------------------------------------------------------------
 * Every resource of the API has a file like it; openapi.c calls them in their order. */
struct openapi {
    struct bundle *b;
    struct json_writer *w;
    const struct manifest *m;
};
void documents_paths(struct openapi *o);              /* members of `paths` */
void documents_components(struct openapi *o);         /* members of `components/schemas` */
void documents_parameters(struct openapi *o);         /* members of `components/parameters` */
void put_errors(struct openapi *o, const char *list); /* "404 422": members of `responses` */
/* jobs.c, in the same way; the first before the parts are written */
bool jobs_compile(struct bundle *b, struct err *e);
void jobs_parts(struct bundle *b);
void jobs_paths(struct openapi *o);
/* accounts.c, in the same way */
void accounts_parts(struct bundle *b);
void accounts_paths(struct openapi *o);
void accounts_schemes(struct openapi *o);   /* a member of `components` */
void problem_schema(struct json_writer *w); /* the shape of every error */

/* For all who write objects: a key with its value. */
void put_str(struct json_writer *w, const char *key, struct slice value);
void put_cstr(struct json_writer *w, const char *key, const char *value);
void put_ref(struct json_writer *w, const char *folder, struct slice name);

/* ---- types.c: what the languages share ----------------------------------------------------------
 * Each reads the parts' JSON, whose references are "#/$defs/" and the name of a part. */
const struct json *part_root(struct bundle *b, const struct part *part);

/* What a schema says of itself; "" when it says nothing. Lines are taken off it one by one:
 * nothing in them but printable characters. */
struct slice remark_of(struct arena *a, const struct json *schema);
bool remark_line(struct arena *a, struct slice *rest, struct slice *ret_line);

/* The part a schema's $ref names; "": it has none. */
struct slice reference_name(const struct bundle *b, const struct json *schema);
bool is_required(const struct json *schema, struct slice name);

#define TYPE_ANY     0u /* says nothing of the type */
#define TYPE_OF(t)   (1u << (t))
#define TYPE_INTEGER TYPE_OF(7) /* beside JSON_NUMBER: integers only */
/* The kinds of values that `type` allows; what other keywords are about when there is none. */
unsigned types_of(const struct json *schema);
/* Has it fields to name, or to leave room for? */
bool is_plain_object(const struct json *schema);

/* A field of dais's own that may be sent and counts for nothing: no type needs it. */
bool is_ignored(struct slice name, const struct json *schema);

/* Would the type of `part` be defined by nothing but itself, were it to name `name`? */
bool leads_back(struct bundle *b, const struct part *part, struct slice name);
