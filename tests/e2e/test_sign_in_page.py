# The sign-in page as a browser without scripts sees it: its forms, where it goes on to, what it refuses.
import contextlib
import email
import email.policy
import html
import re
import sqlite3
import time
from html.parser import HTMLParser
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

import postgres
from accounts_api import in_order
from conftest import wait_for
from documents import DATABASES
from serving import serving, write_app

PAGE = "/_/sign-in"
MANIFEST = """title: 'Tom & "Ann" <b>'
web: { root: web }
auth: { signup: open, methods: [ password, magic_link ] }
"""
MANY = "limits: { login: 10000/min, signup: 10000/min, reset: 10000/min, read: 10000/s, write: 10000/s }\n"
PASSWORD = "correct horse battery"
SAME = [("Sec-Fetch-Site", "same-origin")]


class Forms(HTMLParser):
    """The forms of a page: action, method, and every input's attributes by name."""

    def __init__(self, text):
        super().__init__()
        self.forms, self.tags, self.attributes, self.links = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        pairs = dict(attrs)
        assert len(pairs) == len(attrs), f"an attribute twice: {attrs}"
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag == "form":
            self.forms.append({"action": pairs["action"], "method": pairs["method"], "inputs": {}})
        elif tag == "input":
            self.forms[-1]["inputs"][pairs["name"]] = pairs
        elif tag == "a":
            self.links.append(pairs["href"])


class Visitor:
    """A browser without scripts: keeps cookies, sends forms as they are on the page."""

    def __init__(self, server, mount=""):
        self.server, self.page, self.cookies = server, mount + PAGE, {}
        self.answer = self.text = self.parsed = None

    def headers(self):
        found = [("Accept", "text/html,*/*;q=0.8")]
        if self.cookies:
            found.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        return found

    def _seen(self, answer):
        for line in answer.all("set-cookie"):
            name, _, value = line.split(";")[0].partition("=")
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        self.answer, self.text = answer, answer.body.decode()
        self.parsed = Forms(self.text) if answer.get("content-type", "").startswith("text/html") else None
        return self

    def get(self, query=""):
        return self._seen(self.server.fetch(self.page + query, headers=self.headers(), deadline=90))

    def post(self, values, headers=()):
        body = values if isinstance(values, bytes) else urlencode(values).encode()
        return self._seen(self.server.fetch(self.page, method="POST", body=body, deadline=90, headers=[
            *self.headers(), ("Content-Type", "application/x-www-form-urlencoded"), *(headers or SAME)]))

    def form(self, do):
        return next(form for form in self.parsed.forms if form["inputs"]["do"]["value"] == do)

    def fill(self, do, **typed):
        """Sends the form of the page that does this, with what it holds already."""
        form = self.form(do)
        assert form["method"] == "post" and form["action"] == self.page
        values = {name: one.get("value", "") for name, one in form["inputs"].items()}
        assert set(typed) <= set(values), (typed, values)
        return self.post({**values, **typed})

    def sign_up(self, address, query=""):
        self.get("?do=sign-up" + query).fill("sign-up", email=address, new_password=PASSWORD, name="Ann")
        assert self.answer.status == 303, self.text
        return self

    def h1(self):
        return html.unescape(re.search(r"<h1>(.*?)</h1>", self.text)[1])


@pytest.fixture(name="server", scope="module", params=DATABASES)
def fixture_server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("signin")
    app = write_app(folder / "app", None, MANIFEST + MANY)
    with (postgres.Postgres() if request.param == "postgres" else contextlib.nullcontext()) as database:
        with serving(app, "--data", folder / "data", env={"DATABASE_URL": database.url} if database else {}) as server:
            server.data, server.postgres = folder / "data", database
            yield server


def query(server, sql):
    """As another program does it."""
    if server.postgres:
        return server.postgres.query("SET search_path TO app; " + sql)
    with contextlib.closing(sqlite3.connect(next(server.data.glob("apps/*/app.db")), isolation_level=None)) as db:
        return db.execute(sql).fetchall()


@pytest.fixture(name="who")
def fixture_who(server):
    return Visitor(server)


# ---- what every page is ----------------------------------------------------------------------------
PAGES = ["", "?do=sign-in", "?do=sign-up", "?do=link", "?do=forgot", "?do=sign-out", "?reset=dln_x", "?magic=dln_x",
         "?verify=dln_x", "?operator=dln_x", "?done=signed-out", "?done=link", "?done=reset", "?done=deleted",
         "?do=nonsense",
         "?do=password", "?do=sessions", "?do=delete", "?do=account"]


