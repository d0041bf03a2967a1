# Two people in an application that knows none: dais says who asks, and whose files are whose.
import pytest

from conftest import DAIS_BIN
from running import running, systems

TEST_BIN = DAIS_BIN.parent / "dais-identity"  # the real server; X-Test-User says who asks
HOST = "theatre.example"  # not this machine's own name, so nobody is the local user
def with_accounts(app):
    file = app / "dais.yaml"
    file.write_text(file.read_text().replace("signup: closed, local: none", "signup: closed"))


@pytest.fixture(name="theatre", scope="module")
def fixture_theatre(tmp_path_factory):
    with running(tmp_path_factory.mktemp("papeterie"), "papeterie", with_accounts, program=TEST_BIN) as server:
        for user in ("alice", "bob"):
            assert put(server, user, "boat", f"{user}'s boat".encode()).status == 200
        yield server


def ask(server, user, path, method="GET", body=None, **headers):
    pairs = [*headers.items(), ("Content-Type", "application/json")]
    if user:
        pairs.append(("X-Test-User", user))
    return server.fetch(path, method=method, headers=pairs, body=body, host=HOST)


def put(server, user, name, content, **headers):
    return ask(server, user, f"/api/sprites/upload?name={name}", "POST", content, **headers)


def owners(server, user, **headers):
    return {sprite["user"] for sprite in ask(server, user, "/api/sprites", **headers).json()}


def boat(user):
    return f"/assets/users/{user}/sprites/boat/boat.png"


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_each_sees_only_their_own(theatre, user):
    assert owners(theatre, user) - {"community"} == {user}
    assert ask(theatre, user, boat(user)).body == f"{user}'s boat".encode()
    assert ask(theatre, user, boat(user).replace("png", "prompt.json")).body == b"{}"


@pytest.mark.parametrize("bearer", ["Bearer bob", "Bearer ../bob", "Bearer community", "Bearer", "Basic Ym9iOg=="])
def test_a_forged_bearer_has_no_effect(theatre, bearer):
    for name in ("Authorization", "authorization"):
        assert owners(theatre, "alice", **{name: bearer}) - {"community"} == {"alice"}
        assert put(theatre, "alice", "forged", b"x", **{name: bearer}).json()["user"] == "alice"
        assert ask(theatre, None, "/api/sprites", **{name: bearer}).status == 401
    assert ask(theatre, "bob", boat("bob")).body == b"bob's boat"
    assert set((path.name for path in (theatre.app / "assets/users").iterdir())) <= {"alice", "bob", "community"}


@pytest.mark.parametrize("path", [boat("bob"), "/assets/users/bob/", "/assets//users/bob/sprites/boat/boat.png",
                                  "/assets/users/%62ob/sprites/boat/boat.png", "/assets/users/al/x.png",
                                  "/assets/users/alice/../bob/sprites/boat/boat.png", "/assets/users/alicex/x.png",
                                  "/assets/users/{user.id}/x.png", "/assets/users/", "/assets/users"])
def test_what_is_anothers_is_refused(theatre, path):
    answer = ask(theatre, "alice", path)
    assert answer.status == 403 and b"boat" not in answer.body
    assert ask(theatre, None, path).status in (401, 403)


@pytest.mark.parametrize("path", ["/assets/users/alice/..%2fbob/sprites/boat/boat.png",
                                  "/assets/users/alice%2f..%2fbob/sprites/boat/boat.png"])
def test_what_is_ambiguous_is_refused(theatre, path):
    assert ask(theatre, "alice", path).status == 400


def test_what_is_shared_is_for_all_who_are_signed_in(theatre):
    assert ask(theatre, "bob", "/api/sprites/boat/share", "POST").status == 200
    assert ask(theatre, "alice", boat("community")).body == b"bob's boat"
    assert ask(theatre, None, boat("community")).status == 401


def test_nobody_reaches_its_accounts(theatre):
    for user in (None, "alice", "root;operator"):
        answer = ask(theatre, user, "/api/auth/login", "POST", b'{"username":"alice","password":"x"}')
        assert answer.status in (401, 403)


def test_prompts_are_the_operators(theatre):
    assert ask(theatre, "alice", "/api/prompts/Meta", "POST", b'{"text":"evil"}').status == 403
    assert ask(theatre, "root;operator", "/api/prompts/Meta", "POST", b'{"text":"Describe it."}').status == 200
    assert ask(theatre, "alice", "/api/prompts/Meta").json()["text"] == "Describe it."


@pytest.mark.parametrize("user", ["..", "../alice", "a/b", "", "al ice"])
def test_ids_that_are_no_folder_name_reach_nothing(theatre, user):
    before = systems.backend_pids(theatre.proc.pid)
    assert put(theatre, user, "odd", b"x").status in (401, 403)
    assert not list(theatre.app.rglob("odd.png")) and systems.backend_pids(theatre.proc.pid) == before
