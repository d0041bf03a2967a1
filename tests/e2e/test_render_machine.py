# What `dais render droplet` writes for a machine: units, cloud-init and monitoring, read by the tools they are for.
"""Nothing here needs root or systemd as the first process: units are read by systemd-analyze, the script of
cloud-init runs in a folder with stand-ins for what would change the machine, and Prometheus is a real one that
asks a real dais."""
import calendar
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml

from conftest import DAIS_BIN, ROOT, fetch, free_port, wait_for
from own_backend import PROGRAM
from s3 import S3
from serving import serving, write_app

APPS = sorted(file.parent for pattern in ("models/*", "apps/*", "tests/systems/*", "tests/fixtures/manifest/*")
              for file in ROOT.glob(pattern + "/dais.yaml"))
UNITS = ("app.service", "app.socket", "app-backup.service", "app-backup.timer")
SECURITY_BAR = 14  # tenths, as systemd-analyze counts: what a server that runs compilers and Python can reach
USER_DATA_MAX = 12 << 10

ODD = ["no", "1e3", "::", "~", "a: b # c", "- x", "50% of %h and %%", 'say "hi" \'there\'', "back\\slash\\",
       "$HOME ${HOME} `id` $(id)", "two\nlines\n[Service]\nUser=root", "tab\there", "Größe, 漢字, 🙂", "{{ x }}",
       "<%app.slug|raw%>", "*/ --> <b>", "trailing space ", " leading", "\u2028", "'", '"', "!x", "&a *a", "|", ">"]
WORST = ("two\nlines\n[Service]\nUser=root", "back\\slash\\", "a: b # c")  # the slow tools see these only


# ---- rendering and reading -----------------------------------------------------------------------------
class Rendered:
    """The files below `ops` of one rendering, of the app `slug`."""

    def __init__(self, ops, slug):
        self.ops, self.slug = pathlib.Path(ops), slug

    def text(self, name):
        return (self.ops / name).read_text(encoding="utf-8")

    def yaml(self, name):
        return yaml.safe_load(self.text(name))

    def written(self):
        """{path: text} of what cloud-init writes."""
        return {row["path"]: row["content"] for row in self.yaml("cloud-init.yaml")["write_files"]}

    def install_units(self, folder, dais=DAIS_BIN):
        """The units under their installed names; the program is one that is there."""
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        for unit in UNITS:
            if not (self.ops / unit).exists():
                continue
            name = folder / unit.replace("app", self.slug, 1)
            name.write_text(self.text(unit).replace("/usr/local/bin/dais", str(dais)))
            names.append(str(name))
        return names


@pytest.fixture
def render(run_dais, tmp_path):
    def work(folder, kind="droplet", slug=None):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        done = run_dais("render", kind, folder, "-o", out)
        assert done.returncode == 0, done.stderr
        manifest = yaml.safe_load((folder / "dais.yaml").read_text(encoding="utf-8"))
        return Rendered(out / "ops", slug or manifest["app"])
    return work


def app_of(folder, **manifest):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dais.yaml").write_text(yaml.safe_dump({"app": "desk", **manifest}, allow_unicode=True),
                                      encoding="utf-8")
    (folder / "web").mkdir(exist_ok=True)
    return folder


def tool(*command, **options):
    return subprocess.run([str(part) for part in command], text=True, capture_output=True, check=False,
                          timeout=300, stdin=subprocess.DEVNULL, **options)


def unit_values(text, key):
    """The values of a key, as systemd reads lines: a backslash at the end goes on, comments never do."""
    found, lines = [], iter(text.split("\n"))
    for line in lines:
        if line.lstrip().startswith(("#", ";")):
            continue
        while line.endswith("\\"):
            line = line[:-1] + " " + next(lines)
        name, equals, value = line.partition("=")
        if equals and name.strip() == key:
            found.append(value.strip(" \t"))
    return found


def unquoted(word):
    """A whole word of Environment= in double quotes, with systemd's escapes and specifiers undone."""
    assert word[0] == word[-1] == '"'
    plain = re.sub(r"\\(?:u(....)|(.))", lambda m: chr(int(m[1], 16)) if m[1] else
                   {"n": "\n", "t": "\t"}.get(m[2], m[2]), word[1:-1])
    assert not re.search(r"(?<!%)(%%)*%(?!%)", plain), word
    return plain.replace("%%", "%")


