# Makes S3 calls of dais from a test: starts build/debug/dais-s3 and talks to it in lines.
"""
with Driver(env) as driver:
    driver("put", key, path, type)     a list of what it answers; raises Failed(slug, sentence, retry_s)
Keys of env besides S3_* and AWS_*: DRIVER_PART, DRIVER_IDLE_MS, DRIVER_CALL_MS, DRIVER_CONNECT_MS, DRIVER_CA."""
import os
import pathlib
import select
import subprocess
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build/debug/dais-s3"
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3_", "DRIVER_", "MAKE"))}


class Failed(Exception):
    def __init__(self, slug, sentence, retry_s):
        super().__init__(f"{slug}: {sentence}")
        self.slug, self.sentence, self.retry_s = slug, sentence, retry_s


def build():
    made = subprocess.run(["make", "-s", PROGRAM.relative_to(ROOT)], cwd=ROOT, env=CLEAN, capture_output=True,
                          text=True, check=False, timeout=600)
    assert made.returncode == 0, made.stderr


class Driver:
    def __init__(self, env):
        # No profile of this machine, and no keys of the machine itself.
        env = {**CLEAN, "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", **env}
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [PROGRAM], env={k: str(v) for k, v in env.items()}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        word, _, self.sentence = self._line(60).partition("\t")
        self.is_ready = word == "ready"

    def _line(self, seconds):
        assert select.select([self.process.stdout], [], [], seconds)[0], "no answer"
        line = self.process.stdout.readline().decode()
        assert line.endswith("\n"), f"the driver ended with {self.process.wait(10)}"
        return line[:-1]

    def begin(self, *words):
        line = "".join(urllib.parse.quote(str(word), safe="") + "\t" for word in words)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def end(self, seconds=300):
        word, *rest = self._line(seconds).split("\t")
        rest = [urllib.parse.unquote(text) for text in rest]
        if word != "ok":
            raise Failed(rest[0], rest[1], int(rest[2]))
        return rest

    def __call__(self, *words):
        self.begin(*words)
        return self.end()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait(20)
        self.process.stdout.close()
        assert kind or code == 0, f"the driver ended with {code}"
