/* The calls for accounts and keys of programs, of an app that has accounts. */
#include "describe/describe_impl.h"

#define TEXT    "{\"type\":\"string\"}"
#define TIME    "{\"type\":\"string\",\"format\":\"date-time\"}"
#define NO_TIME "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}"
#define YES_NO  "{\"type\":\"boolean\"}"
#define TEXTS   "{\"type\":\"array\",\"items\":" TEXT "}"
#define ADDRESS "{\"type\":\"string\",\"format\":\"email\",\"maxLength\":254}"
#define NAME    "{\"type\":\"string\",\"maxLength\":200}"
#define SECRET  "{\"type\":\"string\",\"format\":\"password\"}"
#define NEW_ONE "{\"type\":\"string\",\"format\":\"password\",\"minLength\":8,\"maxLength\":1024}"

/* ---- shapes -------------------------------------------------------------------------------------
 */

#define KEY_FIELDS                                                                            \
    "\"id\":" TEXT ",\"name\":" NAME ",\"hint\":{\"type\":\"string\",\"description\":"        \
    "\"How the key begins.\"},\"scopes\":" TEXTS ",\"created\":" TIME ",\"expires\":" NO_TIME \
    ",\"used\":" NO_TIME

/* In the order of enum account_shape; %.*s%.*s is a reference to the user. */
static const struct {
    const char *name, *json;
} shapes[ACCOUNT_SHAPES] = {
    {"AuthUser",
     "{\"type\":\"object\",\"description\":\"An account.\",\"required\":[\"id\","
     "\"email\",\"email_verified\",\"name\",\"roles\",\"operator\",\"created\"],"
     "\"properties\":{\"id\":" TEXT ",\"email\":" TEXT ",\"email_verified\":" YES_NO
     ",\"name\":" TEXT ",\"roles\":" TEXTS ",\"operator\":" YES_NO ",\"created\":" NO_TIME "}}"},
    {"SignedIn",
     "{\"type\":\"object\",\"description\":\"A session; its token is shown here "
     "only.\",\"required\":[\"token\",\"expires\",\"user\"],\"properties\":{\"token\":" TEXT
     ",\"expires\":" TIME ",\"user\":{\"$ref\":\"%.*s%.*s\"}}}"},
    {"AuthSession", "{\"type\":\"object\",\"description\":\"Where an account is signed in.\","
                    "\"required\":[\"id\",\"created\",\"expires\",\"ip\",\"agent\",\"current\"],"
                    "\"properties\":{\"id\":" TEXT ",\"created\":" TIME ",\"expires\":" TIME
                    ",\"ip\":" TEXT ",\"agent\":" TEXT ",\"current\":" YES_NO "}}"},
    {"ApiKey",
     "{\"type\":\"object\",\"description\":\"A key of a program.\",\"required\":[\"id\","
     "\"name\",\"hint\",\"scopes\",\"created\",\"expires\",\"used\"],\"properties\":{" KEY_FIELDS
     "}}"},
    {"NewApiKey", "{\"type\":\"object\",\"description\":\"A key of a program, shown once.\","
                  "\"required\":[\"key\",\"id\",\"name\",\"hint\",\"scopes\",\"created\","
                  "\"expires\",\"used\"],\"properties\":{\"key\":" TEXT "," KEY_FIELDS "}}"},
};

void accounts_parts(struct bundle *b)
{
    if (!b->src->manifest->auth.pos.line)
        return;
    for (size_t i = 0; i < ACCOUNT_SHAPES; i++) {
        struct slice json = slice_from(shapes[i].json);
        if (i == ACCOUNT_SIGNED_IN) {
            ptrdiff_t at = slice_search(json, SLICE("%.*s%.*s"));
            must(at > 0);
            json = arena_printf(b->a, "%.*s%.*s%.*s%.*s", (int)at, json.ptr, SLICE_ARGS(b->prefix),
                                SLICE_ARGS(b->accounts[ACCOUNT_USER]->name),
                                SLICE_ARGS(slice_skip(json, (size_t)at + 8)));
        }
        b->accounts[i] = bundle_add(b, slice_from(shapes[i].name), json);
    }
}

