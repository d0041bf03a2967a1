# Makes the files that every server serves: the same bytes on every run, from a fixed seed.
import gzip
import random
from pathlib import Path

KB = 1024
WORDS = ("chart series window render node state value index update label theme layout scale "
         "query route click event frame point colour").split()


def script_text(size, seed):
    """JavaScript-like text of exactly `size` bytes; it compresses about as well as real code."""
    rng = random.Random(seed)
    lines, length = [], 0
    while length < size:
        name, other = rng.choice(WORDS), rng.choice(WORDS)
        line = f"export const {name}_{rng.randrange(10**6)} = ({other}) => {other}.{name}();\n"
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()[:size]


def page_text(size):
    head = b'<!doctype html><html lang="en"><meta charset="utf-8"><title>Bench</title>\n<p>'
    tail = b'</p><script type="module" src="/assets/k1.js"></script></html>\n'
    return head + script_text(size - len(head) - len(tail), 4).replace(b">", b" ") + tail


def write_web(web, with_large):
    """A small single-page app in the folder `web`; `with_large` adds the sized files."""
    assets = web / "assets"
    assets.mkdir(parents=True)
    page = page_text(KB)
    (web / "index.html").write_bytes(page)
    (web / "page.html").write_bytes(page)
    (assets / "k1.js").write_bytes(script_text(KB, 1))
    text = script_text(16 * KB, 2)
    (assets / "k16.js").write_bytes(text)
    if not with_large:
        return
    (assets / "k16.js.gz").write_bytes(gzip.compress(text, 9, mtime=0))
    (assets / "k256.js").write_bytes(script_text(256 * KB, 3))
    (assets / "m10.bin").write_bytes(random.Random(5).randbytes(10 * KB * KB))


def write_app(folder, slug, with_large=False):
    """A dais app: the manifest, and the web folder that the other servers take as their root."""
    folder = Path(folder)
    write_web(folder / "web", with_large)
    (folder / "dais.yaml").write_text(
        f"# A static app that the benchmark serves.\napp: {slug}\ntitle: {slug}\n"
        "web: { root: web, fallback: index.html }\n")
    return folder
