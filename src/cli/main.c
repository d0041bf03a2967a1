/* The entry of the program: the table of verbs. */
#include "cli/cli.h"

static const struct verb *const verbs[] = {
    &verb_new,    &verb_check,   &verb_serve, &verb_reload, &verb_debug,
    &verb_schema, &verb_version, &verb_help,  NULL,
};

int main(int argc, char **argv)
{
    return cli_run(verbs, argc, (const char *const *)argv);
}
