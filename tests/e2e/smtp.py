# A mail server for tests: strict about what it is told, and as unfriendly as a test wants it to be.
"""
with Smtp(tls=(pem, key), users={"ann": "secret"}) as smtp:
    smtp.url("ann", "secret")     what SMTP_URL is
    smtp.letters                  what was taken: Letter(sender, recipients, raw, is_tls, user)
    smtp.replies["RCPT"] = "550 5.1.1 No such user"   another answer than the usual one to a command
    smtp.replies["TEXT"] = "cut" | "hang"             to the text: closes, or says nothing
    smtp.errors                   what a client did that no client may; a test looks that it is empty
"""
import base64
import contextlib
import dataclasses
import re
import socket
import ssl
import threading

COMMAND_MAX, LINE_MAX = 512, 1000  # with CRLF: RFC 5321 4.5.3.1


@dataclasses.dataclass
class Letter:
    sender: str
    recipients: list
    raw: bytes
    is_tls: bool
    user: str
    hello: str


class Wrong(Exception):
    pass


class Smtp:
    def __init__(self, tls=None, users=None, *, starts_tls=False, implicit=False):
        """`users`: mail is taken only from them."""
        self.users, self.starts_tls, self.implicit = users, starts_tls, implicit
        self.letters, self.errors, self.replies, self.said = [], [], {}, []
        self.n_connections = 0
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.is_ending = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.is_ending.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for thread in self.threads:
            thread.join(60)

    def url(self, login="", host="127.0.0.1"):
        return f"smtp{'s' if self.implicit else ''}://{login}{'@' if login else ''}{host}:{self.port}"

    def _accept(self):
        while True:
            try:
                sock = self.socket.accept()[0]
            except OSError:
                return
            self.n_connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, sock):
        sock.settimeout(120)
        try:
            with contextlib.suppress(OSError, EOFError, ssl.SSLError):
                if self.implicit:
                    sock = self.context.wrap_socket(sock, server_side=True)
                conversation = Conversation(self, sock)
                try:
                    conversation.run()
                finally:
                    conversation.sock.close()
        except Wrong as error:
            self.errors.append(str(error))
        finally:
            sock.close()


class Conversation:
    def __init__(self, server, sock):
        self.server, self.sock, self.buffer = server, sock, b""
        self.is_tls, self.user, self.hello = server.implicit, None, None
        self.sender, self.recipients = None, []

    def say(self, text):
        if text == "cut":
            raise EOFError
        if text == "hang":
            self.server.is_ending.wait(120)
            raise EOFError
        self.sock.sendall(text.encode() + b"\r\n")

    def line(self, limit):
        while b"\n" not in self.buffer:
            if len(self.buffer) > limit:
                raise Wrong(f"a line is longer than {limit}: {self.buffer[:80]!r}")
            more = self.sock.recv(1 << 16)
            if not more:
                raise EOFError
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1] or len(line) + 1 > limit:
            raise Wrong(f"a line does not end in CRLF alone, or is too long: {line[:80]!r}")
        return line[:-1]

    def run(self):
        self.say(self.server.replies.get("HELLO", "220 test.example ESMTP"))
        while True:
            text = self.line(COMMAND_MAX).decode("ascii")
            word, _, rest = text.partition(" ")
            self.server.said.append(word if word == "AUTH" else text)
            handler = getattr(self, f"do_{word.lower()}", None)
            if not handler:
                raise Wrong(f"there is no command {word!r}")
            reply = self.server.replies.get(word)
            if reply and not reply.startswith("2"):
                self.say(reply)
            elif handler(rest) == "end":
                return

    def do_ehlo(self, name):
        if not re.fullmatch(r"[A-Za-z0-9.-]+", name):
            raise Wrong(f"EHLO {name!r}")
        self.hello = name
        offers = ["test.example", "SIZE 1000000"]
        if self.server.starts_tls and not self.is_tls:
            offers.append("STARTTLS")
        if self.server.users:
            offers.append("AUTH PLAIN LOGIN")
        for offer in offers[:-1]:
            self.say(f"250-{offer}")
        self.say(f"250 {offers[-1]}")

    def do_helo(self, name):
        self.hello = name
        self.say("250 test.example")

    def do_starttls(self, _):
        if self.is_tls or self.buffer:
            raise Wrong("STARTTLS with more behind it, or twice")
        self.say("220 go on")
        self.sock = self.server.context.wrap_socket(self.sock, server_side=True)
        self.is_tls, self.hello = True, None

    def ask(self, what):
        self.say(f"334 {base64.b64encode(what).decode()}")
        return base64.b64decode(self.line(4096), validate=True)

    def do_auth(self, rest):
        kind, _, first = rest.partition(" ")
        if kind == "PLAIN":
            plain = base64.b64decode(first, validate=True) if first else self.ask(b"")
            _, name, password = (part.decode() for part in plain.split(b"\0"))
        elif kind == "LOGIN":
            name, password = self.ask(b"Username:").decode(), self.ask(b"Password:").decode()
        else:
            raise Wrong(f"AUTH {kind}")
        if self.server.users.get(name) != password:
            self.say("535 5.7.8 Wrong " + password)  # a server may say back what it was told
            return
        self.user = name
        self.say("235 welcome")

    def do_mail(self, rest):
        match = re.fullmatch(r"FROM:<([^<>\s]+)>( SIZE=\d+)?", rest)
        if not match or not self.hello or self.sender:
            raise Wrong(f"MAIL {rest!r}")
        if self.server.users and not self.user:
            self.say("530 5.7.0 Sign in first")
            return
        self.sender = match[1]
        self.say("250 ok")

    def do_rcpt(self, rest):
        match = re.fullmatch(r"TO:<([^<>\s]+)>", rest)
        if not match or not self.sender:
            raise Wrong(f"RCPT {rest!r}")
        self.recipients.append(match[1])
        self.say("250 ok")

    def do_data(self, rest):
        if rest or not self.recipients:
            raise Wrong("DATA")
        self.say("354 go on")
        lines = []
        while (line := self.line(LINE_MAX)) != b".":
            if line.startswith(b"."):
                if not line.startswith(b".."):
                    raise Wrong(f"a dot was not doubled: {line[:80]!r}")
                line = line[1:]
            if not line.isascii():
                raise Wrong(f"no ASCII, and 8BITMIME was not asked for: {line[:80]!r}")
            lines.append(line)
        letter = Letter(self.sender, self.recipients, b"\r\n".join(lines) + b"\r\n", self.is_tls, self.user, self.hello)
        reply = self.server.replies.get("TEXT", "250 taken")
        if reply.startswith("2"):
            self.server.letters.append(letter)
        self.say(reply)
        self.sender, self.recipients = None, []

    def do_rset(self, _):
        self.sender, self.recipients = None, []
        self.say("250 ok")

    def do_quit(self, _):
        self.say("221 bye")
        return "end"
