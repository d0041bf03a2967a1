/* The steps of loading an app, in their order; each is called once by load.c. */
#pragma once
#include "manifest/read_impl.h"

/* Fills what follows from other values: compiled patterns, sorted lists, the default of api. */
void manifest_derive(struct arena *a, struct manifest *m);
void names_lower(struct arena *a, struct texts *names); /* host names have no case */
/* What two or more values say together. Looks at no file. */
void manifest_check(struct reader *r, struct manifest *m);
void manifest_check_access(struct reader *r, struct manifest *m);      /* rules, identity, limits */
void manifest_check_paths(struct reader *r, const struct manifest *m); /* the backend's paths */
void manifest_check_jobs(struct reader *r, struct manifest *m);        /* jobs, and all quotas */
/* Warns of %20 and its like in a path, which would never match. */
void check_no_escape(struct reader *r, const struct text *path);
/* Whether the files it names are there. The only step that looks at the app's folder. */
void manifest_check_files(struct reader *r, struct manifest *m);
/* Several apps of one host: same names, shared origins. Adds host.yaml's names to the apps'. */
void site_check(struct arena *a, struct problems *p, struct site *site);

/* A regular file of at most 1 MB; anything else is a problem at once, never a wait. The hint
 * follows the sentence that the file is not there. */
bool text_file_read(struct arena *a, const char *path, const char *hint, struct problems *p,
                    struct slice *ret);
bool path_exists(const char *path);
struct slice path_join(struct arena *a, struct slice dir, struct slice path);
