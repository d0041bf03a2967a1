# One verdict at every door: a small model of the rules says what each subject may, and every door has to say the same.
"""Subjects x rules x documents x actions. Documents are stored under a manifest that lets everybody in, then the same
database is served with the rules that are tried. What changes something has a document of its own for each case; the
door of batches comes first, with a last item that fails, so that all of it is undone.

Subjects are real: they signed up at the first server (subjects.py). `local: none` gives the second one its user
`local`; all others name another host, so they are whom their session or key stands for. The model calls people by their
names; what is sent holds their ids. All requests use one connection: who asked before must not matter."""
import contextlib
import itertools
import json
import select
from urllib.parse import urlencode

import pytest

import postgres
from accounts_api import PUBLIC_URL
from conftest import Conn
from documents import DATABASES
from serving import serving, write_app
from subjects import KEYS, everybody, expire

# ---- who -------------------------------------------------------------------------------------------------------------
ALL_ROLES = frozenset({"editor", "viewer"})
ALL_SCOPES = frozenset({"read", "write"})


class Subject:
    """What the rules see of who asks. `name` is also the way in, see subjects.py."""

    def __init__(self, name, user=None, *, roles=(), scopes=ALL_SCOPES, email=None, is_operator=False, is_bad=False):
        self.name, self.id, self.email, self.is_bad = name, user, email, is_bad
        self.roles, self.scopes, self.is_operator = frozenset(roles), frozenset(scopes), is_operator


WHO = [
    Subject("stranger"),
    Subject("ann", "ann", email="ann"),                                     # a bearer; her address is proved
    Subject("bob", "bob"),                                                  # a cookie; he says that her address is his
    Subject("ed", "ed", roles=["editor"]),
    Subject("op", "op", roles=ALL_ROLES, email="op", is_operator=True),     # a cookie
    Subject("local", "local", roles=ALL_ROLES, is_operator=True),
    Subject("ended", is_bad=True),                                          # the bearer of a session that is over
    Subject("writer", "ann", email="ann", scopes=KEYS["writer"]),
    Subject("narrow", "ann", email="ann", scopes=KEYS["narrow"]),           # reads some, writes others
    Subject("robot", "robot", roles=["editor"]),                            # a key of the app itself
]
ANN = WHO[1]


def has_scope(scopes, verb, coll):
    return verb in scopes or f"{verb}:{coll}" in scopes


# ---- rules: what the manifest says, and what that means: False for nobody, else a question about a document ----------
ANY = lambda _: True  # noqa: E731  pylint: disable=unnecessary-lambda-assignment


def only(condition, question=ANY):
    return question if condition else False


RULES = {
    "public": lambda s: ANY,
    "signed_in": lambda s: only(s.id),
    "owner": lambda s: only(s.id, lambda d: d["owner"] == s.id),
    "role:editor": lambda s: only("editor" in s.roles),
    "operator": lambda s: only(s.is_operator),
    "nobody": lambda s: False,
    None: lambda s: False,
    "owner = @user.id || status = 'published' || @user.roles ?= 'editor'":
        lambda s: lambda d: d["owner"] == s.id is not None or d["status"] == "published" or "editor" in s.roles,
    "owner = @user.id && status != 'locked'":
        lambda s: only(s.id, lambda d: d["owner"] == s.id and d["status"] != "locked"),
    "team = @user.id": lambda s: only(s.id, lambda d: d["team"] == s.id),
    "mail = @user.email": lambda s: only(s.email, lambda d: d["mail"] == s.email),
    "team = @user.id || (owner = @user.id && !(status in ('locked', 'published')))":
        lambda s: only(s.id, lambda d: d["team"] == s.id or (d["owner"] == s.id and d["status"] == "draft")),
}
EXPRESSION, THREE, TEAM, MAIL, SHARED = list(RULES)[7:]
COLLECTIONS = {  # the rules for read, create, write, delete
    "pub": ("public", "public", "public", "public"),
    "members": ("signed_in",) * 4,
    "mine": ("owner", "signed_in", "owner", "owner"),
    "desk": ("role:editor",) * 4,
    "ops": ("operator",) * 4,
    "expr": (EXPRESSION, "signed_in", THREE, "owner"),
    "field": (TEAM,) * 4,
    "mail": (MAIL,) * 4,
    "shared": (SHARED, "signed_in", SHARED, "owner"),
    "blind": ("nobody", "signed_in", "owner", "owner"),    # written, never read
    "missing": ("public", None, None, None),
    "empty": (None,) * 4,
    "closed": ("nobody",) * 4,
    "log": ("public", "signed_in", "signed_in", "role:editor"),
}
APPENDED = ("log",)
KINDS = {  # the owner and the fields of each document that is there
    "a-draft": ("ann", {"team": "ann", "status": "draft", "mail": "ann"}),
    "a-public": ("ann", {"team": "bob", "status": "published", "mail": "op"}),
    "b-draft": ("bob", {"team": "bob", "status": "draft", "mail": ""}),
    "b-locked": ("bob", {"team": "ann", "status": "locked", "mail": "ann"}),
}
EDITS = {  # what is asked of a document, and the fields that this changes
    "patch": {"n": 3}, "give": {"team": "zed", "status": "locked", "mail": "zed"}, "put": {"n": 4}, "revert": {"n": 1},
    "delete": None, "purge": None, "restore": None,
}


