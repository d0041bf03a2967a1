# A backend as a process of dais, for tests: what it answers, and an app folder around it.
"""PROGRAM tells about itself. Files in its folder make it behave:

wait, go        with `wait` it does not listen before there is `go`
health, ready   the status of /health and of /api/ready, 200 without them
chatty          so many lines it says when it gets SIGTERM
broken          it ends at once
"""
import json

from conftest import process_table
from serving import write_app

PROGRAM = r'''
import http.server, json, os, pathlib, signal, socket, socketserver, sys, threading, time
def read(name, default):
    try:
        return int(pathlib.Path(name).read_text())
    except FileNotFoundError:
        return default
def on_term(*_):
    n = read("chatty", 0)
    sys.stdout.write("".join(f"farewell {i} " + "x" * 100 + "\n" for i in range(n)))
    sys.stdout.flush()
    os._exit(0)
signal.signal(signal.SIGTERM, on_term)
held = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status, body, extra=()):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in extra:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/health":
            return self.answer(read("health", 200), b"")
        if path == "/api/ready":
            return self.answer(read("ready", 200), b"")
        if path == "/api/tunnel":
            self.connection.sendall(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n"
                                    b"Connection: Upgrade\r\n\r\n")
            while data := self.connection.recv(1000):  # a small frame, whole; back without its mask
                text = bytes(byte ^ data[2 + i % 4] for i, byte in enumerate(data[6:]))
                self.connection.sendall(bytes([data[0], len(text)]) + text)
            self.close_connection = True
            return
        if path == "/api/events":
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                             b"Connection: close\r\n\r\ndata: a\n\n")
            while not os.path.exists("go"):
                time.sleep(0.01)
            return
        if path == "/api/say":
            print("said \x1b[31m aloud", flush=True)
        if path == "/api/flood":
            sys.stdout.write("".join(f"flood {i}\n" for i in range(50000)))
            sys.stdout.flush()
        if path == "/api/slow":
            time.sleep(0.5)
        if path == "/api/hang":
            while not os.path.exists("go"):
                time.sleep(0.01)
        about = {"pid": os.getpid(), "env": dict(os.environ), "cwd": os.getcwd(), "cookie": self.headers.get("Cookie")}
        self.answer(200, json.dumps(about).encode())
    def do_POST(self):
        if self.path == "/api/die":
            os._exit(3)
        if self.path == "/api/eat":
            held.append(bytearray(os.urandom(1 << 20) * 300))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        while "Transfer-Encoding" in self.headers and self.rfile.readline().strip():
            pass
        self.answer(200, body)
    def address_string(self):
        return "client"
    def log_message(self, *_):
        pass
if os.path.exists("broken"):
    sys.exit("broken, it says")
while os.path.exists("wait") and not os.path.exists("go"):
    time.sleep(0.01)
if "DAIS_SOCKET" in os.environ:
    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        request_queue_size = 128
    server = Server(os.environ["DAIS_SOCKET"], Handler)
else:
    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        request_queue_size = 128
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.daemon_threads = True
server.serve_forever()
'''
RUN = "exec python3 -S server.py"


def app(folder, run=RUN, more=""):
    write_app(folder, {"web/index.html": "<h1>home</h1>", "server.py": PROGRAM},
              f"web: {{ root: web }}\nbackend: {{ run: {json.dumps(run)}, routes: [ /api/ ]{more} }}\n")
    return folder


def about(server):
    answer = server.fetch("/api/about", deadline=30)
    assert answer.status == 200, answer
    return answer.json()


def is_alive(pid):
    return pid in process_table()  # without those that ended and wait for somebody to ask how


def log_lines(server):
    return [json.loads(line) for line in server.stderr.splitlines() if line.startswith("{")]


def told(server, msg):
    """The log lines with that message."""
    return [line for line in log_lines(server) if line.get("msg") == msg]


def processes(folder, run_dais):
    """The rows of `dais debug backends`, each a dict of text."""
    done = run_dais("debug", "backends", folder)
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout.splitlines()
    names = head.split()
    return [dict(zip(names, row.split(None, len(names) - 1))) for row in rows]
