# One of the four example systems behind a dais of its own, for the end-to-end tests.
import contextlib
import json
import pathlib
import subprocess
import sys

from conftest import DAIS_BIN, clean_env, wait_for
from serving import serving

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "systems"))
import systems  # pylint: disable=wrong-import-position

READY = {"story_gen": "/api/v1", "langhero": "/api/meta", "story_analytics": "/api/ready", "papeterie": "/api/health"}
SECRET = b"what is here must never leave"


@contextlib.contextmanager
def running(folder, name=None, edit=None, **options):
    """One of them behind a dais; with a name it is copied there first. `edit(app)` may change it."""
    app = systems.copy_system(name, folder) if name else folder
    (app / "secret.txt").write_bytes(SECRET)
    if edit:
        edit(app)
    with serving(app, **options) as server:
        server.app = app
        wait_for(lambda: server.fetch(READY[app.name], deadline=35).status == 200, "its start", 60)
        server.note_children()
        yield server


def changed(server, old, new):
    def reload():
        subprocess.run([DAIS_BIN, "reload", server.app], env=clean_env(server.app), check=True,
                       capture_output=True, timeout=60)
    return systems.changed(server.app, old, new, reload)


def backend_pid(server):
    """Of the one that stays: after a change the old one goes on for a moment."""
    wait_for(lambda: len(systems.backend_pids(server.proc.pid)) == 1, "one backend", 60)
    return systems.backend_pids(server.proc.pid)[0]


def direct(server):
    """The backend's own address, where dais protects nothing."""
    command = pathlib.Path(f"/proc/{backend_pid(server)}/cmdline").read_text(encoding="utf-8").split("\0")
    return "127.0.0.1", int(command[command.index("--port") + 1])


def send(server, path, method="POST", value=None, **headers):
    pairs = [(name.replace("_", "-"), text) for name, text in headers.items()]
    body = None if value is None else json.dumps(value).encode()
    return server.fetch(path, method=method, headers=[*pairs, ("Content-Type", "application/json")], body=body,
                        deadline=35)
