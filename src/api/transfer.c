/* Whole collections, out and in. */
#include "api/api_impl.h"

const struct route transfer_routes[] = {
    {.path = "/{c}/export", .name = "export", .methods = ON_GET, .handle = export_collection},
    {.path = "/{c}/import",
     .name = "import",
     .methods = ON_POST,
     .handle = import_collection,
     .max_body = API_IMPORT_MAX,
     .is_streamed = true},
};
const size_t n_transfer_routes = sizeof transfer_routes / sizeof *transfer_routes;
