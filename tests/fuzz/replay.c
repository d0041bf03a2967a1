/* A main for fuzz targets: feeds them the files of a corpus, one TAP line each, without a fuzzer.
 */
#include "base/mem.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as many bytes as the file has, so that reading one too many is seen by the sanitizer. */
static bool replay_file(const char *path, int number)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    if (!file || fstat(fileno(file), &st) != 0) {
        printf("not ok %d - %s cannot be read\n", number, path);
        if (file)
            fclose(file);
        return false;
    }
    size_t size = (size_t)st.st_size;
    uint8_t *bytes = mem_alloc(size);
    bool whole = fread(bytes, 1, size, file) == size;
    fclose(file);
    printf("# %s\n", path);
    if (whole)
        LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    printf("%s %d - %s\n", whole ? "ok" : "not ok", number, path);
    return whole;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER (of a corpus) or FILE\n", argv[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct stat st;
    if (stat(argv[1], &st) == 0 && !S_ISDIR(st.st_mode)) {
        printf("1..1\n");
        return replay_file(argv[1], 1) ? 0 : 1;
    }
    struct dirent **names;
    int count = scandir(argv[1], &names, is_visible, alphasort);
    if (count <= 0) {
        printf("1..1\nnot ok 1 - %s is empty or absent: a target needs a corpus\n", argv[1]);
        return 1;
    }
    printf("1..%d\n", count);
    bool all = true;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name);
        all &= replay_file(path, i + 1);
        free(names[i]);
    }
    free(names);
    return all ? 0 : 1;
}
