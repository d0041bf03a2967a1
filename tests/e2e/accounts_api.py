# Apps with accounts behind the real server, short words to talk to them, and the letters they send.
"""
with desk(database, folder, manifest=..., env=...) as server:     on SQLite or Postgres; letters go to server.letters
ask(server, "POST", "/api/auth/login", {...}, token=..., cookie=...)    an answer
joined(server, name)      a new account: email, password, token, cookie, id
letter(server, to, n)     the n-th letter to that address, once it is there; link(letter) the token of its link
"""
import contextlib
import dataclasses
import email
import email.policy
import itertools
import json
import re

import postgres
from conftest import DEADLINE, wait_for
from serving import serving, write_app

AUTH = "auth: { signup: open, methods: [password, magic_link], roles: [editor] }\n"
NO_LIMITS = "limits: { login: off, signup: off, reset: off }\n"
PUBLIC_URL = "https://desk.example"
PASSWORD = "correct horse battery"
_numbers, _seen = itertools.count(1), {}


@contextlib.contextmanager
def desk(database, folder, manifest="", auth=AUTH + NO_LIMITS, env=None, files=None):
    app = write_app(folder / "desk", {"web/index.html": "hello", **(files or {})},
                    "title: The Desk\nweb: { root: web }\n" + auth + manifest)
    with contextlib.ExitStack() as stack:
        variables = {"PUBLIC_URL": PUBLIC_URL, **(env or {})}
        if database == "postgres":
            variables["DATABASE_URL"] = stack.enter_context(postgres.Postgres()).url
        server = stack.enter_context(serving(app, "--data", folder / "data", env=variables))
        server.letters = folder / "data" / "mail"
        yield server


def ask(server, method, path, body=None, *, token=None, cookie=None, host="localhost", **headers):
    """`body`: bytes go as they are, anything else as JSON. A cookie comes as from the app's own page."""
    pairs = [(name.replace("_", "-"), str(value)) for name, value in headers.items()]
    if token:
        pairs.append(("Authorization", f"Bearer {token}"))
    if cookie:
        pairs.append(("Cookie", cookie))
        if not {"Sec-Fetch-Site", "Origin"} & {name for name, _ in pairs}:
            pairs.append(("Sec-Fetch-Site", "same-origin"))
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("Content-Type", "application/json"))
    return server.fetch(path, method=method, headers=pairs, body=body, deadline=DEADLINE, host=host)


@dataclasses.dataclass
class Account:
    email: str
    password: str
    token: str
    cookie: str
    id: str


def cookie_of(answer):
    """What a browser would send back; None when the answer sets or ends none."""
    line = answer.get("set-cookie")
    return line and line.split(";")[0]


def address(name="ann"):
    return f"{name}-{next(_numbers)}@example.com"


def joined(server, name="ann", password=PASSWORD, **headers):
    who = address(name)
    answer = ask(server, "POST", "/api/auth/signup", {"email": who, "password": password, "name": name}, **headers)
    assert answer.status == 201, answer.body
    found = answer.json()
    return Account(who, password, found["token"], cookie_of(answer), found["user"]["id"])


def logged_in(server, account, **headers):
    answer = ask(server, "POST", "/api/auth/login", {"email": account.email, "password": account.password}, **headers)
    assert answer.status == 200, answer.body
    return answer.json()["token"]


def in_order(folder):
    """The letters in it, in the order in which they were there: of two in one moment the names do not tell."""
    seen = _seen.setdefault(folder, [])
    seen += sorted(set(folder.glob("*.eml")) - set(seen))
    return list(seen)


def letters(server, to):
    found = []
    for file in in_order(server.letters):
        with contextlib.suppress(FileNotFoundError):
            text = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            if to in str(text["To"]):
                found.append(text)
    return found


def letter(server, to, n=1):
    return wait_for(lambda: (letters(server, to)[n - 1:] or [None])[0], f"letter {n} to {to}")


def words(text):
    return text.get_body(("plain",)).get_content()


def link(text, kind):
    """The token in the letter's link, which is one of that kind, to the app's own page."""
    found = re.search(r"https?://\S+", words(text))
    assert found, words(text)
    match = re.fullmatch(re.escape(PUBLIC_URL) + r"/_/sign-in\?" + kind + r"=([\w-]+)(&next=\S*)?", found[0])
    assert match, found[0]
    return match[1]


def problem(answer, status, code=None):
    """The errors of a problem as (pointer, code)."""
    assert answer.status == status, (answer.status, answer.body)
    found = answer.json()
    assert found["status"] == status and found["detail"], found
    assert code in (None, found["code"]), found
    assert answer.get("cache-control") == "no-store"
    return [(item["pointer"], item["code"]) for item in found.get("errors", [])]
