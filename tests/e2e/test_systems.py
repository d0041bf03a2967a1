# Four applications shaped after real ones behind dais: what each of them needs, and what must not get through.
import contextlib
import itertools
import json
import os
import re
import socket
import struct
import threading

import pytest

from conftest import Broken, Conn, wait_for
from running import READY, SECRET, backend_pid, changed, direct, running, send, systems

MB = 1 << 20


@pytest.fixture(name="system", scope="module")
def fixture_system(tmp_path_factory):
    """system(name): started when first asked for, one of each for all tests."""
    with contextlib.ExitStack() as stack:
        servers = {}

        def get(name):
            if name not in servers:
                servers[name] = stack.enter_context(running(tmp_path_factory.mktemp(name), name))
            return servers[name]
        yield get


# ---- all of them ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", READY)
def test_the_manifest_is_right(run_dais, tmp_path, name):
    done = run_dais("check", systems.copy_system(name, tmp_path))
    assert done.returncode == 0 and " error: " not in done.stdout + done.stderr


UPS = ["..%2f", "..%2f..%2f", "%2e%2e/%2e%2e/", "..%2f..%2f..%2f", "..%5c..%5c", "....//....//", "%c0%ae%c0%ae/",
       "..;/", "%2e%2e%2f%2e%2e%2f", "..%252f..%252f", "x/..%2f..%2f..%2f", "../../"]
TRAVERSALS = [*(prefix + up + "secret.txt" for prefix in ("/", "/assets/", "/api/", "/embed/", "/images/generated/")
                for up in UPS),
              "//secret.txt", "/secret.txt", "/%00secret.txt", "/dais.yaml", "/data/metadata.db",
              "/..%2fdata/metadata.db", "/..%2f..%2fdata/metadata.db", "/voice_notes/..%2fbackend%2fmain.py",
              "/assets/..%2fpapeterie.db"]


@pytest.mark.parametrize("name", READY)
def test_nothing_outside_the_allowed_folders_leaves(system, name):
    server = system(name)
    pid = backend_pid(server)
    for path in TRAVERSALS:
        answer = server.fetch(path, deadline=35)
        assert answer.status in (200, 400, 404), f"{path}: {answer}"
        for mark in (SECRET, b"SQLite format", b"FastAPI(", b"backend:"):
            assert mark not in answer.body, path
        if answer.status == 200:  # the application's page, because nothing else was meant
            assert b"<!doctype html>" in answer.body or answer.body == b"{}", path
    assert backend_pid(server) == pid


@pytest.mark.parametrize("name, asset", [
    ("story_gen", "/assets/index-Dq7xV2mK.js"), ("langhero", "/_app/immutable/entry/start.Cq4vT8xA.js"),
    ("story_analytics", "/assets/main-Cx8sQ4nV.js"), ("papeterie", "/assets/index-DvN6k2Ws.css")])
def test_pages_and_assets(system, name, asset):
    server = system(name)
    for path in ("/", "/some/deep/link"):
        page = server.fetch(path)
        assert page.status == 200 and page.get("content-type") == "text/html; charset=utf-8"
        assert asset.encode() in page.body and page.get("cache-control") == "no-store"
    assert server.fetch(asset).status == 200
    for missing in ("/assets/x.js", asset.replace(".", "0.", 1), "/favicon.ico"):
        assert server.fetch(missing).status == 404, missing


# ---- story_gen -----------------------------------------------------------------------------------
def sign_in(server, email):
    account = {"email": email, "password": "lovelace1"}
    assert send(server, "/api/v1/auth/register", value=account).status in (201, 409)
    return {"Authorization": "Bearer " + send(server, "/api/v1/auth/login", value=account).json()["access_token"]}


def analyse(server, story, who, text="The lantern burns. It falls.", key="key-1"):
    return send(server, f"/api/v1/stories/{story}/analysis/run", value={"source_text": text, "idempotency_key": key},
                **who).json()["run_id"]


def new_story(server, who):
    return send(server, "/api/v1/stories", value={"title": "The lantern", "blueprint": {"premise": "Light"}},
                **who).json()["id"]


def test_story_gen_gets_its_own_paths_whole(system):
    server = system("story_gen")
    assert server.fetch("/api/v1").json()["capabilities"] == ["stories", "analysis", "dashboard"]
    assert server.fetch("/healthz").json()["owner"] == "story_gen"
    assert "/api/v1/stories/{story_id}" in server.fetch("/openapi.json").json()["paths"]
    assert server.fetch("/docs").get("content-type") == "text/html; charset=utf-8"
    with changed(server, "routes: [", "strip: [ /api/ ]\n  routes: ["):  # the mistake of the shipped proxy rules
        assert server.fetch("/api/v1").status == 404


