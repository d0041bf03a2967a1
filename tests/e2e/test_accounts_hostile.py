# What strangers try on accounts: a key that makes itself wider, guesses at a password, a second account of an address.
import pytest

from accounts_api import AUTH, PASSWORD, ask, desk, joined, letter, letters, link, problem
from conftest import wait_for
from documents import DATABASES

MANIFEST = "collections: { notes: { owner: true } }\n"


@pytest.fixture(name="db", scope="module", params=DATABASES)
def fixture_db(request, tmp_path_factory):
    with desk(request.param, tmp_path_factory.mktemp("hostile"), MANIFEST) as server:
        yield server


def _without_password(db):
    """Who came by a link; the password that was typed before anybody had proved the address is gone."""
    account = joined(db)
    letter(db, account.email)  # the one about proving it
    assert ask(db, "POST", "/api/auth/magic-link", {"email": account.email}).status == 202
    answer = ask(db, "POST", "/api/auth/magic-link", {"token": link(letter(db, account.email, 2), "magic")})
    assert answer.status == 200
    return account, answer.json()["token"]


def test_a_key_gives_no_account_its_first_password(db):
    """With it, who has the key would sign in: without an end, and beyond its scopes. Nor does it end the account."""
    account, token = _without_password(db)
    key = ask(db, "POST", "/api/keys", {"name": "k", "scopes": ["admin"]}, token=token).json()["key"]
    problem(ask(db, "POST", "/api/auth/password", {"password": "of the key's own"}, token=key), 403, "forbidden")
    problem(ask(db, "DELETE", "/api/auth/me", {}, token=key), 403, "forbidden")
    assert ask(db, "POST", "/api/auth/password", {"password": PASSWORD}, token=token).status == 204
    assert ask(db, "POST", "/api/auth/password", {"current": PASSWORD, "password": "who knows it may"},
               token=key).status == 204
    assert ask(db, "POST", "/api/auth/login", {"email": account.email, "password": "who knows it may"}).status == 200


@pytest.mark.parametrize("method, path, field", [("DELETE", "auth/me", "password"),
                                                 ("POST", "auth/password", "current")])
def test_who_took_a_session_does_not_guess_its_password(tmp_path, method, path, field):
    """From wherever: it is the account that is counted."""
    auth = AUTH + "limits: { login: 10/hour }\n"  # as many as a minute gives otherwise, and none comes back meanwhile
    with desk("sqlite", tmp_path, MANIFEST, auth, env={"DAIS_TRUSTED_PROXIES": "loopback"}) as server:
        ann = joined(server, X_Forwarded_For="192.0.2.1")
        body = {"password": "another long one", field: "not the one"}
        found = [ask(server, method, f"/api/{path}", body, token=ann.token,
                     X_Forwarded_For=f"198.51.100.{i}").status for i in range(12)]
        assert found == [403] * 10 + [429] * 2


def test_a_link_to_prove_an_address_is_for_who_asked(db):
    """A stranger was here first, with the same address: the page's button is about one's own account all the same."""
    first = joined(db, "victim")
    answer = ask(db, "POST", "/api/auth/signup", {"email": first.email, "password": "of the owner"})
    cookie = answer.get("set-cookie").split(";")[0]
    sent = len(wait_for(lambda: len(letters(db, first.email)) == 2 and letters(db, first.email), "two letters"))
    assert ask(db, "POST", "/_/sign-in", b"do=verify-again", cookie=cookie,
               Content_Type="application/x-www-form-urlencoded").status == 303
    token = link(letter(db, first.email, sent + 1), "verify")
    answer = ask(db, "POST", "/api/auth/verify", {"token": token}, cookie=cookie)
    assert answer.status == 200 and answer.json()["id"] != first.id, answer.body


@pytest.mark.parametrize("header", ["Via", "CF-Connecting-IP", "X-Client-IP", "X-Forwarded-Server", "X_Forwarded_For"])
def test_what_a_proxy_brings_is_not_this_machine(db, header):
    """Not all of them write X-Forwarded-For: any header that says for whom they ask will do, as with `local`."""
    for path in ("/metrics", "/readyz", "/_/metrics", "/_/readyz"):
        assert db.fetch(path).status == 200
        assert db.fetch(path, headers=[(header, "198.51.100.7")]).status == 403, path
