/* dais.yaml and host.yaml: every complaint word for word, and the values that come out. */
#include "unit.h"
#include "base/buf.h"
#include "manifest/manifest.h"

#include <stdio.h>

struct fixture {
    struct arena a;
    struct problems p;
    struct buf said;
    struct manifest *m;
};

static void parse(struct fixture *f, const char *text)
{
    arena_init(&f->a, 64u << 20);
    problems_init(&f->p, &f->a);
    buf_init(&f->said, 1 << 20);
    f->m = manifest_parse(&f->a, slice_from(text), "dais.yaml", &f->p);
    problems_sort(&f->p);
    problems_print(&f->p, &f->said);
}

static void done(struct fixture *f)
{
    buf_done(&f->said);
    arena_done(&f->a);
}

/* clang-format off */
static const struct { const char *text, *said; } bad[] = {
    /* the file */
    {"- a\n", "dais.yaml:1:1: the file must hold keys and values, such as `app: my-app`\n"},
    {"title: x\n", "dais.yaml:1:1: dais.yaml needs `app`: The app's short name, used in paths and folders.\n"},
    /* single values */
    {"app: 007\n", "dais.yaml:1:6: `app` is `007`; it must be lower-case letters, digits and dashes, at most 40, starting with a letter\n"},
    {"app: My App\n", "dais.yaml:1:6: `app` is `My App`; it must be lower-case letters, digits and dashes, at most 40, starting with a letter\n"},
    {"app:\n", "dais.yaml:1:5: `app` has no value; it must be lower-case letters, digits and dashes, at most 40, starting with a letter, or remove the line\n"},
    {"app: [a]\n", "dais.yaml:1:6: `app` is a list; it must be lower-case letters, digits and dashes, at most 40, starting with a letter\n"},
    {"app: a\napp: b\n", "dais.yaml:2:1: `app` stands here for the second time, first in line 1; keep one of them\n"},
    /* unknown keys */
    {"app: a\ntitel: x\n", "dais.yaml:2:1: unknown key `titel` in dais.yaml; did you mean `title`?\n"},
    {"app: a\nweb: { falback: x.html }\n", "dais.yaml:2:8: unknown key `falback` in web; did you mean `fallback`?\n"},
    {"app: a\nweb: { zzz: 1 }\n", "dais.yaml:2:8: unknown key `zzz` in web; its keys are root, build, base, fallback, redirects, mounts, headers, errors, pages, env, rewrite\n"},
    /* several at once, in order */
    {"web: { root: /abs, base: x }\napp: A\n",
     "dais.yaml:1:14: `root` is `/abs`; it must be a path inside the app folder, such as web/dist\n"
     "dais.yaml:1:26: `base` is `x`; it must be a path that starts and ends with a slash, such as /docs/\n"
     "dais.yaml:2:6: `app` is `A`; it must be lower-case letters, digits and dashes, at most 40, starting with a letter\n"},
    /* web */
    {"app: a\nweb: web/dist\n", "dais.yaml:2:6: `web` is `web/dist`; it must be a map with the keys root, build, base, fallback, redirects, mounts, headers, errors, pages, env, rewrite\n"},
    {"app: a\nweb: { root: ../x }\n", "dais.yaml:2:14: `root` is `../x`; it must be a path inside the app folder, such as web/dist\n"},
    {"app: a\nweb: { redirects: { old: /new } }\n", "dais.yaml:2:21: `old` cannot be a key of `redirects`; it must be a path, or the start of one followed by `*`, such as /docs/*\n"},
    {"app: a\nweb: { redirects: { \"/a*b\": /new } }\n", "dais.yaml:2:21: `/a*b` cannot be a key of `redirects`; it must be a path, or the start of one followed by `*`, such as /docs/*\n"},
    {"app: a\nweb: { redirects: { /a: //evil.example } }\n", "dais.yaml:2:25: `/a` is `//evil.example`; it must be a path of the site, or an http:// or https:// address\n"},
    {"app: a\nweb: { redirects: { /a: { to: /b, status: 200 } } }\n", "dais.yaml:2:43: `status` is `200`; it must be one of: 301, 302, 303, 307, 308\n"},
    {"app: a\nweb: { redirects: { /a: { status: 301 } } }\n", "dais.yaml:2:21: a redirect needs `to`: Where to; `:splat` stands for what the `*` of the key matched.\n"},
    {"app: a\nweb: { redirects: { /a: /b/:splat } }\n", "dais.yaml:2:25: `:splat` stands for what a `*` matched, and `/a` has none; end it with `*`\n"},
    {"app: a\nweb: { redirects: { \"/a/*\": /a/b/:splat } }\n", "dais.yaml:2:29: `/a/*` redirects to itself for ever; choose a path it does not match\n"},
    {"app: a\nweb: { mounts: { /docs: ../d } }\n", "dais.yaml:2:18: `/docs` cannot be a key of `mounts`; it must be a path that starts and ends with a slash, such as /docs/\n"},
    {"app: a\nweb: { mounts: { /_/x/: d } }\n", "dais.yaml:2:18: paths below /_/ belong to dais; choose another for `/_/x/`\n"},
    {"app: a\nweb: { errors: { 200: x.html } }\n", "dais.yaml:2:18: `200` cannot be a key of `errors`; it must be a status from 400 to 599\n"},
    {"app: a\nweb: { headers: { \"/*\": { frame_ancestors: example.com } } }\n", "dais.yaml:2:44: `frame_ancestors` is `example.com`; it must be an origin, such as https://example.com or https://*.example.com, or *, self or none\n"},
    {"app: a\nweb: { headers: { \"/*\": { frame_ancestors: [self, \"*\"] } } }\n", "dais.yaml:2:51: `*` in `frame_ancestors` must stand alone; remove it or the others\n"},
    {"app: a\nweb: { headers: { \"/*\": { referer_policy: off } } }\n", "dais.yaml:2:27: unknown key `referer_policy` in a header profile; did you mean `referrer_policy`?\n"},
    {"app: a\nweb: { headers: { \"/*\": { extra: { \"X A\": b } } } }\n", "dais.yaml:2:36: `X A` cannot be a key of `extra`; it must be a header's name, such as X-Robots-Tag\n"},
    {"app: a\nweb: { headers: { \"/*\": { hsts: soon } } }\n", "dais.yaml:2:33: `hsts` is `soon`; it must be a duration, such as 30s, 10m or 30d, or off\n"},
    {"app: a\nweb: { env: { values: { A: b } } }\n", "dais.yaml:2:8: web.env needs `path`: The path the script is served at.\n"},
    {"app: a\nweb: { env: { path: /e.js, values: { A: $SECRET } } }\n", "dais.yaml:2:41: `$SECRET` would be shown to every visitor; only names that start with PUBLIC_ can be used in `web.env`\n"},
    {"app: a\nweb: { rewrite: [ { files: \"*.js\", from: \"\", to: \"\" } ] }\n", "dais.yaml:2:42: `from` is empty; it must be text\n"},
    /* collections and files */
    {"app: a\ncollections: { jobs: {} }\n", "dais.yaml:2:16: `jobs` is a name of the API itself; choose another for the collection\n"},
    {"app: a\ncollections: { my-notes: {} }\n", "dais.yaml:2:16: `my-notes` cannot be a key of `collections`; it must be a name of lower-case letters, digits and `_`, at most 40, starting with a letter\n"},
    {"app: a\ncollections: { c: { refs: { x: d } } }\n", "dais.yaml:2:32: there is no collection `d`; add it to `collections`\n"},
    {"app: a\ncollections: { c: { owner: yes } }\n", "dais.yaml:2:28: `owner` is `yes`; it must be true or false\n"},
    {"app: a\ncollections: { c: { owner: \"true\" } }\n", "dais.yaml:2:28: `owner` is `true` in quotes; it must be true or false, without quotes\n"},
    {"app: a\ncollections: { c: { versions: -1, trash: 3 weeks } }\n", "dais.yaml:2:31: `versions` is `-1`; it must be a whole number from 0 to 10000\ndais.yaml:2:42: `trash` is `3 weeks`; it must be a duration, such as 30s, 10m or 30d\n"},
    {"app: a\nfiles: { f: { max: lots, types: csv } }\n", "dais.yaml:2:20: `max` is `lots`; it must be a size, such as 500KB, 100MB or 1GB\ndais.yaml:2:33: `types` is `csv`; it must be a media type, such as text/csv or image/*\n"},
    /* jobs and publishing */
    {"app: a\njobs: { j: { on: [u.created], run: j, schedule: \"61 * * * *\" } }\n", "dais.yaml:2:19: there is no collection or bucket `u`; add it to `collections` or `files`\ndais.yaml:2:49: `schedule` is `61 * * * *`; it must be five cron fields in UTC, such as \"0 3 * * *\"\n"},
    {"app: a\njobs: { j: {} }\n", "dais.yaml:2:9: a job needs `run`, a program of the app, or `use`, something dais does itself\n"},
    {"app: a\njobs: { j: { run: j, use: nothing } }\n", "dais.yaml:2:27: the job has both `run` (line 2) and `use`; keep `run` for a program of the app, `use` for what dais does itself\n"},
    {"app: a\njobs: { j: { use: http.cal } }\n", "dais.yaml:2:19: `use` is `http.cal`; it must be one of: http.call, mail.send, export.run, prune.run, backup.run, nothing\n"},
    {"app: a\njobs: { j: { run: j, with: { url: x } } }\n", "dais.yaml:2:30: `with` is what `use` works with; give a program its settings in `env`\n"},
    {"app: a\njobs: { j: { use: http.call, with: { url: $URL }, packages: ffmpeg, env: { A: b }, limits: { memory: 1GB } } }\n",
     "dais.yaml:2:43: `$URL` is neither a setting of dais nor one of the app's `secrets`; add it there, or write `$$` for a dollar sign\n"
     "dais.yaml:2:61: `packages` is for a program (`run`), and this job is done by dais itself (`use`); remove it\n"
     "dais.yaml:2:76: `env` is for a program (`run`), and this job is done by dais itself (`use`); remove it\n"
     "dais.yaml:2:84: `limits` is for a program (`run`), and this job is done by dais itself (`use`); remove it\n"},
    {"app: a\njobs: { j: { run: j, on: [k.succeeded, j.failed, j.created, kk.done] }, kind: { run: k } }\n",
     "dais.yaml:2:27: there is no job `k`; add it to `jobs`\n"
     "dais.yaml:2:40: `j` would start at its own end, again and again; `retries` tries one again that failed, `schedule` starts one again later\n"
     "dais.yaml:2:50: `j` is a job, and its events are succeeded, failed and cancelled; write one of them\n"
     "dais.yaml:2:61: `on` is `kk.done`; it must be NAME.created, .updated or .deleted, or JOB.succeeded, .failed or .cancelled\n"},
    {"app: a\ncollections: { charts: {} }\nfiles: { uploads: {} }\njobs: { show: { run: j, on: [chart.created, upload.deleted, charts.failed, charts.updated, charts.updated] }, tell: { run: j, on: shwo.failed } }\n",
     "dais.yaml:4:30: there is no collection or bucket `chart`; did you mean `charts`?\n"
     "dais.yaml:4:45: there is no collection or bucket `upload`; did you mean `uploads`?\n"
     "dais.yaml:4:61: `charts` is a collection or bucket, and its events are created, updated and deleted; write one of them\n"
     "dais.yaml:4:92: `charts.updated` stands here twice; keep one of them\n"
     "dais.yaml:4:131: there is no job `shwo`; did you mean `show`?\n"},
    {"app: a\nfiles: { f: { quota: { bytes: 1GB, runs: 3 } } }\njobs: { j: { run: j, quota: { bytes: 1GB } }, k: { run: k, quota: { per: app } }, l: { run: l, quota: { runs: 1 }, rules: { run: public, write: public } } }\n",
     "dais.yaml:2:15: `runs`, `minutes` and `window` are for the quota of a job; a bucket has `bytes`\n"
     "dais.yaml:3:22: `bytes` is for the quota of a bucket; a job has `runs`, `minutes` or both\n"
     "dais.yaml:3:60: `quota` limits nothing; give it `runs`, `minutes` or both\n"
     "dais.yaml:3:145: `write` means nothing for a job; its rules are `run` and `read`\n"},
    {"app: a\njobs: { j: { run: j, schedule: \"0 0 30 2 *\" } }\n", "dais.yaml:2:32: `schedule` is `0 0 30 2 *`, a day that never comes; correct it\n"},
    {"app: a\njobs: { j: { run: j, retries: { backoff: 5m..1s } } }\n", "dais.yaml:2:42: `backoff` is `5m..1s`; it must be a duration or a range of two, such as 10s..5m\n"},
    {"app: a\npublish: { p: { from: c, limit: 3/fortnight } }\n", "dais.yaml:2:1: warning: `publish` is checked but not served yet by this version\ndais.yaml:2:23: there is no collection `c`; add it to `collections`\ndais.yaml:2:33: `limit` is `3/fortnight`; it must be a rate, such as 10/min, 100/hour or 20/day, or off\n"},
    /* backend and api */
    {"app: a\nbackend: { run: x, url: \"http://127.0.0.1:1\", routes: [/api/] }\n", "dais.yaml:2:25: `backend` has both `run` (line 2) and `url`; keep `run` if dais starts it, `url` if something else does\n"},
    {"app: a\nbackend: { routes: [/api/] }\n", "dais.yaml:2:1: `backend` needs `run`, the command that starts it, or `url`, where it already runs\n"},
    {"app: a\napi: /api/\nbackend:\n  run: x\n  routes: [ /health, /api/v1 ]\n", "dais.yaml:5:22: the backend route `/api/v1` and `api: /api/` (line 2) overlap; give `api` a path of its own, such as /dais/\n"},
    {"app: a\nbackend: { run: x, routes: [/api/, /dais/] }\n", "dais.yaml:2:36: the backend route `/dais/` overlaps the API of dais at /dais/; set `api:` to another path\n"},
    {"app: a\nbackend: { run: x, routes: [/api/], env: { A: $NOPE } }\n", "dais.yaml:2:47: `$NOPE` is neither a setting of dais nor one of the app's `secrets`; add it there, or write `$$` for a dollar sign\n"},
    {"app: a\nbackend: { run: x, routes: [/api/], secrets: [KEY] }\n", "dais.yaml:2:47: `KEY` is not in the app's `secrets`; add it there\n"},
    {"app: a\nbackend: { url: \"http://127.0.0.1:1\", routes: [/api/], setup: x, persist: [a//b] }\n", "dais.yaml:2:63: warning: `setup` is for a backend that dais runs (`run`); with `url` it does nothing\ndais.yaml:2:76: write `a//b` as names with one `/` between them, such as data/files\ndais.yaml:2:76: warning: `persist` is for a backend that dais runs (`run`); with `url` it does nothing\n"},
    {"app: a\nsecrets: [DAIS_SECRET, PORT?, \"DAIS_*\", DATABASE_URL]\n", "dais.yaml:2:11: `DAIS_SECRET` belongs to dais, which keeps it or sets it itself; remove it from `secrets`\ndais.yaml:2:24: `PORT?` belongs to dais, which keeps it or sets it itself; remove it from `secrets`\ndais.yaml:2:31: `DAIS_*` belongs to dais, which keeps it or sets it itself; remove it from `secrets`\n"},
    /* the rest */
    {"app: a\ncors: { origins: \"*\", credentials: true }\n", "dais.yaml:2:18: `*` together with `credentials: true` would let every site act as the person signed in; list the origins\n"},
    {"app: a\nauth: { signup: sure, methods: [passwrd] }\n", "dais.yaml:2:17: `signup` is `sure`; it must be one of: open, invite, closed\ndais.yaml:2:33: `methods` is `passwrd`; it must be one of: password, magic_link\n"},
    {"app: a\nauth: { signup: invite }\n", "dais.yaml:2:17: `signup: invite` comes with a later version; write `closed`, and make accounts with `dais user add`\n"},
    {"app: a\nauth: { methods: [] }\n", "dais.yaml:2:1: `methods` is empty, so nobody could sign in; write [ password ]\n"},
    {"app: a\nauth: { signup: open, methods: magic_link }\n", "dais.yaml:2:17: `signup: open` needs `password` among `methods`: a link is sent to those who have an account already\n"},
    {"app: a\nlimits: { logn: 10/min }\n", "dais.yaml:2:11: `logn` cannot be a key of `limits`; it must be login, signup, reset, publish, upload, write, read, or \"METHOD /prefix\"\n"},
    {"app: a\nlimits: { login: 10/min, \"* /x\": 1/s, \"X* /\": 1/s }\n", "dais.yaml:2:11: warning: `login` counts nothing here: the app has no accounts (`auth`)\ndais.yaml:2:39: `X* /` cannot be a key of `limits`; it must be login, signup, reset, publish, upload, write, read, or \"METHOD /prefix\"\n"},
    {"app: a\nbackend: { run: x, routes: [/a], access: { /a: owner, /a/b: \"role:x\" } }\n", "dais.yaml:2:48: `owner` is no rule for paths of a backend; write public, signed_in, operator, role:NAME, scope:NAME or nobody\ndais.yaml:2:61: there is no role `x`; add it to `auth.roles`\n"},
    {"app: a\ndeploy: { p: { kind: ssh, host: \"-oProxyCommand=x\" } }\n", "dais.yaml:2:1: warning: `deploy` is checked but not served yet by this version\ndais.yaml:2:33: `host` is `-oProxyCommand=x`; it must be what ssh connects to, such as root@203.0.113.9\n"},
    {"app: a\ndeploy: { p: { kind: ssh, host: \"a b\" } }\n", "dais.yaml:2:1: warning: `deploy` is checked but not served yet by this version\ndais.yaml:2:33: `host` is `a b`; it must be what ssh connects to, such as root@203.0.113.9\n"},
    {"app: a\nbackend: { run: x, routes: [/a], identity: { header: X, value: \"{me}\" } }\n", "dais.yaml:2:64: `{me}` is unknown here; what is replaced is {user.id} {user.email} {user.name} {user.roles} {jwt}\n"},
    {"app: a\nsecrets: [\"A-B\"]\n", "dais.yaml:2:11: `secrets` is `A-B`; it must be a variable's name, with `?` behind it or ending in `*` if it may be missing\n"},
    {"app: a\ndeploy: { rollback: { kind: ssh } }\n", "dais.yaml:2:1: warning: `deploy` is checked but not served yet by this version\ndais.yaml:2:11: a target cannot be called `rollback`, because `dais deploy rollback` is a command; choose another name\n"},
    {"app: a\nhosts: \"https://x.example\"\n", "dais.yaml:2:8: `hosts` is `https://x.example`; it must be a host name, such as charts.example.com\n"},
    {"app: a\ntls: { cert: a, key: b }\n", "dais.yaml:2:1: warning: `tls` is checked but not served yet by this version\ndais.yaml:2:1: `tls` is for the app's own host names; list them in `hosts`\n"},
    /* nothing typed reaches a terminal as it is */
    {"app: \"\\e[31m\"\n", "dais.yaml:1:6: `app` is `?[31m`; it must be lower-case letters, digits and dashes, at most 40, starting with a letter\n"},
};
/* clang-format on */

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fixture f;
        parse(&f, bad[i].text);
        assert_string_equal(buf_slice(&f.said).ptr, bad[i].said);
        assert_true(problems_has_errors(&f.p));
        done(&f);
    }
}