def may(subject, coll, action):
    if subject.id and not has_scope(subject.scopes, "read" if action == "read" else "write", coll):
        return False
    return RULES[COLLECTIONS[coll][("read", "create", "write", "delete").index(action)]](subject)


def refused(subject):
    return 403 if subject.id else 401


def read_verdict(s, coll, doc):
    rule = may(s, coll, "read")
    if s.is_bad:
        return 401
    return (200 if rule(doc) else 404) if rule else refused(s)


def shown(s, coll, doc, status=200):
    rule = may(s, coll, "read")
    return status if status == 201 or (rule and rule(doc)) else 204


def edit_verdict(s, coll, edit, before):
    """Of PUT, PATCH and restoring a version: the rule holds before and after."""
    rule, read = may(s, coll, "write"), may(s, coll, "read")
    after = {**before, **EDITS[edit]}
    if s.is_bad:
        return 401
    if coll in APPENDED:
        return 405
    if not rule and not (edit == "put" and may(s, coll, "create")):
        return refused(s)
    if not rule:
        return 403 if read and read(before) else 404
    if not rule(before):
        return 404
    return shown(s, coll, after) if rule(after) else 403


def removal_verdict(s, coll, edit, doc):
    rule = may(s, coll, "delete")
    if s.is_bad:
        return 401
    if not rule:
        return refused(s)
    if not rule(doc):
        return 404
    return shown(s, coll, doc) if edit == "restore" else 204


def change_verdict(s, coll, edit, doc):
    verdict = removal_verdict if EDITS[edit] is None else edit_verdict
    return verdict(s, coll, edit, doc)


def create_verdict(s, coll, fields):
    rule = may(s, coll, "create")
    if s.is_bad:
        return 401
    if not rule:
        return refused(s)
    return 201 if rule({"owner": s.id or "", **fields}) else 403


# ---- what is stored --------------------------------------------------------------------------------------------------
OPEN = "{ read: public, create: public, write: public, delete: public }"
SHAPE = "versions: 5, search: [ body ]"


def manifest(are_open):
    lines = ["web: { root: web }", "limits: { read: off, write: off, signup: off, login: off }",
             f"auth: {{ signup: open, local: {'accounts' if are_open else 'none'}, roles: [ editor, viewer ] }}",
             "collections:"]
    for name, rules in COLLECTIONS.items():
        given = {action: rule for action, rule in zip(("read", "create", "write", "delete"), rules) if rule}
        more = "" if are_open or name not in APPENDED else ", append_only: true"
        if name == "mine" and not are_open:
            lines.append(f"  mine: {{ {SHAPE}, owner: true }}")
        else:
            lines.append(f"  {name}: {{ {SHAPE}{more}, rules: {OPEN if are_open else json.dumps(given)} }}")
    refs = ", ".join(f"to_{name}: {name}" for name in COLLECTIONS)
    lines.append(f"  links: {{ refs: {{ {refs} }}, rules: {OPEN} }}")
    return "\n".join(lines) + "\n"


