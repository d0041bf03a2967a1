# The classic kit of PythonAnywhere with the real a2wsgi: the tests of its own adapter, once more.
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a2wsgi_answers_like_the_own_adapter(tmp_path):
    """In a folder of its own, so that Debian's Python finds it and nothing else of PyPI's."""
    found = pathlib.Path(importlib.util.find_spec("a2wsgi").origin).parent
    shutil.copytree(found, tmp_path / "a2wsgi", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", ROOT / "tests/e2e/test_render_pythonanywhere.py", "-k", "a2wsgi"],
        env=os.environ | {"A2WSGI_PATH": str(tmp_path)}, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