static void test_defaults(void **state)
{
    (void)state;
    struct fixture f;
    parse(&f, "app: small\n");
    assert_int_equal(f.p.n, 0);
    assert_string_equal(f.m->title.s.ptr, "small");
    assert_string_equal(f.m->web.root.s.ptr, "web");
    assert_int_equal(f.m->web.root.pos.line, 0);
    assert_string_equal(f.m->web.base.s.ptr, "/");
    assert_string_equal(f.m->web.fallback.s.ptr, "");
    assert_string_equal(f.m->api.s.ptr, "/api/");
    assert_int_equal(f.m->auth.pos.line, 0);
    assert_string_equal(f.m->auth.methods.items[0].s.ptr, "password");
    assert_int_equal(f.m->backend.timeout_ms, 60000);
    /* The built-in header profile is always there, complete. */
    assert_int_equal(f.m->web.headers.n, 1);
    const struct header_profile *h = &f.m->web.headers.items[0];
    assert_true(pattern_matches(&h->pattern, SLICE("/any/path"), NULL));
    assert_string_equal(h->frame_ancestors.items[0].s.ptr, "self");
    assert_true(h->hsts_ms == 365LL * 86400000);
    assert_string_equal(h->csp.s.ptr, "off");
    done(&f);
}

static void test_web_values(void **state)
{
    (void)state;
    struct fixture f;
    parse(&f, "app: a\nhosts: WWW.Example.com\nweb:\n"
              "  redirects: { \"/*\": /home, /a: { to: \"https://x.example/\", status: 301 }, "
              "\"/a/b/*\": /c/:splat }\n"
              "  mounts: { /: all, /docs/: ../d }\n"
              "  headers: { \"/x/*\": { csp: default, extra: { X-A: \"\" } } }\n"
              "  errors: { 404: no.html, \"500\": oops.html }\n"
              "  env: { path: /e.js, values: { URL: $PUBLIC_URL, E: \"\" } }\n");
    assert_string_equal(buf_slice(&f.said).ptr,
                        "dais.yaml:4:22: `/*` redirects to itself for ever; choose a path it does "
                        "not match\n");
    const struct web_conf *w = &f.m->web;
    assert_string_equal(f.m->hosts.items[0].s.ptr, "www.example.com");
    assert_string_equal(w->redirects.items[0].from.text.s.ptr, "/a");
    assert_int_equal(w->redirects.items[0].status, 301);
    assert_string_equal(w->redirects.items[1].from.text.s.ptr, "/a/b/*");
    assert_int_equal(w->redirects.items[1].status, 302);
    assert_int_equal(w->redirects.items[1].pos.line, 4);
    struct slice splat;
    assert_true(pattern_matches(&w->redirects.items[1].from, SLICE("/a/b/c/d"), &splat));
    assert_string_equal(splat.ptr, "c/d");
    assert_false(pattern_matches(&w->redirects.items[1].from, SLICE("/a/b"), NULL));
    assert_string_equal(w->mounts.items[0].folder.s.ptr, "../d");
    assert_int_equal(w->headers.n, 2);
    assert_int_equal(w->headers.items[0].hsts_ms, -1);
    assert_int_equal(w->headers.items[0].frame_ancestors.n, 0);
    assert_string_equal(w->headers.items[0].extra.items[0].key.s.ptr, "X-A");
    assert_int_equal(w->errors.items[1].status, 500);
    assert_string_equal(w->env.values.items[0].value.s.ptr, "$PUBLIC_URL");
    done(&f);
}

