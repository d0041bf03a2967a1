# Several apps on one host: home page, mounts, host names, what is nowhere, and the headers all answers share.
import html.parser
import re

import pytest

from backend import backend, ok
from conftest import Conn
from serving import serving, write_app

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
VOID = {"meta", "link", "br", "img", "input", "hr"}
WEB = 'title: "{0} & <b>sons</b>"\nweb: {{ root: web, redirects: {{ /old: /new }} }}\n'
FILES = {"web/index.html": "<h1>{0}</h1>\n", "web/docs/index.html": "docs of {0}\n",
         "web/a b.txt": "spaced {0}\n"}


class Page(html.parser.HTMLParser):
    """Reads a page strictly: tags nest, nothing is asked of another machine."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.links, self.text, self.tags = [], [], "", set()
        self.feed(text)
        self.close()
        assert not self.stack, f"open at the end: {self.stack}"

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag not in VOID:
            self.stack.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "action", "srcset", "data"):
                self.links.append(value)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


def app(folder, name):
    return write_app(folder / name, {k: v.format(name) for k, v in FILES.items()}, WEB.format(name))


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """Three apps: shop and blog below their paths, wiki at names of its own."""
    folder = tmp_path_factory.mktemp("host")
    for name in ("shop", "blog", "wiki"):
        app(folder, name)
    (folder / "host.yaml").write_text(
        "apps: [shop, blog, wiki]\nhosts: { wiki: [wiki.example.com, Docs.Example.org] }\n")
    with serving(folder) as server:
        yield server


def check_shared_headers(answer):
    assert re.fullmatch(r"[A-Za-z0-9_-]{15,64}", answer.get("x-request-id"))
    assert re.fullmatch(r"[0-9a-z]+", answer.get("x-release"))
    assert answer.get("server") == "dais"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.get("date"))


def check_page_headers(answer):
    policy = dict(part.strip().split(" ", 1) for part in
                  answer.get("content-security-policy").split(";") if part.strip())
    assert policy["default-src"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert "script-src" not in policy and "http" not in answer.get("content-security-policy")
    assert answer.get("content-type") == "text/html; charset=utf-8"
    assert answer.get("x-content-type-options") == "nosniff"
    assert answer.get("cache-control") == "no-store"


def test_the_home_page_lists_the_apps(host):
    answer = host.fetch("/", host=f"127.0.0.1:{host.port}")
    assert answer.status == 200
    check_page_headers(answer)
    page = Page(answer.body.decode())
    links = [link for link in page.links if not link.startswith("data:")]
    assert sorted(links) == sorted(["/shop/", "/blog/", f"//wiki.example.com:{host.port}/"])
    for name in ("shop", "blog", "wiki"):
        assert f"{name} & <b>sons</b>" in page.text
    assert not page.tags & {"script", "iframe", "img", "form", "b"}
    assert "http://" not in re.sub(r"http://www\.w3\.org/2000/svg", "", answer.body.decode())
    head = host.fetch("/", method="HEAD", host=f"127.0.0.1:{host.port}")
    assert head.get("content-length") == answer.get("content-length")
    assert host.fetch("/", method="POST").status == 405


def test_each_app_answers_below_its_path(host):
    for name in ("shop", "blog"):
        assert host.fetch(f"/{name}/").body == f"<h1>{name}</h1>\n".encode()
        assert host.fetch(f"/{name}/docs/").body == f"docs of {name}\n".encode()
        assert host.fetch(f"/{name}/a%20b.txt").body == f"spaced {name}\n".encode()
    assert host.fetch("/shop/nothing.txt").status == 404
    assert host.fetch("/shopping/").status == 404
    assert host.fetch("/Shop/").status == 404


REDIRECTS = [("/shop", "/shop/"), ("/shop?a=1&b=%2F", "/shop/?a=1&b=%2F"), ("//shop?x", "/shop/?x"),
             ("/blog/../shop", "/shop/"), ("/%73hop", "/shop/"), ("/shop/docs", "/shop/docs/"),
             ("/shop/docs?q=1", "/shop/docs/?q=1"), ("/shop//docs?q", "/shop/docs/?q")]


@pytest.mark.parametrize("path, to", REDIRECTS, ids=[r[0] for r in REDIRECTS])
def test_a_folder_without_its_slash_keeps_its_query(host, path, to):
    answer = host.fetch(path)
    assert (answer.status, answer.get("location")) == (301 if "docs" not in to else answer.status, to)
    assert answer.status in (301, 308)
    check_shared_headers(answer)


NAMES = [("wiki.example.com", "wiki"), ("WIKI.Example.COM", "wiki"), ("docs.example.org:8443", "wiki"),
         ("shop.localhost", "shop"), ("SHOP.LOCALHOST:80", "shop"), ("wiki.localhost", "wiki"),
         ("blog.localhost:1", "blog")]


@pytest.mark.parametrize("name, expected", NAMES, ids=[n[0] for n in NAMES])
def test_names_lead_to_their_app(host, name, expected):
    assert host.fetch("/", host=name).body == f"<h1>{expected}</h1>\n".encode()
    assert host.fetch("/docs", host=name).get("location") == "/docs/"
    assert host.fetch("/old", host=name).get("location") == "/new"
    assert host.fetch("/healthz", host=name).body == b'{"ok":true}'
    with Conn(host) as conn:  # the target's host counts, not the header's
        conn.send(f"GET http://{name}/docs/ HTTP/1.1\r\nHost: other.example\r\n\r\n")
        assert conn.read().body == f"docs of {expected}\n".encode()



def test_what_it_measures_is_told_under_every_name_of_the_host(host):
    for name in ("wiki.example.com", "DOCS.example.org:80", "blog.localhost", "localhost"):
        assert host.fetch("/_/readyz", host=name).status == host.fetch("/_/metrics", host=name).status == 200
    for name in ("example.com", "blog.example.com", "xwiki.example.com"):
        assert host.fetch("/_/readyz", host=name).status == host.fetch("/_/metrics", host=name).status == 403


def test_health_is_the_apps_where_it_says_so(tmp_path):
    with backend(lambda *_: ok(b"the app's")) as behind:
        manifest = f"web: {{ root: web }}\nbackend: {{ url: \"{behind.url}\", routes: [ /healthz, /readyz/ ] }}\n"
        write_app(tmp_path / "shop", manifest=manifest)
        with serving(tmp_path / "shop") as server:
            assert server.fetch("/healthz").body == b"the app's" and server.fetch("/healthz/x").body == b"the app's"
            assert server.fetch("/_/healthz").body == b'{"ok":true}'
            assert server.fetch("/readyz").json()["ready"] and server.fetch("/metrics").body.startswith(b"#")
        write_app(tmp_path / "blog")
        (tmp_path / "host.yaml").write_text("apps: [ shop, blog ]\n")
        with serving(tmp_path) as server:
            for name, body in [("localhost", b'{"ok":true}'), ("shop.localhost", b"the app's"),
                               ("blog.localhost", b'{"ok":true}')]:
                assert server.fetch("/healthz", host=name).body == body
            assert server.fetch("/shop/healthz").body == b"the app's"
            assert server.fetch("/_/healthz", host="shop.localhost").body == b'{"ok":true}'


def test_names_that_are_nobodys_see_the_host(host):
    for name in ("localhost", "x.localhost", "shop.localhost.evil.example", "evil.example",
                 "wiki.example.com.evil.example", "xwiki.example.com", "shop.localhost2",
                 ("a" * 60 + ".") * 3 + "localhost", "127.0.0.1", "[::1]"):
        assert b"<h1>Apps</h1>" in host.fetch("/", host=name).body, name
        assert host.fetch("/shop/", host=name).body == b"<h1>shop</h1>\n"


def test_redirects_of_an_app_stay_inside_it(host):
    assert host.fetch("/shop/old").get("location") == "/shop/new"


@pytest.mark.parametrize("path", ["/nothing", "/shop/nothing.txt", "/_/nothing", "/shop/_/x", "/_",
                                  "/shop/dais.yaml", "/shop/../host.yaml", "/data/dais.lock",
                                  "/shop/.env", "/%3Cscript%3Ealert(1)%3C/script%3E"])
def test_what_is_nowhere_is_json_for_programs_and_a_page_for_people(host, path):
    answer = host.fetch(path)
    assert answer.status == 404 and answer.get("content-type") == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "code", "detail", "request_id"}
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", 404, "not_found")
    assert problem["request_id"] == answer.get("x-request-id")
    assert problem["title"] and problem["detail"].endswith(".")
    check_shared_headers(answer)
    page = host.fetch(path, headers=BROWSER)
    assert page.status == 404 and "accept" in page.get("vary", "").lower()
    check_page_headers(page)
    read = Page(page.body.decode())
    assert page.get("x-request-id") in read.text and "404" in read.text
    assert not read.tags & {"script", "form", "iframe", "img"}
    mount = "/shop/" if path.startswith("/shop/") and ".." not in path else "/"
    assert [link for link in read.links if not link.startswith("data:")] == [mount]
    assert str(host.command[2]) not in page.body.decode() + answer.body.decode()


WHO = [({}, False), ({"Accept": "*/*"}, False), ({"Accept": "application/json"}, False),
       ({"Accept": "text/html"}, True), (BROWSER, True),
       ({"Accept": "text/html;q=0.1, application/json"}, False),
       ({"Accept": "text/html", "Sec-Fetch-Mode": "cors"}, False),
       ({"Accept": "text/html;q=0"}, False), ({"Accept": ";;;,,=q"}, False)]


@pytest.mark.parametrize("headers, is_page", WHO, ids=[str(w[0])[:60] for w in WHO])
def test_who_gets_a_page(host, headers, is_page):
    answer = host.fetch("/nothing", headers=headers)
    assert (answer.get("content-type") == "text/html; charset=utf-8") is is_page
    assert host.fetch("/nothing", method="POST", headers=headers).get("content-type") == \
        "application/problem+json"


def test_every_answer_has_its_own_id_and_the_release(host, run_dais):
    release = re.search(r"\(([0-9a-z]+)\)", run_dais("version").stdout)[1]
    seen = set()
    with host.connect() as conn:
        for path in ("/", "/shop/", "/shop", "/nothing", "/healthz", "/metrics", "/shop/docs/") * 3:
            answer = conn.request(path).read()
            check_shared_headers(answer)
            assert answer.get("x-release") == release
            seen.add(answer.get("x-request-id"))
        etag = conn.request("/shop/").read().get("etag")
        same = conn.request("/shop/", headers={"If-None-Match": etag}).read()
        assert same.status == 304
        check_shared_headers(same)
    assert len(seen) == 21


def test_a_request_id_is_taken_from_trusted_proxies_only(host, tmp_path):
    given = {"X-Request-Id": "0123456789abcdefg"}
    assert host.fetch("/", headers=given).get("x-request-id") != given["X-Request-Id"]
    with serving(app(tmp_path, "one"), env={"DAIS_TRUSTED_PROXIES": "127.0.0.1"}) as server:
        assert server.fetch("/", headers=given).get("x-request-id") == given["X-Request-Id"]
        for evil in ("a b", "x" * 300, "<b>", 'a"b', ""):
            assert server.fetch("/", headers={"X-Request-Id": evil}).get("x-request-id") != evil


def test_the_base_path_of_an_app_alone(tmp_path):
    folder = write_app(tmp_path / "solo", {"web/index.html": "solo\n", "web/docs/index.html": "docs\n"},
                       "web: { root: web, base: /deep/er/, redirects: { /old: /new } }\n")
    with serving(folder) as server:
        assert server.url.endswith("/deep/er/")
        assert server.fetch("/deep/er/").body == b"solo\n"
        assert server.fetch("/deep/er?q=1").get("location") == "/deep/er/?q=1"
        assert server.fetch("/deep/er/docs?q=1").get("location") == "/deep/er/docs/?q=1"
        assert server.fetch("/deep/er/old").get("location") == "/deep/er/new"
        assert server.fetch("/deep/").status == server.fetch("/index.html").status == 404
        assert server.fetch("/healthz").status == 200
        home = server.fetch("/", headers=BROWSER)
        assert '/deep/er/"' in home.body.decode()


def test_two_folders_on_the_command_line(tmp_path):
    one, two = app(tmp_path, "one"), app(tmp_path, "two")
    with serving(one, two, "--data", tmp_path / "data", cwd=tmp_path) as server:
        assert server.fetch("/one/").body == b"<h1>one</h1>\n"
        assert server.fetch("/two/docs/").body == b"docs of two\n"
        assert "serves 2 apps" in server.stdout and f"http://127.0.0.1:{server.port}/two/" in server.stdout


def test_an_app_with_a_name_is_listed_with_the_port(tmp_path):
    app(tmp_path, "shop"), app(tmp_path, "blog")
    (tmp_path / "host.yaml").write_text("apps: [shop, blog]\nhosts: { shop: shop.example.com }\n")
    with serving(tmp_path) as server:
        assert f"http://shop.example.com:{server.port}/" in server.stdout
        page = server.fetch("/", host="home.example:8443").body.decode()
        assert 'href="//shop.example.com:8443/"' in page
        assert 'href="//shop.example.com/"' in server.fetch("/", host="home.example").body.decode()


def test_one_name_for_two_apps_is_refused_whatever_its_case(tmp_path, run_dais):
    app(tmp_path, "shop"), app(tmp_path, "blog")
    (tmp_path / "host.yaml").write_text(
        "apps: [shop, blog]\nhosts: { shop: shop.example.com, blog: SHOP.example.com }\n")
    done = run_dais("serve", tmp_path, "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and "`shop.example.com` belongs to" in done.stderr
