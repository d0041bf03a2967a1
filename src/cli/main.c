/* The entry of the program: the table of verbs. */
#include "cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

static const struct verb *const verbs[] = {
    &verb_new,    &verb_check,   &verb_build,  &verb_serve,  &verb_reload,  &verb_debug,
    &verb_events, &verb_render,  &verb_doctor, &verb_health, &verb_openapi, &verb_types,
    &verb_schema, &verb_user,    &verb_job,    &verb_key,    &verb_secret,  &verb_verify,
    &verb_backup, &verb_version, &verb_help,   NULL,
};

/* Started without a standard descriptor, the next file opened would get its number, and what is
 * meant for the terminal or the log would be written into it. */
static void fill_standard(void)
{
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    fill_standard();
    return cli_run(verbs, argc, (const char *const *)argv);
}
