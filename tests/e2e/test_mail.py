# Mail: from the outbox to a server, however it behaves, or into the folder and onto the console; on both databases.
import contextlib
import email
import email.policy
import json
import os
import re
import sqlite3
import subprocess
import time

import pytest

import postgres
from conftest import DAIS_BIN, wait_for
from documents import DATABASES
from serving import serving, write_app
from smtp import Smtp

LETTER_BIN = DAIS_BIN.parent / "dais-letter"
LINK = "https://notes.example/sign-in?next=%2F&a=b#dln_0123456789abcdefghijklmnopqrstuvwxyz"
MANIFEST = "title: Notes\nauth: { signup: open }\ncollections:\n  notes: { owner: true }\nweb: { root: web }\n"
STRICT = email.policy.SMTP.clone(raise_on_defect=True)
COLUMNS = "id due attempts recipient subject words page link code created given_up error".split()
NUMBERS = {"due", "attempts", "created", "given_up"}


class Place:
    """An app's database: rows of its outbox, and servers beside it."""

    def __init__(self, kind, folder, database):
        self.kind, self.folder, self.database = kind, folder, database
        self.app = write_app(folder / "notes", {"web/index.html": "hello"}, MANIFEST)
        self.data = folder / "data"
        self.n_letters, self.is_prepared = 0, False

    def _ask(self, server, path):
        """Opens the database; a sign-up posts a letter, a sign-in does not."""
        body = {"email": "somebody@example.org", "password": "correct horse battery"}
        answer = server.fetch(path, method="POST", headers=[("Content-Type", "application/json")],
                              body=json.dumps(body).encode())
        assert answer.status < 500, (answer, server.stderr)

    def _prepare(self, env):
        """The tables are there, and whatever accounts posted by themselves is sent."""
        self.is_prepared = True
        with serving(self.app, "--data", self.data, env=env) as server:
            self._ask(server, "/api/auth/signup")
            wait_for(lambda: self.query("SELECT count(*) FROM dais_mail") == [["0"]], "an empty outbox")

    @contextlib.contextmanager
    def serving(self, smtp_url="", *, is_asked=True, **env):
        if self.kind == "postgres":
            env["DATABASE_URL"] = self.database.url
        if not self.is_prepared:
            self._prepare(env)
        with serving(self.app, "--data", self.data, env={**env, "SMTP_URL": smtp_url}) as server:
            if is_asked:
                self._ask(server, "/api/auth/login")
            yield server

    def query(self, sql):
        if self.kind == "postgres":
            return self.database.query(f"SET search_path TO notes; {sql}")
        file = self.data / "apps/notes/app.db"
        with contextlib.closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as db:
            return [[str(value) for value in row] for row in db.execute(sql)]

    def post(self, to="ada@example.com", subject="Sign in to Notes", greeting="Hello Ada,",
             text="Somebody asked for a link.\n\nIt works once.", link=LINK, button="Sign in"):
        """As accounts do; returns the id."""
        self.n_letters += 1
        file = self.folder / f"letter{self.n_letters}.db"
        subprocess.run([LETTER_BIN, file, to, subject, "Notes", greeting, text, link, button, "magic"], check=True)
        with contextlib.closing(sqlite3.connect(file)) as db:
            row = db.execute(f"SELECT {', '.join(COLUMNS)} FROM dais_mail").fetchone()
        values = [str(value) if name in NUMBERS else f"'{value.replace(chr(39), chr(39) * 2)}'"
                  for name, value in zip(COLUMNS, row)]
        self.query(f"INSERT INTO dais_mail ({', '.join(COLUMNS)}) VALUES ({', '.join(values)})")
        return row[0]

    def row(self, letter, columns):
        rows = self.query(f"SELECT {columns} FROM dais_mail WHERE id = '{letter}'")
        return rows[0] if rows else None

    def gone(self, letter):
        wait_for(lambda: self.row(letter, "id") is None, "the letter leaves the outbox")

    def tried(self, letter, attempts=1):
        """Waits until an attempt came to nothing; gives why."""
        return wait_for(lambda: self.query(f"SELECT error, due FROM dais_mail WHERE id = '{letter}' AND error <> ''"
                                           f" AND attempts >= {attempts}"), "an attempt that fails")[0]