@pytest.mark.parametrize("is_in", [False, True])
@pytest.mark.parametrize("query", PAGES)
def test_every_page(server, who, query, is_in):
    if is_in:
        who.sign_up(f"every{PAGES.index(query)}@example.org")
    who.get(query)
    answer = who.answer
    assert answer.status == (400 if "nonsense" in query else 200)
    assert answer.get("cache-control") == "no-store" and answer.get("referrer-policy") == "strict-origin"
    policy = answer.get("content-security-policy")
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert "style" not in who.parsed.tags and "style" not in who.parsed.attributes
    assert not [name for name in who.parsed.attributes if name.startswith("on")]
    assert who.text.count("<h1>") == 1 and "{{" not in who.text and "<b>" not in who.text
    assert "Tom &amp; &quot;Ann&quot; &lt;b&gt;" in who.text
    head = server.fetch(PAGE + query, method="HEAD", headers=who.headers(), deadline=30)
    assert head.status == answer.status and head.body == b"" and head.get("content-length") == str(len(answer.body))


def test_what_pages_load(server, who):
    who.get()
    for address in re.findall(r'(?:src|href)="(/_/sign-in\.[^"]+)"', who.text):
        answer = server.fetch(html.unescape(address))
        assert answer.status == 200 and "immutable" in answer.get("cache-control"), address
        assert answer.get("x-content-type-options") == "nosniff"
    assert server.fetch(PAGE + ".css").get("content-type") == "text/css; charset=utf-8"
    assert server.fetch(PAGE + ".js").get("content-type") == "text/javascript; charset=utf-8"
    assert server.fetch(PAGE + "x").status == 404 and server.fetch(PAGE + "/").status == 404


def test_other_methods(server):
    answer = server.fetch(PAGE, method="DELETE")
    assert answer.status == 405 and answer.get("allow") == "GET, HEAD, POST"


# ---- the way in, and out ------------------------------------------------------------------------------
def test_up_out_and_in(who):
    who.get("?next=/x").sign_up("ann@example.org", "&next=/x")
    assert who.answer.get("location") == "/x" and list(who.cookies) == ["dais_app"]
    line = who.answer.get("set-cookie")
    assert "HttpOnly" in line and "SameSite=Lax" in line
    assert "ann@example.org" in who.get().text and who.h1() == "Your account"
    assert who.get("?do=sign-up").h1() == "Your account"
    kept = dict(who.cookies)
    who.get("?do=sign-out").fill("sign-out")
    assert who.answer.status == 303 and who.cookies == {}
    assert who.get("?" + urlsplit(who.answer.get("location")).query).h1() == "You are signed out"
    who.cookies = kept
    assert who.get().h1() == "Sign in"  # the session is gone, not just its cookie
    who.cookies = {}
    who.get("?next=/a%3Fb%3Dc%26d").fill("sign-in", email="ann@example.org", password=PASSWORD)
    assert who.answer.status == 303 and who.answer.get("location") == "/a?b=c&d"
    assert "ann@example.org" in who.get().text


def test_wrong_password_keeps_the_address_only(who):
    who.get("?next=/x").fill("sign-in", email="nobody'\"<i>@example.org", password="not-this-one")
    assert who.answer.status == 422 and "set-cookie" not in dict(who.answer.headers)
    inputs = who.form("sign-in")["inputs"]
    assert inputs["email"]["value"] == "nobody'\"<i>@example.org" and inputs["next"]["value"] == "/x"
    assert "value" not in inputs["password"] and "not-this-one" not in who.text and "<i>" not in who.text
    assert inputs["password"]["aria-invalid"] == "true" and "autofocus" in inputs["password"]
    assert "wrong" in re.search(r'id="password-wrong">([^<]+)<', who.text)[1]


def test_a_known_address_looks_like_an_unknown_one(server, who):
    who.sign_up("known@example.org")
    seen = []
    for address in ("known@example.org", "other@example.org"):
        visitor = Visitor(server).get()
        visitor.fill("sign-in", email=address, password="not the password")
        seen.append((visitor.answer.status, visitor.text.replace(address, "")))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("typed, field", [
    ({"email": "no address", "new_password": PASSWORD}, "email"),
    ({"email": "a@example.org", "new_password": "short"}, "new_password"),
    ({"email": "a@example.org", "new_password": PASSWORD, "name": "n" * 300}, "name")])