/* ---- calls --------------------------------------------------------------------------------------
 */

#define OBJECT(required, properties) \
    "{\"type\":\"object\",\"required\":[" required "],\"properties\":{" properties "}}"
#define LINK "\"token\":{\"type\":\"string\",\"description\":\"Of the link in the mail.\"}"

enum needs { NEEDS_NOTHING, NEEDS_SIGN_UP, NEEDS_PASSWORDS, NEEDS_LINKS };
enum asks { ANYBODY, SIGNED_IN_ONLY };
enum { GIVES_NOTHING = -1, GIVES_LINES = -2, GIVES_WORDS = -3 };

#define ALWAYS "400 403 429 500 503"
#define KNOWN  ALWAYS " 401"
#define BODY   " 413 415 422"

/* gives: an enum account_shape, of `status`; is_many: {"items":[…]} of them. `also`: a second
 * success, a mail that was sent. */
static const struct call {
    const char *path, *method, *id, *summary;
    enum needs needs;
    enum asks asks;
    const char *body;
    const char *status;
    int gives;
    bool is_many, also;
    const char *errors;
} calls[] = {
    {"auth/signup", "post", "authSignUp", "Make an account, and sign in.", NEEDS_SIGN_UP, ANYBODY,
     OBJECT("\"email\",\"password\"",
            "\"email\":" ADDRESS ",\"password\":" NEW_ONE ",\"name\":" NAME),
     "201", ACCOUNT_SIGNED_IN, false, false, ALWAYS BODY},
    {"auth/login", "post", "authLogIn", "Sign in; the answer sets the cookie, too.",
     NEEDS_PASSWORDS, ANYBODY,
     OBJECT("\"email\",\"password\"", "\"email\":" TEXT ",\"password\":" SECRET), "200",
     ACCOUNT_SIGNED_IN, false, false, KNOWN BODY},
    {"auth/logout", "post", "authLogOut", "End this session.", NEEDS_NOTHING, ANYBODY, NULL, "204",
     GIVES_NOTHING, false, false, ALWAYS},
    {"auth/refresh", "post", "authRefresh", "Another token for this session.", NEEDS_NOTHING,
     SIGNED_IN_ONLY, NULL, "200", ACCOUNT_SIGNED_IN, false, false, KNOWN},
    {"auth/magic-link", "post", "authMagicLink",
     "With an address: mail it a link. With a link's token: sign in.", NEEDS_LINKS, ANYBODY,
     OBJECT("", "\"email\":" ADDRESS ",\"next\":{\"type\":\"string\",\"description\":"
                "\"The path of this app to go on to.\"}," LINK),
     "200", ACCOUNT_SIGNED_IN, false, true, ALWAYS BODY},
    {"auth/verify", "post", "authVerify",
     "With a link's token: the address is proved. Without: mail another one.", NEEDS_NOTHING,
     ANYBODY, OBJECT("", LINK ",\"password\":" SECRET), "200", ACCOUNT_USER, false, true,
     KNOWN BODY},
    {"auth/reset", "post", "authReset",
     "With an address: mail it a link. With a link's token: another password, and sign in.",
     NEEDS_PASSWORDS, ANYBODY, OBJECT("", "\"email\":" ADDRESS "," LINK ",\"password\":" NEW_ONE),
     "200", ACCOUNT_SIGNED_IN, false, true, ALWAYS BODY},
    {"auth/password", "post", "authPassword", "Another password; the other sessions end.",
     NEEDS_PASSWORDS, SIGNED_IN_ONLY,
     OBJECT("\"password\"", "\"current\":" SECRET ",\"password\":" NEW_ONE), "204", GIVES_NOTHING,
     false, false, KNOWN BODY},
    {"auth/me", "get", "authMe", "Who is signed in.", NEEDS_NOTHING, SIGNED_IN_ONLY, NULL, "200",
     ACCOUNT_USER, false, false, KNOWN},
    {"auth/me", "patch", "authRename", "Change the name.", NEEDS_NOTHING, SIGNED_IN_ONLY,
     OBJECT("", "\"name\":" NAME), "200", ACCOUNT_USER, false, false, KNOWN BODY},
    {"auth/me", "delete", "authLeave", "End the account; what it owns follows.", NEEDS_NOTHING,
     SIGNED_IN_ONLY, OBJECT("", "\"password\":" SECRET), "202", GIVES_WORDS, false, false,
     KNOWN BODY},
    {"auth/me/export", "get", "authExport",
     "The account, its sessions, keys, documents, files and jobs, a line each.", NEEDS_NOTHING,
     SIGNED_IN_ONLY, NULL, "200", GIVES_LINES, false, false, KNOWN},
    {"auth/sessions", "get", "authSessions", "Where this account is signed in.", NEEDS_NOTHING,
     SIGNED_IN_ONLY, NULL, "200", ACCOUNT_SESSION, true, false, KNOWN},
    {"auth/sessions", "delete", "authEndSessions", "Sign out everywhere.", NEEDS_NOTHING,
     SIGNED_IN_ONLY, NULL, "204", GIVES_NOTHING, false, false, KNOWN},
    {"auth/sessions/{id}", "delete", "authEndSession", "End one session.", NEEDS_NOTHING,
     SIGNED_IN_ONLY, NULL, "204", GIVES_NOTHING, false, false, KNOWN " 404"},
    {"keys", "get", "keysList", "The keys of this account.", NEEDS_NOTHING, SIGNED_IN_ONLY, NULL,
     "200", ACCOUNT_KEY, true, false, KNOWN},
    {"keys", "post", "keysCreate", "Make a key; it is shown this once.", NEEDS_NOTHING,
     SIGNED_IN_ONLY,
     OBJECT("\"name\",\"scopes\"",
            "\"name\":" NAME ",\"scopes\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":100,"
            "\"items\":{\"type\":\"string\",\"description\":\"read, write, read:COLLECTION, "
            "write:COLLECTION, jobs, files or admin.\"}},\"expires\":" NO_TIME),
     "201", ACCOUNT_NEW_KEY, false, false, KNOWN BODY},
    {"keys/{id}", "delete", "keysDelete", "Remove a key.", NEEDS_NOTHING, SIGNED_IN_ONLY, NULL,
     "204", GIVES_NOTHING, false, false, KNOWN " 404"},
};
#define N_CALLS (sizeof calls / sizeof *calls)

