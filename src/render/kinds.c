/* Every kind of place. A kind is a list of tables of files; each table stands in the file that
 * knows its artifacts (rows_*.c). To add a file: a template below templates/, a row in a table. */
#include "render/rows_impl.h"

static const struct render_row *const local[] = {rows_image, rows_local, rows_ci_image, NULL};

static const struct render_row *const droplet[] = {
    rows_image,   rows_compose_droplet, rows_proxies,  rows_units,
    rows_machine, rows_observability,   rows_workflow, NULL};

static const struct render_row *const aws[] = {
    rows_image,         rows_compose_aws, rows_proxies,        rows_units, rows_machine,
    rows_observability, rows_workflow,    rows_cloudformation, NULL};

static const struct render_row *const gcp[] = {rows_image,    rows_compose_gcp, rows_proxies,
                                               rows_units,    rows_machine,     rows_observability,
                                               rows_workflow, rows_cloudrun,    NULL};

static const struct render_row *const azure[] = {
    rows_image,         rows_compose_azure, rows_proxies,      rows_units, rows_machine,
    rows_observability, rows_workflow,      rows_containerapp, NULL};

static const struct render_row *const pythonanywhere[] = {rows_pythonanywhere, NULL};

static const struct render_row *const pages[] = {rows_pages, NULL};

const struct render_kind render_kinds[] = {
    {.name = "local",
     .summary = "Docker Compose on this machine, and the image of the app.",
     .tables = local,
     .check = check_image,
     .next = "local/next.txt"},
    {.name = "droplet",
     .summary = "A server of your own: Compose or systemd, proxies, cloud-init, monitoring.",
     .tables = droplet,
     .check = check_machine,
     .next = "compose/next.txt"},
    {.name = "aws",
     .summary = "Amazon: the same, and CloudFormation for a machine or for containers.",
     .tables = aws,
     .check = check_aws,
     .next = "aws/next.txt"},
    {.name = "gcp",
     .summary = "Google Cloud: the same, and Cloud Run.",
     .tables = gcp,
     .check = check_machine,
     .next = "gcp/next.txt"},
    {.name = "azure",
     .summary = "Azure: the same, and Container Apps.",
     .tables = azure,
     .check = check_machine,
     .next = "azure/next.txt"},
    {.name = "pythonanywhere",
     .summary = "PythonAnywhere, for both of its ways to run a site.",
     .tables = pythonanywhere,
     .check = check_pythonanywhere,
     .next = "pythonanywhere/next.txt"},
    {.name = "pages",
     .summary = "GitHub Pages: the static part as a site, and its workflow.",
     .tables = pages,
     .check = check_pages,
     .add = add_pages,
     .next = "pages/next.txt"},
    {0},
};

const struct render_kind *render_kind_find(struct slice name)
{
    if (slice_is(name, "ssh"))
        name = SLICE("droplet");
    for (const struct render_kind *kind = render_kinds; kind->name; kind++) {
        if (slice_is(name, kind->name))
            return kind;
    }
    return NULL;
}
