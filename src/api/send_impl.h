/* The inside of sending files: the answer (send.c), and one that comes in several pieces. */
#pragma once
#include "api/files_impl.h"

/* send_feed.c: the bytes of this range, block by block. The source is the answer's to close. */
struct source *feed_new(struct req *rq, struct files *files, const struct file *file,
                        const struct byte_range *range);
