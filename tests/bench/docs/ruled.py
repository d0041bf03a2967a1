# What rules cost: the same calls on collections for everybody, with the rule `owner`, and with an expression.
import json
import secrets
from http.client import HTTPConnection

from app import SCHEMA, Docs, bodies_of, request
from servers import BenchError

DOCUMENTS, PAGE = 1000, 30
EVERYBODY = "{ read: public, create: public, write: public }"
THREE = "(owner = @user.id || status = 'shared') && rank >= 0"
DAIS_YAML = f"""# Rules for the benchmark.
app: bench
web: {{ root: web }}
auth: {{ signup: open }}
limits: {{ read: off, write: off }}
collections:
  public: {{ schema: note.json, indexes: [rank], rules: {EVERYBODY} }}
  owner: {{ schema: note.json, indexes: [rank], owner: true }}
  three: {{ schema: note.json, indexes: [rank], owner: true, rules: {{ read: "{THREE}", create: "rank >= 0 && \
(@user.id is not null || group = 'g0')", write: "{THREE}" }} }}
"""
KINDS = ("public", "owner", "three")


def write_app(folder):
    (folder / "web").mkdir(parents=True)
    (folder / "dais.yaml").write_text(DAIS_YAML)
    (folder / "note.json").write_text(json.dumps(SCHEMA))
    return folder


def post(server, path, body, lines):
    conn = HTTPConnection("127.0.0.1", server.port, timeout=60)
    conn.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json", **lines})
    answer = conn.getresponse()
    found = answer.status, json.loads(answer.read() or b"{}")
    conn.close()
    if found[0] not in (200, 201):
        raise BenchError(f"POST {path} answered {found[0]}: {found[1].get('detail')}")
    return found[1]


def sign_in(bench, server):
    """What the requests of somebody who is signed in bring; a test's binary takes its word."""
    if bench.options.binary.endswith("-identity"):
        return {"X-Test-User": "ann"}
    body = {"email": "bench@example.com", "password": secrets.token_hex(16)}
    return {"Authorization": "Bearer " + post(server, "/api/auth/signup", body, {})["token"]}


def with_lines(raw, lines):
    head, _, rest = raw.partition(b"\r\n")
    return head + b"\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()).encode() + rest


def store(server, kind, bodies, lines):
    ids = []
    for at in range(0, DOCUMENTS, 100):
        ones = [{"method": "POST", "path": f"/api/{kind}", "body": body} for body in bodies[at:at + 100]]
        answer = post(server, "/api/batch", {"requests": ones}, lines)
        ids += [one["body"]["id"] for one in answer["responses"]]
    return ids


def write_requests(bench, server, lines):
    bodies = [json.loads(line) for line in bodies_of(bench.options, 2000, 60_000_000)]
    for kind in KINDS:
        mine = {} if kind == "public" else lines
        ids = store(server, kind, bodies, lines)
        for key, raws in (
                ("get", [request("GET", f"/api/{kind}/{one}") for one in ids]),
                ("list", [request("GET", f"/api/{kind}?sort=rank&limit={PAGE}")]),
                ("create", [request("POST", f"/api/{kind}", json.dumps(body).encode()) for body in bodies])):
            bench.requests.write(f"{key}-{kind}", [with_lines(raw, mine) for raw in raws])


def run(bench):
    app = write_app(bench.scratch / "ruled")
    bench.data("").mkdir(exist_ok=True)
    server = Docs(bench.options, app, bench.data("ruled"), bench.scratch / "home-ruled")
    bench.stack.callback(server.close)
    write_requests(bench, server, sign_in(bench, server))
    for call in ("get", "list", "create"):
        bench.rounds(*(bench.load(f"{call}-{kind}", server) for kind in KINDS))
    server.close()