def doc_id(coll, kind, use="base"):
    return f"{coll}-{kind}-{use}-document"


def fields_of(kind, use="base"):
    return {"body": f"needle {kind.replace('-', '')}", "grp": use.split("-")[0], "n": 1, **KINDS[kind][1]}


def targets():
    """(collection, kind, use): the documents for reading, and one for each change by each subject."""
    uses = ["base", *(f"{edit}-{s.name}" for edit in EDITS for s in WHO)]
    return itertools.product(COLLECTIONS, KINDS, uses)


def really(server, fields):
    """As it is sent: people are known by their ids and their addresses."""
    found = dict(fields or {})
    for name, known in (("team", server.people.ids), ("mail", server.people.emails)):
        if name in found:
            found[name] = known.get(found[name], found[name])
    return None if fields is None else found


def call(server, method, path, body=None, user="ann", **headers):
    """`body`: bytes go as they are, anything else as JSON."""
    way, host = server.people.ways[user]
    pairs = [*way, *((name.replace("_", "-"), value) for name, value in headers.items())]
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        pairs += [] if "Content_Type" in headers else [("Content-Type", "application/json")]
    return server.request(path, method, pairs, body, host)


class Place:
    """A server and one connection to it."""

    def __init__(self, server, people):
        self.server, self.people, self.conn = server, people, None

    def request(self, path, method, *more):
        if not self.conn or select.select([self.conn.sock], [], [], 0)[0]:  # closed, or about to be
            self.close()
            self.conn = Conn(self.server, 60)
        answer = self.conn.request(path, method, *more).read(method)
        if answer.get("connection") == "close":
            self.close()
        return answer

    def close(self):
        if self.conn:
            self.conn.close()
        self.conn = None


def batch(server, user, requests):
    return call(server, "POST", "/api/batch", {"requests": requests}, user=user)


def in_batches(server, user, requests):
    for at in range(0, len(requests), 100):
        answer = batch(server, user, requests[at:at + 100])
        assert answer.status == 200, (answer.status, answer.body)


def store_all(server):
    for owner in ("ann", "bob"):
        mine = [(c, k, u) for c, k, u in targets() if KINDS[k][0] == owner]
        in_batches(server, owner, [{"method": "POST", "path": f"/api/{c}", "body": {
            "id": doc_id(c, k, u), **really(server, fields_of(k, u))}} for c, k, u in mine])
        in_batches(server, owner, [{"method": "PATCH", "path": f"/api/{c}/{doc_id(c, k, u)}", "body": {"n": 2}}
                                   for c, k, u in mine if u == "base" or u.startswith("revert")])
        in_batches(server, owner, [{"method": "DELETE", "path": f"/api/{c}/{doc_id(c, k, u)}"}
                                   for c, k, u in mine if u.startswith("restore")])
    in_batches(server, "ann", [{"method": "POST", "path": "/api/links", "body": {
        "id": f"link-{kind}-document", **{f"to_{name}": doc_id(name, kind) for name in COLLECTIONS}}}
        for kind in KINDS])


class Started:
    """The server at which everybody signs up."""

    def __init__(self, folder, database):
        self.data, self.app, self.postgres = folder / "data", folder / "app", database
        self.env = {"PUBLIC_URL": PUBLIC_URL}
        self.server = self.letters = None
        if database:
            self.env["DATABASE_URL"] = database.url

    @contextlib.contextmanager
    def serving(self, text):
        write_app(self.app, {"web/index.html": "x"}, text)
        with serving(self.app, "--data", self.data, env=self.env) as self.server:
            self.server.letters = self.data / "mail"
            yield self.server


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with (postgres.Postgres() if request.param == "postgres" else contextlib.nullcontext()) as database:
        started = Started(tmp_path_factory.mktemp("verdicts"), database)
        with started.serving(manifest(True)) as server:
            people = everybody(started)
            with contextlib.closing(Place(server, people)) as place:
                store_all(place)
        expire(started)
        with started.serving(manifest(False)) as server, contextlib.closing(Place(server, people)) as place:
            yield place


