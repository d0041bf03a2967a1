# The four example systems for the tests: a fresh copy of one, a changed manifest, the pid of its backend.
"""copy_system(name, folder)            a copy that its backend may write into; gives its path
changed(app, old, new, reload)       a context manager: the manifest with `old` replaced, then as it was
backend_pids(pid)                    the backends that run below that process of dais
kill_backend(pid)                    kill -9 of the only one; gone on return, and back as soon as somebody asks"""
import contextlib
import os
import pathlib
import shutil
import time

SYSTEMS = pathlib.Path(__file__).resolve().parent


def copy_system(name, folder):
    made = shutil.ignore_patterns("__pycache__", "work", "data", "voice_notes", "examples_audio", "*.db")
    return pathlib.Path(shutil.copytree(SYSTEMS / name, pathlib.Path(folder) / name, ignore=made))


@contextlib.contextmanager
def changed(app, old, new, reload):
    file = app / "dais.yaml"
    before = file.read_text(encoding="utf-8")
    assert before.count(old) == 1, f"{old!r} is in {file} {before.count(old)} times"
    try:
        file.write_text(before.replace(old, new), encoding="utf-8")
        reload()
        yield
    finally:
        file.write_text(before, encoding="utf-8")
        reload()


def _parent_and_command(pid):
    with contextlib.suppress(OSError):
        stat = pathlib.Path("/proc", pid, "stat").read_text(encoding="utf-8")
        command = pathlib.Path("/proc", pid, "cmdline").read_text(encoding="utf-8")
        return int(stat.rpartition(")")[2].split()[1]), command.replace("\0", " ")
    return 0, ""


def backend_pids(pid):
    table = {int(name): _parent_and_command(name) for name in os.listdir("/proc") if name.isdigit()}
    below, todo = [], [pid]
    while todo:
        at = todo.pop()
        children = [child for child, (parent, _) in table.items() if parent == at]
        todo += children
        below += [child for child in children if table[child][1].startswith("/usr/bin/python3 -m ")]
    return below


def kill_backend(pid):
    until = time.monotonic() + 60
    while len(pids := backend_pids(pid)) != 1:  # after a change the old one goes on for a moment
        assert time.monotonic() < until, pids
        time.sleep(0.01)
    killed = pids[0]
    os.kill(killed, 9)
    while os.path.exists(f"/proc/{killed}"):  # until the last of its threads is gone, its sockets may be open
        assert time.monotonic() < until, f"{killed} lives on"
        time.sleep(0.01)
