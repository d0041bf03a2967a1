# The Makefile: an exported tree builds, a second make does nothing, headers and deletions count.
import pathlib
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLAIN = ["CFLAGS_debug=-O0", "LDFLAGS_debug="]  # what is tested is make, not the program


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The committed and the changed files, without .git."""
    if not (ROOT / ".git").exists():
        pytest.skip("optional: this tree is an export itself")
    folder = tmp_path_factory.mktemp("export")
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                           capture_output=True, check=True).stdout
    subprocess.run(["xargs", "-0", "cp", "--parents", "-t", folder], cwd=ROOT, input=names, check=False)
    make(folder, "-j2")
    return folder


def make(folder, *args, expect=0):
    done = subprocess.run(["make", "--no-print-directory", *PLAIN, *args], cwd=folder, text=True,
                          capture_output=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_exported_tree_builds_and_says_so(exported):
    said = subprocess.run([exported / "build/debug/dais", "version"], text=True, capture_output=True, check=True)
    assert "(source" in said.stdout


def test_a_second_make_compiles_nothing_and_is_quick(exported):
    seconds = []
    while len(seconds) < 10 and min(seconds, default=9) >= 1:  # the machine may be busy
        began = time.monotonic()
        said = make(exported)
        seconds.append(time.monotonic() - began)
        assert "CC" not in said and "LINK" not in said
    assert min(seconds) < 1, seconds


def test_a_touched_header_rebuilds_what_includes_it(exported):
    (exported / "src/base/random.h").touch()
    said = make(exported, "-j2")
    assert "CC    src/base/random.c" in said and "LINK" in said
    assert "CC    src/base/build.c" not in said


def test_a_deleted_source_leaves_the_archive(exported):
    extra = exported / "src/base/extra.c"
    extra.write_text("/* A file that comes and goes. */\nint extra;\n")
    make(exported)
    members = ["ar", "t", "build/debug/libdais.a"]
    assert "extra.o" in subprocess.run(members, cwd=exported, text=True, capture_output=True, check=True).stdout
    extra.unlink()
    make(exported)
    assert "extra.o" not in subprocess.run(members, cwd=exported, text=True, capture_output=True, check=True).stdout


def test_a_warning_is_an_error(exported):
    extra = exported / "src/base/extra.c"
    extra.write_text("/* A file that comes and goes. */\nstatic int unused;\n")
    assert "unused" in make(exported, expect=2)
    extra.unlink()


def test_other_flags_rebuild(exported):
    said = make(exported, "build/debug/base/must.o", "CFLAGS_debug=-O0 -DNEW")
    assert "CC    src/base/must.c" in said