def verify_units(names):
    done = tool("systemd-analyze", "verify", "--man=no", *names)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def verify_cloud_init(rendered):
    done = tool("cloud-init", "schema", "--config-file", rendered.ops / "cloud-init.yaml")
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    assert done.stdout.strip() == f"Valid cloud-config: {rendered.ops / 'cloud-init.yaml'}"
    assert len(rendered.text("cloud-init.yaml").encode()) < USER_DATA_MAX
    for path, text in rendered.written().items():
        if text.startswith("#!"):
            assert tool("sh", "-n", "-c", text).stderr == "", path


def verify_monitoring(rendered):
    place = rendered.ops / "observability"
    for command in (["config", "prometheus.yml"], ["rules", "alerts.yml"]):
        done = tool("promtool", "check", *command, cwd=place)
        assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    for name in ("loki.yml", "grafana/datasources/datasources.yml", "grafana/dashboards/dashboards.yml"):
        assert isinstance(rendered.yaml(f"observability/{name}"), dict)
    dashboard = json.loads(rendered.text("observability/grafana/dashboards/app.json"))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) and "dais-sha256:" in dashboard["description"]
    verify_compose(rendered)
    verify_alloy(rendered.text("observability/config.alloy"))


def verify_compose(rendered):
    compose = rendered.yaml("observability/docker-compose.yml")
    for name, service in compose["services"].items():
        assert "ports" not in service, name  # on the host's own network a port would be everybody's
        assert service["network_mode"] == "${APP_NETWORK:-host}"
        assert service["healthcheck"]["test"][0] == "CMD" and service["logging"]["options"]["max-size"]
        assert not service["image"].endswith(":latest") and ":" in service["image"]
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (rendered.ops / "observability" / source).exists(), volume
            elif not source.startswith("/"):
                assert source in compose["volumes"], volume


def verify_alloy(text):
    """No tool of Debian reads it: brackets and strings are balanced, and every component named is there."""
    code = re.sub(r"^\s*//.*$", "", text, flags=re.M)
    strings = re.findall(r'"(?:[^"\\\n]|\\.)*"', code)
    rest = re.sub(r'"(?:[^"\\\n]|\\.)*"', "", code)
    assert strings and '"' not in rest
    for pair in ("{}", "[]"):
        assert rest.count(pair[0]) == rest.count(pair[1])
    blocks = {f"{kind}.{name}" for kind, name in re.findall(r'^([a-z.]+) "([a-z]+)" \{', code, re.M)}
    used = set(re.findall(r"((?:loki\.[a-z]+)\.[a-z]+)\.(?:receiver|rules)", code))
    assert used and used <= blocks, used - blocks


# ---- every app -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("folder", APPS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_files_of_every_app_pass_their_tools(folder, render, tmp_path):
    rendered = render(folder)
    verify_units(rendered.install_units(tmp_path / "units"))
    verify_cloud_init(rendered)
    verify_monitoring(rendered)
    written = rendered.written()
    for unit in UNITS:  # cloud-init brings the very same units
        path = f"/etc/systemd/system/{unit.replace('app', rendered.slug, 1)}"
        assert (rendered.ops / unit).exists() == (path in written)
        if path in written:
            assert rendered.text(unit).endswith("\n" + written[path])


@pytest.mark.parametrize("kind", ["aws", "gcp", "azure"])
def test_other_clouds_run_the_same_machine(kind, render, run_dais, tmp_path):
    folder = ROOT / "models/langhero"
    first = {path.name: path.read_bytes() for path in render(folder).ops.glob("app*")}
    assert first == {path.name: path.read_bytes() for path in render(folder, kind).ops.glob("app*")}
    assert run_dais("render", kind, folder, "-o", tmp_path / "out", "--check").returncode == 0


def test_units_are_as_closed_as_they_can_be(render, tmp_path):
    for folder in (ROOT / "models/langhero", ROOT / "apps/field-notes"):
        for name in render(folder).install_units(tmp_path / folder.name):
            if not name.endswith(".service"):
                continue
            done = tool("systemd-analyze", "security", "--offline=true", f"--threshold={SECURITY_BAR}", name)
            assert done.returncode == 0, done.stdout


def test_unit_of_an_app_says_what_the_manifest_says(render, tmp_path):
    text = render(ROOT / "models/langhero").text("app.service")
    assert unit_values(text, "MemoryMax") == [f"{512 + 2 * 2048}M"]
    assert unit_values(text, "Type") == ["notify"] and unit_values(text, "User") == ["langhero"]
    assert "MemoryDenyWriteExecute" not in re.sub("^#.*", "", text, flags=re.M)
    plain = render(app_of(tmp_path / "plain")).text("app.service")
    assert unit_values(plain, "MemoryDenyWriteExecute") == ["yes"] and not unit_values(plain, "ReadWritePaths")