def stored(kind):
    return {"owner": KINDS[kind][0], **fields_of(kind), "n": 2}


class Wrong(list):
    """All cases that differ, told together."""

    def __init__(self, least):
        super().__init__()
        self.n, self.least = 0, least

    def look(self, found, wanted, *case):
        self.n += 1
        if found != wanted:
            self.append(f"{' '.join(map(str, case))}: {found}, should be {wanted}")

    def tell(self):
        assert self.n >= self.least, f"only {self.n} were looked at"
        assert not self, f"{len(self)} verdicts differ:\n" + "\n".join(self[:40])


def each():
    return itertools.product(WHO, COLLECTIONS)


def visible(s, coll):
    """The ids that lists show, or the status of a refusal."""
    rule = may(s, coll, "read")
    if s.is_bad:
        return 401
    return sorted(doc_id(coll, k) for k in KINDS if rule(stored(k))) if rule else refused(s)


def got(answer, read):
    return read(answer) if answer.status == 200 else answer.status


def ids(items):
    return sorted(item["id"] for item in items)


def ask(server, s, coll, what="", **params):
    return call(server, "GET", f"/api/{coll}{what}?{urlencode(params)}", user=s.name)


BASE = "grp = 'base'"


# ---- reading ---------------------------------------------------------------------------------------------------------
def test_one_document(db):
    wrong = Wrong(3900)
    for (s, coll), kind in itertools.product(each(), KINDS):
        path, wanted = f"/{doc_id(coll, kind)}", read_verdict(s, coll, stored(kind))
        for door in ("", "/versions", "/versions/1", "/versions/2", "/versions/1/diff"):
            wrong.look(ask(db, s, coll, path + door).status, wanted, s.name, coll, kind, door or "get")
        answer = batch(db, s.name, [{"method": "GET", "path": f"/api/{coll}{path}"}])
        wrong.look(answer.json()["responses"][0]["status"] if answer.status == 200 else answer.status, wanted,
                   s.name, coll, kind, "batch")
        absent = ask(db, s, coll, "/nobody-has-this-document").status
        wrong.look(absent, 404 if wanted == 200 else wanted, s.name, coll, "absent")
    wrong.tell()


def test_many_documents(db):
    wrong = Wrong(1100)
    for s, coll in each():
        wanted = visible(s, coll)
        n = wanted if isinstance(wanted, int) else len(wanted)
        rows = {
            "list": (got(ask(db, s, coll, filter=BASE, limit=100), lambda a: ids(a.json()["items"])), wanted),
            "sorted": (got(ask(db, s, coll, filter=BASE, sort="-status,team"),
                           lambda a: ids(a.json()["items"])), wanted),
            "search": (got(ask(db, s, coll, search="needle", filter=BASE), lambda a: ids(a.json()["items"])), wanted),
            "export": (got(ask(db, s, coll, "/export", filter=BASE),
                           lambda a: ids(map(json.loads, a.body.splitlines()))), wanted),
            "csv": (got(ask(db, s, coll, "/export", format="csv", fields="id", filter=BASE),
                        lambda a: sorted(a.body.decode().split()[1:])), wanted),
        }
        if n == wanted:  # a refusal
            total = groups = wanted
        else:
            total = n
            status = [k for k in KINDS if doc_id(coll, k) in wanted]
            groups = sorted((value, sum(KINDS[k][1]["status"] == value for k in status))
                            for value in {KINDS[k][1]["status"] for k in status})
        rows["count"] = (got(ask(db, s, coll, filter=BASE, count="exact", limit=1), lambda a: a.json()["total"]), total)
        rows["aggregate"] = (got(ask(db, s, coll, "/aggregate", fn="count,sum(n)", filter=BASE),
                                 lambda a: a.json()["items"][0]["count"] if a.json()["items"] else 0), total)
        rows["groups"] = (got(ask(db, s, coll, "/aggregate", fn="count", group="status", filter=BASE),
                              lambda a: sorted((i["status"], i["count"]) for i in a.json()["items"])), groups)
        for door, (found, expected) in rows.items():
            wrong.look(found, expected, s.name, coll, door)
    wrong.tell()


