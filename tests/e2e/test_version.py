# `dais version`: what a bug report needs, on one line.
import re


def test_version_names_number_and_release(run_dais):
    done = run_dais("version")
    assert done.returncode == 0, done.stderr
    assert re.match(r"dais \d+\.\d+\.\d+ \([0-9a-z]+\)( \w+)?$", done.stdout), done.stdout
