# Bounds by path: how long a backend may take and how much it may be sent, for some paths otherwise than for the rest.
import pytest

from backend import backend, ok
from serving import serving, write_app

MANIFEST = """web: {{ root: web }}
backend:
  url: "{url}"
  routes: [ /api/ ]
  timeout: 300ms
  max_body: 1KB
  bounds:
    /api/upload: {{ max_body: 10KB }}
    /api/slow/: {{ timeout: 1h }}
    /api/slow/small: {{ max_body: 10KB }}
"""


@pytest.fixture(name="server", scope="module")
def fixture_server(tmp_path_factory):
    """A backend that never answers below a path that ends in /wait, until the test is over."""
    def answer(request, sock):
        if request.target.endswith("/wait"):
            sock.recv(1)  # the other side gives up
            return None
        return ok(str(len(request.body)).encode())
    with backend(answer) as behind:
        folder = write_app(tmp_path_factory.mktemp("bounds") / "app", manifest=MANIFEST.format(url=behind.url))
        with serving(folder) as server:
            yield server


@pytest.mark.parametrize("path, most", [
    ("/api/x", 1024), ("/api/upload", 10240), ("/api/upload/more", 10240), ("/api/uploads", 1024),
    ("/api/slow/x", 1024), ("/api/slow/small", 10240), ("/api//x/../upload", 10240),
])
def test_the_longest_start_of_a_path_bounds_its_bodies(server, path, most):
    assert server.fetch(path, method="POST", body=b"x" * most).body == str(most).encode()
    assert server.fetch(path, method="POST", body=b"x" * (most + 1)).status == 413


def test_it_bounds_the_wait_too(server):
    assert server.fetch("/api/wait").status == 504
    assert server.fetch("/api/slow/small/wait").status == 504, "a row without the bound is the backend's"
    with server.connect(0.9) as conn, pytest.raises((TimeoutError, AssertionError)):
        conn.request("/api/slow/wait").read()
