# The table of what is loaded and what each case must reach; everything else here walks it.
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """What dais must reach in a case: a ratio against another server, or against another case."""
    metric: str          # "rate" (requests a second) or "cpu" (microseconds a request)
    limit: float
    server: str = ""     # dais / this server, in the same case
    case: str = ""       # this case / that one, both on dais

    @property
    def text(self):
        against = f"its own {self.case}" if self.case else self.server
        what = "CPU <=" if self.metric == "cpu" else ">="
        return f"{what} {self.limit:g} x {against}"

    def holds(self, ratio):
        return ratio <= self.limit if self.metric == "cpu" else ratio >= self.limit


@dataclass(frozen=True)
class Case:
    key: str
    title: str
    path: str
    connections: int = 64
    pipeline: int = 1
    accept_encoding: str = ""
    logs: bool = False           # access logs on, written to /dev/null
    threads: tuple = (1, 2)
    skip: tuple = ()             # servers that could only repeat another's row
    group: str = ""              # cases of a group take turns inside one round
    bars: tuple = ()


CACHED = "nginx-ofc"   # nginx with open_file_cache: the faster one, so the one that counts

CASES = (
    Case("json", "small JSON answer", "/healthz", skip=(CACHED,),
         bars=(Bar("rate", 0.95, "nginx"),)),
    Case("1k", "static 1 KB", "/assets/k1.js", bars=(Bar("rate", 1.3, CACHED),)),
    Case("16k", "static 16 KB", "/assets/k16.js",
         bars=(Bar("rate", 1.0, CACHED), Bar("cpu", 0.8, CACHED))),
    Case("256k", "static 256 KB", "/assets/k256.js", bars=(Bar("rate", 1.2, CACHED),)),
    Case("10m", "static 10 MB", "/assets/m10.bin", connections=8,
         bars=(Bar("rate", 1.0, CACHED),)),
    Case("spa-file", "page, by its own name", "/page.html", group="spa"),
    Case("spa-deep", "the same page, as a deep link", "/some/deep/link", group="spa",
         bars=(Bar("rate", 0.95, case="spa-file"),)),
    Case("json-pipe", "small JSON answer, 16 pipelined", "/healthz", pipeline=16, threads=(1,),
         skip=(CACHED,)),
    Case("16k-gzip", "static 16 KB, gzip accepted", "/assets/k16.js", accept_encoding="gzip",
         threads=(1,)),
    Case("1k-logs", "static 1 KB, access logs on", "/assets/k1.js", logs=True, threads=(1,)),
)


def cases_named(names):
    """The cases a person asked for, in the table's order."""
    known = {case.key for case in CASES}
    strange = [name for name in names if name not in known]
    if strange:
        raise SystemExit(f"bench-http: no case {' '.join(strange)}; there are "
                         + " ".join(case.key for case in CASES) + " figures")
    return [case for case in CASES if case.key in names]
