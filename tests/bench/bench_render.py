# Measures `dais render`: every kind of the largest model, as commands, into a new folder and into the same again.
"""usage: bench_render.py DAIS [RUNS]

Prints the median and the best of the runs for each kind and for all of them together. The bar is 200 ms."""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

BAR_MS = 200
ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
ROOT = pathlib.Path(__file__).resolve().parents[2]


def milliseconds(*words):
    start = time.perf_counter()
    code = subprocess.run(words, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode
    return (time.perf_counter() - start) * 1000, code


def main():
    dais, runs = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 31
    listed = subprocess.run([dais, "render", "list"], env=ENV, capture_output=True, text=True, check=True).stdout
    kinds = [line.split()[0] for line in listed.splitlines()]
    model = max(ROOT.glob("models/*/dais.yaml"), key=lambda path: path.stat().st_size).parent
    print(f"{model.name}, {runs} runs; milliseconds, a process each\n")
    print(f"{'kind':16}{'new':>8}{'best':>8}{'same':>8}  files")
    totals = [0.0] * runs
    for kind in kinds:
        new, same, code, files = [], [], 0, 0
        for run in range(runs):
            with tempfile.TemporaryDirectory() as out:
                took, code = milliseconds(dais, "render", kind, model, "-o", out)
                new.append(took)
                same.append(milliseconds(dais, "render", kind, model, "-o", out)[0])
                files = sum(path.is_file() for path in pathlib.Path(out).rglob("*"))
            totals[run] += new[-1]
        said = f"{files}" if code == 0 else "refused"
        print(f"{kind:16}{statistics.median(new):8.1f}{min(new):8.1f}{statistics.median(same):8.1f}  {said}")
    median = statistics.median(totals)
    print(f"{'all':16}{median:8.1f}{min(totals):8.1f}\n\nall kinds: median {median:.0f} ms, the bar is {BAR_MS} ms")
    return median > BAR_MS


if __name__ == "__main__":
    sys.exit(main())
