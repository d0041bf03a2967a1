# REDIS_URL, which servers that share a Postgres may wake each other up through: what is said of it.
import pytest
from serving import write_app

POSTGRES = "postgres://me:hush@127.0.0.1:1/x"
DOCS = "collections: { notes: { owner: true } }\n"


@pytest.mark.parametrize("url, words", [
    ("rediss://:hush@cache", "through TLS"), ("redis://x/hush", "cannot be read"),
    ("redis://:hush@x:0", "cannot be read"),
])
def test_one_that_cannot_be_used_is_said_and_does_no_harm(url, words, run_dais, tmp_path):
    app = write_app(tmp_path / "demo", manifest="web: { root: web }\n" + DOCS)
    done = run_dais("check", app, env={"DATABASE_URL": POSTGRES, "REDIS_URL": url})
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert words in said and "wake each other up through Postgres" in said
    assert "hush" not in said


@pytest.mark.parametrize("settings", [
    {"DATABASE_URL": POSTGRES, "REDIS_URL": "redis://:hush@cache:6379/2"},
    {"DATABASE_URL": POSTGRES, "REDIS_URL": "unix://:hush@/run/redis.sock"},
    {"REDIS_URL": "rediss://:hush@cache"},  # for somebody else: a file is woken up by nobody
])
def test_nothing_is_said_otherwise(settings, run_dais, tmp_path):
    app = write_app(tmp_path / "demo", manifest="web: { root: web }\n" + DOCS)
    done = run_dais("check", app, env=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "edis" not in (done.stdout + done.stderr).replace("demo", "")
