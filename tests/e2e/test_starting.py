# While a backend starts or has just died: what people see, who waits, and what is sent twice.
import collections
import os
import signal
import threading
import time

from backend import backend, ok
from conftest import Broken, wait_for
from serving import serving, write_app

# Notes every request in the file `noted`, before its answer, which leaves in one piece; waits for a
# file named `go` first when there is one named `wait`.
PROGRAM = r'''
import os, socket, threading, time
while os.path.exists("wait") and not os.path.exists("go"):
    time.sleep(0.01)
noted = os.open("noted", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def serve(sock):
    left = b""
    while True:
        while b"\r\n\r\n" not in left:
            data = sock.recv(65536)
            if not data:
                return
            left += data
        head, _, left = left.partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n")[0].split()
        os.write(noted, b"%s %s\n" % (method, target))
        time.sleep(0.01)
        body = b"%d" % os.getpid()
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=128)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
'''
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}


def app(folder, files=None, web="root: web"):
    write_app(folder, {"web/index.html": "<h1>home</h1>", "server.py": PROGRAM, **(files or {})},
              f"web: {{ {web} }}\nbackend: {{ run: exec python3 -S server.py, routes: [ /api/ ] }}\n")
    return folder


def test_a_page_says_that_the_app_is_starting(tmp_path):
    folder = app(tmp_path / "app", {"wait": ""})
    with serving(folder) as server:
        waiting = []
        caller = threading.Thread(target=lambda: waiting.append(server.fetch("/api/data", deadline=60)))
        caller.start()
        began = time.monotonic()
        page = server.fetch("/api/page", headers=BROWSER)
        assert 1.4 < time.monotonic() - began < 20  # a program waits half a minute
        assert page.status == 503 and page.get("retry-after") == "2" and page.get("refresh") == "1"
        assert page.get("content-type") == "text/html; charset=utf-8" and page.get("cache-control") == "no-store"
        assert "default-src 'none'" in page.get("content-security-policy")
        assert b"The app is starting" in page.body and b"<script" not in page.body
        head = server.fetch("/api/page", method="HEAD", headers=BROWSER)
        assert (head.status, head.body) == (503, b"")
        assert not waiting  # a program waits on
        (folder / "go").touch()
        caller.join(60)
        assert waiting[0].status == 200
        page = server.fetch("/api/page", headers=BROWSER)
        assert page.status == 200 and page.get("refresh") is None
        server.note_children()


def test_the_apps_own_page_loads_itself_again_too(tmp_path):
    folder = app(tmp_path / "app", {"wait": "", "web/soon.html": "<h1>soon</h1>"},
                 "root: web, errors: { 503: soon.html }")
    with serving(folder) as server:
        page = server.fetch("/api/page", headers=BROWSER)
        assert (page.status, page.body, page.get("refresh")) == (503, b"<h1>soon</h1>", "1")
        server.note_children()


def test_what_is_safe_survives_a_kill_and_nothing_else_is_sent_twice(tmp_path):
    folder = app(tmp_path / "app")
    ended, found = threading.Event(), []

    def client(number):
        count = 0
        while not ended.is_set():
            count += 1
            for method in ("GET", "POST"):
                target = f"/api/{method}-{number}-{count}"
                try:
                    answer = server.fetch(target, method=method, deadline=60)
                    found.append((method, target, answer.status))
                except (Broken, OSError) as e:
                    found.append((method, target, repr(e)))

    with serving(folder) as server:
        clients = [threading.Thread(target=client, args=(i,)) for i in range(8)]
        pid = int(server.fetch("/api/pid", deadline=60).body)
        for thread in clients:
            thread.start()
        for _ in range(4):
            seen = len(found)
            while len(found) < seen + 100:
                time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            was, pid = pid, int(server.fetch("/api/pid", deadline=60).body)
            assert pid != was
        ended.set()
        for thread in clients:
            thread.join(90)
        server.note_children()
    noted = collections.Counter((folder / "noted").read_text().split("\n"))
    statuses = collections.Counter((method, status) for method, _, status in found)
    assert set(statuses) <= {("GET", 200), ("POST", 200), ("POST", 502)}, statuses
    assert statuses["POST", 502] <= 4 * 8
    for method, target, status in found:
        times = noted[f"{method} {target}"]
        assert times <= (2 if method == "GET" else 1), (target, times)
        assert times >= 1 or status != 200


def test_a_request_that_kills_its_backend_does_so_twice_at_most(tmp_path):
    folder = app(tmp_path / "app")
    program = folder / "server.py"
    program.write_text(PROGRAM.replace("        time.sleep(0.01)\n", "        b'poison' in target and os._exit(1)\n"))
    with serving(folder) as server:
        assert server.fetch("/api/poison", deadline=60).status == 502
        assert (folder / "noted").read_text().count("GET /api/poison") == 2
        assert server.fetch("/api/fine", deadline=60).status == 200  # or it might reach what is left of the old one
        assert server.fetch("/api/poison", method="DELETE", deadline=60).status == 502
        assert (folder / "noted").read_text().count("DELETE /api/poison") == 1
        assert server.fetch("/api/fine", deadline=60).status == 200
        why = '"why":"the other side closed the connection without an answer"'
        wait_for(lambda: why in server.stderr, "a line in the log")
        server.note_children()


def test_a_backend_elsewhere_is_asked_once_more(tmp_path):
    def answer(request, _):
        if len([one for one in behind.requests if one.target == request.target]) < 2:
            return b"", "close"
        return ok(b"again")
    with backend(answer) as behind:
        manifest = f'web: {{ root: web }}\nbackend: {{ url: "{behind.url}", routes: [ /api/ ] }}\n'
        with serving(write_app(tmp_path / "app", None, manifest)) as server:
            for method in ("GET", "HEAD", "OPTIONS"):
                assert server.fetch(f"/api/{method}", method=method).status == 200
            for method in ("POST", "PUT", "DELETE", "PATCH", "PROPFIND"):
                assert server.fetch(f"/api/{method}", method=method).status == 502
            body = server.fetch("/api/with-a-body", method="GET", body=b"x")
            assert body.status == 502
    seen = collections.Counter(one.target for one in behind.requests)
    assert seen == {"/api/GET": 2, "/api/HEAD": 2, "/api/OPTIONS": 2, "/api/POST": 1, "/api/PUT": 1,
                    "/api/DELETE": 1, "/api/PATCH": 1, "/api/PROPFIND": 1, "/api/with-a-body": 1}
