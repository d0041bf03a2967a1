# Opens many connections from a process of its own, so that the tests keep their descriptors.
"""python flood.py HOST PORT COUNT TEXT: opens COUNT connections, sends TEXT (with \\r\\n escapes) on
each, prints how many stand, then holds them until standard input ends."""
import contextlib
import resource
import socket
import subprocess
import sys


@contextlib.contextmanager
def flood(server, count, text=""):
    """Gives the number of connections that stand; they go when the block ends."""
    command = [sys.executable, "-B", __file__, server.address[0], str(server.port), str(count), text]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield int(child.stdout.readline())
        finally:
            child.stdin.close()
            child.wait(60)


def main(host, port, count, text):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, int(count) + 100)), hard))
    data = text.encode().decode("unicode_escape").encode("latin-1")
    conns = []
    for _ in range(int(count)):
        sock = socket.create_connection((host, int(port)), timeout=60)
        if data:
            sock.sendall(data)
        conns.append(sock)
    print(len(conns), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
