# Turns results into text: a table for the terminal, and a section of docs/BENCHMARKS.md.
import os
import platform
import subprocess
import time
from pathlib import Path

HEADLINE = ("<!-- Measured figures; each section is written by the command it names. -->\n"
            "# Benchmarks\n")
LOAD_COLUMNS = ("case", "server", "req/s", "MB/s", "p50 us", "p99 us", "CPU us/req",
                "{subject}: rate ratio (quartiles)", "{subject}: CPU ratio (quartiles)")


def number(value, digits=0):
    return "n/a" if value is None else f"{value:,.{digits}f}"


def spread(ratio, digits=2):
    if ratio is None:
        return "n/a"
    low, middle, high = (f"{part:.{digits}f}" for part in ratio)
    return f"{middle} ({low}-{high})"


def verdict(holds):
    return {True: "PASS", False: "BELOW", None: "not measured"}[holds]


def bar_rows(cases, results, options, figures):
    """What the project must reach, and whether it did."""
    rows = []
    for case in cases:
        for bar in case.bars:
            for threads in [t for t in options.threads if t in case.threads]:
                other = (bar.case or case.key, threads, bar.server or "dais")
                ratio = results.ratio(bar.metric, (case.key, threads, "dais"), other)
                holds = bar.holds(ratio[1]) if ratio else None
                rows.append((case.title, f"{threads}", bar.text, spread(ratio, 3),
                                 verdict(holds)))
    for figure in figures:
        if figure.server == "dais" and figure.limit is not None:
            holds = figure.value < figure.limit if figure.value is not None else None
            rows.append((figure.name, "", f"< {figure.limit:,.0f} {figure.unit}",
                         number(figure.value, 1), verdict(holds)))
    return rows


def load_rows(cases, results, names, threads):
    rows, subject = [], names[0]
    for case in [c for c in cases if threads in c.threads]:
        for name in names:
            where = (case.key, threads, name)
            if not results.has(*where):
                continue
            mine = (case.key, threads, subject)
            ratios = ("", "") if name == subject else (
                spread(results.ratio("rate", mine, where)),
                spread(results.ratio("cpu", mine, where)))
            rows.append((case.title, name, *(
                number(results.median(*where, field), digits) for field, digits in
                (("rate", 0), ("mb_s", 0), ("p50", 0), ("p99", 0), ("cpu", 2))), *ratios))
    return rows


def figure_rows(figures):
    return [(f.name, f.server, f"{number(f.value, 1)} {f.unit}", f.note) for f in figures]


def sections(cases, results, names, options, figures):
    """(title, columns, rows) of everything there is to show."""
    made = []
    if names[0] == "dais":
        made.append(("What must be reached", ("what", "threads", "bar", "measured", "verdict"),
                     bar_rows(cases, results, options, figures)))
    columns = [column.format(subject=names[0]) for column in LOAD_COLUMNS]
    for threads in options.threads:
        title = "One thread" if threads == 1 else f"{threads} threads"
        made.append((title, columns, load_rows(cases, results, names, threads)))
    made.append(("Other figures", ("what", "server", "measured", "note"), figure_rows(figures)))
    problems = [tuple(map(str, problem)) for problem in results.problems()]
    made.append(("Runs thrown away", ("case", "threads", "server", "round", "why"), problems))
    return [part for part in made if part[2]]


def as_text(parts):
    lines = []
    for title, columns, rows in parts:
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        lines += ["", title]
        for row in [columns, *rows]:
            lines.append("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip())
    return "\n".join(lines)


def as_markdown(parts, facts, title="HTTP: against nginx and caddy"):
    lines = [f"## {title}", "", *facts]
    for title, columns, rows in parts:
        lines += ["", f"### {title}", "", "| " + " | ".join(columns) + " |",
                  "|" + "---|" * len(columns)]
        lines += ["| " + " | ".join(c.replace("|", "/") for c in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def output_of(*command):
    """First line of what a command prints, on either stream."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "not there"
    return ((done.stdout + done.stderr).strip().splitlines() or ["?"])[0]


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def machine_facts(options, results, names):
    """What the figures depend on; no name of a machine, no path."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    median, worst = results.others()
    versions = [output_of("nginx", "-v").replace("nginx version: ", ""),
                "caddy " + output_of("caddy", "version").split()[0],
                " ".join(output_of("wrk", "-v").split()[:2])]
    if "dais" in names:
        versions.insert(0, output_of(options.binary, "version"))
    pinned = "; with one thread the server has one core and the client the other" \
        if options.pins else ""
    return [
        f"Made by `{options.command}` on {time.strftime('%Y-%m-%d', time.gmtime())}. "
        "Do not edit: the command writes this section.", "",
        f"- Machine: {os.cpu_count()} x {cpu_model()}, {memory:.0f} GB, "
        f"Linux {platform.release().split('-')[0]}; loopback{pinned}.",
        f"- Versions: {', '.join(versions)}.",
        f"- Method: {options.rounds} rounds of {options.seconds} s, every server takes a turn in "
        "each, the order changes every round. Columns are medians; a ratio is the median of the "
        "rounds' own ratios. CPU counts every thread of every process of the server. Client and "
        "servers share the cores, so with two threads the load is limited by all of them together.",
        "- `nginx-ofc` is nginx with `open_file_cache`, the faster of the two and the one the "
        "bars for files count. Servers answer the same bytes (checked before each case).",
        f"- Noise: other programs used {median:.0%} of the machine in the median run, "
        f"{worst:.0%} in the worst; {results.repeated} disturbed rounds were run again.",
    ]


def write_section(path, markdown, name="bench-http"):
    """Replaces what stands between the markers; the rest of the file is not ours."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = path.read_text() if path.exists() else HEADLINE
    if begin not in old or end not in old:
        old = old.rstrip() + f"\n\n{begin}\n{end}\n"
    before, rest = old.split(begin, 1)
    after = rest.split(end, 1)[1]
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{before}{begin}\n{markdown}{end}{after}")
    fresh.replace(path)