static bool has_method(const struct auth_conf *auth, const char *method)
{
    for (size_t i = 0; i < auth->methods.n; i++) {
        if (slice_is(auth->methods.items[i].s, method))
            return true;
    }
    return false;
}

static bool has_call(const struct auth_conf *auth, const struct call *call)
{
    switch (call->needs) {
    case NEEDS_SIGN_UP:
        return slice_is(auth->signup.s, "open") && has_method(auth, "password");
    case NEEDS_PASSWORDS:
        return has_method(auth, "password");
    case NEEDS_LINKS:
        return has_method(auth, "magic_link");
    default:
        return true;
    }
}

/* ---- writing ------------------------------------------------------------------------------------
 */

static void write_shape(struct openapi *o, const struct call *call)
{
    struct json_writer *w = o->w;
    struct slice name = o->b->accounts[call->gives]->name;
    if (!call->is_many) {
        put_ref(w, "schemas", name);
        return;
    }
    json_write_raw(
        w, arena_printf(o->b->a,
                        "{\"type\":\"object\",\"required\":[\"items\"],\"properties\":{\"items\":{"
                        "\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/%.*s\"}}}}",
                        SLICE_ARGS(name)));
}

static void write_words(struct json_writer *w, const char *status, const char *about)
{
    json_write_key(w, slice_from(status));
    json_write_object(w);
    put_cstr(w, "description", about);
    json_write_key(w, SLICE("content"));
    json_write_raw(w,
                   SLICE("{\"application/json\":{\"schema\":{\"type\":\"object\",\"properties\":{"
                         "\"detail\":{\"type\":\"string\"}}}}}"));
    json_write_object_end(w);
}

