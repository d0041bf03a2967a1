/* What the files of the secret and of the store share. */
#pragma once
#include "keys/keys.h"

void folder_sync(const char *dir); /* so that a name that was given is there after a power cut */
