/* The whole program when it serves: apps put together into a host, the server around it, its life
 * from the first line on the terminal to the last connection. The only room that knows all. */
#pragma once
#include "base/base.h"

#define APP_DIRS_MAX 64

struct app_options {
    const char *const *dirs; /* app folders, or a folder with host.yaml; none = "." */
    size_t n_dirs;
    const char *listen, *data; /* flags; NULL where not given */
    bool dev;
};

/* Serves until it is told to stop; returns the exit code. Prints every problem itself. */
int app_serve(const struct app_options *options);

/* Where the running server of these folders can be reached: its control socket's path. */
bool app_control_path(const struct app_options *options, char *to, size_t n, struct err *e);