def test_nothing_is_guessed_with_a_filter(db):
    """Of a document that one may not see nothing shows, whatever is asked about it (17, 20)."""
    wrong = Wrong(2200)
    for (s, coll), kind in itertools.product(each(), KINDS):
        seen = visible(s, coll)
        if isinstance(seen, int) and kind != "a-draft":
            continue  # a refusal, before anything is looked for
        is_seen = seen if isinstance(seen, int) else int(doc_id(coll, kind) in seen)
        body = fields_of(kind)["body"]
        for guess in (f"body = '{body}' && {BASE}", f"id = '{doc_id(coll, kind)}'",
                      f"{BASE} && (body ~ '{body[7:]}' || body = 'none')",
                      f"{BASE} && !(body != '{body}')", f"{BASE} && body >= '{body}' && body <= '{body}'"):
            answer = ask(db, s, coll, filter=guess, count="exact")
            wrong.look(got(answer, lambda a: a.json()["total"]), is_seen, s.name, coll, kind, guess)
        answer = ask(db, s, coll, search=body.split()[1], filter=BASE, count="exact")
        wrong.look(got(answer, lambda a: a.json()["total"]), is_seen, s.name, coll, kind, "search")
        answer = ask(db, s, coll, "/aggregate", fn="count", filter=f"body = '{body}' && {BASE}")
        wrong.look(got(answer, lambda a: a.json()["items"][0]["count"] if a.json()["items"] else 0), is_seen,
                   s.name, coll, kind, "aggregate")
    wrong.tell()


def test_references_open_no_door(db):
    wrong = Wrong(400)
    names = list(COLLECTIONS)
    for s, some in itertools.product(WHO, (names[:7], names[7:])):
        answer = ask(db, s, "links", expand=",".join(f"to_{name}" for name in some), limit=10)
        may_ask = not s.id or has_scope(s.scopes, "read", "links")
        wrong.look(answer.status, 401 if s.is_bad else 200 if may_ask else 403, s.name, "links")
        for item, name in itertools.product(answer.json()["items"] if answer.status == 200 else [], some):
            kind = item["id"][len("link-"):-len("-document")]
            wrong.look(item["expand"][f"to_{name}"] is not None, read_verdict(s, name, stored(kind)) == 200,
                       s.name, name, kind, "expand")
    wrong.tell()


def test_the_trash_shows_no_more_than_what_one_may_delete(db):
    wrong = Wrong(700)
    for s, coll in each():
        read, remove = may(s, coll, "read"), may(s, coll, "delete")
        wanted = 401 if s.is_bad else refused(s) if not read or not remove else sorted(
            doc_id(coll, k, f"restore-{s.name}") for k in KINDS if read(stored(k)) and remove(stored(k)))
        names = {doc_id(coll, k, f"restore-{s.name}") for k in KINDS}
        answer = ask(db, s, coll, trash="only", filter="grp = 'restore'", limit=200)
        wrong.look(got(answer, lambda a, names=names: sorted(names & set(ids(a.json()["items"])))), wanted,
                   s.name, coll, "trash")
        for kind in KINDS:  # and by its id it is as if it were not there
            status = ask(db, s, coll, f"/{doc_id(coll, kind, f'restore-{s.name}')}").status
            wrong.look(status, 401 if s.is_bad else 404 if read else refused(s), s.name, coll, kind, "trashed get")
    wrong.tell()


# ---- changing: batches first, which are undone -----------------------------------------------------------------------
def request_of(server, coll, edit, kind, s):
    path = f"/api/{coll}/{doc_id(coll, kind, f'{edit}-{s.name}')}"
    body = EDITS[edit]
    if edit == "put":
        body = {**fields_of(kind, edit), **body}
    method = {"put": "PUT", "delete": "DELETE", "purge": "DELETE", "restore": "POST",
              "revert": "POST"}.get(edit, "PATCH")
    tail = {"purge": "?purge=true", "restore": "/restore", "revert": "/versions/1/restore"}.get(edit, "")
    return method, path + tail, None if tail or edit == "delete" else really(server, body)