static void test_later_values(void **state)
{
    (void)state;
    struct fixture f;
    parse(&f,
          "app: a\n"
          "collections: { c: { indexes: [s, [f, -u]], refs: { x: c }, trash: 0 } }\n"
          "files: { u: { max: 1GB, quota: { bytes: 2MB } } }\n"
          "jobs: { j: { run: jobs/j, on: u.created, retries: 3, timeout: 90s } }\n"
          "limits: { login: off, \"POST /api/\": 30/min }\n"
          "backend: { url: \"http://[::1]:9000\", routes: /api/, access: { /api/: signed_in } }\n"
          "backups: { keep: { daily: 3 } }\n");
    assert_false(problems_has_errors(&f.p));
    const struct collection *c = &f.m->collections.items[0];
    assert_int_equal(c->indexes.n, 2);
    assert_int_equal(c->indexes.items[0].n, 1);
    assert_string_equal(c->indexes.items[1].items[1].s.ptr, "-u");
    assert_string_equal(c->refs.items[0].to.s.ptr, "c");
    assert_string_equal(c->refs.items[0].on_delete.s.ptr, "restrict");
    assert_int_equal(c->trash_ms, 0);
    assert_true(f.m->files.items[0].max_bytes == 1LL << 30);
    assert_true(f.m->files.items[0].owner);
    assert_int_equal(f.m->files.items[0].quota.bytes, 2 << 20);
    assert_int_equal(f.m->files.items[0].quota.runs, -1);
    assert_int_equal(f.m->jobs.items[0].retries.max, 3);
    assert_int_equal(f.m->jobs.items[0].retries.backoff.max_ms, 300000);
    assert_int_equal(f.m->jobs.items[0].timeout_ms, 90000);
    assert_int_equal(f.m->limits.items[0].rate.per_ms, 0);
    assert_int_equal(f.m->limits.items[1].rate.count, 30);
    assert_string_equal(f.m->api.s.ptr, "/dais/");
    assert_string_equal(f.m->backend.access.items[0].any.s.ptr, "signed_in");
    assert_int_equal(f.m->backups.keep.daily, 3);
    assert_int_equal(f.m->backups.keep.weekly, 8);
    assert_string_equal(f.m->backups.schedule.s.ptr, "0 3 * * *");
    assert_int_equal(f.m->jobs.n, 2);
    assert_string_equal(f.m->jobs.items[1].name.s.ptr, "backups");
    assert_int_equal(f.m->jobs.items[1].timeout_ms, 6 * 3600000); /* all there is: not 10m */
    done(&f);
}

