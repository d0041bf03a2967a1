# The export of a large table: how fast it comes, and whether the server keeps more of it than a page.
import contextlib
import socket
import time

from turns import MISSING, Bare, Run

MEMORY_MB = 8   # growth that an export may cost, however long it is


def read_export(server, say):
    """(documents, bytes, seconds, highest RssAnon in KB); or (status, None, None, None)."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as to:
        to.sendall(b"GET /api/notes/export?format=jsonl HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                   b"Connection: close\r\n\r\n")
        began, looked, lines, total, most = time.monotonic(), 0.0, 0, 0, 0
        piece = to.recv(1 << 18)
        status = int(piece.split(b" ", 2)[1])
        if status != 200:
            return status, None, None, None
        last = b""
        while piece:
            lines += (last + piece).count(b"}\n")
            last = piece[-1:]
            total += len(piece)
            if time.monotonic() - looked > 0.02:
                looked = time.monotonic()
                most = max(most, server.memory_kb("RssAnon"))
            piece = to.recv(1 << 18)
    say(f"export: {lines:,} lines, {total / 1e6:,.0f} MB in {looked - began:.1f} s")
    return lines, total, time.monotonic() - began, most


def export_figures(bench, server):
    before = server.memory_kb("RssAnon")
    with contextlib.suppress(OSError):
        with open(f"/proc/{server.process.pid}/clear_refs", "w", encoding="ascii") as reset:
            reset.write("5")   # VmHWM begins anew
    lines, total, seconds, most = read_export(server, bench.options.say)
    if total is None:
        problem = "not there yet" if lines in MISSING else f"status {lines}"
        bench.figures.add("export", Run(problem=problem))
        bench.bars.append(("export of 1,000,000: memory", f"< {MEMORY_MB} MB more", problem, None))
        return
    problem = "" if lines == bench.options.million else f"{lines:,} documents came"
    bench.figures.add("export", Run(lines / seconds, problem=problem))
    bench.figures.add("scan-bare", Bare("scan-bare", "limits", "scan", server.file, None).run(
        bench.options, int(seconds * 1000)))
    grown = (most - before) / 1024
    bench.bars.append(("export of 1,000,000: memory", f"< {MEMORY_MB} MB more",
                       f"{grown:.1f} MB; VmHWM {server.memory_kb('VmHWM') / 1024:.0f} MB with "
                       f"mapped files", grown < MEMORY_MB))