def test_every_variable_is_said_where_it_is_to_be_set(render, tmp_path):
    web = {"root": "web", "env": {"path": "/env.js", "values": {"A": "$PUBLIC_FROM", "B": "$PUBLIC_URL"}}}
    for target, has_url in (({}, False), ({"domain": "x.example"}, True), ({"env": {"PUBLIC_URL": "x"}}, True)):
        rendered = render(app_of(tmp_path / "app", secrets=["KEY", "MANY_*"], web=web,
                                 deploy={"there": {"kind": "ssh", **target}}))
        env, readme = rendered.written()[f"/etc/{rendered.slug}.env.example"], rendered.text("README.md")
        for name in ("KEY", "MANY_", "PUBLIC_FROM"):
            assert f"#{name}" in env and f"`{name}" in readme, name
        assert ("#PUBLIC_URL=" in env, "`PUBLIC_URL`" in readme) == (not has_url, not has_url)


def test_long_slug_gets_a_user_that_linux_takes(render, tmp_path):
    slug = "a" + "-very-long-name" * 2 + "-indeed"
    assert len(slug) > 31
    rendered = render(app_of(tmp_path / "app", app=slug))
    user, = unit_values(rendered.text("app.service"), "User")
    assert user == slug[:22] + "-" + hashlib.sha256(slug.encode()).hexdigest()[:8] and len(user) == 31
    assert rendered.yaml("cloud-init.yaml")["users"][1]["name"] == user


@pytest.mark.parametrize("slug", ["root", "mail", "docker", "ssh"])
def test_app_that_is_called_like_a_part_of_debian_goes_by_another_name(slug, render, tmp_path):
    rendered = render(app_of(tmp_path / "app", app=slug), slug=f"{slug}-app")
    service = rendered.text("app.service")
    assert unit_values(service, "User") == unit_values(service, "StateDirectory") == [f"{slug}-app"]
    assert unit_values(service, "ExecStart") == [f"/usr/local/bin/dais serve /srv/{slug}-app/current"]
    assert not [path for path in rendered.written() if f"/{slug}." in path or f"/{slug}-setup" in path]
    verify_units(rendered.install_units(tmp_path / "units"))


# ---- where it listens ----------------------------------------------------------------------------------
@pytest.mark.parametrize("env,listen,address", [
    ({}, "127.0.0.1:8000", "127.0.0.1:8000"), ({"PORT": "9001"}, "127.0.0.1:9001", "127.0.0.1:9001"),
    ({"DAIS_LISTEN": "0.0.0.0:80"}, "0.0.0.0:80", "127.0.0.1:80"),
    ({"DAIS_LISTEN": ":8080"}, "8080", "127.0.0.1:8080"), ({"DAIS_LISTEN": "8080"}, *["127.0.0.1:8080"] * 2),
    ({"DAIS_LISTEN": "[::1]:8080", "PORT": "81"}, "[::1]:81", "[::1]:81"),
    ({"DAIS_LISTEN": "localhost:8080"}, *["127.0.0.1:8080"] * 2)])
def test_socket_listens_where_the_target_says(env, listen, address, render, tmp_path):
    rendered = render(app_of(tmp_path / "app", deploy={"prod": {"kind": "ssh", "env": env}}))
    assert unit_values(rendered.text("app.socket"), "ListenStream") == [listen]
    assert not [value for value in unit_values(rendered.text("app.service"), "Environment") if "PORT" in value]
    job, = rendered.yaml("observability/prometheus.yml")["scrape_configs"]
    assert job["static_configs"][0]["targets"] == [address] and job["metrics_path"] == "/_/metrics"
    assert f"reverse_proxy {address}\n" in rendered.written()["/etc/caddy/Caddyfile"]
    verify_units(rendered.install_units(tmp_path / "units"))


@pytest.mark.parametrize("manifest,line,words", [
    ({"deploy": {"p": {"kind": "ssh", "env": {"DAIS_LISTEN": "unix:/run/x"}}}}, 5, "an address with a port"),
    ({"deploy": {"p": {"kind": "ssh", "env": {"PORT": "0"}}}}, 5, "from 1 to 65535"),
    ({"deploy": {"p": {"kind": "ssh", "env": {"PORT": "80\nUser=root"}}}}, 5, "from 1 to 65535"),
    ({"deploy": {"p": {"kind": "ssh", "env": {"DAIS_LISTEN": "a b:80"}}}}, 5, "an address with a port"),
    ({"deploy": {"p": {"kind": "ssh", "env": {"KEY": "a\x07b"}}}}, 5, "control characters"),
    ({"deploy": {"p": {"kind": "ssh", "env": {"KEY": "$$ and ${HOME}"}}}}, 5, "takes the value of another variable"),
    ({"deploy": {"p": {"kind": "ssh", "env": {"DAIS_DATA": "/mnt/x"}}}}, 5, "/var/lib/desk"),
    ({"backups": {"schedule": "0 0 30 2 *"}}, 3, "this day never comes")])
