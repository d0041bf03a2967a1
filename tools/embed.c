/* Turns files into one C file with the table embedded_pages: embed OUT.c NAME=FILE... */
#include <stdio.h>
#include <string.h>

static const char *const head = "/* Made by tools/embed; mk/pages.mk says where the files are. */\n"
                                "#include \"base/embedded.h\"\n\n"
                                "/* Not among the constants that are needed at every start. */\n"
                                "#define APART __attribute__((section(\"embedded\")))\n\n";

static int fail(const char *what, const char *which)
{
    fprintf(stderr, "embed: %s: ", which);
    perror(what);
    return 1;
}

/* Octal escapes have three digits, so that no following character can be taken for a part of one;
 * question marks are escaped because two of them start a trigraph in older C. */
static void byte_write(FILE *out, int c)
{
    if (c == '\n')
        fputs("\\n\"\n    \"", out);
    else if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else if (c < ' ' || c > '~' || c == '?')
        fprintf(out, "\\%03o", (unsigned)c);
    else
        fputc(c, out);
}

static int file_write(FILE *out, const char *path, int number)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return fail("cannot be read", path);
    fprintf(out, "static const APART char file_%d[] =\n    \"", number);
    for (int c = fgetc(in); c != EOF; c = fgetc(in))
        byte_write(out, c);
    fputs("\";\n\n", out);
    int broken = ferror(in);
    fclose(in);
    return broken ? fail("cannot be read to its end", path) : 0;
}

static void table_write(FILE *out, char **arguments, int n)
{
    fputs("const struct embedded embedded_pages[] = {\n", out);
    for (int i = 0; i < n; i++) {
        int length = (int)(strchr(arguments[i], '=') - arguments[i]);
        fprintf(out, "    {\"%.*s\", file_%d, sizeof file_%d - 1},\n", length, arguments[i], i, i);
    }
    fputs("    {NULL, NULL, 0},\n};\n", out);
}

static int all_write(FILE *out, char **arguments, int n)
{
    fputs(head, out);
    for (int i = 0; i < n; i++) {
        const char *equals = strchr(arguments[i], '=');
        if (!equals) {
            fprintf(stderr, "embed: %s: want NAME=FILE\n", arguments[i]);
            return 1;
        }
        if (file_write(out, equals + 1, i) != 0)
            return 1;
    }
    table_write(out, arguments, n);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: embed OUT.c NAME=FILE...\n", stderr);
        return 1;
    }
    FILE *out = fopen(argv[1], "wb");
    if (!out)
        return fail("cannot be written", argv[1]);
    int status = all_write(out, argv + 2, argc - 2);
    if ((ferror(out) | fclose(out)) != 0)
        status = fail("cannot be written to its end", argv[1]);
    if (status != 0)
        remove(argv[1]);
    return status;
}