static void test_jobs(void **state)
{
    (void)state;
    struct fixture f;
    parse(&f, "app: a\n"
              "collections: { c: {} }\n"
              "jobs:\n"
              "  j: { run: jobs/j, quota: { runs: 2, window: hour }, cache: { key: n } }\n"
              "  k: { use: http.call, with: { url: \"$HOOK\", method: PUT }, on: [j.succeeded, "
              "c.deleted],"
              " schedule: \"*/5 * * * 1-5\", timeout: 1m }\n"
              "secrets: HOOK\n");
    assert_string_equal(buf_slice(&f.said).ptr ? buf_slice(&f.said).ptr : "", "");
    const struct job *j = &f.m->jobs.items[0], *k = &f.m->jobs.items[1];
    assert_int_equal(j->retries.max, 3);
    assert_int_equal(j->keep_ms, 30LL * 86400000);
    assert_string_equal(j->acts_as.s.ptr, "owner");
    assert_string_equal(j->cache.scope.s.ptr, "user");
    assert_int_equal(j->limits.output_bytes, 100 << 20);
    assert_int_equal(j->limits.open_files, 1024);
    assert_int_equal(j->limits.cpu_ms, 0);
    assert_int_equal(j->quota.runs, 2);
    assert_int_equal(j->quota.minutes, -1);
    assert_int_equal(j->quota.bytes, -1);
    assert_string_equal(k->use.s.ptr, "http.call");
    assert_int_equal(k->with.n, 2);
    assert_string_equal(k->with.items[0].value.s.ptr, "$HOOK");
    assert_string_equal(k->on.items[1].s.ptr, "c.deleted");
    done(&f);
}