@pytest.fixture(name="database", scope="module")
def fixture_database():
    with contextlib.ExitStack() as stack:
        made = []
        def database():
            if not made:
                made.append(stack.enter_context(postgres.Postgres()))
            made[0].query("DROP SCHEMA IF EXISTS notes CASCADE; DROP SCHEMA IF EXISTS _host CASCADE")
            return made[0]
        yield database


@pytest.fixture(name="place", params=DATABASES)
def fixture_place(request, tmp_path, database):
    return Place(request.param, tmp_path, database() if request.param == "postgres" else None)


@pytest.fixture(name="sqlite_place")
def fixture_sqlite_place(tmp_path):
    return Place("sqlite", tmp_path, None)


@pytest.fixture(name="certificates", scope="module")
def fixture_certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*args):
        subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, cwd=folder)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test CA", "-days", "30")
    openssl("req", *key, "-keyout", "mail.key", "-out", "mail.csr", "-subj", "/CN=mail")
    (folder / "ext").write_text("subjectAltName=IP:127.0.0.1,DNS:mail.localhost\n")
    openssl("x509", "-req", "-in", "mail.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "mail.pem", "-days", "30", "-extfile", "ext")
    return {"ca": folder / "ca.pem", "mail": (folder / "mail.pem", folder / "mail.key")}


def parsed(raw):
    """Strictly: what is no RFC 5322 or MIME raises."""
    message = email.message_from_bytes(raw, policy=STRICT)
    assert message.get_content_type() == "multipart/alternative"
    text, page = message.iter_parts()
    assert (text.get_content_type(), page.get_content_type()) == ("text/plain", "text/html")
    for part in (text, page):
        assert part.get_content_charset() == "utf-8" and not part.defects
    assert max(map(len, raw.split(b"\r\n"))) <= 300 and b"\n" not in raw.replace(b"\r\n", b"")
    return message, *(part.get_content().replace("\r\n", "\n") for part in (text, page))


def stays_unsent(place, server, smtp, letter, why):
    error, _ = place.tried(letter)
    assert why in error, error
    assert smtp.letters == [] and smtp.errors == []
    assert place.row(letter, "given_up") == ["0"]
    server.says("mail not taken yet")


# ---- what arrives ------------------------------------------------------------------------------------------------

def test_a_letter_arrives_as_it_was_meant(place):
    with Smtp() as smtp, place.serving(smtp.url(), MAIL_FROM="Notes, the app <desk@notes.example>",
                                       DAIS_LOG="json") as server:
        text = "Jemand will herein: Jürgen.\n\n.\n.. dots\n\n" + "long" * 300 + "\n\nFrom here on <b>&amp; \"so\"</b>"
        letter = place.post(subject="Anmelden bei „Notes“: " + "ä" * 60, greeting="Grüß Gott,", text=text)
        place.gone(letter)
        [taken] = smtp.letters
        assert smtp.errors == []
        assert (taken.sender, taken.recipients) == ("desk@notes.example", ["ada@example.com"])
        assert taken.hello == "notes.example" and not taken.is_tls
        message, words, page = parsed(taken.raw)
        assert message["Subject"].startswith("Anmelden bei „Notes“: ääää")
        [sender] = message["From"].addresses
        assert (sender.display_name, sender.addr_spec) == ("Notes, the app", "desk@notes.example")
        assert [a.addr_spec for a in message["To"].addresses] == ["ada@example.com"]
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Message-ID"] == f"<{letter}@notes.example>"
        assert abs(message["Date"].datetime.timestamp() - time.time()) < 600
        assert f"\n{LINK}\n" in words and "Grüß Gott," in words and "Jürgen" in words
        assert ". .. dots" in words and "long" * 300 in words and "<b>&amp; \"so\"</b>" in words
        assert page.count('href="' + LINK.replace("&", "&amp;") + '"') == 2
        assert "&lt;b&gt;&amp;amp; " in page and "<b>" not in page and "Jürgen" in page
        wait_for(lambda: b'\ndais_mail_waiting{app="notes"} 0\n' in server.fetch("/metrics").body, "nothing waits")
        assert int(re.search(rb'\ndais_mail_sent_total{app="notes"} (\d+)', server.fetch("/metrics").body)[1]) >= 1
        assert b'\ndais_mail_failed_total{app="notes"} 0\n' in server.fetch("/metrics").body
    assert LINK not in server.stderr and LINK not in server.stdout and "ada@" not in server.stderr


def test_every_line_of_dots_survives(sqlite_place):
    with Smtp() as smtp, sqlite_place.serving(smtp.url()):
        letter = sqlite_place.post(text="\n\n".join(["." * n for n in range(1, 90)]))
        sqlite_place.gone(letter)
        _, words, _ = parsed(smtp.letters[-1].raw)
        assert smtp.errors == []
        assert words.split("\n\n")[1:90] == ["." * n for n in range(1, 90)]


# ---- who may read along ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("password", ["pa:ss/w?rd#@%", "with space"])
def test_a_login_is_sent_to_who_proves_himself(sqlite_place, certificates, password):
    quoted = "".join(f"%{byte:02X}" for byte in password.encode())
    with Smtp(certificates["mail"], {"an n": password}, starts_tls=True) as smtp, \
            sqlite_place.serving(smtp.url(f"an%20n:{quoted}", "mail.localhost"), SSL_CERT_FILE=str(certificates["ca"])):
        sqlite_place.gone(sqlite_place.post())
        assert smtp.errors == []
        assert smtp.letters[-1].is_tls and smtp.letters[-1].user == "an n"


def test_smtps(sqlite_place, certificates):
    with Smtp(certificates["mail"], {"ann": "secret"}, implicit=True) as smtp, \
            sqlite_place.serving(smtp.url("ann:secret"), SSL_CERT_FILE=str(certificates["ca"])):
        sqlite_place.gone(sqlite_place.post())
        assert smtp.errors == [] and smtp.letters[-1].is_tls


@pytest.mark.parametrize("implicit, host", [(True, "127.0.0.1"), (False, "mail.localhost")])
def test_a_certificate_that_nobody_trusts(sqlite_place, certificates, implicit, host):
    with Smtp(certificates["mail"], {"ann": "secret"}, implicit=implicit, starts_tls=True) as smtp, \
            sqlite_place.serving(smtp.url("ann:secret", host)) as server:
        stays_unsent(sqlite_place, server, smtp, sqlite_place.post(), "certificate is not trusted")
        assert "AUTH" not in smtp.said


def test_a_password_is_not_sent_in_the_clear(sqlite_place):
    with Smtp(users={"ann": "secret"}) as smtp, \
            sqlite_place.serving(smtp.url("ann:secret", "mail.localhost")) as server:
        stays_unsent(sqlite_place, server, smtp, sqlite_place.post(), "STARTTLS")
        assert "AUTH" not in smtp.said


def test_on_this_machine_it_may_be(sqlite_place, certificates):
    with Smtp(users={"ann": "secret"}) as smtp, sqlite_place.serving(smtp.url("ann:secret")):
        sqlite_place.gone(sqlite_place.post())
        assert smtp.letters[-1].user == "ann" and smtp.errors == []
    with Smtp(certificates["mail"], starts_tls=True) as smtp, sqlite_place.serving(smtp.url()):
        sqlite_place.gone(sqlite_place.post())
        assert smtp.letters[-1].is_tls and smtp.errors == []  # offered, so taken


def test_a_wrong_password_is_told_and_never_shown(sqlite_place):
    with Smtp(users={"ann": "secret"}) as smtp, sqlite_place.serving(smtp.url("ann:wr0ngpass")) as server:
        letter = sqlite_place.post()
        stays_unsent(sqlite_place, server, smtp, letter, "refuses the user or the password")
        assert "***" in sqlite_place.row(letter, "error")[0]
    assert "wr0ngpass" not in server.stderr + server.stdout + str(sqlite_place.row(letter, "error"))


# ---- servers that do not take it ---------------------------------------------------------------------------------

@pytest.mark.parametrize("command, reply", [
    ("RCPT", "450 4.2.0 Come again"), ("TEXT", "451 4.3.0 Come again"), ("DATA", "452 4.3.1 Come again"),
    ("MAIL", "550 5.7.1 Come again"), ("HELLO", "554 Come again"), ("RCPT", "421 Come again"),
])
def test_not_now_is_tried_again(sqlite_place, command, reply):
    place = sqlite_place
    with Smtp() as smtp, place.serving(smtp.url()) as server:
        smtp.replies[command] = reply
        began, letter = time.time(), place.post()
        stays_unsent(place, server, smtp, letter, "Come again")
        error, due = place.tried(letter)
        assert place.row(letter, "attempts") == ["1"] and error.startswith("127.0.0.1: ")
        assert began + 50 < int(due) / 1000 < time.time() + 61
        smtp.replies.clear()
    place.query("UPDATE dais_mail SET due = 1")  # time passes
    with Smtp() as smtp, place.serving(smtp.url()):
        place.gone(letter)
        assert [parsed(taken.raw)[0]["To"] for taken in smtp.letters].count("ada@example.com") == 1


@pytest.mark.parametrize("where", ["DATA", "TEXT"])
def test_a_connection_that_is_cut(sqlite_place, where):
    with Smtp() as smtp, sqlite_place.serving(smtp.url()) as server:
        smtp.replies[where] = "cut"
        letter = sqlite_place.post()
        error, _ = sqlite_place.tried(letter)
        assert "127.0.0.1: " in error and sqlite_place.row(letter, "given_up") == ["0"]
        server.says("mail not taken yet")


def test_nobody_is_there(sqlite_place):
    with Smtp() as smtp:
        url = smtp.url()
    with sqlite_place.serving(url):
        error, _ = sqlite_place.tried(sqlite_place.post())
        assert "does not accept a connection" in error


@pytest.mark.parametrize("command", ["RCPT", "TEXT"])
def test_never_is_given_up_and_told(place, command):
    with Smtp() as smtp, place.serving(smtp.url()) as server:
        smtp.replies[command] = "550 5.1.1 No such user here"
        letter = place.post()
        wait_for(lambda: place.row(letter, "given_up") != ["0"], "the letter is given up")
        assert smtp.letters == [] and smtp.errors == []
        error, words, page, link = place.row(letter, "error, words, page, link")
        assert "550 5.1.1 No such user here" in error and words + page + link == ""
        [[anomaly, detail]] = place.query(
            f"SELECT is_anomaly, detail FROM dais_events WHERE kind = 'mail.failed' AND object = '{letter}'")
        assert anomaly == "1" and detail.startswith("magic: ") and "550" in detail
        server.says("mail given up")
        smtp.replies.clear()
        place.gone(place.post("bob@example.com"))  # the next one is none the worse
        assert smtp.letters[-1].recipients == ["bob@example.com"]


def test_a_server_that_hangs_holds_up_no_stop(sqlite_place):
    with Smtp() as smtp, sqlite_place.serving(smtp.url()) as server:
        smtp.replies["RCPT"] = "hang"
        letter = sqlite_place.post()
        wait_for(lambda: any(text.startswith("RCPT") for text in smtp.said), "a conversation that hangs")
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 20  # it would say nothing for much longer
        assert sqlite_place.row(letter, "attempts, given_up, error") == ["0", "0", ""]  # it does not count


def test_killed_while_sending(place):
    with Smtp() as smtp, place.serving(smtp.url()) as server:
        smtp.replies["DATA"] = "hang"
        began, letter = time.time(), place.post()
        wait_for(lambda: "DATA" in smtp.said, "a conversation that hangs")
        server.kill()
    attempts, due = place.row(letter, "attempts, due")
    assert attempts == "1" and began + 60 < int(due) / 1000 < time.time() + 121  # nobody else's so long
    place.query(f"UPDATE dais_mail SET due = 1 WHERE id = '{letter}'")  # time passes
    with Smtp() as smtp, place.serving(smtp.url()):
        place.gone(letter)
        assert sum(taken.recipients == ["ada@example.com"] for taken in smtp.letters) == 1


@pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
def test_two_servers_send_each_letter_once(tmp_path, database):
    place = Place("postgres", tmp_path, database())
    with Smtp() as smtp, place.serving(smtp.url()):
        other = Place("postgres", tmp_path / "other", place.database)
        other.is_prepared = True  # its database is
        sent = [place.post(f"user{n}@example.com") for n in range(12)]
        with other.serving(smtp.url()):
            sent += [place.post(f"user{n}@example.com") for n in range(12, 24)]
            wait_for(lambda: place.query("SELECT count(*) FROM dais_mail") == [["0"]], "all are sent", 120)
        ids = [parsed(taken.raw)[0]["Message-ID"] for taken in smtp.letters]
        assert len(ids) == len(set(ids)) and {f"<{letter}@localhost>" for letter in sent} <= set(ids)


# ---- without a server --------------------------------------------------------------------------------------------

def test_the_console_and_the_folder(place):
    with place.serving() as server:
        letter = place.post(subject="Anmelden, schön")
        place.gone(letter)
        wait_for(lambda: f"-{letter}.eml" in server.stdout, "the console says it to the end")
        lines = server.stdout.splitlines()
        at = lines.index("Mail to ada@example.com: Anmelden, schön")
        assert lines[at + 1] == LINK  # alone, to be copied
        [file] = (place.data / "mail").glob(f"*-{letter}.eml")
        assert (place.data / "mail").stat().st_mode & 0o777 == 0o700 and file.stat().st_mode & 0o777 == 0o600
        message, words, _ = parsed(file.read_bytes())
        assert message["To"] == "ada@example.com" and message["From"] == "dais@localhost" and LINK in words
        assert str(file.name) in server.stdout
    assert LINK not in server.stderr and "dln_" not in server.stderr and "ada@" not in server.stderr


def test_what_waited_is_sent_at_the_next_start(sqlite_place):
    with sqlite_place.serving():
        pass
    letter = sqlite_place.post()
    with sqlite_place.serving(is_asked=False):  # nobody asks for anything
        sqlite_place.gone(letter)


def test_settings_that_are_reloaded(sqlite_place):
    (sqlite_place.app / ".env").write_text("MAIL_FROM=one@notes.example\n")
    with Smtp() as smtp, sqlite_place.serving(smtp.url()) as server:
        sqlite_place.gone(sqlite_place.post())
        assert smtp.letters[-1].sender == "one@notes.example"
        (sqlite_place.app / ".env").write_text("MAIL_FROM=two@notes.example\n")
        subprocess.run([DAIS_BIN, "reload", sqlite_place.app, "--data", sqlite_place.data], check=True,
                       capture_output=True)
        sqlite_place.gone(sqlite_place.post())
        assert smtp.letters[-1].sender == "two@notes.example"
        assert server.proc.poll() is None


# ---- what is told beforehand -------------------------------------------------------------------------------------

def test_check_tells_what_links_would_begin_with(sqlite_place, run_dais):
    def warnings(text):
        (sqlite_place.app / ".env").write_text(text)
        done = run_dais("check", sqlite_place.app)
        assert done.returncode == 0, done
        return [name for name in ("PUBLIC_URL", "MAIL_FROM") if f"{name}: warning: it is not set" in done.stdout]
    assert warnings("") == []
    assert warnings("SMTP_URL=smtp://me:hunter22@mail.example\n") == ["PUBLIC_URL", "MAIL_FROM"]
    assert warnings("SMTP_URL=smtp://mail.example\nMAIL_FROM=a@b.example\n") == ["PUBLIC_URL"]
    assert warnings("SMTP_URL=smtp://mail.example\nMAIL_FROM=a@b.example\nPUBLIC_URL=https://b.example\n") == []
    (sqlite_place.app / ".env").write_text("SMTP_URL=smtp://me:hunter22@mail.example\n")
    shown = run_dais("help", "env", cwd=sqlite_place.app)
    assert "hunter22" not in shown.stdout + shown.stderr and "set, not shown" in shown.stdout


@pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
def test_the_outbox_s_own_tests_on_postgres(database):
    program, root = DAIS_BIN.parent / "tests/mail/test_outbox", DAIS_BIN.parents[2]
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    subprocess.run(["make", "-s", program.relative_to(root)], cwd=root, env=env, check=True, timeout=600)
    done = subprocess.run([program], env={**env, "DAIS_TEST_DATABASE": database().url}, capture_output=True, text=True,
                          check=False, timeout=1200)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "[  PASSED  ]" in said, said[-3000:]
