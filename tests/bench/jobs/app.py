# The app whose jobs are measured: its servers, its database, its requests, and how its queue is counted.
import contextlib
import json
import shutil
import sqlite3
import struct
import subprocess
import time
from http.client import HTTPConnection, HTTPException

import postgres
import procs
from servers import START_SECONDS, BenchError, Process, fetch, free_port

MANIFEST = """# Jobs that do nothing, for the benchmark.
app: bench
web: { root: web }
jobs:
  nothing: { use: nothing, concurrency: 0 }
  start: { run: jobs/start, concurrency: 0, retries: 0 }
  lines: { run: jobs/lines, concurrency: 0, retries: 0 }
  hold: { run: jobs/hold, concurrency: 1, retries: 0 }
"""
OVER = "SELECT count(*) FROM dais_jobs WHERE type = 'nothing' AND state = 3"
DEPTH = "SELECT count(*) FROM dais_jobs WHERE type = '{}' AND state = {}"
READY, RUNNING = 0, 1


class App:
    """The app on a database of its own, behind one server or several."""

    def __init__(self, options, folder, database, servers=1):
        self.options, self.folder, self.stack = options, folder, contextlib.ExitStack()
        self.postgres = None
        try:
            self._write(folder / "app")
            env = {"DAIS_LOG": "error"}
            if database == "postgres":
                self.postgres = self.stack.enter_context(
                    postgres.Postgres(is_durable=True, settings={"shared_buffers": "256MB"}))
                env["DATABASE_URL"] = self.postgres.url
            self.servers = [self.stack.enter_context(Served(options, folder, number, env)) for number in range(servers)]
            for server in self.servers:
                wait_ended(server, server.post("/api/jobs/nothing")["id"])  # its database is open
        except BaseException:
            self.close()
            raise

    def _write(self, app):
        (app / "web").mkdir(parents=True)
        (app / "jobs").mkdir()
        (app / "dais.yaml").write_text(MANIFEST)
        (app / "web" / "index.html").write_text("<!doctype html><title>bench</title>")
        for name in ("start", "lines", "hold"):
            shutil.copy(self.options.tool("jobs_clock"), app / "jobs" / name)
            (app / "jobs" / name).chmod(0o755)

    def count(self, sql):
        if self.postgres:
            return int(self.postgres.query("SET search_path TO bench; " + sql)[0][0])
        with contextlib.closing(sqlite3.connect(
                f"file:{self.servers[0].data}/apps/bench/app.db?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(sql).fetchone()[0]

    def queued(self, kind="nothing"):
        return sum(self.count(DEPTH.format(kind, state)) for state in (READY, RUNNING))

    def cpu_us(self):
        """Of the servers; Postgres is left out."""
        return procs.cpu_us([pid for server in self.servers for pid in server.process.family()])

    def requests(self, kind, body=b"{}"):
        """A file with one request, for the clients."""
        head = (f"POST /api/jobs/{kind} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n")
        one = head.encode() + body
        path = self.folder / f"{kind}.requests"
        path.write_bytes(struct.pack("<I", len(one)) + one)
        return path

    def close(self):
        self.stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Served:
    """One server of the app, with a data folder of its own."""

    def __init__(self, options, folder, number, env):
        self.port, self.data = free_port(), folder / f"data{number}"
        (folder / f"home{number}").mkdir()
        self.process = Process([options.binary, "serve", str(folder / "app"), "--listen", f"127.0.0.1:{self.port}"],
                               {"DAIS_DATA": str(self.data), "DAIS_SECRET": options.secret, **env},
                               folder / f"home{number}")
        try:
            self._wait_ready()
        except BaseException:
            self.process.close()
            raise

    def _wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.popen.poll() is None:
            try:
                if fetch(self.port, "/healthz", timeout=1)[0] == 200:
                    return
            except (OSError, HTTPException):
                time.sleep(0.01)
        raise BenchError("dais did not answer: " + self.process.complaint())

    def connect(self):
        return HTTPConnection("127.0.0.1", self.port, timeout=30)

    def post(self, path, value=None, connection=None):
        """The job, as the answer shows it."""
        with contextlib.closing(self.connect()) if not connection else contextlib.nullcontext(connection) as to:
            to.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
            answer = to.getresponse()
            text = answer.read()
        if answer.status // 100 != 2:
            raise BenchError(f"POST {path}: {answer.status} {text[:200]!r}")
        return json.loads(text)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.close()


def wait_ended(server, ident, pause=0.005, seconds=30):
    """The job when it is over."""
    deadline = time.monotonic() + seconds
    with contextlib.closing(server.connect()) as connection:
        while time.monotonic() < deadline:
            connection.request("GET", f"/api/jobs/{ident}")
            job = json.loads(connection.getresponse().read())
            if job["state"] in ("succeeded", "failed", "cancelled"):
                if job["state"] != "succeeded":
                    raise BenchError(f"a job {job['state']}: {job['error']}")
                return job
            time.sleep(pause)
    raise BenchError("a job did not end")


# ---- clients ------------------------------------------------------------------------------------

def paced(options, app, kind, ms, rate):
    """So many requests a second to each server, whatever comes back: (what each client said, its share of a core)."""
    file = str(app.requests(kind))
    used = procs.children_cpu_us()
    clients = [subprocess.Popen([options.tool("login_paced"), str(server.port), str(ms), file, str(rate)],
                                stdout=subprocess.PIPE, preexec_fn=procs.die_with_parent)
               for server in app.servers]
    said = [json.loads(client.communicate(timeout=ms / 1000 + 60)[0]) for client in clients]
    return said, (procs.children_cpu_us() - used) / (ms * 1000)


def fill(options, app, kind, count):
    """As fast as it goes, until so many are queued."""
    file, deadline = str(app.requests(kind)), time.monotonic() + 300
    while (have := app.count(DEPTH.format(kind, READY))) < count:
        if time.monotonic() > deadline:
            raise BenchError(f"only {have:,} of {count:,} jobs were queued in 300 s")
        done = subprocess.run([options.tool("docs_load"), str(app.servers[0].port), "64",
                               str(min(1000, max(20, (count - have) // 20))), file, "0"],
                              capture_output=True, text=True, timeout=60, check=True)
        said = json.loads(done.stdout)
        if said["bad"] or said["errors"]:
            raise BenchError(f"jobs were not queued: {said['first_bad']} {said['said'][:200]}")
    return have