static void test_host(void **state)
{
    (void)state;
    struct arena a;
    struct problems p;
    struct buf said;
    arena_init(&a, 64u << 20);
    problems_init(&p, &a);
    buf_init(&said, 1 << 16);
    struct host_conf *h =
        host_parse(&a,
                   slice_from("apps: [a, ../b]\nlisten: [\":80\", \"unix:/run/d\"]\n"
                              "hosts: { a: [x.example, y.example], b: z.example }\n"
                              "limits: { connections: 100 }\n"),
                   "host.yaml", &p);
    assert_int_equal(p.n, 0);
    assert_int_equal(h->hosts.items[0].names.n, 2);
    assert_string_equal(h->hosts.items[1].names.items[0].s.ptr, "z.example");
    assert_int_equal(h->limits.connections, 100);
    assert_string_equal(h->data.s.ptr, "data");
    host_parse(&a, slice_from("apps: []\nlisten: 8000\nhosts: { A: x }\n"), "host.yaml", &p);
    problems_print(&p, &said);
    assert_string_equal(said.data,
                        "host.yaml:2:9: `listen` is `8000`; it must be an address to listen at: "
                        "127.0.0.1:8000, [::1]:8000, :8000 or unix:/path\n"
                        "host.yaml:3:10: `A` cannot be a key of `hosts`; it must be lower-case "
                        "letters, digits and dashes, at most 40, starting with a letter\n");
    buf_done(&said);
    arena_done(&a);
}

