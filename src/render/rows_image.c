/* The image of the app, Compose on one's own machine, and the image of CI. */
#include "render/rows_impl.h"

const struct render_row rows_image[] = {
    {"docker/app.Dockerfile", "local/app.Dockerfile", NULL, false},
    {".dockerignore", "local/dockerignore", NULL, false},
    {"docker/.gitignore", "local/gitignore", NULL, false},
    {0},
};

const struct render_row rows_local[] = {
    {"docker-compose.yml", "local/docker-compose.yml", NULL, false},
    {".env.example", "local/env.example", NULL, false},
    {0},
};

const struct render_row rows_ci_image[] = {
    {"docker/ci.Dockerfile", "local/ci.Dockerfile", NULL, false},
    {0},
};

/* Is one of the words of a command a program that comes with Node? */
static bool runs_node(struct slice command)
{
    static const char *const programs[] = {"npm", "npx", "node", "pnpm", "yarn", "corepack", NULL};
    size_t from = 0;
    for (size_t i = 0; i <= command.len; i++) {
        char c = i < command.len ? command.ptr[i] : ' ';
        bool is_letter = (c >= 'a' && c <= 'z') || c == '-' || c == '_' || c == '/' || c == '.';
        if (is_letter)
            continue;
        struct slice word = slice_first(slice_skip(command, from), i - from);
        if (text_is_one_of(word, programs))
            return true;
        from = i + 1;
    }
    return false;
}

static bool leads_out(struct slice path)
{
    struct slice rest = path, part;
    int depth = 0;
    if (slice_starts(path, SLICE("/")))
        return true;
    while (depth >= 0 && slice_cut(&rest, '/', &part)) {
        if (slice_is(part, ".."))
            depth--;
        else if (part.len && !slice_is(part, "."))
            depth++;
    }
    return depth < 0;
}

/* What .dockerignore leaves out, at the top and at any depth; the Dockerfile removes `docker`. */
static const char *const left_out[] = {"docker", "ops", "data", ".dais", ".github", NULL};
static const char *const left_out_anywhere[] = {"node_modules", ".venv", ".git", "__pycache__",
                                                NULL};

static bool is_listed(struct slice name, const char *const *list)
{
    while (*list && !slice_is(name, *list))
        list++;
    return *list != NULL;
}

/* The part of a path that keeps it out of the image; "" when none does. */
static struct slice left_out_part(struct slice path)
{
    struct slice part, found = SLICE("");
    size_t depth = 0, found_at = 0;
    while (slice_cut(&path, '/', &part)) {
        if (slice_is(part, "..")) {
            found = depth == found_at ? SLICE("") : found;
            depth -= depth > 0;
        } else if (part.len && !slice_is(part, ".")) {
            depth++;
            bool is_out =
                is_listed(part, left_out_anywhere) || (depth == 1 && is_listed(part, left_out));
            if (is_out && !found.len) {
                found = part;
                found_at = depth;
            }
        }
    }
    return found;
}

/* What web.build makes is made in the image, where only the folder `docker` is removed again. */
static void check_left_out(const struct manifest *m, const struct text *folder, bool is_built,
                           struct problems *p)
{
    struct slice name = left_out_part(folder->s);
    if (!leads_out(folder->s) && name.len && (!is_built || slice_is(name, "docker")))
        problems_add(p, PROBLEM_WARNING, m->file, folder->pos,
                     "`%.*s` is not in the image: .dockerignore leaves out `%.*s`; choose another "
                     "folder",
                     SLICE_ARGS(folder->s), SLICE_ARGS(name));
}

static void check_url(const struct manifest *m, struct problems *p)
{
    static const char *const ours[] = {"http://127.", "http://[::1]", "http://localhost"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (slice_starts(m->backend.url.s, slice_from(ours[i])))
            problems_add(p, PROBLEM_WARNING, m->file, m->backend.url.pos,
                         "in a container %.*s is the container itself, where this backend is not; "
                         "name an address that leads to it, or run dais without a container",
                         SLICE_ARGS(m->backend.url.s));
    }
}

/* An image and a release are made of the app's folder and nothing else. */
void check_image(const struct manifest *m, const struct target *t, struct problems *p)
{
    (void)t;
    check_left_out(m, &m->web.root, m->web.build.s.len > 0, p);
    check_url(m, p);
    for (size_t i = 0; i < m->web.mounts.n; i++) {
        const struct text *folder = &m->web.mounts.items[i].folder;
        check_left_out(m, folder, false, p);
        if (leads_out(folder->s))
            problems_add(p, PROBLEM_WARNING, m->file, folder->pos,
                         "`%.*s` lies outside the app's folder, so neither an image nor a release "
                         "has it, and dais would not start there; copy it into the app's folder",
                         SLICE_ARGS(folder->s));
    }
}

/* A path of a folder in the app folder, as COPY and .dockerignore take it; "" when it is another
 * one, or has characters that are patterns or variables there. */
static struct slice below(struct slice path)
{
    while (slice_starts(path, SLICE("./")))
        path = slice_skip(path, 2);
    while (slice_ends(path, SLICE("/")))
        path.len--;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '/' || c == '.' || c == '_' || c == '-';
        if (!plain)
            return SLICE("");
    }
    return leads_out(path) || slice_is(path, ".") ? SLICE("") : path;
}

void facts_image(const struct facts *f)
{
    const struct web_conf *web = &f->m->web;
    struct slice root = below(web->root.s);
    bool has_build = web->build.s.len > 0;
    facts_begin(f, "image");
    facts_bool(f, "has_build", has_build);
    facts_bool(f, "is_node", runs_node(web->build.s));
    /* Only what was built is taken over; where that is the whole folder, all of it. */
    facts_str(f, "web_root", has_build ? root : SLICE(""));
    facts_end(f);
}