def test_what_a_machine_cannot_do_is_said_with_its_place(manifest, line, words, run_dais, tmp_path):
    folder = app_of(tmp_path / "app", **manifest)
    done = run_dais("render", "droplet", folder, "-o", tmp_path / "out")
    assert done.returncode == 1 and words in done.stderr, done.stderr
    assert re.search(rf"dais\.yaml:{line}:\d+: ", done.stderr), done.stderr
    assert not (tmp_path / "out").exists()


# ---- odd values ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_odd_values_arrive_unharmed(value, render, tmp_path):
    text = value.replace("\t", " ")  # which the manifest itself refuses in a title
    rendered = render(app_of(
        tmp_path / "app", title=text, description=text, secrets=["KEY", "MAYBE?", "MANY_*"],
        backups={"schedule": "0 3 * * *", "to": "/x" + value.replace("://", ":/ /").replace("$", "")},
        collections={"notes": {"owner": True}},
        backend={"run": "exec x $PORT", "routes": ["/api/"], "packages": ["libstdc++6", "1e3"]},
        deploy={"prod": {"kind": "ssh", "host": "h.example", "domain": "no.example",
                         "env": {"A": value.replace("$", "$$"), "no": "x"}}}))
    line = re.sub(r"[\x00-\x1f\x7f\u2028]", " ", text)
    names = rendered.install_units(tmp_path / "units")
    verify_units(names)
    for name, before in zip(UNITS, ("", "The socket of ", "A backup of ", "Backups of ")):
        description, = unit_values(rendered.text(name), "Description")
        assert description.replace("%%", "%") == (before + line).strip(" ")
        assert unit_values(rendered.text(name), "User") in ([], ["desk"])
    words = [word for word in unit_values(rendered.text("app.service"), "Environment") if word[0] == '"']
    assert [unquoted(word) for word in words] == [f"A={value}", "no=x"]
    assert "PUBLIC_URL=https://no.example" in unit_values(rendered.text("app.service"), "Environment")
    if value in WORST:
        verify_cloud_init(rendered)
        verify_monitoring(rendered)
    assert rendered.yaml("cloud-init.yaml")["packages"][-3:] == ["1e3", "libpq5", "libstdc++6"]
    assert rendered.written()["/etc/systemd/system/desk.service"] in rendered.text("app.service")
    for file in rendered.ops.glob("observability/**/*.yml"):
        assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict)
    dashboard = json.loads(rendered.text("observability/grafana/dashboards/app.json"))
    assert dashboard["title"] == text


# ---- schedules -----------------------------------------------------------------------------------------
SCHEDULES = ["0 3 * * *", "* * * * *", "*/15 * * * *", "5/20 1-3 * * *", "7,9,11-13 */6 * * *", "0 0 1 * *",
             "30 4 1,15 * 5", "0 0 * * 0", "0 0 * * 7", "0 12 * * 1-5", "0 12 * * 0-3", "0 0 */10 * 1",
             "0 0 13 * 5", "15 2 29 2 *", "0 0 30 2 1", "59 23 31 */2 *", "10-50/20 8 * 1-3,6 */2", "0 0 * 12 6,0"]


def cron_field(text, least, most):
    values = set()
    for item in text.split(","):
        head, _, step = item.partition("/")
        first, dash, last = head.partition("-")
        if head == "*":
            first, last = least, most
        elif not dash:
            last = most if step else first
        values |= set(range(int(first), int(last) + 1, int(step or 1)))
    return values


def cron_next(schedule, after, count):
    """The next times after one, in UTC; an evaluator that shares nothing with the one under test."""
    minutes, hours, days, months, weekdays = (
        cron_field(text, *bounds) for text, bounds in
        zip(schedule.split(), [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]))
    day_text, weekday_text = schedule.split()[2], schedule.split()[4]
    weekdays = {day % 7 for day in weekdays}
    either = day_text[0] != "*" and weekday_text[0] != "*"
    found, date = [], after.date()
    while len(found) < count:
        is_day, is_weekday = date.day in days, (calendar.weekday(*date.timetuple()[:3]) + 1) % 7 in weekdays
        if date.month in months and ((is_day or is_weekday) if either else (is_day and is_weekday)):
            times = (datetime.datetime(date.year, date.month, date.day, hour, minute)
                     for hour in sorted(hours) for minute in sorted(minutes))
            found += [time for time in times if time > after]
        date += datetime.timedelta(days=1)
    return found[:count]