def test_errors_are_at_their_field(who, typed, field):
    who.get("?do=sign-up").fill("sign-up", **typed)
    inputs = who.form("sign-up")["inputs"]
    assert who.answer.status == 422 and who.h1() == "Create your account"
    assert [name for name, one in inputs.items() if "aria-invalid" in one] == [field]
    assert re.search(rf'id="{field}-wrong">[^<]+<', who.text) and "autofocus" in inputs[field]
    assert inputs["email"]["value"] == typed["email"] and "value" not in inputs["new_password"]


def test_what_helps_people_and_their_password_managers(who):
    inputs = who.get().form("sign-in")["inputs"]
    assert inputs["email"]["autocomplete"] == "username" and inputs["password"]["autocomplete"] == "current-password"
    inputs = who.get("?do=sign-up").form("sign-up")["inputs"]
    assert inputs["new_password"]["autocomplete"] == "new-password" and "required" not in inputs["name"]
    assert "autofocus" in inputs["email"]
    for name in ("email", "new_password", "name"):
        assert f'<label for="{name}">' in who.text
    who.sign_up("manager@example.org")
    inputs = who.get("?do=password").form("password")["inputs"]
    assert inputs["username"]["value"] == "manager@example.org" and inputs["username"]["autocomplete"] == "username"


def test_pages_of_an_account_ask_to_sign_in_first(who):
    for name in ("password", "sessions", "delete"):
        assert who.get(f"?do={name}").h1() == "Sign in"
        assert who.form("sign-in")["inputs"]["next"]["value"] == f"/_/sign-in?do={name}"
        who.post({"do": name, "password": "x", "new_password": "yyyyyyyy"})
        assert who.answer.status in (303, 400)


# ---- where it goes on to ------------------------------------------------------------------------------
BAD_NEXT = ["//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)",
            "evil", "/\t/evil.example", "/\r\nSet-Cookie: x=y", "/%2f/evil.example", "/%2fevil.example",
            "/%5cevil.example", "/%252fevil.example", "/.//evil.example", "/a/..//evil.example",
            "/%2e%2e//evil.example", " //evil.example", "/ok\\..\\evil", "///evil.example", "http:/evil.example",
            "/\x00", "/%0d%0aX: y", "@evil.example", "/" + "a" * 4000]


@pytest.fixture(name="known", scope="module")
def fixture_known(server):
    return Visitor(server).sign_up("next@example.org")


@pytest.mark.parametrize("bad", BAD_NEXT, ids=range(len(BAD_NEXT)))
def test_next_never_leaves_the_origin(server, known, bad):
    assert known.cookies
    who = Visitor(server)
    who.get("?next=" + quote(bad, safe=""))
    assert who.answer.status == 400 or "next" not in who.form("sign-in")["inputs"]
    assert "evil" not in who.text and "javascript:" not in who.text
    who.post({"do": "sign-in", "email": "next@example.org", "password": PASSWORD, "next": bad})
    assert (who.answer.status, who.answer.get("location")) in ((303, "/"), (400, None)), bad
    who.post({"do": "sign-out", "next": bad})
    assert who.answer.status == 400 or who.answer.get("location") == "/_/sign-in?done=signed-out"


def test_next_goes_through_all_forms(who):
    for query in ("", "?do=sign-up", "?do=link", "?do=forgot"):
        who.get(query + ("&" if query else "?") + "next=%2Fa%3Fb%3D%22c%26d")
        form = who.parsed.forms[0]["inputs"]
        assert parse_qs(urlsplit("?x=" + quote(form["next"]["value"])).query)["x"] == ["/a?b=%22c&d"]
        ways = [link for link in who.parsed.links if "/_/sign-in" in link]
        assert ways and all(parse_qs(urlsplit(link).query)["next"] == ["/a?b=%22c&d"] for link in ways)