def test_story_gen_owner_and_stranger(system):
    server = system("story_gen")
    ada, eve = sign_in(server, "ada@example.com"), sign_in(server, "eve@example.com")
    story = new_story(server, ada)
    assert server.fetch(f"/api/v1/stories/{story}", headers=ada).json()["title"] == "The lantern"
    assert server.fetch(f"/api/v1/stories/{story}", headers=eve).status == 404
    assert server.fetch(f"/api/v1/stories/{story}").status == 401
    assert send(server, f"/api/v1/stories/{story}", "DELETE", **ada).status == 405


def test_story_gen_analyses_once(system):
    server = system("story_gen")
    ada = sign_in(server, "ada@example.com")
    story = new_story(server, ada)
    runs = []
    threads = [threading.Thread(target=lambda: runs.append(analyse(server, story, ada))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 4 and len({*runs, analyse(server, story, ada)}) == 1
    assert analyse(server, story, ada, "Another text.") not in runs


def test_story_gen_is_rewritten_to_one_origin(system):
    server = system("story_gen")
    assert b"127.0.0.1:8000" not in server.fetch("/assets/index-Dq7xV2mK.js").body
    assert b"127.0.0.1:8000" in (server.app / "web/dist/assets/index-Dq7xV2mK.js").read_bytes()


def test_story_gen_keeps_its_stories(tmp_path):
    with running(tmp_path, "story_gen") as server:
        ada = sign_in(server, "ada@example.com")
        story = new_story(server, ada)
        run = analyse(server, story, ada)
        overview = f"/api/v1/stories/{story}/dashboard/overview"
        for _ in range(2):
            systems.kill_backend(server.proc.pid)
            answer = server.fetch(overview, headers=ada, deadline=35)
            assert answer.status == 200 and answer.json()["run_id"] == run, server.story()
        assert (server.app / "work/local/story_gen.db").stat().st_size > 0
    with running(tmp_path / "story_gen") as server:
        assert server.fetch(overview, headers=ada, deadline=35).json()["run_id"] == run


def test_story_gen_is_upgraded_under_load(system):
    server = system("story_gen")
    ada, answered, done = sign_in(server, "ada@example.com"), [], threading.Event()
    story = new_story(server, ada)

    def load():
        while not done.is_set():
            answered.append(server.fetch(f"/api/v1/stories/{story}", headers=ada, deadline=35).status)

    def works(count):
        before = len(answered)
        wait_for(lambda: len(answered) >= before + count, "some work", 60)
    pid, threads = backend_pid(server), [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    works(5)
    with changed(server, "env: {", "env: { RELEASE: two,"):
        wait_for(lambda: systems.backend_pids(server.proc.pid) not in ([pid], []), "the new one", 60)
        wait_for(lambda: pid not in systems.backend_pids(server.proc.pid), "the old one's end", 60)
        works(5)
    wait_for(lambda: len(systems.backend_pids(server.proc.pid)) == 1, "one backend", 60)
    works(5)
    done.set()
    for thread in threads:
        thread.join()
    assert set(answered) == {200}


def test_story_gen_is_killed_under_load(system):
    """What it said it stored is stored, and only what was sent about that moment fails."""
    server = system("story_gen")
    ada, stored, failed, done = sign_in(server, "ada@example.com"), [], [], threading.Event()

    def load(title):
        while not done.is_set():
            try:
                answer = send(server, "/api/v1/stories", value={"title": title}, **ada)
            except Broken:  # killed between the head of its answer and the body
                failed.append("cut")
                continue
            if answer.status == 201:
                stored.append(answer.json()["id"])
            else:
                failed.append(answer.status)
    threads = [threading.Thread(target=load, args=(f"Story {n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        before = len(stored)
        wait_for(lambda: len(stored) > before + 5, "some work", 60)
        systems.kill_backend(server.proc.pid)
    wait_for(lambda: len(stored) > before + 15, "work after its return", 60)
    done.set()
    for thread in threads:
        thread.join()
    assert len(failed) <= 4 * len(threads) and set(failed) <= {502, "cut"}, failed  # two at each kill, at worst
    kept = {story["id"] for story in server.fetch("/api/v1/stories?limit=100000", headers=ada).json()}
    assert set(stored) <= kept


# ---- langhero ------------------------------------------------------------------------------------
class Talk(Conn):
    """A WebSocket to dais as a page of the app opens it; frames are masked with zeros."""

    def __init__(self, server, path="/stream/mock", origin=None):
        super().__init__(server, 35)
        self.server = server
        headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Host": f"127.0.0.1:{server.port}",
                   "Origin": origin or f"http://127.0.0.1:{server.port}"}
        self.answer = self.request(path, headers=headers).read()

    def say(self, data):
        opcode, data = (1, data.encode()) if isinstance(data, str) else (2, data)
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else (b"\xfe" + struct.pack("!H", size) if size < 1 << 16
                                                          else b"\xff" + struct.pack("!Q", size))
        return self.send(bytes([0x80 | opcode]) + length + bytes(4) + data)

    def bytes(self, n):
        while len(self.left) < n:
            chunk = self.sock.recv(1 << 16)
            if not chunk:
                raise Broken("closed in the middle of a frame")
            self.left += chunk
        found, self.left = self.left[:n], self.left[n:]
        return found

    def hear(self):
        """The next event; (code, reason) when it is the end."""
        first, size = self.bytes(2)
        if size == 126:
            size, = struct.unpack("!H", self.bytes(2))
        data = self.bytes(size)
        if first == 0x88:
            return struct.unpack("!H", data[:2])[0], data[2:].decode()
        assert first == 0x81, first
        return json.loads(data)


def talk(server, **init):
    conversation = Talk(server)
    assert conversation.answer.status == 101
    conversation.say(json.dumps({"scenario_id": 1, "language": "en", **init}))
    assert conversation.hear() == {"event": "ready", "scenario_id": 1}
    return conversation


def test_langhero_turns(system):
    with talk(system("langhero"), expected_response="green tea please") as turn:
        for seq, heard in enumerate(("gree", "green te", "green tea pl"), 1):
            event = turn.say(bytes(range(256)) * 20).hear()
            assert event == {"event": "partial", "seq": seq, "transcript": heard, "bytes": 5120 * seq}
        assert turn.say("stop").hear() == {"event": "final", "result": "match", "score": 10, "bytes": 15360}
        assert turn.say("reset").hear() == {"event": "reset"}
        assert turn.say("stop").hear()["result"] == "silence"


def test_langhero_its_caps_are_told_by_itself(system):
    server = system("langhero")
    with talk(server) as turn:
        assert turn.say(bytes(256 << 10)).hear()["bytes"] == 256 << 10
        assert turn.say(bytes((256 << 10) + 1)).hear() == {"event": "error", "error": "stream_chunk_too_large"}
        assert turn.hear() == (1009, "stream_chunk_too_large")
    with talk(server) as turn:
        for _ in range(32):
            assert turn.say(bytes(256 << 10)).hear()["event"] == "partial"
        assert turn.say(b"x").hear()["error"] == "stream_session_bytes_exceeded"
        assert turn.hear()[0] == 1009


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:8000", "null"])
def test_langhero_other_pages_may_not_listen(system, origin):
    with Talk(system("langhero"), origin=origin) as turn:
        assert turn.answer.status == 403


def test_langhero_media(system):
    server = system("langhero")
    panel = server.fetch("/images/generated/tea-house.png")
    assert panel.body.startswith(b"\xff\xd8\xff") and panel.get("content-type") == "image/png"
    clip = server.fetch("/examples/welcome.wav")
    assert clip.status == 200 and clip.get("accept-ranges") == "bytes"
    part = server.fetch("/examples/welcome.wav", headers={"Range": "bytes=100-1099"})
    assert part.status == 206 and part.body == clip.body[100:1100]
    assert part.get("content-range") == f"bytes 100-1099/{len(clip.body)}"
    assert server.fetch("/examples/welcome.wav", headers={"Range": "bytes=999999-"}).status == 416
    assert server.fetch("/examples/absent.wav").status == 404


def test_langhero_writes_beside_its_backend(system):
    server = system("langhero")
    note = bytes(range(256)) * 999
    url = server.fetch("/api/notes", method="POST", body=note).json()["url"]
    systems.kill_backend(server.proc.pid)
    assert server.fetch(url, deadline=35).body == note
    assert (server.app / url[1:]).read_bytes() == note


def test_langhero_is_told_where_it_is(system):
    server = system("langhero")
    env = server.fetch("/_app/env.js")
    assert env.get("content-type").startswith("text/javascript") and env.body.startswith(b"export const env={")
    assert b"PUBLIC_BACKEND_URL" in env.body
    assert b"localhost:8000" not in server.fetch("/_app/immutable/chunks/D3kPz7wM.js").body


def test_langhero_published_and_taken_back(system):
    server = system("langhero")
    assert send(server, "/api/published_runs", value={"title": "x"}).status == 422
    mine = {"title": "x", "attest_rights": True, "confirm_publish": True}
    run = send(server, "/api/published_runs", value=mine).json()
    path = f"/api/published_runs/{run['public_id']}"
    assert server.fetch(path).json()["title"] == "x"
    assert send(server, path, "DELETE", {"delete_key": "wrong"}).status == 403
    assert send(server, path, "DELETE", {"delete_key": run["delete_key"]}).status == 204
    assert server.fetch(path).status == 404


# ---- story_analytics -----------------------------------------------------------------------------
def test_story_analytics_may_be_framed_where_it_says(system):
    server = system("story_analytics")
    page, embed = server.fetch("/library"), server.fetch("/embed/chart/x?theme=dark")
    assert "frame-ancestors 'none'" in page.get("content-security-policy")
    assert "frame-ancestors" not in embed.get("content-security-policy") and embed.get("x-frame-options") is None
    assert b"embed-Gh3uE6aR.js" in embed.body and b"main-Cx8sQ4nV.js" in page.body
    assert server.fetch("/embed/x.js").status in (200, 404)
    with changed(server, '  pages: { "/embed/*": embed.html }\n', ""):
        assert b"main-Cx8sQ4nV.js" in server.fetch("/embed/chart/x").body


def test_story_analytics_links_lead_where_it_was_asked(system):
    server = system("story_analytics")
    link = server.fetch("/api/admin/invites", method="POST", host="charts.example:8443",
                        headers={"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}).json()["link"]
    assert re.match(r"http://charts\.example:8443/login\?invite=\w+$", link)


def test_story_analytics_addresses_cannot_be_forged(system):
    server, forged = system("story_analytics"), (f"203.0.113.{n}" for n in range(99))
    answers = [server.fetch("/api/auth/forgot-password", method="POST", headers={
        "X-Forwarded-For": address, "Forwarded": f"for={address}", "X-Real-IP": address, "X_Forwarded_For": address})
        for address in itertools.islice(forged, 4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].json()["address"] == "127.0.0.1" and answers[3].get("retry-after") == "3600"


def test_story_analytics_its_hole_is_there_and_out_of_reach(system):
    server = system("story_analytics")
    with Conn(direct(server)) as conn:
        assert conn.request("/..%2f..%2fsecret.txt").read().body == SECRET
    with Conn(direct(server)) as conn:
        assert b"SQLite format" in conn.request("/..%2f..%2fdata/metadata.db").read().body
    for path in ("/..%2f..%2fsecret.txt", "/api/..%2f..%2f..%2fsecret.txt", "/api/%2e%2e/%2e%2e/secret.txt",
                 "/health/..%2f..%2f..%2fsecret.txt", "/docs/../../../secret.txt"):
        assert SECRET not in server.fetch(path).body, path
    with changed(server, "routes: [ /api/,", "routes: [ /,"):
        assert server.fetch("/x.json").body.startswith(b"<!doctype html>")  # the catch-all gets everything now
        for path in ("/..%2f..%2fsecret.txt", "/%2e%2e%2f%2e%2e%2fsecret.txt", "/x/..%2f..%2f..%2fsecret.txt"):
            assert server.fetch(path).status == 400, path
        assert SECRET not in server.fetch("/../../secret.txt").body


def upload(server, size, name="large.csv"):
    """The answer to a form with one file of that size, sent as it is made."""
    front = (f"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n"
             "Content-Type: text/csv\r\n\r\n").encode()
    line = b"2024-01-01,123.5,north\n" * 2849  # close to 64 KB
    with Conn(server, 60) as conn:
        conn.send(f"POST /api/data/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(front) + size + 12}\r\n"
                  "Content-Type: multipart/form-data; boundary=edge\r\n\r\n")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            conn.send(front)
            for at in range(0, size, len(line)):
                conn.send(line[:size - at])
            conn.send(b"\r\n--edge--\r\n")
        return conn.read("POST")


def test_story_analytics_takes_100_mb(system):
    server = system("story_analytics")
    answer = upload(server, 100 * MB)
    assert answer.status == 201 and answer.json()["bytes"] == 100 * MB
    preview = server.fetch(f"/api/data/preview/{answer.json()['source_id']}").json()
    assert preview["columns"] == ["2024-01-01", "123.5", "north"]
    assert upload(server, 10).status == 409


def test_story_analytics_refuses_more_before_it_comes(system):
    with Conn(system("story_analytics"), 35) as conn:
        conn.send(f"POST /api/data/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {111 * MB}\r\n"
                  "Content-Type: multipart/form-data; boundary=edge\r\n\r\n")
        assert conn.read("POST").status == 413


def is_frozen(server):
    try:
        server.fetch("/health", deadline=0.3)
    except (Broken, socket.timeout):
        return True
    return False


def test_story_analytics_frozen_is_not_dais_frozen(system):
    server = system("story_analytics")
    with Conn(server, 35) as cell:
        cell.request("/api/notebooks/n/execute", "POST", {"Content-Type": "application/json"}, b'{"seconds": 8}')
        wait_for(lambda: is_frozen(server), "its freeze")
        for path in ("/", "/embed/chart/x", "/assets/main-Cx8sQ4nV.js"):
            assert server.fetch(path).status == 200
        assert is_frozen(server)  # so they came meanwhile
        assert cell.read("POST").status == 200
    assert server.fetch("/health", deadline=35).status == 200


def test_story_analytics_health_lies(tmp_path):
    with running(tmp_path, "story_analytics") as server:
        assert server.fetch("/api/connections/drop", method="POST").status == 200
        assert server.fetch("/api/ready").status == 503 and server.fetch("/health").json() == {"status": "healthy"}


# ---- papeterie -----------------------------------------------------------------------------------
STRANGER = "theatre.example"  # nobody who asks for this name sits at this machine


def put_sprite(server, name, content=b"\x89PNG\r\n", **headers):
    return server.fetch(f"/api/sprites/upload?name={name}", method="POST", body=content,
                        headers=[("Content-Type", "image/png"), *headers.items()]).json()


def test_papeterie_assets_are_two_peoples(system):
    server = system("papeterie")
    sprite = put_sprite(server, "boat")
    assert sprite["url"] == "/assets/users/local/sprites/boat/boat.png"
    image = server.fetch(sprite["url"])
    assert image.body == b"\x89PNG\r\n" and image.get("content-type") == "image/png"
    bundle = server.fetch("/assets/index-Ct9mH3bX.js")
    assert b"location.port" in bundle.body and b'"8000"' not in bundle.body
    config = server.fetch(sprite["url"].replace("png", "prompt.json"))
    assert (config.status, config.body) == (200, b"{}")
    assert server.fetch("/assets/users/local/sprites/boat/other.png").status == 404
    with changed(server, "[ /assets/ ]\n", "[ /assets/users/community/, /assets/prompts/ ]\n"):
        assert server.fetch(sprite["url"]).status == 404


def test_papeterie_root_is_the_page(system):
    server = system("papeterie")
    with Conn(direct(server)) as conn:
        assert conn.request("/").read().json() == {"message": "Paper Theatre API"}
    assert b"<title>Paper Theatre</title>" in server.fetch("/").body


@pytest.mark.parametrize("path", ["/api/auth/login", "/api/auth/register", "/api/auth", "/api//auth/login",
                                  "/api/%61uth/login", "/api/x/../auth/login", "/api/./auth/login", "/api/auth/login/"])
def test_papeterie_its_accounts_are_out_of_reach(system, path):
    server, account = system("papeterie"), {"username": "ada", "password": "x"}
    assert send(server, path, value=account).status == 403
    assert server.fetch(path).status == 403


def test_papeterie_would_leak_without_the_rule(system):
    server, account = system("papeterie"), {"username": "eve", "password": "x"}
    with changed(server, '    "/api/auth/": nobody\n', ""):
        assert send(server, "/api/auth/register", value=account).status == 200
        assert "password_hash" in send(server, "/api/auth/login", value=account).json()


def test_papeterie_prompts_are_read_only(system):
    server = system("papeterie")
    (server.app / "assets/prompts/Meta.prompt").write_text("Describe it.")
    for path in ("/api/prompts/Meta", "/api/prompts/", "/api/prompts", "/api//prompts/Meta"):
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert send(server, path, method, {"text": "evil"}, Host=STRANGER).status == 401
    assert server.fetch("/api/prompts/Meta").json()["text"] == "Describe it."
    moved = server.fetch("/api/prompts")
    assert moved.status == 307 and moved.get("location").endswith("/api/prompts/")


@pytest.mark.parametrize("bearer", ["victim", "../../x", "community", ""])
def test_papeterie_a_forged_bearer_has_no_effect(system, bearer):
    server = system("papeterie")
    assert put_sprite(server, "forged", Authorization=f"Bearer {bearer}")["user"] == "local"
    forged = {"authorization": f"Bearer {bearer}"}
    assert all(sprite["user"] == "local" for sprite in server.fetch("/api/sprites", headers=forged).json())
    assert server.fetch("/api/sprites", headers=forged, host=STRANGER).status == 401
    assert os.listdir(server.app / "assets/users") == ["local"]
