# A Postgres of the tests' own: a temporary folder, a free port, ended by its process id whatever happens.
"""with Postgres() as db:
    db.url            postgres://dais:…@127.0.0.1:PORT/postgres
    db.query(sql)     rows as lists of text, through psql
    db.stop()         as an administrator would (mode "fast"); stop("immediate") as a crash
    db.kill()         SIGKILL to the server and all its processes, at once
    db.kill_backends()  SIGKILL to those that serve connections; the server restarts by itself
    db.freeze(), db.thaw()  SIGSTOP and SIGCONT for all of it: connections that answer nothing
    db.start()        again, on the same port and data
why_not()             None, or why there can be none here"""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
USER, PASSWORD, DATABASE = "dais", "s3cret-of-the-tests", "postgres"
SETTINGS = {"max_connections": "60", "shared_buffers": "32MB", "listen_addresses": "127.0.0.1",
            "lc_messages": "C", "timezone": "Asia/Kathmandu"}  # a zone that nobody expects


def why_not():
    return None if (BIN / "initdb").exists() else "needs the package postgresql-15"


def _account():
    """Postgres refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("there is no user other than root to run Postgres as")


def _children(pid):
    found = []
    for tasks in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(text) for text in tasks.read_text(encoding="ascii").split()]
    return found


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Postgres:
    """is_durable: waits for the disk at COMMIT (a killed process loses nothing without it)."""

    def __init__(self, is_durable=False, settings=None, starts=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dais-pg-"))
        self.data = self.folder / "data"
        self.account = _account()
        if self.account:
            os.chown(self.folder, self.account.pw_uid, self.account.pw_gid)
        self.port = _free_port()
        self.proc = None
        self.settings = dict(SETTINGS, unix_socket_directories=str(self.folder), **(settings or {}))
        if not is_durable:
            self.settings["fsync"] = "off"
        try:
            self._init()
            if starts:
                self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self):
        return self.url_at(self.port)

    def url_at(self, port, password=PASSWORD, database=DATABASE):
        return f"postgres://{USER}:{password}@127.0.0.1:{port}/{database}"

    def _as_user(self, *command):
        """With the user's rights, and ended with this process even if that is killed."""
        prefix = ["setpriv", "--pdeathsig", "QUIT"]
        if self.account:
            prefix += ["--reuid", str(self.account.pw_uid), "--regid", str(self.account.pw_gid), "--clear-groups"]
        return [*prefix, *map(str, command)]

    def _init(self):
        secret = self.folder / "password"
        secret.write_text(PASSWORD, encoding="ascii")
        if self.account:
            os.chown(secret, self.account.pw_uid, self.account.pw_gid)
        made = subprocess.run(
            self._as_user(BIN / "initdb", "-D", self.data, "-U", USER, f"--pwfile={secret}", "-A", "scram-sha-256",
                          "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"), capture_output=True, check=False, timeout=300)
        if made.returncode:
            raise RuntimeError(made.stderr.decode())

    def start(self):
        """Returns when it takes connections. Another port only if somebody took ours before the first start."""
        for _ in range(5):
            options = [text for pair in self.settings.items() for text in ("-c", "=".join(pair))]
            with open(self.folder / "log", "ab") as log:
                self.proc = subprocess.Popen(  # pylint: disable=consider-using-with
                    self._as_user(BIN / "postgres", "-D", self.data, "-p", self.port, *options), cwd="/",
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if self._answers():
                return self
            if "Address already in use" not in self.log():
                break
            (self.folder / "log").unlink()
            self.port = _free_port()
        raise RuntimeError(self.log())

    def _answers(self, deadline=120):
        """Asked at its socket: somebody else's may have the port."""
        end = time.monotonic() + deadline
        while time.monotonic() < end:
            if self.proc.poll() is not None:
                return False
            ready = subprocess.run([BIN / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port), "-t", "5"],
                                   check=False, timeout=60)
            if ready.returncode == 0:
                return True
            time.sleep(0.02)
        return False

    def log(self):
        return (self.folder / "log").read_text("utf-8", "replace")

    def query(self, sql, database=DATABASE):
        done = subprocess.run(
            [BIN / "psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
             str(self.port), "-U", USER, "-d", database, "-c", sql],
            env=dict(os.environ, PGPASSWORD=PASSWORD), capture_output=True, check=False, timeout=180, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    def stop(self, mode="fast"):
        """Also when it does not run."""
        if not self.proc:
            return
        if self.proc.poll() is None:
            self.thaw()
            self.proc.send_signal({"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            try:
                self.proc.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        self.proc = None

    def _signal_children(self, number):
        for pid in _children(self.proc.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self):
        if not self.proc:
            return
        self.proc.send_signal(signal.SIGSTOP)  # so that it starts no further ones
        children = _children(self.proc.pid)
        self.proc.kill()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.proc.wait(60)
        while any(os.path.exists(f"/proc/{pid}") and _is_postgres(pid) for pid in children):
            time.sleep(0.01)
        self.proc = None

    def kill_backends(self):
        for pid in _children(self.proc.pid):
            with contextlib.suppress(OSError):
                title = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                if b"127.0.0.1(" in title:
                    os.kill(pid, signal.SIGKILL)

    def freeze(self):
        self.proc.send_signal(signal.SIGSTOP)
        self._signal_children(signal.SIGSTOP)

    def thaw(self):
        self._signal_children(signal.SIGCONT)
        self.proc.send_signal(signal.SIGCONT)

    def close(self):
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _is_postgres(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return False
    return "(postgres)" in state and ") Z" not in state
