# `dais render pages`: the tree of files against what `dais serve` sends, its links, its list, the wiki.
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import ROOT, fetch

TREE = "ops/pages"
DEMO = "deploy:\n  demo: { kind: pages, "
# The folder of each system's build, for models that have no files of their own.
BUILDS = {"story-gen": ("web/dist", "story_gen"), "langhero": ("frontend/build", "langhero"),
          "story-analytics": ("app/dist", "story_analytics"), "papeterie": ("src/web/dist", "papeterie")}


def tree_of(folder):
    """What stands in the site, without what only dais and Git need."""
    top = folder / TREE
    return {str(file.relative_to(top)): file.read_bytes() for file in sorted(top.rglob("*"))
            if file.is_file() and file.name not in (".dais-site", ".gitignore")}


@pytest.fixture(name="render")
def fixture_render(run_dais):
    """render(folder, "pages", ..., code=0) -> the tree, when that is the exit code."""
    def run(folder, word="pages", *flags, code=0, says=()):
        done = run_dais("render", word, folder, *flags)
        assert done.returncode == code, done.stdout + done.stderr
        for text in [says] if isinstance(says, str) else says:
            assert text in done.stderr, done.stderr
        run.output, run.errors = done.stdout, done.stderr
        return tree_of(folder)
    return run


# ---- the tree ------------------------------------------------------------------------------------
def test_the_tree_is_what_dais_serves(make_app, render, dais, tmp_path):
    (tmp_path / "outside.txt").write_text("outside")
    app = make_app("shop", {
        "web/index.html": "<h1>hi", "web/a b/ü.txt": "odd name", "web/big.bin": bytes(range(256)) * 40,
        "web/.env": "SECRET=1", "web/.git/config": "no", "web/.well-known/security.txt": "yes",
        "web/dais.yaml": "app: no", "web/sub/dais.yaml": "app: yes", "web/map.js.map": "{}",
        "web/docs/hidden.html": "covered by the mount", "manual/index.html": "manual", "manual/.hidden": "no",
    }, "web: { mounts: { /docs/: manual, /studio/: web } }\n")
    (app / "web/inside").symlink_to("index.html")
    (app / "web/outside").symlink_to(tmp_path / "outside.txt")
    (app / "web/loop").symlink_to(".", target_is_directory=True)
    os.mkfifo(app / "web/fifo")
    tree = render(app)
    assert set(tree) == {
        "index.html", "a b/ü.txt", "big.bin", ".well-known/security.txt", "sub/dais.yaml", "map.js.map", "inside",
        "docs/index.html", ".nojekyll", *("studio/" + name for name in (
            "index.html", "a b/ü.txt", "big.bin", ".well-known/security.txt", "sub/dais.yaml", "map.js.map",
            "inside", "docs/hidden.html"))}
    assert not any(file.is_symlink() for file in (app / TREE).rglob("*"))
    server = dais(app)
    for path, content in tree.items():
        if path != ".nojekyll":
            answer = fetch(server, "/" + path.replace(" ", "%20").replace("ü", "%C3%BC"))
            assert (answer.status, answer.body) == (200, content), path
    for path in (".env", ".git/config", "dais.yaml", "outside", "docs/.hidden", "docs/hidden.html"):
        assert fetch(server, "/" + path).status == 404


def test_packages_and_earlier_sites_are_left_out(make_app, render):
    app = make_app("shop", {"index.html": "hi", "node_modules/a/index.js": "1", "sub/node_modules/b.js": "2"},
                   "web: { root: . }\n")
    assert set(render(app)) == {"index.html", ".nojekyll", "ops/wiki-sync.sh"} - {"ops/wiki-sync.sh"}
    assert "ops/pages/index.html" not in render(app)


