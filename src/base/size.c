/* The text of a size. */
#include "base/size.h"

#include <stdio.h>

void size_text(int64_t bytes, char to[SIZE_TEXT_LEN])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    int unit = 0;
    while (unit < 4 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(to, SIZE_TEXT_LEN, "%lld%s", (long long)bytes, units[unit]);
}
