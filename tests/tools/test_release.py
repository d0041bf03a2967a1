# tools/check-release and tools/size-check: a program that breaks a promise is refused.
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*command):
    return subprocess.run([str(part) for part in command], cwd=ROOT, text=True, capture_output=True, check=False)


def program(tmp_path, body, *flags):
    source = tmp_path / "x.c"
    source.write_text(f"#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n{body}")
    subprocess.run(["gcc", "-O1", source, "-o", tmp_path / "x", *flags], check=True)
    return tmp_path / "x"


GOOD = 'int main(void) { puts("dais 0"); return 0; }\n'
HARD = ["-fPIE", "-pie", "-s", "-Wl,-z,relro,-z,now,--build-id=sha1"]


def test_a_good_binary_passes(tmp_path):
    done = run("tools/check-release", program(tmp_path, GOOD, *HARD))
    assert "not ok empty-root" not in done.stdout and "ok links" in done.stdout, done.stdout
    # It serves nothing, so its size cannot be judged; everything else is fine.
    assert [line for line in done.stdout.splitlines() if "not ok" in line and "size" not in line] == []


def test_a_foreign_library_is_refused(tmp_path):
    binary = program(tmp_path, "int zlibVersion(void);\nint main(void) { return zlibVersion() == 0; }\n", "-lz")
    done = run("tools/check-release", "--links", binary)
    assert done.returncode == 1 and "libz.so.1" in done.stdout


def test_missing_hardening_is_named(tmp_path):
    binary = program(tmp_path, GOOD, "-no-pie", "-Wl,-z,norelro,-z,lazy,-z,execstack,--build-id=none")
    done = run("tools/check-release", binary)
    assert done.returncode == 1
    for name in ("pie", "relro", "bind-now", "build-id", "stack", "stripped"):
        assert f"not ok {name}" in done.stdout, done.stdout


def test_a_program_that_needs_more_than_its_libraries_is_refused(tmp_path):
    body = 'int main(void) { if (access("/etc/passwd", R_OK)) abort(); puts("dais 0"); return 0; }\n'
    done = run("tools/check-release", program(tmp_path, body, *HARD))
    if "skip empty-root" in done.stdout:
        pytest.skip("optional: this user may not change the root folder")
    assert "not ok empty-root" in done.stdout


SERVER = """int main(void) {
    volatile char *more = malloc(%d << 20);
    for (int i = 0; i < %d << 20; i += 4096)
        more[i] = 1;
    printf("http://127.0.0.1:1/%%d\\n", more[5]);
    fflush(stdout);
    pause();
}
"""


def test_size_is_judged(tmp_path):
    small = run("tools/size-check", "--", program(tmp_path, SERVER % (1, 1)))
    assert small.returncode == 0, small.stdout + small.stderr
    big = run("tools/size-check", "--", program(tmp_path, SERVER % (5, 5)))
    assert big.returncode == 1 and "limit 4096 KB" in big.stdout


def test_a_server_that_does_not_come_up_is_told_apart():
    assert run("tools/size-check", "--within", "0.5", "--", "true").returncode == 2
    assert run("tools/size-check", "--within", "0.5", "--", "sleep", "9").returncode == 2