def test_what_only_a_server_can_do_becomes_files(make_app, render):
    app = make_app("shop", {"web/index.html": "hi", "web/about-us.html": "about", "web/gone.html": "no such page",
                            "web/embed.html": "embed", "web/docs/index.html": "docs", "openapi.json": "{}"}, """web:
  redirects: { /old: /docs/, /older/: "https://a.example/?a=1&b='2'", /plain.html: /, "/x/*": "/y/:splat",
               /sheet.css: / }
  errors: { 404: gone.html, 500: gone.html }
  pages: { /about: about-us.html, "/embed/*": embed.html }
  headers: { "/*": { csp: default } }
""")
    tree = render(app, says=['dais.yaml:3:87: warning', '"/x/*" is left out', '"/sheet.css" is left out',
                             "for 500", '"/embed/*" is left out', "`web.headers` has no effect"])
    assert tree["about/index.html"] == b"about" and tree["404.html"] == b"no such page"
    assert b'content="0; url=/docs/"' in tree["old/index.html"] and b'rel="canonical"' in tree["old/index.html"]
    assert b"https://a.example/?a=1&amp;b=&#39;2&#39;" in tree["older/index.html"]
    assert b"url=/" in tree["plain.html"] and "sheet.css" not in tree and not any(p.startswith("x/") for p in tree)
    assert tree["docs/assets/openapi/openapi.json"] == b"{}"


def test_fallback_is_the_page_for_missing_paths_and_works_at_any_depth(make_app, render):
    page = '<base x><script src="assets/a.js"></script><a href="docs/">d</a><a href="#x">x</a><a href="nowhere">n</a>'
    app = make_app("shop", {"web/index.html": page, "web/404.html": "own", "web/assets/a.js": "1",
                            "web/docs/index.html": "d"},
                   "web: { fallback: index.html }\n" + DEMO + "base: /charts/, domain: shop.example.com }\n")
    tree = render(app, "demo")
    assert tree["index.html"].decode() == page  # relative links are right where they are
    assert tree["404.html"].decode() == page.replace('"assets/', '"/charts/assets/').replace('"docs/', '"/charts/docs/')
    assert tree["CNAME"] == b"shop.example.com\n"


# ---- links ---------------------------------------------------------------------------------------
FILES = {"assets/a.js": "1", "assets/b.css": "2", "favicon.svg": "<svg/>", "a b.png": "3", "docs/index.html": "d",
         "site.webmanifest": '{"start_url": "/", "scope": "/", "icons": [{"src": "/favicon.svg"}], "x": "/no"}'}
MOVED = [  # name, before, after; the base is /c/
    ("x.html", '<a href="/">', '<a href="/c/">'),
    ("x.html", '<a href="/docs/">, <a href=/docs>', '<a href="/c/docs/">, <a href=/c/docs>'),
    ("x.html", "<img SRC = '/a%20b.png?v=1#t'>", "<img SRC = '/c/a%20b.png?v=1#t'>"),
    ("x.html", '<img srcset="/favicon.svg 1x, /a%20b.png 2x, /no.png 3x">',
     '<img srcset="/c/favicon.svg 1x, /c/a%20b.png 2x, /no.png 3x">'),
    ("x.html", '<div style="background:url(/favicon.svg)" title="/favicon.svg">/favicon.svg "/favicon.svg"</div>',
     '<div style="background:url(/c/favicon.svg)" title="/favicon.svg">/favicon.svg "/favicon.svg"</div>'),
    ("x.html", '<script>import("/assets/a.js");go("/");go("/docs/")</script><b href="/">',
     '<script>import("/c/assets/a.js");go("/");go("/docs/")</script><b href="/c/">'),
    ("x.html", '<STYLE>@import "/assets/b.css";</STYLE><!-- <a href="/"> --><a href="/',
     '<STYLE>@import "/c/assets/b.css";</STYLE><!-- <a href="/"> --><a href="/c/'),
    ("x.html", '<a href="//x/assets/a.js"><a href="https://x/"><a href="/nowhere"><a href="/c/assets/a.js"><a',
     '<a href="//x/assets/a.js"><a href="https://x/"><a href="/nowhere"><a href="/c/assets/a.js"><a'),
    ("x.html", '<meta content="/favicon.svg"><meta content="/"><p a=b>"</p><a href="/favicon.svg">',
     '<meta content="/c/favicon.svg"><meta content="/"><p a=b>"</p><a href="/c/favicon.svg">'),
    ("x.css", "a{b:url(/favicon.svg)}c{d:url( '/favicon.svg' )}e{f:url(/no.svg)}/* /favicon.svg */",
     "a{b:url(/c/favicon.svg)}c{d:url( '/c/favicon.svg' )}e{f:url(/no.svg)}/* /favicon.svg */"),
    ("x.js", "h(`/favicon.svg`);i('/assets/a.js'+\"/assets/b.css?x\");j=\"/\";k=/assets/;l='/docs/'",
     "h(`/c/favicon.svg`);i('/c/assets/a.js'+\"/c/assets/b.css?x\");j=\"/\";k=/assets/;l='/docs/'"),
    ("x.js", 'a="/favicon.svg', 'a="/favicon.svg'),
    ("x.svg", '<svg><image href="/a%20b.png"/></svg>', '<svg><image href="/c/a%20b.png"/></svg>'),
    ("x.json", '["/favicon.svg"]', '["/favicon.svg"]'),
]