def in_batch(server, s, method, path, body):
    """The status of one call in a batch that is undone: the last item always fails."""
    item = {"method": method, "path": path, **({} if body is None else {"body": body})}
    last = "GET" if not s.id or has_scope(s.scopes, "read", "pub") else "DELETE"  # want of a scope would be told first
    answer = batch(server, s.name, [item, {"method": last, "path": "/api/pub/nobody-has-this-document"}])
    if answer.status == 401 and s.is_bad:
        return 401
    pointer = answer.json()["errors"][0]["pointer"]
    return None if pointer.startswith("/requests/1") else answer.status


def by_target():
    return ((s, coll, edit, kind) for (s, coll), edit, kind in itertools.product(each(), EDITS, KINDS))


def before_of(edit, kind):
    return {**stored(kind), "n": 1 if edit != "revert" else 2}


def test_changes_in_a_batch(db):
    wrong = Wrong(3900)
    for s, coll, edit, kind in by_target():
        wanted = change_verdict(s, coll, edit, before_of(edit, kind))
        found = in_batch(db, s, *request_of(db, coll, edit, kind, s))
        wrong.look(found, None if wanted < 300 else wanted, s.name, coll, edit, kind, "batch")
    wrong.tell()


def test_changes_one_by_one(db):
    wrong = Wrong(3900)
    for s, coll, edit, kind in by_target():
        wanted = change_verdict(s, coll, edit, before_of(edit, kind))
        method, path, body = request_of(db, coll, edit, kind, s)
        wrong.look(call(db, method, path, body, user=s.name).status, wanted, s.name, coll, edit, kind)
    wrong.tell()


NEW = [{"team": "ann", "status": "draft", "mail": "ann"}, {"team": "zed", "status": "locked", "mail": ""}]


def test_what_is_new(db):
    """POST, PUT on an absent id, a batch, an import."""
    wrong = Wrong(1100)
    for (s, coll), (i, fields) in itertools.product(each(), enumerate(NEW)):
        body = {"body": "new", "grp": "new", "n": 1, **really(db, fields)}
        wanted = create_verdict(s, coll, fields)
        wrong.look(in_batch(db, s, "POST", f"/api/{coll}", body), None if wanted < 300 else wanted,
                   s.name, coll, i, "batch")
        wrong.look(call(db, "POST", f"/api/{coll}", body, user=s.name).status, wanted, s.name, coll, i, "post")
        path = f"/api/{coll}/new-{i}-{s.name}-{coll}-document"
        put = 405 if coll in APPENDED and not s.is_bad else wanted
        if wanted == 403 and may(s, coll, "create"):
            put = 404  # absent and a stranger's look alike
        elif wanted in (401, 403) and not s.is_bad and coll not in APPENDED and may(s, coll, "write"):
            put = 404
        wrong.look(call(db, "PUT", path, body, user=s.name).status, put, s.name, coll, i, "put")
        answer = call(db, "POST", f"/api/{coll}/import", json.dumps(body).encode(), user=s.name,
                      Content_Type="application/jsonl")
        found = answer.status if answer.status != 200 else 201 if answer.json()["created"] == 1 else \
            answer.json()["errors"][0]["status"]
        wrong.look(found, wanted, s.name, coll, i, "import")
    wrong.tell()


def test_an_import_that_replaces_asks_as_put_does(db):
    wrong = Wrong(560)
    for (s, coll), kind in itertools.product(each(), KINDS):
        line = {"id": doc_id(coll, kind), **really(db, fields_of(kind)), "n": 2}
        wanted = edit_verdict(s, coll, "put", stored(kind))
        answer = call(db, "POST", f"/api/{coll}/import?mode=replace", json.dumps(line).encode(), user=s.name,
                      Content_Type="application/jsonl")
        found = answer.status if answer.status != 200 else 200 if answer.json()["replaced"] == 1 else \
            answer.json()["errors"][0]["status"]
        wrong.look(found, 200 if wanted < 300 else wanted, s.name, coll, kind, "import")
    wrong.tell()


