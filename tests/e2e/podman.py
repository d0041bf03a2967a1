# Real containers for the end-to-end tests: a Debian base made here, and a podman that leaves nothing behind.
"""base()              the path of an archive with a small Debian 12; made once, kept below build/
Podman(folder)      podman with everything it keeps in `folder`; close() removes what it made
why_not()           None, or why there can be no containers here"""
import os
import pathlib
import re
import resource
import shutil
import subprocess

from conftest import ROOT, free_port

BASE = "docker.io/library/debian:bookworm-slim"
ARCHIVE = ROOT / "build/image/bookworm.tar"
OMITTED = ("doc", "man", "locale", "info")
CONF = """[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
tmp_dir = "{tmp}"
"""


# Debian has runc, and what mmdebstrap calls, where root alone looks.
ENV = {**os.environ, "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"}


def why_not():
    """Only who does not run as root has a choice; `make deps-test` installs what is missing."""
    if os.geteuid() != 0:
        return "optional: needs root"
    missing = [name for name in ("podman", "runc", "mmdebstrap") if not shutil.which(name, path=ENV["PATH"])]
    return f"needs {', '.join(missing)}" if missing else None


# ---- the base --------------------------------------------------------------------------------------
def sources():
    """Where this machine has its Debian packages from."""
    folder = pathlib.Path("/etc/apt")
    found = [path for path in (folder / "sources.list.d/debian.sources", folder / "sources.list") if path.exists()]
    return found[0]


def apt_options():
    """What this machine's apt was told about its mirror."""
    said = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    wanted = re.compile(r"Acquire::(https?::.*Proxy|Check-(Valid-Until|Date)) ")
    return [line for line in said.splitlines() if wanted.match(line)]


def base():
    if ARCHIVE.exists():
        return ARCHIVE
    ARCHIVE.parent.mkdir(parents=True, exist_ok=True)
    part = ARCHIVE.with_suffix(f".{os.getpid()}.tar")
    include = ["--include=ca-certificates"] if "https:" in sources().read_text() else []
    options = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in OMITTED]
    options += [f"--aptopt={line}" for line in [*apt_options(), 'Acquire::Languages "none"']]
    try:
        run(["mmdebstrap", "--quiet", "--variant=apt", *include, *options, "bookworm", part, sources()])
        part.rename(ARCHIVE)
    finally:
        part.unlink(missing_ok=True)
    return ARCHIVE


def run(command, timeout=900, env=None):
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, check=False, env=env or ENV)
    assert done.returncode == 0, f"{' '.join(done.args)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


# ---- podman ----------------------------------------------------------------------------------------
class Podman:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        conf = self.folder / "containers.conf"
        conf.write_text(CONF.format(tmp=self.folder / "tmp"))
        self.env = {**ENV, "CONTAINERS_CONF": str(conf)}
        self.options = ["--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver"]
        self.options.append(self._driver())
        self.containers, self.volumes, self.ports = [], [], {}
        self.has_network = None

    def _driver(self):
        """vfs copies everything for every step; it works everywhere."""
        trial = self.folder / "trial"
        code = self.code("--root", trial, "--storage-driver=overlay", "info", options=())
        subprocess.run(["umount", trial / "overlay"], capture_output=True, check=False)
        return "vfs" if code else "overlay"

    def __call__(self, *args, timeout=300):
        return run(["podman", *self.options, *args], timeout, env=self.env)

    def code(self, *args, options=None):
        """The exit code alone."""
        command = [str(part) for part in ["podman", *(self.options if options is None else options), *args]]
        return subprocess.run(command, env=self.env, capture_output=True, timeout=300, check=False).returncode

    def build(self, dockerfile, context, name, **args):
        """Without layers of its own between the stages: each would be a copy where overlay is missing."""
        given = [part for key, value in args.items() for part in ("--build-arg", f"{key}={value}")]
        return self("build", "--pull=never", "--format=docker", "--layers=false", "--network=host", *LIMITS, *given,
                    "--file", dockerfile, "--tag", name, context, timeout=900)

    def start(self, name, image, *options):
        """A container whose port 8000 is one of 127.0.0.1; gives its number."""
        self.containers.append(name)
        if self.has_network is None:
            trial = ["run", "--rm", *LIMITS, "--publish=127.0.0.1::8000", "--entrypoint=true", image]
            self.has_network = self.code(*trial) == 0
        port = None if self.has_network else free_port()
        network = ["--network=host", f"--env=DAIS_LISTEN=127.0.0.1:{port}"] if port else ["--publish=127.0.0.1::8000"]
        self("run", "--detach", "--name", name, *LIMITS, *network, *options, image)
        self.ports[name] = port

    def port(self, name):
        """It may be another one after a restart."""
        return self.ports[name] or int(self("port", name).strip().rpartition(":")[2])

    def logs(self, name):
        command = [str(part) for part in ["podman", *self.options, "logs", name]]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=300, check=False)
        return done.stdout + done.stderr

    def close(self):
        for name in self.containers:
            self.code("rm", "--force", "--time=1", name)
        for name in self.volumes:
            self.code("volume", "rm", "--force", name)
        self.code("rmi", "--all", "--force")
        for mounted in ("root/overlay", "root"):
            subprocess.run(["umount", self.folder / mounted], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


# What podman asks for by itself may be more than this machine lets it have.
LIMITS = [f"--ulimit=nofile={min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])}",
          f"--ulimit=nproc={min(1000, resource.getrlimit(resource.RLIMIT_NPROC)[1])}"]
