/* Files that come in: PUT of one, POST of a form with several. */
#include "api/files_impl.h"

static bool on_put(struct req *rq, struct err *e)
{
    (void)rq;
    return err_set(e, ERR_NOT_IMPLEMENTED, "Not written yet.");
}

const struct route file_put_route = {.path = "/files/{bucket}/*",
                                     .name = "file",
                                     .methods = ON_GET | ON_PUT | ON_PATCH | ON_DELETE | ON_POST,
                                     .handle = on_put,
                                     .max_body = SIZE_MAX,
                                     .is_streamed = true},
                   file_form_route = {.path = "/files/{bucket}",
                                      .name = "files",
                                      .methods = ON_GET | ON_POST,
                                      .handle = on_put,
                                      .max_body = SIZE_MAX,
                                      .is_streamed = true};