/* Sorted by file as first met, then line and column; equals stay in order. */
static void test_sorting(void **state)
{
    (void)state;
    struct arena a;
    struct problems p;
    struct buf said;
    arena_init(&a, 1 << 20);
    problems_init(&p, &a);
    buf_init(&said, 1 << 16);
    struct slice x = SLICE("x"), y = SLICE("y");
    problems_add(&p, PROBLEM_ERROR, x, (struct pos){2, 1}, "b");
    problems_add(&p, PROBLEM_NOTE, y, (struct pos){1, 1}, "d");
    problems_add(&p, PROBLEM_ERROR, x, (struct pos){2, 1}, "c");
    problems_add(&p, PROBLEM_WARNING, x, (struct pos){1, 9}, "a");
    problems_sort(&p);
    problems_print(&p, &said);
    assert_string_equal(said.data, "x:1:9: warning: a\nx:2:1: b\nx:2:1: c\ny:1:1: note: d\n");
    for (int i = 0; i < 300; i++)
        problems_add(&p, PROBLEM_ERROR, x, (struct pos){1, 1}, "again");
    assert_int_equal(p.n, PROBLEMS_MAX);
    assert_int_equal(p.n_errors, 302);
    assert_int_equal(p.n_dropped, 104);
    buf_done(&said);
    arena_done(&a);
}

TESTS(cmocka_unit_test(test_bad), cmocka_unit_test(test_defaults),
      cmocka_unit_test(test_web_values), cmocka_unit_test(test_later_values),
      cmocka_unit_test(test_jobs), cmocka_unit_test(test_host), cmocka_unit_test(test_sorting))