def systemd_next(expressions, after, count):
    times = set()
    for expression in expressions:
        done = tool("systemd-analyze", "calendar", f"--iterations={count}", f"--base-time={after} UTC", expression,
                    env={"TZ": "UTC", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"})
        assert (done.returncode, done.stderr) == (0, ""), f"{expression}\n{done.stderr}"
        times |= set(re.findall(r"(?:Next elapse|Iter(?:ation)?\.? #\d+): \w{3} (\S+ \S+) UTC", done.stdout))
    return [datetime.datetime.fromisoformat(time) for time in sorted(times)[:count]]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_timer_elapses_when_cron_says(schedule, render, tmp_path):
    rendered = render(app_of(tmp_path / "app", backups={"schedule": schedule}, collections={"notes": {"owner": True}}))
    verify_units(rendered.install_units(tmp_path / "units"))
    timer = rendered.text("app-backup.timer")
    expressions = unit_values(timer, "OnCalendar")
    assert unit_values(timer, "Persistent") == ["yes"] and unit_values(timer, "RandomizedDelaySec")
    for after in ("2026-02-27 22:58:00", "2027-12-31 00:00:00"):
        want = cron_next(schedule, datetime.datetime.fromisoformat(after), 12)
        assert systemd_next(expressions, after, 12) == want


def test_no_timer_where_backups_are_off(render, tmp_path):
    for name, more in (("off", {"backups": {"schedule": "off"}, "collections": {"notes": {}}}), ("none", {})):
        rendered = render(app_of(tmp_path / name, **more))
        assert not list(rendered.ops.glob("app-backup*"))
        assert not [path for path in rendered.written() if "backup" in path]
        assert "backup.timer" not in rendered.text("cloud-init.yaml") + rendered.text("README.md")
        assert "No backups are made: " in rendered.text("README.md")


def test_the_unit_says_what_the_command_takes(render, run_dais, tmp_path):
    app = app_of(tmp_path / "app", backups={"to": "/mnt/my backups"}, collections={"notes": {"owner": True}})
    rendered = render(app)
    unit = rendered.text("app-backup.service")
    words = unit_values(unit, "ExecStart")[0].split()
    assert words[:3] == ["/usr/local/bin/dais", "backup", "create"] and words[-1] == "/srv/desk/current"
    (tmp_path / "data").mkdir(mode=0o700)  # as StateDirectory does
    done = run_dais(*words[1:-1], app, "--data", tmp_path / "data")
    assert (done.returncode, done.stderr) == (0, ""), done
    for name in ("app-backup.service", "app.service"):  # where nothing else may be written
        assert '"-/mnt/my backups"' in unit_values(rendered.text(name), "ReadWritePaths")
    assert unit_values(unit, "SuccessExitStatus") == ["4"]
    assert "systemctl enable --now desk-backup.timer" in rendered.written()["/usr/local/sbin/desk-setup"]


# ---- the script of cloud-init --------------------------------------------------------------------------
STANDINS = {
    "install": 'for a in "$@"; do shift; case $skip$a in -o|-g) skip=x;; x*) skip=;; *) set -- "$@" "$a";; esac; '
               "done; exec /usr/bin/install \"$@\"",
    "systemctl": 'echo "systemctl $*" >> "$TOLD"', "nft": 'echo "nft $*" >> "$TOLD"',
    "curl": 'echo "curl $*" >> "$TOLD"; while [ "$1" != --output ]; do shift; done; cp "$3" "$2"',
}


class Machine:
    """A folder in place of a machine's root, with what cloud-init writes, and stand-ins."""

    def __init__(self, rendered, folder):
        self.root, self.told = folder / "root", folder / "told"
        self.slug = rendered.slug
        for name, code in STANDINS.items():
            file = folder / "bin" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("#!/bin/sh\n" + code + "\n")
            file.chmod(0o755)
        self.env = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "TOLD": str(self.told)}
        for path, text in rendered.written().items():
            self.write(path, text)
        self.write("/usr/local/bin/.keep", "")

    def path(self, path):
        return pathlib.Path(f"{self.root}{path}")

    def write(self, path, text):
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        if path.startswith("/usr/local/sbin"):
            text = re.sub(r"(?<![\w.])(/(?:etc|srv|var|usr/local))/", rf"{self.root}\1/", text)
        self.path(path).write_text(text)

    def setup(self):
        self.told.write_text("")
        done = tool("sh", self.path(f"/usr/local/sbin/{self.slug}-setup"), env=self.env)
        return done, self.told.read_text()

    def release(self):
        folder = self.path(f"/srv/{self.slug}/releases/1")
        folder.mkdir(parents=True)
        (folder / "dais.yaml").write_text("app: x\n")
        self.path(f"/srv/{self.slug}/current").symlink_to("releases/1")


def test_setup_waits_for_the_app_and_then_starts_it(render, tmp_path):
    machine = Machine(render(ROOT / "models/langhero"), tmp_path)
    for _ in range(2):
        done, told = machine.setup()
        assert done.returncode == 0 and done.stderr == "" and "starts when" in done.stdout
        assert "enable --now langhero-arrival.path" in told and "langhero.service" not in told
    assert machine.path("/srv/langhero/releases").is_dir() and machine.path("/var/lib/langhero").is_dir()
    machine.path("/etc/langhero.env").write_text("OPENAI_API_KEY=mine\n")
    machine.release()
    machine.path("/usr/local/bin/dais").symlink_to(DAIS_BIN)
    for _ in range(2):
        done, told = machine.setup()
        assert (done.returncode, done.stderr) == (0, "")
        assert "systemctl disable --now langhero-arrival.path\n" in told
        assert "systemctl enable --now langhero.socket langhero.service\n" in told
        assert "langhero-backup.timer" not in told  # dais keeps nothing of it
    assert machine.path("/etc/langhero.env").read_text() == "OPENAI_API_KEY=mine\n"


def test_setup_fetches_dais_once_and_only_what_was_named(render, tmp_path):
    machine = Machine(render(ROOT / "apps/star-chart"), tmp_path)
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 1\n")
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    dais = machine.path("/usr/local/bin/dais")
    machine.write("/etc/star-chart.fetch", f"DAIS_URL={program}\nDAIS_SHA256={'0' * 64}\n")
    done, told = machine.setup()
    assert done.returncode == 1 and "DAIS_SHA256" in done.stderr and "curl" in told
    assert not dais.exists() and not list(dais.parent.glob("*.new")) and "systemctl" not in told
    machine.write("/etc/star-chart.fetch", f"DAIS_URL={program}\nDAIS_SHA256={digest}\n")
    done, told = machine.setup()
    assert done.returncode == 0 and "curl" in told and os.access(dais, os.X_OK)
    assert "curl" not in machine.setup()[1]


@pytest.mark.skipif(not shutil.which("caddy"), reason="no Caddy here")
def test_caddy_takes_the_small_file(render, tmp_path):
    for deploy in ({}, {"deploy": {"prod": {"kind": "ssh", "domain": "desk.example.com"}}}):
        file = tmp_path / "Caddyfile"
        file.write_text(render(app_of(tmp_path / "app", **deploy)).written()["/etc/caddy/Caddyfile"])
        done = tool("caddy", "validate", "--adapter", "caddyfile", "--config", file,
                    env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not shutil.which("docker-compose"), reason="no docker-compose here")
def test_compose_takes_the_monitoring_only_with_a_password(render):
    place = render(ROOT / "models/langhero").ops / "observability"
    env = {"PATH": os.environ["PATH"], "HOME": str(place)}
    compose = place / "docker-compose.yml"  # Debian's is older than the key `name`
    compose.write_text(re.sub("^name: .*\n", "", compose.read_text(), flags=re.M))
    done = tool("docker-compose", "config", cwd=place, env=env)
    assert done.returncode != 0 and "GF_SECURITY_ADMIN_PASSWORD" in done.stderr
    done = tool("docker-compose", "config", cwd=place, env={**env, "GF_SECURITY_ADMIN_PASSWORD": "a $b 'c'"})
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert sorted(services) == ["alloy", "grafana", "loki", "prometheus"]
    assert {service["network_mode"] for service in services.values()} == {"host"}
    # Root without capabilities may not enter what the image made for its own user: /var/lib/alloy is 0770.
    alloy = services["alloy"]
    assert alloy["user"] == "0:0" and alloy["cap_drop"] == ["ALL"]
    assert not [word for word in [*alloy["command"], *alloy["volumes"]] if "/var/lib/alloy" in str(word)]


# ---- alerts --------------------------------------------------------------------------------------------
def series(name, values, **labels):
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{inner}}}", "values": values}