# ---- what it refuses ----------------------------------------------------------------------------------
@pytest.mark.parametrize("headers", [
    [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")], [("Sec-Fetch-Site", "")],
    [("Origin", "https://evil.example")], [("Origin", "null")], [("X-Nothing", "1")],
    [("Origin", "http://localhost"), ("Sec-Fetch-Site", "cross-site")], [("Origin", "http://localhost.evil.example")],
    [("Referer", "http://localhost/_/sign-in")]])
def test_forms_of_other_sites(server, headers):
    who = Visitor(server)
    who.post({"do": "sign-up", "email": "csrf@example.org", "new_password": PASSWORD}, headers)
    assert who.answer.status == 403 and who.h1() == "This form came from elsewhere" and not who.cookies
    who.post({"do": "sign-out"}, headers)
    assert who.answer.status == 403 and not who.answer.all("set-cookie")
    assert who.answer.get("cache-control") == "no-store"


@pytest.mark.parametrize("headers", [[("Origin", "http://localhost")], [("Sec-Fetch-Site", "same-origin")]])
def test_forms_of_its_own(server, headers):
    who = Visitor(server)
    who.post({"do": "sign-out", "next": "/bye"}, headers)
    assert who.answer.status == 303 and who.answer.get("location") == "/bye"


def test_forms_that_there_are_not(server, who):
    for body in ({"do": "nonsense"}, {}, {"email": "a"}, b"do=%zz", b"do=sign-in&email=%00", b"do=sign-in&email=%ff"):
        who.post(body)
        assert who.answer.status == 400 and who.h1() == "There is no such form", body
    answer = server.fetch(PAGE, method="POST", body=b'{"do":"sign-in"}', headers=[
        *SAME, ("Content-Type", "application/json"), ("Accept", "text/html")])
    assert answer.status == 400
    who.post(b"do=sign-in&email=" + b"a" * 20000)
    assert who.answer.status == 413 and who.h1() == "That did not work"
    assert who.get("?do=%zz").answer.status == 400


def test_values_are_text_wherever_they_stand(who):
    evil = "\"'><script>alert(1)</script>&lt;"
    for query in (f"?reset={quote(evil)}", f"?magic={quote(evil)}", f"?verify={quote(evil)}",
                  f"?operator={quote(evil)}", f"?do={quote(evil)}", f"?done={quote(evil)}", f"?next=/{quote(evil)}"):
        who.get(query)
        assert "<script>alert" not in who.text and who.parsed.tags.count("script") == 1, query
    name = "<img src=x onerror=alert(1)>"
    who.get("?do=sign-up").fill("sign-up", email="evil@example.org", new_password=PASSWORD, name=name)
    who.get()
    assert "<img" not in who.text and html.escape(name) in who.text


def test_no_accounts_no_page(tmp_path):
    app = write_app(tmp_path / "plain", None)
    with serving(app, "--data", tmp_path / "data") as server:
        assert server.fetch(PAGE).status == 404


def test_below_a_mount_and_closed(tmp_path):
    for name in ("one", "two"):
        write_app(tmp_path / "apps" / name, None, "web: { root: web }\nauth: { signup: closed }\n")
    (tmp_path / "apps" / "host.yaml").write_text("apps: [ one, two ]\n")
    with serving(tmp_path / "apps", "--data", tmp_path / "data") as server:
        who = Visitor(server, "/one").get()
        assert who.answer.status == 200 and "/one/_/sign-in.css" in who.text and "sign-up" not in who.text
        assert who.parsed.links[0] == "/one/"
        assert who.get("?do=sign-up").h1() == "New accounts are not open"
        who.post({"do": "sign-up", "email": "a@example.org", "new_password": PASSWORD})
        assert who.answer.status == 403 and not who.cookies
        who.post({"do": "sign-out"})
        assert who.answer.get("location") == "/one/_/sign-in?done=signed-out"
        assert "Path=/one/" in who.answer.get("set-cookie")


# ---- links in mails, and one's own account ----------------------------------------------------------
def links_of(server, to, kind):
    """What follows the page's address in the letters of that kind, the newest first."""
    links = []
    for file in reversed(in_order(server.data / "mail")):
        if not file.exists():  # only the last ones are kept
            continue
        letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        found = re.search(rf"/_/sign-in(\?{kind}=\S+)", letter.get_body(("plain",)).get_content())
        if found and letter["to"] == to:
            links.append(found[1])
    return links


def link_of(server, to, kind, at_least=1):
    """The newest, once there are so many."""
    def newest():
        links = links_of(server, to, kind)
        return links[0] if len(links) >= at_least else None
    return wait_for(newest, f"a letter with {kind} to {to}", 60)


def test_a_sign_in_link_is_not_used_up_by_looking_at_it(server, who):
    who.sign_up("magic@example.org")
    who.cookies = {}
    who.get("?do=link&next=/m%3Fa%3Db").fill("link", email="magic@example.org")
    assert who.answer.status == 303
    assert who.get("?" + urlsplit(who.answer.get("location")).query).h1() == "Look into your mail"
    link = link_of(server, "magic@example.org", "magic")
    for _ in range(3):
        assert who.get(link).answer.status == 200 and not who.cookies
    who.fill("magic")
    assert who.answer.get("location") == "/m?a=b" and who.cookies
    again = Visitor(server).get(link).fill("magic")
    assert again.answer.status == 400 and again.h1() == "This link does not work any more" and not again.cookies


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)  # on Postgres one who writes holds nobody up
@pytest.mark.parametrize("form", ["forgot", "link"])
def test_who_asks_for_a_link_is_answered_before_anybody_looks(server, who, form):
    """A database that takes no writes just now is felt by none or by all, whoever has the address."""
    who.sign_up(f"slow-{form}@example.org")
    who.cookies = {}
    who.get(f"?do={form}")
    with contextlib.closing(sqlite3.connect(next(server.data.glob("apps/*/app.db")), isolation_level=None,
                                            timeout=60)) as db:
        db.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        who.fill(form, email=f"slow-{form}@example.org")
        took = time.monotonic() - began
        db.execute("ROLLBACK")
    assert who.answer.status == 303 and took < 4, (who.answer.status, took)  # who waits for the database waits 5 s
    link_of(server, f"slow-{form}@example.org", "reset" if form == "forgot" else "magic")


