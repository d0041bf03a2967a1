# tools/deps: silent when all is there, clear when it is not.
import pathlib
import subprocess

DEPS = pathlib.Path(__file__).resolve().parents[2] / "tools/deps"


def run(*args, env=None):
    return subprocess.run([DEPS, *args], text=True, capture_output=True, env=env, check=False)


def test_is_silent_when_nothing_is_missing():
    done = run("make", "gcc")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_lists_what_is_missing_and_only_that():
    assert run("--list", "make", "no-such-package").stdout.split() == ["no-such-package"]


def test_says_which_package_apt_does_not_know():
    done = run("--prove", "make", "no-such-package")
    assert done.returncode == 1
    assert "no-such-package" in done.stderr


def test_without_apt_names_the_packages(tmp_path):
    for tool in ("bash", "env"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = run("make", "gcc", env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "there is no apt here" in done.stderr and "make gcc" in done.stderr


def test_refuses_an_unknown_option():
    assert "unknown option" in run("--frobnicate", "make").stderr
