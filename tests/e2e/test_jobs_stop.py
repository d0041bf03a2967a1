# Servers that are stopped at once while the rows of jobs are being written.
import signal
import sqlite3

from conftest import wait_for
from jobs_api import jobs, queued, running, steps

MANIFEST = """jobs:
  steps:
    run: workers/steps
    input: schemas/steps.json
    rules: { run: public, read: owner }
"""


def test_the_second_signal_comes_during_a_write():
    """The leases of what runs are looked at each second: with another program in the database that takes a while."""
    with jobs("sqlite", MANIFEST) as server:
        it = queued(server, "steps", steps(["wait", str(server.open_folder / "gate")]))
        running(server, it["id"])
        with sqlite3.connect(next(server.folder.rglob("app.db")), isolation_level=None, timeout=60) as other:
            other.execute("BEGIN IMMEDIATE")
            server.proc.send_signal(signal.SIGTERM)
            wait_for(lambda: "stopping" in server.stderr, "the drain")
            server.proc.send_signal(signal.SIGTERM)
            wait_for(lambda: "at once" in server.stderr, "the end")
            server.proc.wait(60)
            other.execute("ROLLBACK")
        server.stop()