def test_a_reset_says_what_is_wrong_and_works_then(server, who):
    who.sign_up("reset@example.org")
    old = dict(who.cookies)
    who.cookies = {}
    known = who.get("?do=forgot").fill("forgot", email="reset@example.org").answer
    other = Visitor(server).get("?do=forgot").fill("forgot", email="unknown@example.org").answer
    assert (known.status, known.body, known.get("location")) == (other.status, other.body, other.get("location"))
    link = link_of(server, "reset@example.org", "reset")
    who.get(link).fill("reset", new_password="short")
    assert who.answer.status == 422 and who.form("reset")["inputs"]["new_password"]["aria-invalid"] == "true"
    who.fill("reset", new_password="a wholly new password")
    assert who.answer.status == 303 and who.cookies
    who.cookies = old
    assert who.get().h1() == "Sign in"
    who.fill("sign-in", email="reset@example.org", password=PASSWORD)
    assert who.answer.status == 422
    who.fill("sign-in", email="reset@example.org", password="a wholly new password")
    assert who.answer.status == 303


def test_verifying_signed_out_takes_the_password(server, who):
    who.sign_up("verify@example.org")
    assert "Not confirmed" in who.get().text
    link = link_of(server, "verify@example.org", "verify")
    other = Visitor(server).get(link)
    other.fill("verify", password="not the password")
    assert other.answer.status == 422 and "aria-invalid" in other.form("verify")["inputs"]["password"]
    other.fill("verify", password=PASSWORD)
    assert other.answer.status == 303 and other.get("?done=verified").answer.status == 200
    assert "Not confirmed" not in who.get().text


def test_verifying_signed_in_is_one_button(server, who):
    who.sign_up("verify2@example.org")
    link_of(server, "verify2@example.org", "verify")
    who.get().fill("verify-again")
    assert who.answer.get("location") == "/_/sign-in?done=verify"
    who.get(link_of(server, "verify2@example.org", "verify", 2))
    assert "password" not in who.form("verify")["inputs"]
    who.fill("verify")
    assert who.answer.get("location") == "/_/sign-in?done=verified"
    assert "your address is confirmed" in who.get("?done=verified").text


def test_another_mail_is_for_the_account_that_asks(server, who):
    Visitor(server).get("?do=sign-up").fill("sign-up", email="two@example.org", new_password="a stranger's", name="")
    who.sign_up("two@example.org")
    link_of(server, "two@example.org", "verify", 2)  # theirs and the first of ours
    who.get().fill("verify-again")
    who.get(link_of(server, "two@example.org", "verify", 3))
    assert "password" not in who.form("verify")["inputs"]
    who.fill("verify")
    assert who.answer.get("location") == "/_/sign-in?done=verified"


def test_a_list_of_many_sessions_is_a_page(server, who):
    """Each row is a form: what came with the request is not in all of them."""
    who.sign_up("many@example.org")
    (user,), = query(server, "SELECT id FROM dais_users WHERE email = 'many@example.org'")
    blob = "decode('{}', 'hex')" if server.postgres else "x'{}'"
    rows = (f"('many{i}', {blob.format(f'many{i}'.encode().hex())}, NULL, 0, '{user}', {i}, {1 << 50}, '192.0.2.1',"
            f" '{'x' * 200}')" for i in range(250))
    query(server, "INSERT INTO dais_sessions (id, token, old, old_until, user_id, created, expires, ip, agent)"
                  " VALUES " + ", ".join(rows))
    assert who.get("?do=sessions&next=/" + "%26" * 1000).h1() and who.answer.status == 200
    who.post({"do": "end-session", "session": "none", "token": '"' * 4000})
    assert who.answer.status == 422
    who.post({"do": "end-session", "session": "many249"})
    assert who.answer.get("location") == "/_/sign-in?done=session"