static void write_success(struct openapi *o, const struct call *call)
{
    struct json_writer *w = o->w;
    if (call->gives == GIVES_WORDS) {
        write_words(w, call->status, "It is being done.");
        return;
    }
    json_write_key(w, slice_from(call->status));
    json_write_object(w);
    put_cstr(w, "description", "Done.");
    if (call->gives != GIVES_NOTHING) {
        json_write_key(w, SLICE("content"));
        json_write_object(w);
        json_write_key(w, call->gives == GIVES_LINES ? SLICE("application/jsonl")
                                                     : SLICE("application/json"));
        json_write_object(w);
        json_write_key(w, SLICE("schema"));
        if (call->gives == GIVES_LINES)
            json_write_raw(w, SLICE(TEXT));
        else
            write_shape(o, call);
        json_write_object_end(w);
        json_write_object_end(w);
    }
    json_write_object_end(w);
    if (call->also)
        write_words(w, "202", "A mail is on its way, if somebody has the address.");
}

static void write_call(struct openapi *o, const struct call *call)
{
    struct json_writer *w = o->w;
    json_write_key(w, slice_from(call->method));
    json_write_object(w);
    put_cstr(w, "operationId", call->id);
    put_cstr(w, "summary", call->summary);
    json_write_key(w, SLICE("tags"));
    json_write_array(w);
    json_write_str(w, slice_starts(slice_from(call->path), SLICE("keys")) ? SLICE("keys")
                                                                          : SLICE("auth"));
    json_write_array_end(w);
    json_write_key(w, SLICE("security"));
    json_write_raw(w, call->asks == ANYBODY ? SLICE("[{},{\"cookie\":[]},{\"bearer\":[]}]")
                                            : SLICE("[{\"cookie\":[]},{\"bearer\":[]}]"));
    if (call->body) {
        json_write_key(w, SLICE("requestBody"));
        json_write_raw(w, arena_printf(o->b->a,
                                       "{\"required\":true,\"content\":{\"application/json\":{"
                                       "\"schema\":%s}}}",
                                       call->body));
    }
    json_write_key(w, SLICE("responses"));
    json_write_object(w);
    write_success(o, call);
    put_errors(o, call->errors);
    json_write_object_end(w);
    json_write_object_end(w);
}

/* The calls of one path; returns how many rows it took. */
static size_t write_path(struct openapi *o, size_t at)
{
    struct slice path = slice_from(calls[at].path);
    size_t n = 0;
    bool any = false;
    for (; at + n < N_CALLS && slice_is(path, calls[at + n].path); n++)
        any |= has_call(&o->m->auth, &calls[at + n]);
    if (!any)
        return n;
    json_write_key(o->w,
                   arena_printf(o->b->a, "%.*s%.*s", SLICE_ARGS(o->m->api.s), SLICE_ARGS(path)));
    json_write_object(o->w);
    if (slice_ends(path, SLICE("{id}"))) {
        json_write_key(o->w, SLICE("parameters"));
        json_write_raw(o->w, SLICE("[{\"name\":\"id\",\"in\":\"path\",\"required\":true,"
                                   "\"schema\":" TEXT "}]"));
    }
    for (size_t i = at; i < at + n; i++) {
        if (has_call(&o->m->auth, &calls[i]))
            write_call(o, &calls[i]);
    }
    json_write_object_end(o->w);
    return n;
}

void accounts_paths(struct openapi *o)
{
    for (size_t at = 0; o->m->auth.pos.line && at < N_CALLS;)
        at += write_path(o, at);
}

void accounts_schemes(struct openapi *o)
{
    if (!o->m->auth.pos.line)
        return;
    json_write_key(o->w, SLICE("securitySchemes"));
    json_write_raw(
        o->w, arena_printf(o->b->a,
                           "{\"cookie\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":"
                           "\"dais_%.*s\",\"description\":\"Set when somebody signs in; counts for "
                           "pages of this origin.\"},\"bearer\":{\"type\":\"http\",\"scheme\":"
                           "\"bearer\",\"description\":\"The token of a session, or a key.\"}}",
                           SLICE_ARGS(o->m->slug.s)));
}
