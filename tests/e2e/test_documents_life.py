# What happens to documents' requests at their edges: a client that leaves, a server that stops, a database that is silent.
import json
import signal
import socket
import threading
import time

import pytest
from conftest import Conn, wait_for
from documents import call, made, store
from postgres import Postgres
from serving import resident_kb, serving, write_app

NOTES = ("collections:\n  notes:\n    schema: s.json\n"
         "    rules: { read: public, create: public, write: public }\n")
SCHEMA = {"s.json": json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}})}


@pytest.fixture(name="db", scope="module")
def fixture_db(tmp_path_factory):
    with store("sqlite", tmp_path_factory.mktemp("life"), NOTES, SCHEMA) as server:
        yield server


def lines(server, body):
    answer = call(server, "POST", "/api/notes/import", body, Content_Type="application/jsonl")
    assert answer.status == 200, answer.body
    return answer.json()


def test_a_bad_line_is_told_with_its_own_errors(db):
    told = lines(db, b'{"n":"x"}\n{not json\n{"n":1}\n')
    assert (told["created"], told["failed"]) == (1, 2)
    assert told["errors"][0]["errors"][0]["pointer"] == "/n"
    assert "errors" not in told["errors"][1], told


def test_lines_that_are_all_wrong_take_no_memory(db):
    """They are read one after the other, however many: what a client sends is not what we hold."""
    before, line = resident_kb(db.proc.pid), b'{"n":"' + b"x" * 60000 + b'"}\n'
    told = lines(db, line * 10000)
    assert (told["created"], told["failed"], len(told["errors"])) == (0, 10000, 100)
    assert resident_kb(db.proc.pid, "VmHWM") - before < 400 << 10


def stopped(server, times=1):
    for i in range(times):
        server.process.send_signal(signal.SIGTERM)
        if i + 1 < times:
            wait_for(lambda: "stopping: finishing" in server.log_text(), 10)
    return server.process.wait(20)
