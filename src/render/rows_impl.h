/* The tables that kinds are made of; each stands in the file that knows its artifacts. */
#pragma once
#include "render/render_impl.h"

/* rows_image.c: the app's image, Compose on one's own machine, the image of CI */
extern const struct render_row rows_image[], rows_local[], rows_ci_image[];
/* rows_compose.c: Compose on a server, a file and an environment for each cloud */
extern const struct render_row rows_compose_droplet[], rows_compose_aws[], rows_compose_gcp[],
    rows_compose_azure[];
/* rows_proxies.c: for people with a proxy of their own */
extern const struct render_row rows_proxies[];
/* rows_machine.c: systemd units, cloud-init, monitoring */
extern const struct render_row rows_units[], rows_machine[], rows_observability[];
/* rows_workflow.c: what deploys from GitHub */
extern const struct render_row rows_workflow[];
/* rows_aws.c, rows_clouds.c */
extern const struct render_row rows_cloudformation[], rows_cloudrun[], rows_containerapp[];
/* rows_pythonanywhere.c, rows_pages.c */
extern const struct render_row rows_pythonanywhere[], rows_pages[];

/* rows.c: what several of them need */
bool text_is_one_of(struct slice s, const char *const *texts); /* ends in NULL */
struct slice text_first(struct slice s, size_t max); /* at most so many bytes, none cut in two */
struct slice text_lower(struct arena *a, struct slice s);
struct slice text_underscored(struct arena *a, struct slice s); /* `_` for each `-` */
struct slice text_digest(struct arena *a, struct slice s,
                         size_t max);                    /* in hex, the first digits */
int64_t longest_answer_ms(const struct backend_conf *b); /* 0: there is no backend */
int64_t largest_request_bytes(const struct backend_conf *b);

/* target_env.c: `env` of a target; t may be NULL */
struct slice env_plain(struct arena *a, struct slice value);
const struct pair *env_find(const struct target *t, struct slice name); /* NULL: none */
void check_env_is_plain(const struct manifest *m, const struct target *t, struct problems *p);

void check_image(const struct manifest *m, const struct target *t, struct problems *p);
void check_machine(const struct manifest *m, const struct target *t, struct problems *p);
void check_aws(const struct manifest *m, const struct target *t, struct problems *p);
void check_pythonanywhere(const struct manifest *m, const struct target *t, struct problems *p);
void check_pages(const struct manifest *m, const struct target *t, struct problems *p);
bool add_pages(struct arena *a, const struct render_options *o, struct render_files *to,
               struct problems *p, struct err *e);
void facts_proxies(const struct facts *f);        /* rows_proxies.c: under "proxy" */
void facts_machine(const struct facts *f);        /* rows_machine.c: under "machine" */
void facts_compose(const struct facts *f);        /* rows_compose.c: under "compose" */
void facts_image(const struct facts *f);          /* rows_image.c: under "image" */
void facts_aws(const struct facts *f);            /* rows_aws.c: under "aws" */
void facts_clouds(const struct facts *f);         /* rows_clouds.c: under "clouds" */
void facts_pythonanywhere(const struct facts *f); /* under "pythonanywhere" */
void facts_pages(const struct facts *f);          /* rows_pages.c: under "pages" */
void facts_workflow(const struct facts *f);       /* rows_workflow.c: under "workflow" */
