# What is told of each call: its title, the limit it is compared with, the bars it must reach.
from dataclasses import dataclass

from report import number, spread, verdict


@dataclass(frozen=True)
class Row:
    part: str
    key: str
    title: str
    limit: str = ""        # the key of the turn that it is compared with
    limit_title: str = ""
    least: float = 0       # of the ratio of rates to the limit; 0: no bar
    most_cpu: float = 0    # or at most so many times the limit's CPU a request
    p99_ms: float = 0      # the slowest of a hundred must be quicker
    least_rate: float = 0  # units a second, on a quiet machine
    unit: str = "requests"


ROWS = (
    Row("reads", "get", "get by id", "fixed", "fixed answer, same server", least=0.65, most_cpu=1.5),
    Row("reads", "own", "get by id, rule owner", "fixed", "fixed answer, same server"),
    Row("reads", "get-bare", "get by id, bare SQLite"),
    Row("reads", "list", "list of 30 by an indexed field", "list-bare", "bare SQLite loop", least=0.5),
    Row("reads", "filter", "filtered list on an indexed field", "list", "the list above", least=1 / 1.2),
    Row("reads", "filter", "filtered list on an indexed field", "filter-bare", "bare SQLite loop"),
    Row("writes", "create", "durable create", "create-bare", "bare group commit of 64", least=0.5,
        p99_ms=15),
    Row("writes", "search", "durable create with full-text search", "create-bare",
        "bare group commit of 64", least_rate=12000),
    Row("writes", "patch", "patch", "create", "create above", least=0.5),
    Row("writes", "batch", "batch of 100, 8 at a time", "batch-bare", "bare commits of 800", least_rate=25000,
        unit="documents"),
    *(Row("rules", f"{call}-{kind}", f"{title}, {told}, signed in", f"{call}-public", "rule public, signed out",
          least=1 / most, most_cpu=most)
      for call, title in (("get", "get by id"), ("list", "list of 30"), ("create", "durable create"))
      for kind, told, most in (("owner", "rule owner", 1.1), ("three", "three terms", 1.2))),
    Row("postgres", "pg-get", "Postgres: get by id", "pg-get-bare", "bare libpq loop", least=0.25),
    Row("postgres", "pg-create", "Postgres: durable create", "pg-create-bare", "bare libpq loop", least=0.5),
    Row("million", "get-1m", "get by id, 1,000,000 stored", "get-100k", "100,000 stored", least=1 / 1.5),
    Row("million", "list-1m", "list, 1,000,000 stored", "list-100k", "100,000 stored", least=1 / 1.5),
    Row("million", "export", "export of 1,000,000", "scan-bare", "bare SQLite scan", unit="documents"),
)

COLUMNS = ("what", "measured", "limit", "limit measured", "ratio (quartiles)", "CPU us",
           "CPU ratio", "p50 us", "p99 us")
BAR_COLUMNS = ("what", "bar", "measured", "verdict")


def table(figures, parts):
    lines = []
    for row in [row for row in ROWS if row.part in parts]:
        problem = figures.problem(row.key)
        if problem:
            lines.append((row.title, problem, row.limit_title) + ("",) * 6)
            continue
        rate = number(figures.median(row.key, "rate")) + ("/s" if row.unit == "requests"
                                                          else f" {row.unit}/s")
        limit = figures.median(row.limit, "rate")
        cpu = figures.median(row.key, "cpu")
        has_cpu = cpu and figures.median(row.limit, "cpu")
        lines.append((
            row.title, rate, row.limit_title, number(limit) + "/s" if limit else "",
            spread(figures.ratio("rate", row.key, row.limit)) if limit else "",
            number(cpu, 1) if cpu else "",
            spread(figures.ratio("cpu", row.key, row.limit)) if has_cpu else "",
            *(number(figures.median(row.key, field)) if figures.median(row.key, field) else ""
              for field in ("p50", "p99"))))
    return lines


def bars_of(row, figures):
    """(text, measured, holds) of each."""
    if row.least:
        rate = figures.ratio("rate", row.key, row.limit)
        cpu = figures.ratio("cpu", row.key, row.limit) if row.most_cpu else None
        text = f">= {row.least:.2f} x {row.limit_title}"
        told, holds = spread(rate), rate and rate[1] >= row.least
        if row.most_cpu:
            text += f", or <= {row.most_cpu} x its CPU"
            told += f", CPU {spread(cpu)}"
            holds = holds or (cpu and cpu[1] <= row.most_cpu)
        yield text, told, bool(holds)
    if row.p99_ms:
        p99 = figures.median(row.key, "p99")
        yield f"p99 < {row.p99_ms:.0f} ms", f"{p99 / 1000:.1f} ms", p99 < row.p99_ms * 1000
    if row.least_rate:
        rate = figures.median(row.key, "rate")
        yield f">= {row.least_rate:,.0f} {row.unit}/s", f"{rate:,.0f}/s", rate >= row.least_rate


def bar_table(figures, parts, more):
    lines = []
    for row in [row for row in ROWS if row.part in parts]:
        if not (row.least or row.p99_ms or row.least_rate):
            continue
        problem = figures.problem(row.key) or row.limit and figures.problem(row.limit)
        if problem:
            lines.append((row.title, "", problem, verdict(None)))
            continue
        lines += [(row.title, text, told, verdict(holds))
                  for text, told, holds in bars_of(row, figures)]
    return lines + [(what, bar, told, verdict(holds)) for what, bar, told, holds in more]