def requests(good, bad):
    return [series("dais_requests_total", f"0+{good}x40", job="dais", status="200"),
            series("dais_requests_total", f"0+{bad}x40", job="dais", status="502")]


def buckets(name, bounds):
    """{bound: growth a step}, cumulative."""
    return [series(f"{name}_bucket", f"0+{growth}x40", job="dais", le=bound) for bound, growth in bounds.items()]


FAST, SLOW = {"1": 10, "5": 10, "30": 10, "+Inf": 10}, {"1": 1, "5": 1, "30": 10, "+Inf": 10}
CALM, BUSY = {"0.01": 99, "0.05": 100, "0.25": 100, "+Inf": 100}, {"0.01": 90, "0.05": 90, "0.25": 100, "+Inf": 100}
BACKEND = {"job": "dais", "app": "desk", "exported_instance": "0"}
GROUP = {"job": "dais"}
# alert: (series when it fires, series when it does not, labels it fires with); a step is a minute
ALERTS = {
    "DaisDown": ([series("up", "1x10 0x30", job="dais")], [series("up", "1x10 0 1x30", job="dais")], GROUP),
    "DaisStartsAgainAndAgain": ([series("dais_uptime_seconds", "5 1 " * 15, **GROUP)],
                                [series("dais_uptime_seconds", "0+60x10 0+60x40", **GROUP)], GROUP),
    "DaisBackendDown": ([series("dais_backend_up", "1x10 0x30", **BACKEND)],
                        [series("dais_backend_up", "1x24 0 1x30", **BACKEND)], BACKEND),
    "DaisBackendDegraded": ([series("dais_backend_degraded", "0x10 1x30", **BACKEND)],
                            [series("dais_backend_degraded", "0x24 1x30", **BACKEND)], BACKEND),
    "DaisBackendEndsOften": ([series("dais_backend_ends_total", "0x15 1+1x30", **BACKEND)],
                             [series("dais_backend_ends_total", "0x20 2x30", **BACKEND)], BACKEND),
    "DaisErrors": (requests(90, 10), requests(97, 3), GROUP),
    "DaisSlow": (buckets("dais_request_duration_seconds", SLOW), buckets("dais_request_duration_seconds", FAST), GROUP),
    "DaisLoopBusy": (buckets("dais_loop_busy_seconds", BUSY), buckets("dais_loop_busy_seconds", CALM), GROUP),
    "DaisLaneBacklog": ([series("dais_lane_depth", "0x10 101x30", **GROUP)],
                        [series("dais_lane_depth", "100x40", **GROUP)], GROUP),
    "DaisConnectionsRefused": ([series("dais_connections_refused_total", "0x25 4x9", **GROUP)],
                               [series("dais_connections_refused_total", "4x40", **GROUP)], GROUP),
    "DaisReloadFailed": ([series("dais_reload_failures_total", "0x20 1x20", **GROUP)],
                         [series("dais_reload_failures_total", "1x40", **GROUP)], GROUP),
    "DaisMemory": ([series("process_resident_memory_bytes", "500000000x40", **GROUP)],
                   [series("process_resident_memory_bytes", "30000000x40", **GROUP)], GROUP),
}


