# What the kernel knows about processes: who belongs to a server, its memory, its CPU time.
import ctypes
import os
import resource
import signal
from pathlib import Path

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For a child, before exec: a benchmark that is killed outright leaves nothing running."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def raise_file_limit():
    """Returns how many files this process and its children may open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def family(pid):
    """`pid`, its descendants, and whatever shares its session."""
    parent, session = {}, {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        fields = stat[stat.rindex(")") + 2:].split()
        parent[int(entry)], session[int(entry)] = int(fields[1]), int(fields[3])
    members = {pid} | {p for p, s in session.items() if s == pid}
    while True:
        more = {p for p, up in parent.items() if up in members} - members
        if not more:
            return sorted(members & set(parent))
        members |= more


def cpu_us(pids):
    """Microseconds on a CPU so far, of every thread of these processes."""
    total = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except OSError:
                pass
    return total / 1000


def memory_kb(pids, file, field):
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(field))
    return total


def resident_mb(pids):
    """Resident memory as `ps` counts it: pages shared by two processes count twice."""
    return memory_kb(pids, "status", "VmRSS:") / 1024


def proportional_mb(pids):
    """Resident memory with shared pages divided among those who share them."""
    return memory_kb(pids, "smaps_rollup", "Pss:") / 1024


def machine_busy_us():
    """CPU time the whole machine has spent working, waiting and idling left out."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    busy = sum(ticks) - ticks[3] - ticks[4]
    return busy * 1e6 / os.sysconf("SC_CLK_TCK")


def children_cpu_us():
    """CPU time of our own children that have ended (the load generator)."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e6
