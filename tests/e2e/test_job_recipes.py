# The worker of docs/recipes/add-a-job.md in each of its languages: the same input, progress, log and result.
import json
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import DAIS_BIN, clean_env, wait_for
from jobs_api import make_programs, public_folder
from serving import serving, write_app

TEXT = (pathlib.Path(__file__).parents[2] / "docs/recipes/add-a-job.md").read_text()
LANGUAGES = {"sh": "sh", "python": "python3", "javascript": "node", "c": "cc"}


def blocks(language):
    """What stands between the fences of that language, without their indent."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", TEXT, re.M | re.S)
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, text in found]


def worker(language):
    return next(text for text in blocks(language) if "jobs/count" in text.split("\n\n")[0])


@pytest.fixture(name="desk", scope="module")
def fixture_desk():
    manifest = blocks("yaml")[0]
    parts = [re.sub("^  count:", f"  count-{name}:", manifest.split("jobs:\n")[1], flags=re.M)
             .replace("jobs/count ", f"jobs/{name} ") for name in LANGUAGES]
    files = {name: worker(name) for name in LANGUAGES}
    parts.append(parts[0].replace("count-sh", "count"))
    with public_folder() as folder:
        app = write_app(folder / "desk", {"web/index.html": "hello", "schemas/count.json": blocks("json")[0],
                                          **{f"jobs/{name}": text for name, text in files.items() if name != "c"},
                                          "jobs/count.c": worker("c")},
                        "web: { root: web }\njobs:\n" + "".join(parts), "desk")
        command = re.search(r"cc -o jobs/count jobs/count\.c", worker("c"))[0].split()
        command[2] = "jobs/c"
        subprocess.run(command, cwd=app, check=True, timeout=60)
        for program in app.glob("jobs/*"):
            program.chmod(0o755)
        make_programs(app)
        with serving(app, "--data", folder / "data") as server:
            server.app, server.data = app, folder / "data"
            yield server


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_does_the_same(desk, language):
    if not shutil.which(LANGUAGES[language]):
        pytest.skip(f"{LANGUAGES[language]} is not there")
    answer = desk.fetch(f"/api/jobs/count-{language}", method="POST", headers=[("Content-Type", "application/json")],
                        body=b'{"steps": 20}')
    assert answer.status == 202, answer
    ident = answer.json()["id"]
    job = wait_for(lambda: (found := desk.fetch(f"/api/jobs/{ident}").json())["ended"] and found, "its end", 60)
    assert job["state"] == "succeeded" and job["result"] == {"steps": 20}, (job, desk.story())
    assert job["progress"] == 1 and job["message"] == "step 20"
    assert desk.fetch(f"/api/jobs/{ident}/log").body.decode().splitlines() == [f"step {n} of 20" for n in range(1, 21)]
    events = desk.fetch(f"/api/jobs/{ident}/events").body.decode()
    said = [json.loads(text)["progress"] for text in re.findall(r"event: progress\ndata: (\{.*\})", events)]
    assert said == sorted(said) and said[-1] == 1, events
    wrong = desk.fetch(f"/api/jobs/count-{language}", method="POST", headers=[("Content-Type", "application/json")],
                       body=b'{"steps": 0}')
    assert wrong.status == 422


def test_the_command_of_the_recipe_works(desk):
    line = next(text for text in blocks("sh") if text.startswith("dais job run"))
    assert line.startswith("dais job run count --input '{\"steps\": 20}'")
    rest = line.replace("dais job run count", f"{DAIS_BIN} job run count-sh --data {desk.data}")
    done = subprocess.run(["sh", "-c", rest], cwd=desk.app, env=clean_env(desk.app), capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0 and '"steps":20' in done.stdout and "step 7 of 20" in done.stdout, done


PAGE = """
const real = fetch;
globalThis.fetch = (path, options) => real(process.argv[2] + path, options);
const shown = [];
const show = (step) => shown.push(step.progress);
class EventSource { // what a browser has: enough of it for this page
  constructor(path) { this.heard = {}; this.path = path; }
  addEventListener(kind, fn) { this.heard[kind] = fn; }
  close() { this.isClosed = true; }
  async run() {
    const text = await (await fetch(this.path)).text();
    for (const block of text.split("\\n\\n")) {
      const kind = /^event: (.*)$/m.exec(block)?.[1], data = /^data: (.*)$/m.exec(block)?.[1];
      if (kind && !this.isClosed) this.heard[kind]?.({ data });
    }
  }
}
(async () => {
%s
  await events.run();
  console.log(JSON.stringify({ shown, isClosed: events.isClosed }));
})();
"""


@pytest.mark.skipif(not shutil.which("node"), reason="node is not there")
def test_the_page_of_the_recipe_works(desk, tmp_path):
    text = next(block for block in blocks("javascript") if "EventSource" in block)
    (tmp_path / "page.js").write_text(PAGE % text)
    done = subprocess.run(["node", tmp_path / "page.js", desk.url.rstrip("/")], capture_output=True, text=True,
                          timeout=60, check=False)
    found = json.loads(done.stdout) if done.returncode == 0 else done
    assert found["isClosed"] and found["shown"][-1] == 1, found