def rules_of(rendered):
    group, = rendered.yaml("observability/alerts.yml")["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def alert_tests(rules):
    """What promtool runs: each alert fires at minute 28 on its series, and does not on the others."""
    for name, (fires, rests, labels) in ALERTS.items():
        if name not in rules:
            continue
        for input_series, is_firing in ((fires, True), (rests, False)):
            case = {"alertname": name, "eval_time": "28m", "exp_alerts": []}
            if is_firing:
                case["exp_alerts"] = [{"exp_labels": {**labels, **rules[name]["labels"]}, "exp_annotations": None}]
            yield {"interval": "1m", "name": f"{name} {is_firing}", "input_series": input_series,
                   "alert_rule_test": [case]}


@pytest.mark.parametrize("folder", [ROOT / "models/langhero", ROOT / "apps/field-notes"], ids=lambda f: f.name)
def test_each_alert_fires_when_it_should_and_only_then(folder, render):
    rendered = render(folder)
    rules = rules_of(rendered)
    assert set(rules) == {name for name in ALERTS if folder.name == "langhero" or "Backend" not in name}
    # Annotations are for people; without them a test says nothing about their words.
    bare = {"groups": [{"name": "a", "rules": [{k: v for k, v in rule.items() if k != "annotations"}
                                               for rule in rules.values()]}]}
    place = rendered.ops / "observability"
    (place / "bare.yml").write_text(yaml.safe_dump(bare))
    tests = list(alert_tests(rules))
    for test in tests:
        for case in test["alert_rule_test"]:
            for row in case["exp_alerts"]:
                row.pop("exp_annotations")
    (place / "test.yml").write_text(yaml.safe_dump({"rule_files": ["bare.yml"], "evaluation_interval": "1m",
                                                    "tests": tests}))
    done = tool("promtool", "test", "rules", "test.yml", cwd=place)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(tests) == 2 * len(rules)


# ---- a real dais, asked by a real Prometheus --------------------------------------------------------------
PROMETHEUS_OWN = {"up"}
NAME = re.compile(r"\b(?:dais|process)_[a-z0-9_]+|\bup\b")


@pytest.fixture
def desk(tmp_path):
    """A served app with a backend, in which something happened."""
    folder = write_app(tmp_path / "desk", {"web/index.html": "<h1>desk</h1>\n", "backend.py": PROGRAM},
                       "web: { root: web }\nbackend: { run: exec python3 backend.py, routes: [ /own/ ], "
                       "health: /health }\nauth: { signup: open }\nfiles: { uploads: { owner: true } }\n")
    with S3() as s3, serving(folder, env={**s3.env, "STORAGE_BACKEND": "s3"}) as server:
        wait_for(lambda: fetch(server, "/own/x").status == 200, "the backend's answer")
        yield folder, server


def names_in(rendered):
    dashboard = json.loads(rendered.text("observability/grafana/dashboards/app.json"))
    queries = [target["expr"] for panel in dashboard["panels"] if panel["datasource"]["type"] == "prometheus"
               for target in panel["targets"]]
    queries += [row["expr"] for row in dashboard["annotations"]["list"]]
    return queries, [rule["expr"] for rule in rules_of(rendered).values()]


def test_every_metric_asked_for_is_given(desk, render):
    folder, server = desk
    queries, alerts = names_in(render(folder))
    given = set(re.findall(r"^([a-z0-9_]+)[{ ]", fetch(server, "/_/metrics").body.decode(), re.M))
    asked = {name for query in queries + alerts for name in NAME.findall(query)} - PROMETHEUS_OWN
    assert len(asked) > 15 and asked <= given, asked - given
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in given}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert families - shown == set(), "no panel and no alert for these"


