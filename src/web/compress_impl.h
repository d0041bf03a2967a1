/* Compression of whole texts: slow and small, done once. */
#pragma once
#include "base/shared.h"

/* One reference, or NULL when it would save less than a tenth. Any thread; takes long. */
struct shared *pack_brotli(struct slice plain);
struct shared *pack_gzip(struct slice plain);