@pytest.mark.parametrize("name, before, after", MOVED)
def test_links_move_below_the_base(make_app, render, name, before, after):
    app = make_app("shop", {**{f"web/{k}": v for k, v in FILES.items()}, f"web/{name}": before},
                   "web: { root: web }\n" + DEMO + "base: /c/ }\n")
    tree = render(app, "demo")
    assert tree[name].decode() == after
    assert tree["site.webmanifest"].decode() == \
        '{"start_url": "/c/", "scope": "/c/", "icons": [{"src": "/c/favicon.svg"}], "x": "/no"}'
    app = make_app("shop", {}, "web: { root: web }\n" + DEMO + "base: / }\n")
    assert render(app, "demo")[name].decode() == before


def test_a_build_for_the_base_is_left_alone_and_another_one_is_told(make_app, render):
    manifest = "web: { build: make site }\n" + DEMO + "base: /c/ }\n"
    app = make_app("shop", {"web/a.js": "1", "web/index.html": '<script src="/c/a.js"></script>'}, manifest)
    assert render(app, "demo")["index.html"] == b'<script src="/c/a.js"></script>' and "DAIS_BASE" not in render.errors
    app = make_app("shop", {"web/index.html": '<script src="/a.js"></script>'}, manifest)
    assert render(app, "demo", says="dais.yaml:2:15: warning: the build was made for another path: 1 links"
                  )["index.html"] == b'<script src="/c/a.js"></script>'


@pytest.mark.parametrize("keys, base, origin", [
    ('remote: "git@github.com:Me/charts.git"', "/charts/", "https://me.github.io"),
    ('remote: "https://github.com/me/charts/"', "/charts/", "https://me.github.io"),
    ('remote: "ssh://git@github.com/me/charts.git"', "/charts/", "https://me.github.io"),
    ('remote: "git@github.com:me/Me.github.io"', "/", "https://me.github.io"),
    ('remote: "git@github.com:me/charts", domain: Charts.example.com', "/", "https://charts.example.com"),
    ('remote: "git@github.com:me/charts", base: /x/', "/x/", "https://me.github.io"),
    ('base: "/ä b/"', "/%C3%A4%20b/", None),
    ('remote: "git@example.com:me/charts.git"', "/", None),
    ('remote: "github.com:"', "/", None), ('remote: "a b; $(touch x) `y` ${z}"', "/", None),
])
def test_base_and_origin_follow_from_the_target(make_app, render, keys, base, origin):
    app = make_app("shop", {"web/index.html": '<a href="/">'},
                   "web: { rewrite: [ { files: '*.js', from: 'http://localhost:1', to: '' } ] }\n" + DEMO
                   + keys.replace("${z}", "$${z}") + ", api: https://api.example.com }\n")
    tree = render(app, "demo", code=1 if origin else 0,
                  says=f'add: cors: {{ origins: [ "{origin}" ] }}' if origin else "where the site will be is not known")
    if not origin:
        assert tree["index.html"].decode() == f'<a href="{base}">'
        return
    for covered in (origin, "https://*." + origin.partition(".")[2], "*"):
        manifest = (app / "dais.yaml").read_text().split("cors:")[0] + f'cors: {{ origins: [ "{covered}" ] }}\n'
        (app / "dais.yaml").write_text(manifest)
        assert render(app, "demo")["index.html"].decode() == f'<a href="{base}">'
    (app / "dais.yaml").write_text(manifest.replace('[ "*" ]', '[ "https://other.example" ]'))
    render(app, "demo", code=1, says="dais.yaml:5:1: `cors.origins` does not have")


