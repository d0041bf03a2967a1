/* Sizes as dais.yaml writes them: 20MB, with KB as 1,024 bytes. */
#pragma once
#include <stdint.h>

#define SIZE_TEXT_LEN 32

/* The largest unit that needs no fraction: "20MB", "1500B"; bytes is not negative. */
void size_text(int64_t bytes, char to[SIZE_TEXT_LEN]);