def test_ones_own_account(server, who):
    who.sign_up("own@example.org")
    other = Visitor(server).get().fill("sign-in", email="own@example.org", password=PASSWORD)
    who.get("?do=sessions")
    assert who.text.count("<li>\n<div>") == 2 and who.text.count("This one") == 1
    who.fill("end-session")
    assert who.answer.status == 303 and other.get().h1() == "Sign in" and who.get().h1() == "Your account"
    who.get("?do=password").fill("password", password="wrong one", new_password="quite another one")
    assert who.answer.status == 422 and "aria-invalid" in who.form("password")["inputs"]["password"]
    who.fill("password", password=PASSWORD, new_password="short")
    assert who.answer.status == 422 and "aria-invalid" in who.form("password")["inputs"]["new_password"]
    who.fill("password", password=PASSWORD, new_password="quite another one")
    assert "Your password is changed" in who.get("?done=password").text
    who.get("?do=delete").fill("delete", password=PASSWORD)
    assert who.answer.status == 422 and "aria-invalid" in who.form("delete")["inputs"]["password"]
    who.fill("delete", password="quite another one")
    assert who.answer.status == 303 and not who.cookies
    assert who.get("?done=deleted").h1() == "Your account is deleted"
    who.get().fill("sign-in", email="own@example.org", password="quite another one")
    assert who.answer.status == 422


def test_a_session_of_somebody_else_does_not_end(server, who):
    who.sign_up("mine@example.org")
    other = Visitor(server).sign_up("theirs@example.org").get("?do=sessions")
    theirs = server.fetch("/api/auth/me", headers=other.headers()).json()["id"]
    who.post({"do": "end-session", "session": theirs})
    assert who.answer.status in (303, 422) and other.get().h1() == "Your account"
    who.post({"do": "end-sessions"})
    assert who.answer.status == 303 and not who.cookies and other.get().h1() == "Your account"


def test_an_operator_link_that_is_none(who):
    who.get("?operator=dln_x").fill("operator", email="op@example.org", new_password=PASSWORD, name="Op")
    assert who.answer.status == 400 and who.h1() == "This link does not work any more" and not who.cookies


def test_the_first_operator(tmp_path):
    app = write_app(tmp_path / "app", None, MANIFEST)
    with serving(app, "--data", tmp_path / "data") as server:
        link = wait_for(lambda: re.search(r"/_/sign-in(\?operator=\S+)", server.stdout + server.stderr),
                        "the operator's link")[1]
        who = Visitor(server).get(link)
        assert who.h1() == "Set up the first operator"
        who.fill("operator", email="op@example.org", new_password="short", name="Op")
        assert who.answer.status == 422 and who.form("operator")["inputs"]["email"]["value"] == "op@example.org"
        who.fill("operator", email="op@example.org", new_password=PASSWORD, name="Op")
        assert who.answer.status == 303 and who.answer.get("location") == "/"
        assert "Operator of this host" in who.get().text and "do=delete" not in who.text
        assert who.get("?do=sessions").text.count("<li>\n<div>") == 1
        who.get("?do=sign-out").fill("sign-out")
        who.get().fill("sign-in", email="op@example.org", password=PASSWORD)
        assert who.answer.status == 303 and "Operator of this host" in who.get().text
        again = Visitor(server).get(link).fill("operator", email="b@example.org", new_password=PASSWORD)
        assert again.answer.status == 400


def test_too_often_is_a_page_that_says_what_to_do(tmp_path):
    app = write_app(tmp_path / "app", None, MANIFEST + "limits: { login: 2/hour }\n")
    with serving(app, "--data", tmp_path / "data") as server:
        who = Visitor(server)
        for _ in range(20):
            who.get("?next=/x").fill("sign-in", email="a@example.org", password="not the password")
            if who.answer.status == 429:
                break
        assert who.answer.status == 429 and who.h1() == "That was too often"
        assert int(who.answer.get("retry-after")) > 0 and who.answer.get("cache-control") == "no-store"
        assert who.get().answer.status == 200