@contextlib.contextmanager
def prometheus(place, server):
    """A Prometheus that asks this server, with the rendered files and another port."""
    config = yaml.safe_load((place / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": ["%s:%d" % server.address]}]
    config["scrape_configs"][0]["scrape_timeout"] = "1s"
    (place / "here.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    log = open(place / "log", "w", encoding="utf-8")
    process = subprocess.Popen(
        ["prometheus", "--config.file=here.yml", "--storage.tsdb.path=data", "--log.level=warn",
         f"--web.listen-address=127.0.0.1:{port}"], cwd=place, stdout=log, stderr=log)
    try:
        yield lambda path, **query: json.loads(urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30).read())["data"]
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def test_prometheus_asks_dais_and_knows_every_rule(desk, render):
    folder, server = desk
    rendered = render(folder)
    queries, alerts = names_in(rendered)
    with prometheus(rendered.ops / "observability", server) as ask:
        def value_of(query):
            with contextlib.suppress(OSError):
                return ask("query", query=query)["result"]
            return None
        wait_for(lambda: [row["value"][1] for row in value_of('up{job="dais"}') or []] == ["1"], "the scrape", 60)
        backend, = wait_for(lambda: value_of("dais_backend_up"), "the backend's figure", 60)  # gone after a late scrape
        assert backend["metric"]["app"] == "desk" and backend["metric"]["exported_instance"] == "0"
        for query in queries + alerts:
            value_of(query.replace("$__rate_interval", "1m"))
        wait_for(lambda: all(rule["health"] == "ok" for group in ask("rules")["groups"] for rule in group["rules"]),
                 "every rule's evaluation", 60)
        assert [row for row in ask("alerts")["alerts"] if row["state"] == "firing"] == []
        wait_for(lambda: sum(bool(value_of(query.replace("$__rate_interval", "1m"))) for query in queries)
                 > len(queries) * 2 // 3, "something to see in most panels", 60)


def test_prometheus_elsewhere_is_refused(desk):
    """What the Compose file's remark says: other machines, and proxies, see no metrics."""
    _, server = desk
    assert fetch(server, "/_/metrics").status == 200
    assert fetch(server, "/_/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status == 403