# ---- the API -------------------------------------------------------------------------------------
def test_the_api_goes_into_bundles_and_the_env_script(make_app, render, dais):
    manifest = """web:
  env: { path: /_app/env.js, values: { A: $PUBLIC_URL, B: "</script>$PUBLIC_X", C: $PUBLIC_NONE } }
  rewrite:
    - { files: "*.js", from: '"http://localhost:8000"', to: (location.origin) }
    - { files: "*.js", from: "http://127.0.0.1:8000", to: "" }
    - { files: "only/*.txt", from: one, to: two }
cors: { origins: "https://me.github.io" }
"""
    app = make_app("shop", {"web/a.js": 'a="http://localhost:8000",b="http://127.0.0.1:8000/api"+one',
                            "web/only/a.txt": "one", "web/b/a.txt": "one"}, manifest)
    plain = render(app)
    server = dais(app, env={"PUBLIC_URL": ""})
    for path in ("_app/env.js", "a.js", "only/a.txt", "b/a.txt"):
        assert fetch(server, "/" + path).body == plain[path], path
    app = make_app("shop", {}, manifest + DEMO + 'remote: "git@github.com:me/c", api: "https://api.example.com/", '
                   'env: { PUBLIC_X: "it is $PUBLIC_URL" } }\n')
    tree = render(app, "demo")
    assert tree["a.js"] == b'a="https://api.example.com",b="https://api.example.com/api"+one'
    script = tree["_app/env.js"].decode()
    assert json.loads(re.fullmatch(r"export const env=(\{.*\});\n", script)[1]) == {
        "A": "https://api.example.com", "B": "</script>it is https://api.example.com", "C": ""}
    assert "</script>" not in script and tree["only/a.txt"] == b"two" and tree["b/a.txt"] == b"one"


def test_what_the_page_cannot_be_told_is_an_error(make_app, render):
    api = DEMO + 'domain: a.example.com, api: "https://api.example.com" }\ncors: { origins: "https://a.example.com" }\n'
    app = make_app("shop", {"web/index.html": "hi"}, "web:\n  rewrite: [ { files: '*', from: '\"8000\"', to: "
                   "(location.port) } ]\n" + api)
    assert render(app, "demo", code=1, says="dais.yaml:3:48: `web.rewrite` makes the page call") == {}
    app = make_app("shop", {}, "web: { root: web }\n" + api)
    render(app, "demo", says="nothing tells the page of `api`")
    app = make_app("shop", {}, "web: { root: web }\nbackend: { url: 'http://127.0.0.1:9', routes: [ /api/ ] }\n")
    render(app, says="dais.yaml:3:1: warning: the site is read-only: GitHub Pages runs no `backend`")


def test_what_has_no_site_is_an_error(make_app, render):
    app = make_app("a", {}, "backend: { url: 'http://127.0.0.1:9', routes: [ / ] }\n")
    render(app, code=1, says="dais.yaml:2:1: GitHub Pages shows files, and the app has none")
    app = make_app("b", {}, "web: { root: dist, build: make it }\n")
    render(app, code=1, says="does not exist; `dais build` makes it: make it")
    app = make_app("c", {"web/docs": "file", "more/index.html": "folder"}, "web: { mounts: { /docs/: more } }\n")
    render(app, code=1, says="/docs of the site would be a file and a folder")
    app = make_app("d", {"web/old": "file"}, "web: { redirects: { /old: / } }\n")
    render(app, code=1, says="/old of the site would be a file and a folder")
    for folder in "abcd":
        assert not (app.parent / folder / "ops").exists() and not (app.parent / folder / ".github").exists()


