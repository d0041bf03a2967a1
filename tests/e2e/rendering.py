# What the tests of `dais render` share: the manifests of the repository, running it, reading what it wrote.
"""KINDS                              every kind, as `dais render list` says it (a test compares)
FOLDERS                            every folder of the repository with a manifest, by its path
render(kind, app, out, *flags)     runs it; gives the CompletedProcess (text); must exit with 0 unless code= says
tree(folder)                       {"ops/Caddyfile": bytes} of every file below it
is_intact(data)                    has it a header whose digest is right? None: it has no header"""
import hashlib
import re
import subprocess

from conftest import DAIS_BIN, REPORT, ROOT, clean_env

KINDS = ["local", "droplet", "aws", "gcp", "azure", "pythonanywhere", "pages"]
FOLDERS = {str(path.parent.relative_to(ROOT)): path.parent for pattern in
           ("models/*/dais.yaml", "apps/*/dais.yaml", "tests/systems/*/dais.yaml",
            "tests/fixtures/manifest/*/dais.yaml")
           for path in sorted(ROOT.glob(pattern))}
MARK = re.compile(rb"dais-sha256:([0-9a-f]{64})")


def command(kind, app, out=None, *flags):
    return [str(DAIS_BIN), "render", kind, str(app), *(["-o", str(out)] if out else []), *map(str, flags)]


def render(kind, app, out=None, *flags, code=0, env=None, home="/nonexistent", timeout=300, **options):
    done = subprocess.run(command(kind, app, out, *flags), env=clean_env(home, env), text=True, check=False,
                          capture_output=True, stdin=subprocess.DEVNULL, timeout=timeout, **options)
    assert not REPORT.search(done.stderr), done.stderr
    assert done.returncode == code, f"{done.returncode} instead of {code}\n{done.stdout}{done.stderr}"
    return done


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() or path.is_symlink()}


def is_intact(data):
    found = list(MARK.finditer(data))
    for mark in found:
        blank = data[:mark.start(1)] + b"0" * 64 + data[mark.end(1):]
        if hashlib.sha256(blank.replace(b"\r", b"")).hexdigest().encode() == mark[1]:
            return True
    return False if found else None