# ---- the hostile list, by number -------------------------------------------------------------------------------------
def test_18_a_document_is_not_moved_out_of_or_into_a_rule(db):
    ann, bob = db.people.ids["ann"], db.people.ids["bob"]
    mine = call(db, "POST", "/api/field", {"team": ann, "grp": "h18"}, user="ann").json()["id"]
    path = f"/api/field/{mine}"
    for body in ({"team": bob}, {"team": None}, {"team": [ann]}, {"team": {"id": ann}}):
        assert call(db, "PATCH", path, body, user="ann").status == 403, body
    patch = json.dumps([{"op": "replace", "path": "/team", "value": bob}]).encode()
    assert call(db, "PATCH", path, patch, user="ann", Content_Type="application/json-patch+json").status == 403
    assert call(db, "PATCH", path, {"team": bob}, user="bob").status == 404      # nor taken
    assert call(db, "PUT", path, {"team": bob}, user="bob").status == 404
    answer = batch(db, "ann", [{"method": "PATCH", "path": path, "body": {"n": 5}},
                               {"method": "PATCH", "path": path, "body": {"team": bob}}])
    assert answer.status == 403 and answer.json()["errors"][0]["pointer"].startswith("/requests/1")
    assert call(db, "GET", path, user="ann").json()["version"] == 1


def test_19_what_is_ours_is_not_assigned(db):
    ann, bob = db.people.ids["ann"], db.people.ids["bob"]
    odd = {"owner": bob, "version": 99, "created": "2001-01-01T00:00:00.000Z", "role": "admin",
           "__proto__": {"owner": bob}, "constructor": {"prototype": {"owner": bob}}, "tenant": "x"}
    made = call(db, "POST", "/api/mine", odd, user="ann").json()
    assert made["owner"] == ann and made["version"] == 1 and not made["created"].startswith("2001")
    path = f"/api/mine/{made['id']}"
    for method in ("PATCH", "PUT"):
        changed = call(db, method, path, {"owner": bob, "version": 50, "id": "another-id-of-mine", "n": method},
                       user="ann").json()
        assert (changed["id"], changed["owner"]) == (made["id"], ann) and changed["version"] < 50
    patch = json.dumps([{"op": "replace", "path": "/owner", "value": bob}]).encode()
    assert call(db, "PATCH", path, patch, user="ann", Content_Type="application/json-patch+json").status == 422
    for user in ("bob", None, "op"):
        assert call(db, "GET", path, user=user).status in (401, 404)
    line = json.dumps({"owner": ann, "body": "x"}).encode()
    answer = call(db, "POST", "/api/mine/import", line, user="bob", Content_Type="application/jsonl")
    assert answer.json()["created"] == 1
    assert ask(db, ANN, "mine", filter=f"owner = '{bob}'", count="exact").json()["total"] == 0


def test_20_ids_of_others_are_absent_everywhere(db):
    other = doc_id("mine", "b-draft")
    for path, method, body in ((f"/api/mine/{other}", "GET", None), (f"/api/mine/{other}", "PATCH", {"n": 1}),
                               (f"/api/mine/{other}", "DELETE", None), (f"/api/mine/{other}/versions", "GET", None),
                               (f"/api/mine/{other}/restore", "POST", None),
                               (f"/api/mine/{other}/versions/1/restore", "POST", None),
                               (f"/api/pub/{other}", "GET", None)):
        theirs = call(db, method, path, body, user="ann")
        nobodys = call(db, method, path.replace(other, "x" * len(other)), body, user="ann")
        assert theirs.status == nobodys.status == 404, path
        texts = [answer.json()["detail"].replace(other, "ID").replace("x" * len(other), "ID")
                 for answer in (theirs, nobodys)]
        assert texts[0] == texts[1], path
    # a reference to what one may not see is as one to what is not there
    bodies = [call(db, "POST", "/api/links", {"to_mine": target}, user="ann") for target in (other, "x" * len(other))]
    assert [answer.status for answer in bodies] == [422, 422]
    assert bodies[0].json()["errors"] == bodies[1].json()["errors"]