def test_sizes(make_app, render):
    app = make_app("shop", {"web/index.html": "hi"})
    with open(app / "web/film.mp4", "wb") as file:
        file.truncate((100 << 20) + 1)
    render(app, "pages", "--check", code=2, says="film.mp4 is 100 MB; GitHub takes no file over 100 MB")
    with open(app / "web/film.mp4", "wb") as file:
        file.truncate(1001 << 20)
    render(app, code=1, says="the site has 1001 MB, and GitHub Pages takes 1 GB")
    assert not (app / "ops").exists()


# ---- the list ------------------------------------------------------------------------------------
def test_the_list_knows_what_was_edited_and_what_is_gone(make_app, render):
    app = make_app("shop", {f"web/{name}": name for name in ("a.txt", "b.txt", "c.txt", "deep/er/d.txt", "deep/e.txt")})
    render(app)
    assert "ops/pages/ (6 files)" in render.output and "a.txt" not in render.output
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", ".dais-site"], cwd=app / TREE, check=True)
    assert subprocess.run(["git", "check-ignore", "-q", "--no-index", "ops/pages/a.txt"], cwd=app, check=False,
                          env={**os.environ, "GIT_DIR": str(git(app, "init", "-q") and app / ".git")}).returncode == 0
    (app / TREE / "a.txt").write_text("mine")          # edited, and its source changes
    (app / TREE / "b.txt").write_text("mine, too")     # edited, and its source goes
    (app / TREE / "own.txt").write_text("not dais's")  # nobody made it
    (app / "web/a.txt").write_text("new a")
    (app / "web/c.txt").write_text("new c")
    (app / "web/b.txt").unlink()
    shutil.rmtree(app / "web/deep/er")
    tree = render(app, "pages", "--check", code=2)
    assert tree["c.txt"] == b"c.txt" and "deep/er/d.txt" in tree
    tree = render(app)
    assert tree == {"a.txt": b"mine", "b.txt": b"mine, too", "own.txt": b"not dais's", "c.txt": b"new c",
                    "deep/e.txt": b"deep/e.txt", ".nojekyll": b""}
    assert not (app / TREE / "deep/er").exists()
    assert "removed" in render.output and "-mine\n" in render.output and "+new a\n" in render.output
    assert "2 files kept" in render.output
    assert render(app, "pages", "--force")["a.txt"] == b"new a"
    assert render(app, "pages", "--check")["own.txt"] == b"not dais's"


def git(folder, *args):
    return subprocess.run(["git", *args], cwd=folder, check=True, capture_output=True, text=True)


def test_a_folder_of_somebody_else_is_not_written_into(make_app, render):
    app = make_app("shop", {"web/index.html": "hi", "ops/pages/precious.txt": "mine"})
    done = render(app, code=1, says="ops/pages/ has files and was not made by `dais render`")
    assert done == {"precious.txt": b"mine"} and not (app / ".github").exists()
    assert set(render(app, "pages", "--force")) == {"precious.txt", "index.html", ".nojekyll"}


@pytest.mark.parametrize("line", ["../../victim", "/victim", "a/../../../victim", "./../../victim"])
def test_a_forged_list_leads_nowhere(make_app, render, line):
    app = make_app("shop", {"web/index.html": "hi", "victim": "precious"})
    render(app)
    file = app / TREE / ".dais-site"
    text = file.read_text() + f"{hashlib.sha256(b'precious').hexdigest()}  {line}\n"
    zeros = re.sub(r"(?<=dais-sha256:)[0-9a-f]{64}", "0" * 64, text)
    file.write_text(zeros.replace("0" * 64, hashlib.sha256(zeros.encode()).hexdigest(), 1))
    render(app)
    assert "removed" not in render.output and (app / "victim").read_text() == "precious"


