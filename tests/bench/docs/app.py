# The app that is measured, its data, its server, and the requests that clients send it.
import json
import random
import struct
import subprocess
import time
import urllib.parse
from http.client import HTTPException

from servers import START_SECONDS, BenchError, Process, fetch, free_port

FIXED_BYTES = 1050   # of the answer that needs no database: as long as a document
PAGES, PAGE, GROUPS = 200, 30, 100   # the same as in limits.c
DAIS_YAML = """# Documents for the benchmark.
app: bench
web: { root: web }
collections:
  notes:
    schema: note.json
    indexes: [rank, group]
    rules: { read: signed_in, create: signed_in, write: signed_in, delete: signed_in }
  own:
    schema: note.json
    indexes: [rank, group]
    owner: true
  words:
    schema: note.json
    indexes: [rank, group]
    search: [title, body]
    rules: { read: signed_in, create: signed_in, write: signed_in, delete: signed_in }
"""
SCHEMA = {
    "type": "object", "required": ["title", "rank"], "additionalProperties": False,
    "properties": {
        "title": {"type": "string", "minLength": 1, "maxLength": 200},
        "body": {"type": "string", "maxLength": 20000},
        "rank": {"type": "integer", "minimum": 0},
        "group": {"type": "string", "pattern": "^g[0-9]+$"},
        "status": {"enum": ["open", "closed"]},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 10},
        "done": {"type": "boolean"}, "score": {"type": "number"}}}


def write_app(folder):
    (folder / "web").mkdir(parents=True)
    (folder / "dais.yaml").write_text(DAIS_YAML)
    (folder / "note.json").write_text(json.dumps(SCHEMA))
    (folder / "web" / "index.html").write_text("<!doctype html><title>bench</title>")
    (folder / "web" / "fixed.txt").write_text("x" * FIXED_BYTES)
    return folder


class Docs:
    """A running dais with that app on data of its own."""

    def __init__(self, options, app, data, home, extra=None):
        self.options, self.data, self.port = options, data, free_port()
        home.mkdir(parents=True)
        command = [options.binary, "serve", str(app), "--listen", f"127.0.0.1:{self.port}"]
        env = {"DAIS_DATA": str(data), "DAIS_LOG": "error", **(extra or {})}
        self.process = Process(command, env, home)
        try:
            self.wait_ready()
        except BaseException:
            self.close()
            raise

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.popen.poll() is None:
            try:
                if fetch(self.port, "/healthz", timeout=1)[0] == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.01)
        raise BenchError("dais did not answer: " + self.process.complaint())

    def ask(self, path):
        status, body, _ = fetch(self.port, path, timeout=60)
        return status, body

    @property
    def file(self):
        return self.data / "apps" / "bench" / "app.db"

    def memory_kb(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(field))

    def close(self):
        self.process.close()


def fill(options, app, where, count, collection="notes"):
    """Through the program's own code; `where` is a data folder or a postgres:// address."""
    if "://" not in str(where):
        (where / "apps" / "bench").mkdir(parents=True, exist_ok=True)
    done = subprocess.run([options.tool("fill"), "rows", str(app), str(where), collection,
                           str(count)], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise BenchError("the documents were not stored: " + done.stderr[-300:])


# ---- requests -----------------------------------------------------------------------------------

def request(method, path, body=b"", kind="application/json"):
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body:
        head += f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def bodies_of(options, count, first):
    done = subprocess.run([options.tool("fill"), "print", str(count), str(first)],
                          capture_output=True, timeout=60, check=True)
    return done.stdout.splitlines()


def doc_id(number):
    return f"bench{number:015d}"


class Requests:
    """Files of requests for docs_load, by name."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        folder.mkdir(exist_ok=True)
        self.random = random.Random(7)
        self.bodies = bodies_of(options, 4000, 50_000_000)

    def file(self, name):
        return self.folder / name

    def write(self, name, requests):
        with open(self.file(name), "wb") as to:
            for one in requests:
                to.write(struct.pack("<I", len(one)) + one)

    def some_ids(self, count, stored):
        return [doc_id(self.random.randrange(stored)) for _ in range(count)]

    def write_gets(self, name, collection, stored):
        self.write(name, [request("GET", f"/api/{collection}/{i}")
                          for i in self.some_ids(20000, stored)])

    def write_fixed(self):
        self.write("fixed", [request("GET", "/fixed.txt")])

    def write_list(self, name, server):
        """Every page that limits.c reads too, by its cursor; the name of what is missing, or ""."""
        path, paths = f"/api/notes?sort=rank&limit={PAGE}", []
        after = ""
        for _ in range(PAGES):
            paths.append(path + after)
            status, body = server.ask(paths[-1])
            if status != 200:
                self.write(name, [request("GET", path)])
                return
            after = json.loads(body)["next"]
            if not after:
                break
            after = "&after=" + urllib.parse.quote(after)
        self.random.shuffle(paths)
        self.write(name, [request("GET", one) for one in paths])

    def write_filter(self, name):
        groups = list(range(GROUPS))
        self.random.shuffle(groups)
        self.write(name, [request("GET", "/api/notes?filter=" + urllib.parse.quote(
            f"group = 'g{number:03d}'") + f"&limit={PAGE}") for number in groups])

    def write_creates(self, name, collection):
        self.write(name, [request("POST", f"/api/{collection}", body) for body in self.bodies])

    def write_patches(self, stored):
        self.write("patch", [
            request("PATCH", f"/api/notes/{i}", b'{"title":"Changed %d","done":true}' % number,
                    "application/merge-patch+json")
            for number, i in enumerate(self.some_ids(20000, stored))])

    def write_batches(self):
        ones = [{"method": "POST", "path": "/api/notes", "body": json.loads(body)}
                for body in self.bodies]
        self.write("batch", [
            request("POST", "/api/batch", json.dumps({"requests": ones[at:at + 100]}).encode())
            for at in range(0, len(ones), 100)])
