/* A Postgres of the tests' own: makes it once a program, starts, stops and kills it. */
#include "pg.h"

#include "base/base.h"
#include "db/postgres_impl.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BIN "/usr/lib/postgresql/15/bin/"

static struct pg_server *made; /* one a program */

static _Noreturn void give_up(const char *why)
{
    char name[80];
    fprintf(stderr, "the tests' Postgres: %s\n", why);
    snprintf(name, sizeof name, "%s/log", made ? made->folder : "");
    FILE *f = fopen(name, "r");
    for (int c; f && (c = fgetc(f)) != EOF;)
        fputc(c, stderr);
    exit(1);
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

/* ---- processes ----------------------------------------------------------------------------- */

static const struct passwd *account(void)
{
    if (geteuid() != 0)
        return NULL;
    const struct passwd *p = getpwnam("postgres");
    p = p ? p : getpwnam("nobody");
    if (!p)
        give_up("there is no user other than root");
    return p;
}

/* It refuses to run as root. Ended with us, whatever ends us. */
static pid_t spawn(char *const *args)
{
    const struct passwd *who = account();
    char name[80];
    snprintf(name, sizeof name, "%s/log", made->folder);
    pid_t parent = getpid(), pid = fork();
    if (pid)
        return pid;
    if (who && (setgroups(0, NULL) || setgid(who->pw_gid) || setuid(who->pw_uid)))
        _exit(125);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    int log = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(log, 1);
    dup2(log, 2);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    if (getppid() != parent || chdir("/"))
        _exit(126);
    setenv("LC_ALL", "C", 1);
    execv(args[0], args);
    _exit(127);
}

static void run(char *const *args)
{
    int status = 0;
    waitpid(spawn(args), &status, 0);
    if (status)
        give_up(args[0]);
}

void pg_server_signal(struct pg_server *s, int number)
{
    char name[60];
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", s->pid, s->pid);
    FILE *f = fopen(name, "r");
    char line[4096] = "";
    size_t n = f ? fread(line, 1, sizeof line - 1, f) : 0;
    if (f)
        fclose(f);
    kill(s->pid, number);
    struct slice rest = {line, n}, one;
    uint64_t pid;
    while (slice_cut(&rest, ' ', &one)) {
        if (slice_to_u64(one, &pid))
            kill((pid_t)pid, number);
    }
}

static void remove_all(void)
{
    if (!made)
        return;
    if (made->pid) {
        kill(made->pid, SIGQUIT);
        waitpid(made->pid, NULL, 0);
    }
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/rm", "rm", "-rf", made->folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Below those that the system gives to whoever connects: one that is free stays free. */
unsigned pg_free_port(void)
{
    for (int i = 0; i < 1000; i++) {
        unsigned number = 0;
        if (getrandom(&number, sizeof number, 0) != sizeof number)
            break;
        uint16_t port = (uint16_t)(10000 + number % 20000);
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool is_free = bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
        close(fd);
        if (is_free)
            return port;
    }
    give_up("no free port");
}

void pg_url_at(char *to, size_t size, unsigned port)
{
    snprintf(to, size, "postgres://dais:" PG_PASSWORD "@127.0.0.1:%u/postgres", port);
}

static bool answers(const struct pg_server *s)
{
    const char *const names[] = {"dbname", "connect_timeout", NULL};
    const char *const values[] = {s->url, "2", NULL};
    PGconn *h = pq.PQconnectdbParams(names, values, 1);
    bool fine = pq.PQstatus(h) == CONNECTION_OK;
    pq.PQfinish(h);
    return fine;
}

void pg_server_start(struct pg_server *s)
{
    char data[60], port[12], sockets[80];
    snprintf(data, sizeof data, "%s/data", s->folder);
    snprintf(port, sizeof port, "%u", s->port);
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", s->folder);
    char *const args[] = {(char[]){BIN "postgres"},
                          (char[]){"-D"},
                          data,
                          (char[]){"-p"},
                          port,
                          (char[]){"-c"},
                          sockets,
                          (char[]){"-c"},
                          (char[]){"listen_addresses=127.0.0.1"},
                          (char[]){"-c"},
                          s->waits_for_disk ? (char[]){"fsync=on"} : (char[]){"fsync=off"},
                          (char[]){"-c"},
                          (char[]){"timezone=Asia/Kathmandu"},
                          (char[]){"-c"},
                          (char[]){"synchronous_commit=off"}, /* ours says otherwise */
                          (char[]){"-c"},
                          (char[]){"deadlock_timeout=50ms"},
                          NULL};
    s->pid = spawn(args);
    for (int i = 0; !answers(s); i++, nap()) {
        if (i > 12000 || waitpid(s->pid, NULL, WNOHANG) == s->pid)
            give_up("it did not start");
    }
}

void pg_server_make(struct pg_server *s)
{
    struct err e;
    char data[60], file[60], option[80];
    if (!pq_load(&e))
        give_up(e.msg);
    snprintf(s->folder, sizeof s->folder, "/tmp/dais-pg-XXXXXX");
    if (!mkdtemp(s->folder))
        give_up("no folder");
    made = s;
    atexit(remove_all);
    const struct passwd *who = account();
    snprintf(data, sizeof data, "%s/data", s->folder);
    snprintf(file, sizeof file, "%s/password", s->folder);
    FILE *f = fopen(file, "w");
    if (!f || fputs(PG_PASSWORD, f) < 0 || fclose(f))
        give_up("no password file");
    if (who &&
        (chown(file, who->pw_uid, who->pw_gid) || chown(s->folder, who->pw_uid, who->pw_gid)))
        give_up("chown");
    snprintf(option, sizeof option, "--pwfile=%s", file);
    run((char *const[]){(char[]){BIN "initdb"}, (char[]){"-D"}, data, (char[]){"-U"},
                        (char[]){"dais"}, option, (char[]){"-A"}, (char[]){"scram-sha-256"},
                        (char[]){"-E"}, (char[]){"UTF8"}, (char[]){"--locale=C.UTF-8"},
                        (char[]){"--no-sync"}, NULL});
    s->port = pg_free_port();
    pg_url_at(s->url, sizeof s->url, s->port);
    pg_server_start(s);
}

void pg_server_stop(struct pg_server *s)
{
    if (!s->pid)
        return;
    kill(s->pid, SIGINT);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

void pg_server_kill(struct pg_server *s)
{
    pg_server_signal(s, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

char *pg_server_ask(const struct pg_server *s, const char *sql)
{
    const char *const names[] = {"dbname", NULL}, *const values[] = {s->url, NULL};
    PGconn *h = pq.PQconnectdbParams(names, values, 1);
    char *text = mem_strdup("");
    if (!pq.PQsendQuery(h, sql))
        give_up(pq.PQerrorMessage(h));
    for (PGresult *r; (r = pq.PQgetResult(h)); pq.PQclear(r)) {
        if (pq.PQresultStatus(r) == PGRES_FATAL_ERROR)
            give_up(pq.PQerrorMessage(h));
        if (pq.PQntuples(r) > 0 && pq.PQnfields(r) > 0) {
            free(text);
            text = mem_strdup(pq.PQgetvalue(r, 0, 0));
        }
    }
    pq.PQfinish(h);
    return text;
}
