/* What the files of net/ share. */
#pragma once
#include "net/net.h"

#include <sys/un.h>

/* The address to bind or connect to, through its folder's descriptor, which the caller closes. */
bool unix_address(const char *path, struct sockaddr_un *ret, int *ret_dir, struct err *e);
