/* What tests of accounts share: an app's store, the host's, and what is in them. */
#include "accounts_test.h"

#include "docs/docs.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rig rig;
struct err err;
struct slice details;

static const char manifest_text[] =
    "dais: 1\nslug: desk\ntitle: Desk\nstatic: { dir: . }\n"
    "auth: { signup: open, methods: [password, magic_link], roles: [admin, editor] }\n"
    "collections:\n  notes: { owner: true }\n";

static void read_manifest(void)
{
    struct problems p;
    problems_init(&p, &rig.a);
    rig.manifest = manifest_parse(&rig.a, slice_from(manifest_text), "dais.yaml", &p);
    assert_non_null(rig.manifest);
}

static void open_slot(int i)
{
    static struct db_migration steps[8];
    static int number;
    const char *url = getenv("DAIS_TEST_DATABASE");
    steps[0] = docs_migrations[0];
    steps[1] = docs_migrations[1];
    steps[2] = accounts_migration;
    steps[3] = mail_migrations[0];
    steps[4] = events_migration;
    snprintf(rig.paths[i], sizeof rig.paths[i], "%s/%d.db", rig.folder, i);
    rig.options[i] = (struct db_options){
        .url = slice_from(url),
        .path = rig.paths[i],
        .schema = arena_printf(&rig.a, "accounts_%d_%d", (int)getpid(), number++),
        .read_ms = 120000,
        .migrations = steps,
    };
    rig.slots[i] = db_slot_new(&rig.options[i]);
}

int rig_start(void **state)
{
    struct root_secret secret;
    (void)state;
    rig = (struct rig){.from = {SLICE("192.0.2.7"), SLICE("Test/1"), SLICE("r1")}};
    arena_init(&rig.a, 1u << 28);
    snprintf(rig.folder, sizeof rig.folder, "/tmp/dais-accounts-XXXXXX");
    assert_non_null(mkdtemp(rig.folder));
    read_manifest();
    open_slot(0);
    open_slot(1);
    rig.app = account_store_new(rig.slots[0], false);
    rig.host = account_store_new(rig.slots[1], true);
    assert_true(root_secret_from(&secret, SLICE("q7Hc2vZt9LxWm4RbKj8PsYn3GdFe6UaT"), &err));
    rig.accounts = accounts_new(&(struct accounts_options){
        .manifest = rig.manifest,
        .store = rig.app,
        .operators = rig.host,
        .secret = &secret,
        .mount = SLICE(""),
        .public_url = SLICE("https://desk.example"),
    });
    rig.operators = accounts_of_operators(rig.host, &secret, SLICE("https://desk.example"));
    return 0;
}

int rig_stop(void **state)
{
    char path[400];
    (void)state;
    accounts_free(rig.accounts);
    accounts_free(rig.operators);
    account_store_free(rig.app);
    account_store_free(rig.host);
    db_slot_free(rig.slots[0]);
    db_slot_free(rig.slots[1]);
    DIR *dir = opendir(rig.folder);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "%s/%s", rig.folder, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(rig.folder);
    arena_done(&rig.a);
    return 0;
}

/* ---- shorter --------------------------------------------------------------------------------- */

struct signed_in sign_up(const char *email, const char *password)
{
    struct signed_in ret = {0};
    const struct sign_up in = {S(email), S(password), SLICE("Ada")};
    if (!accounts_sign_up(rig.accounts, &rig.a, &in, &rig.from, &ret, &details, &err))
        fail_msg("%s", err.msg);
    return ret;
}

bool log_in(const char *email, const char *password, struct signed_in *ret)
{
    return accounts_log_in(rig.accounts, &rig.a, S(email), S(password), &rig.from, ret, &err);
}

struct signed_in make_operator(const char *email)
{
    struct signed_in ret = {0};
    char link[TOKEN_MAX];
    const struct sign_up in = {S(email), SLICE(OTHER), SLICE("Op")};
    if (!operators_make_link(rig.operators, link, &err) ||
        !operators_follow_link(rig.operators, &rig.a, S(link), &in, &rig.from, &ret, &details,
                               &err))
        fail_msg("%s", err.msg);
    return ret;
}

struct asked {
    const char *text, *value;
    int64_t n;
    struct slice found;
};

static bool run_asked(void *arg, struct db_conn *c, struct err *e)
{
    struct asked *k = arg;
    struct db_stmt *s = db_prepare_text(c, S(k->text), e);
    if (!s)
        return false;
    if (k->value)
        db_bind_text(s, 1, S(k->value));
    enum db_step step = db_step(s, e);
    if (step == DB_ROW && k->value)
        k->found = arena_dup(&rig.a, db_text(s, 0));
    else if (step == DB_ROW)
        k->n = db_i64(s, 0);
    db_reset(s);
    return step != DB_FAILED;
}

const char *link_to(struct account_store *s, const char *email)
{
    struct asked k = {
        .text = "SELECT words FROM dais_mail WHERE recipient = ? ORDER BY created DESC, id DESC"
                " LIMIT 1",
        .value = email,
    };
    if (!store_read(s, run_asked, &k, &err))
        fail_msg("%s", err.msg);
    ptrdiff_t at = slice_search(k.found, SLICE("dln_"));
    return at < 0 ? "" : arena_cstr(&rig.a, slice_first(slice_skip(k.found, (size_t)at), 47));
}

const char *sent(enum link_purpose purpose, const char *email)
{
    if (!accounts_send_link(rig.accounts, purpose, S(email), SLICE("/x"), &rig.from, &err))
        fail_msg("%s", err.msg);
    return link_to(rig.app, email);
}

int64_t rows(struct account_store *s, const char *from)
{
    struct asked k = {.text = arena_printf(&rig.a, "SELECT COUNT(*) FROM %s", from).ptr};
    if (!store_read(s, run_asked, &k, &err))
        fail_msg("%s", err.msg);
    return k.n;
}

void sql(struct account_store *s, const char *text)
{
    struct asked k = {.text = text};
    if (!store_write(s, run_asked, &k, &err))
        fail_msg("%s", err.msg);
}

struct asked_token {
    unsigned char digest[DIGEST_LEN];
    bool is_known;
};

static bool run_token(void *arg, struct db_conn *c, struct err *e)
{
    static const struct sql find = {"SELECT 1 FROM dais_sessions WHERE token = ?", NULL};
    struct asked_token *k = arg;
    struct db_stmt *s = db_prepare(c, &find, e);
    if (!s)
        return false;
    db_bind_blob(s, 1, (struct slice){(const char *)k->digest, sizeof k->digest});
    k->is_known = db_step(s, e) == DB_ROW;
    db_reset(s);
    return true;
}

bool is_known(struct account_store *s, const char *token)
{
    struct asked_token k;
    token_digest(S(token), k.digest);
    assert_true(store_read(s, run_token, &k, &err));
    return k.is_known;
}
