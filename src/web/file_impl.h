/* One file of an app: where it is, what it is, and its prepared copies in memory.
 *
 * A file belongs to every tree that holds it (references). Its facts never change; its copies are
 * published once each by whoever prepares them and read by every loop without a lock. */
#pragma once
#include "web/rules_impl.h"
#include "web/types_impl.h"

#include <sys/stat.h>

#define SMALL_MAX   (128u << 10) /* held in memory as it is */
#define REWRITE_MAX (16u << 20)  /* rewritten, or compressed, in memory */

/* What tells one content from another without reading it. */
struct web_facts {
    uint64_t inode, size;
    int64_t mtime_ns;
};

/* Bytes in memory in one coding, with their head. */
struct web_copy {
    struct shared *body;
    struct slice head; /* all lines */
    struct slice rest; /* those without Content-Type and Content-Encoding: for 304 and multipart */
    struct h1_valid valid;
    struct web_csp_sources inlines; /* of HTML, where a policy asks for them */
    const char *type;
    enum coding coding;
    size_t charged; /* to the budget */
    char text[];
};

enum web_node_kind { NODE_FILE, NODE_FOLDER };
struct web_node { /* what a path in the tree's map leads to */
    enum web_node_kind kind;
    struct web_file *file; /* of a folder: its index */
};

struct web_file {
    _Atomic int refs;
    struct web_facts facts;
    const struct web_type *type;
    size_t profile;    /* of its own path */
    uint16_t root;     /* index into rules->roots */
    bool rewritten;    /* never to be sent as it is on disk */
    _Atomic bool raw;  /* though it was too large for that: an error was logged */
    _Atomic bool racy; /* read so soon after a change that another may not show in the facts */
    struct web_budget *budget;
    _Atomic(struct web_copy *) copies[3]; /* by enum coding */
    struct web_node as_file, as_folder;
    struct slice path; /* of the URL below the app's mount; ends in NUL */
    const char *rel;   /* the part below the root's folder */
    char bytes[];
};

struct web_file *file_new(const struct web_rules *r, size_t root, struct slice path,
                          const struct web_facts *facts);
/* A file that is nowhere: the env script. */
struct web_file *file_new_script(const struct web_rules *r);
struct web_file *file_ref(struct web_file *f);
void file_unref(struct web_file *f);
struct web_facts facts_of(const struct stat *st);
bool facts_eq(const struct web_facts *a, const struct web_facts *b);

static inline struct web_copy *file_copy(const struct web_file *f, enum coding c)
{
    return atomic_load_explicit(&f->copies[c], memory_order_acquire);
}

/* Reads the file into memory, rewritten where rules say so. Nothing happens when it is there
 * already, too large, over budget, or was changed meanwhile. May block: not on a loop. */
void file_load(struct web_file *f, const struct web_rules *r, int root_fd);
/* Adds the compressed copies worth having. Takes long; the same rules. */
void file_compress(struct web_file *f, const struct web_rules *r, int root_fd);

/* The head of an answer with this file. Returns the length of the lines that `rest` leaves out. */
struct web_head {
    const struct web_file *file;
    const char *type;
    const struct web_profile *profile;
    struct h1_valid valid;
    struct web_csp_sources inlines;
    enum coding coding;
    bool dev;
};
size_t head_write(struct buf *to, const struct web_head *h);

#define ETAG_MAX 64
/* Of a file served from disk. */
struct slice etag_of_facts(const struct web_facts *facts, char to[ETAG_MAX]);
/* Of bytes, the same in every process. */
struct slice etag_of_bytes(struct slice bytes, char to[ETAG_MAX]);
