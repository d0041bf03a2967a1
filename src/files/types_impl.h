/* Media types that dais knows by name or by bytes. */
#pragma once
#include "files/files_impl.h"

/* How a type is known. Nobody's word makes bytes one that is known by bytes. */
enum type_kind {
    TYPE_BYTES, /* by its first bytes alone */
    TYPE_TEXT,  /* text, and somebody says so */
    TYPE_ZIP,   /* a zip, and somebody says so */
    TYPE_OLE,   /* a container of older office programs, and somebody says so */
    TYPE_OGG,   /* these have one container each for sound and pictures */
    TYPE_WEBM,
    TYPE_MP4
};
struct type_row {
    const char *name;
    enum type_kind kind;
    bool is_passive;  /* safe inside a page of the app's origin */
    const char *ends; /* of paths, with spaces between them */
};
/* NULL: not in the table. Any case. */
const struct type_row *type_named(struct slice name);
const struct type_row *type_of_path(struct slice path);