def test_the_same_bytes_every_time_and_elsewhere(make_app, render, tmp_path):
    app = make_app("shop", {f"web/{n}.html": f'<a href="/{n}.html">' for n in range(40)})
    tree = render(app)
    render(app, "pages", "-o", tmp_path / "out", "--force")
    names = {str(f.relative_to(app)) for f in app.rglob("*") if f.is_file()} - {"dais.yaml"}
    for name in names - {n for n in names if n.startswith("web/")}:
        assert (app / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name
    assert render(app) == tree and "new" not in render.output


# ---- every app -----------------------------------------------------------------------------------
def rendered_model(model, tmp_path):
    folder = tmp_path / model
    shutil.copytree(ROOT / "models" / model, folder)
    build, system = BUILDS[model]
    return folder, folder / build, ROOT / "tests/systems" / system / build


@pytest.mark.parametrize("model", BUILDS)
def test_models(render, tmp_path, model):
    folder, build, made = rendered_model(model, tmp_path)
    render(folder, code=1, says="`dais build` makes it")
    shutil.copytree(made, build)
    tree = render(folder, says="the site is read-only: GitHub Pages runs no `backend`")
    assert tree["404.html"] == tree["index.html"]
    for file in made.rglob("*"):
        assert file.is_dir() or str(file.relative_to(made)) in tree


@pytest.mark.parametrize("app", ["story_gen", "langhero", "story_analytics", "papeterie"])
def test_systems_below_a_path(render, tmp_path, app):
    folder = pathlib.Path(shutil.copytree(ROOT / "tests/systems" / app, tmp_path / app))
    (folder / "dais.yaml").write_text((folder / "dais.yaml").read_text() + DEMO + "base: /repo/ }\n")
    tree = render(folder, "demo")
    for page in ("index.html", "404.html"):
        links = re.findall(rb'(?:href|src)="(/[^"]*)"', tree[page]) + re.findall(rb'import\("([^"]*)"', tree[page])
        assert links and all(link.startswith(b"/repo/") and link[6:].decode() in tree for link in links)


def test_fixtures_and_examples(render, tmp_path):
    for source in (*(ROOT / "tests/fixtures/manifest").iterdir(), ROOT / "apps/field-notes"):
        if not (source / "dais.yaml").exists():
            continue
        folder = shutil.copytree(source, tmp_path / "apps" / source.name, dirs_exist_ok=True)
        shutil.copytree(ROOT / "web-kit", tmp_path / "web-kit", dirs_exist_ok=True)
        has_root = source.name != "chart-desk"
        render(folder, code=0 if has_root else 1)


# ---- odd values ----------------------------------------------------------------------------------
ODD = ["no", "1e3", "it's \"so\" $HOME `x` ${{ secrets.T }} \\ # : - é\u2028", "::", "two\nlines", "<b>&</b>"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_arrive_unharmed(make_app, render, odd):
    yaml = pytest.importorskip("yaml", reason="python3-yaml is missing: make deps-test")
    quoted = json.dumps(odd)
    in_env = json.dumps(odd.replace("$", "$$"))
    app = make_app("shop", {"web/index.html": "hi", "docs/a.md": "[x](b.md)", "docs/b.md": "b"},
                   f"title: {quoted}\nweb:\n  build: {quoted}\n"
                   f"  rewrite: [ {{ files: '*.html', from: hi, to: {quoted} }} ]\n"
                   f"  env: {{ path: /env.js, values: {{ A: {in_env} }} }}\n"
                   f"{DEMO}env: {{ V: {in_env} }} }}\n")
    tree = render(app, "demo")
    assert tree["index.html"].decode() == odd
    assert json.loads(tree["env.js"].decode()[len("export const env="):-2]) == {"A": odd}
    workflow = yaml.safe_load((app / ".github/workflows/pages.yml").read_text())
    step, = [step for step in workflow["jobs"]["build"]["steps"] if step.get("name", "").startswith("Build for")]
    plain = odd.replace("${{", "${{ '${{' }}")  # which GitHub computes to what was meant
    assert step["run"] == plain and step["env"] == {"DAIS_BASE": "/", "V": plain}
    subprocess.run(["shellcheck", app / "ops/wiki-sync.sh"], check=True)
    subprocess.run([app / "ops/wiki-sync.sh", "--preview"], check=True, capture_output=True)
    assert (app / "build/wiki/a.md").read_text() == "[x](b)\n"


# ---- the wiki ------------------------------------------------------------------------------------
@pytest.fixture(name="wiki")
def fixture_wiki(tmp_path):
    """A bare repository with one page, as GitHub makes a wiki, and a way to see what it has."""
    bare, seen = tmp_path / "charts.wiki.git", tmp_path / "seen"
    git(tmp_path, "init", "-q", "--bare", "-b", "master", bare)
    git(tmp_path, "clone", "-q", bare, seen)
    (seen / "Written.md").write_text("by hand")
    git(seen, "add", ".")
    git(seen, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "First page")
    git(seen, "push", "-q", "origin", "HEAD")

    def look():
        git(seen, "pull", "-q")
        return {f.name: f.read_text() for f in seen.iterdir() if f.is_file() and not f.name.startswith(".")}
    look.url, look.seen = f"file://{bare}", seen
    return look


PAGE = """# Charts
[next](deployment.md#how) and [x](./deployment.md), [root](../README.md), [site](https://a.example/b.md), [top](#a)
![picture](img/a.png) and [sub](sub/c.md) `[code](deployment.md)` [up](../../apps/x.md "T")
```
[code](deployment.md)
```
"""


def test_the_wiki_is_pushed_for_real(make_app, render, wiki):
    app = make_app("shop", {"web/index.html": "hi", "docs/index.md": PAGE, "docs/deployment.md": "how\n",
                            "docs/sub/c.md": "not mirrored", "docs/img/a.png": "png"},
                   "web: { root: web }\n" + DEMO + 'remote: "https://github.com/me/charts" }\n')
    render(app, "demo")
    script = app / "ops/wiki-sync.sh"
    subprocess.run(["shellcheck", script], check=True)
    assert subprocess.run([script], capture_output=True, check=False).returncode == 1
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def push(*remote):
        return subprocess.run([script, "--push", *(remote or [wiki.url])], check=True, capture_output=True, text=True,
                              env=environment)
    push()
    pages = wiki()
    home = PAGE.replace("[next](deployment.md", "[next](deployment").replace("./deployment.md", "deployment")
    home = home.replace("](../README.md", "](https://github.com/me/charts/blob/HEAD/README.md")
    home = home.replace("](img/", "](https://github.com/me/charts/raw/HEAD/docs/img/")
    home = home.replace("](sub/", "](https://github.com/me/charts/blob/HEAD/docs/sub/")
    home = home.replace('](../../apps/x.md', "](https://github.com/me/charts/blob/HEAD/../apps/x.md")
    assert pages == {"Home.md": home, "deployment.md": "how\n", "Written.md": "by hand"}
    assert "up to date" in push().stdout
    assert git(wiki.seen, "rev-list", "--count", "HEAD").stdout == "2\n"
    (app / "docs/deployment.md").unlink()
    (app / "docs/Written.md").write_text("would overwrite")
    (app / "docs/new.md").write_text("new\n")
    assert "kept: Written.md" in push().stderr
    assert set(wiki()) == {"Home.md", "new.md", "Written.md"} and wiki()["Written.md"] == "by hand"
    git(app, "init", "-q")
    git(app, "remote", "add", "origin", wiki.url.replace(".wiki.git", ".git"))
    assert "up to date" in push("").stdout  # of origin
    assert subprocess.run([script, "--push", "file:///nowhere"], capture_output=True, check=False).returncode != 0