def test_12_who_is_disabled_is_refused_at_every_door(db):
    doors = [("GET", ""), ("GET", "/a-document-of-mine"), ("GET", "/aggregate?fn=count"), ("GET", "/export"),
             ("GET", "/a-document-of-mine/versions"), ("POST", ""), ("POST", "/import"), ("PUT", "/a-document-of-mine"),
             ("PATCH", "/a-document-of-mine"), ("DELETE", "/a-document-of-mine"),
             ("POST", "/a-document-of-mine/restore")]
    for user, coll in itertools.product(("ended", "late bearer", "disabled", "removed"), ("pub", "mine")):
        for method, tail in doors:
            body = {} if method in ("POST", "PUT", "PATCH") else None
            assert call(db, method, f"/api/{coll}{tail}", body, user=user).status == 401, (user, coll, method, tail)
        assert batch(db, user, [{"method": "GET", "path": f"/api/{coll}/x"}]).status == 401


def test_12_the_cookie_of_a_session_that_is_over_is_a_strangers(db):
    wrong = Wrong(60)
    for coll, kind in itertools.product(COLLECTIONS, KINDS):
        path = f"/api/{coll}/{doc_id(coll, kind)}"
        wrong.look(call(db, "GET", path, user="late").status, read_verdict(WHO[0], coll, stored(kind)), coll, kind)
        if "mine" in coll:
            wrong.look(call(db, "PATCH", path, {"n": 3}, user="late").status, 401, coll, kind)
    wrong.tell()


def test_17_no_rule_and_nobody_deny_and_say_the_same(db):
    for s in WHO:
        for what in ("", "/export", "/aggregate"):
            params = {"fn": "count"} if what == "/aggregate" else {}
            statuses = {ask(db, s, coll, what, **params).status for coll in ("empty", "closed")}
            assert statuses == {401 if not s.id else 403}, (s.name, what, statuses)


# ---- keys ------------------------------------------------------------------------------------------------------------
def test_46_a_key_does_no_more_than_its_scopes_say(db):
    """Whatever its account may: at every route that reads, and at every one that writes."""
    wrong = Wrong(380)
    for (name, scopes), coll in itertools.product(KEYS.items(), ("mine", "pub")):
        if name == "removed":
            continue
        may_read, may_write = has_scope(scopes, "read", coll), has_scope(scopes, "write", coll)
        mine = call(db, "POST", f"/api/{coll}", {"team": "ann", "grp": "h46"}, user="ann").json()["id"]
        path = f"/api/{coll}/{mine}"
        for target in (path, f"/api/{coll}", f"/api/{coll}?count=exact", f"/api/{coll}?search=needle",
                       f"/api/{coll}/export",
                       f"/api/{coll}/aggregate?fn=count", f"{path}/versions", f"{path}/versions/1",
                       f"{path}/versions/1/diff"):
            wrong.look(call(db, "GET", target, user=name).status, 200 if may_read else 403, name, "GET", target)
        answer = batch(db, name, [{"method": "GET", "path": path}])
        wrong.look(answer.status, 200 if may_read else 403, name, coll, "batch get")
        item = call(db, "GET", f"/api/links/link-a-draft-document?expand=to_{coll}", user=name)
        wrong.look(item.status, 200 if has_scope(scopes, "read", "links") else 403, name, "links")
        for method, target, body in (("POST", f"/api/{coll}", {}), ("PUT", path, {"n": 7}), ("PATCH", path, {"n": 8}),
                                     ("POST", f"{path}/versions/1/restore", None), ("DELETE", path, None),
                                     ("POST", f"{path}/restore", None), ("POST", f"/api/{coll}/import", {"n": 9}),
                                     ("PUT", f"/api/{coll}/made-by-a-key-{len(name)}-{len(scopes)}-{may_write}", {})):
            if target.endswith("import"):
                status = call(db, method, target, body, user=name, Content_Type="application/jsonl").status
            else:
                status = call(db, method, target, body, user=name).status
            wrong.look(status < 300 if may_write else status, True if may_write else 403, name, method, target)
        answer = batch(db, name, [{"method": "POST", "path": f"/api/{coll}", "body": {}}])
        wrong.look(answer.status, 200 if may_write else 403, name, coll, "batch post")
        assert call(db, "GET", "/_/events", user=name).status == 403
    wrong.tell()
