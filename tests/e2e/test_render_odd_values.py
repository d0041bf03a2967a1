# Random manifests full of text that looks like something else: every kind renders them unharmed, or says which key.
"""A manifest of a seed has a hostile value in every field that takes text; `dais check` says which fields do not take
theirs, these get a plain one. What every kind makes of it is read by a parser of its format (READERS, by the file's
name), which gives the variables it found there: each must have exactly the value of the manifest.

DAIS_ODD_SEED=7 runs that seed alone, DAIS_ODD_SEEDS=1000 as many as that."""
import configparser
import fnmatch
import html.parser
import json
import os
import random
import re
import subprocess

import pytest
import yaml
from conftest import DAIS_BIN, REPORT, clean_env
from rendering import KINDS, is_intact, render, tree

ONE = os.environ.get("DAIS_ODD_SEED")
SEEDS = [int(ONE)] if ONE else range(int(os.environ.get("DAIS_ODD_SEEDS", "40")))

# ---- values ------------------------------------------------------------------------------------
VALUES = [
    "it's", 'say "so"', "$HOME", "${HOME}", "${X:-y}", "$$", "$(id)", "`id`", "a\\b", "\\", "\\n", "end\\", "%n %%h %s",
    "a: b", "a # b", "#x", "- x", "? x", "& x", "*x", "!x", "| x", "> x", "[x", "{x", "{{ x }}", "${{ github.token }}",
    "<% x %>", "<%x|raw%>", "%>", "<script>alert(1)</script>", "a&b;c|d", "no", "yes", "NO", "on", "null", "~", "",
    "::", ":", "=", "1e3", "007", "0x1f", "1_000", ".5", "-", "---", "...", "2026-01-01", "12:30:45", "true",
    "Ünïcödé 🙂",
    " lead", "trail ", "tab\there", "two\nlines", "x\nINJECTED: yes\n", "x\n  INJECTED: yes", "x\nINJECTED yes",
    "x\r\nINJECTED=yes", "x'\nINJECTED='y", 'x"\nINJECTED="y', "x; INJECTED yes;", "}\nINJECTED {", "*/ INJECTED",
    "-->", "x\u0085INJECTED: yes", "x\u2028INJECTED: yes", "x\u2029- INJECTED", "\ufeffx", "\u202etxt",
    "dais-header",
    "dais-sha256:" + "0" * 64, "long " * 900, "@file", "EOF\nINJECTED", "<<EOF", "'''", '"""', "!Sub ${AWS::Region}",
    "Fn::Sub", "{resolve:x}", "a,b", "a;b", "(x)", "\\u0041", "&amp;", "a=b=c", "'", '"', "''", '""',
]

# A line each: what stands before the value, a plain one, and whether a hostile one is tried.
FIELDS = [
    ("title: ", "Odd", True), ("description: ", "Odd values.", True),
    ("web:", None, False), ("  root: ", "web", False), ("  build: ", "npm run build", True),
    ("backend:", None, False), ("  setup: ", "make", True), ("  run: ", "exec ./app --port $PORT", True),
    ("  packages:", None, False), ("    - ", "ffmpeg", True), ("    - ", "libc6", True),
    ("  routes:", None, False), ("    - ", "/api/", False), ("    - ", "/x/", True), ("    - ", "/healthz", False),
    ("  health: { path: ", "/healthz", True),
    ("  persist:", None, False), ("    - ", "store", True), ("    - ", "cache/x", True),
    ("  env:", None, False), *((f"    ODD_{n}: ", "plain", True) for n in range(6)),
    ("secrets:", None, False), ("  - ", "HIDDEN_ONE?", True), ("  - ", "HIDDEN_MORE_*", True),
    ("backups: { schedule: \"0 3 * * *\", to: ", "data/backups", True),
    ("deploy:", None, False),
]
TARGETS = {  # name: kind and what it may say
    "prod": ("ssh", ["host", "domain", "admin_email"]), "cloud": ("aws", ["region", "domain", "admin_email"]),
    "google": ("gcp", ["region", "domain"]), "azur": ("azure", ["region", "domain"]),
    "python": ("pythonanywhere", ["domain"]), "demo": ("pages", ["remote", "base", "api"]),
}
PLAIN = {"host": "root@203.0.113.9", "domain": "odd.example.com", "admin_email": "me@example.com",
         "region": "us-east-1",
         "remote": "git@example.com:me/odd.git", "base": "/odd/", "api": "https://odd.example.com"}


def quoted(value):
    """As YAML, on one line, whatever it holds."""
    def one(char):
        code = ord(char)
        if char in '"\\':
            return "\\" + char
        return char if 0x20 <= code < 0x7f or code > 0xffff else f"\\u{code:04x}"
    return '"' + "".join(map(one, value)) + '"'


class Odd:
    """A manifest as lines; `line` of each field that is hostile is known."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.rows = [["app: odd", None, None]]
        for start, plain, is_odd in FIELDS:
            self.add(start, plain, is_odd)
        for name, (kind, keys) in TARGETS.items():
            self.add(f"  {name}:", None, False)
            self.add("    kind: ", kind, False)
            for key in keys:
                self.add(f"    {key}: ", PLAIN[key], self.random.random() < 0.3)
            self.add("    env:", None, False)
            for n in range(2):
                self.add(f"      ODD_{name.upper()}_{n}: ", "plain", True)

    def add(self, start, plain, is_odd):
        value = self.value() if is_odd else plain
        self.rows.append([start, value, plain])

    def value(self):
        value = self.random.choice(VALUES)
        if self.random.random() < 0.2:
            value += self.random.choice(VALUES)
        return value

    def text(self):
        def line(start, value):
            end = " }" if "{" in start else ""
            return start if value is None else start + quoted(value) + end
        return "".join(line(start, value) + "\n" for start, value, _ in self.rows)

    def make_plain(self, number):
        row = self.rows[number - 1]
        assert row[1] != row[2], f"a plain value is refused: {row}"
        row[1] = row[2]

    def variables(self):
        """Of those that refer to no other: in `env`, `$NAME` does, and `$$` is a dollar."""
        found = {start.strip(" :"): value.replace("$$", "\0") for start, value, _ in self.rows
                 if re.match(r" +ODD_\w+: $", start)}
        return {name: value.replace("\0", "$") for name, value in found.items() if not re.search(r"\$[\w{]", value)}


def accepted(app, seed):
    """The manifest of a seed, with plain values where `dais check` wants others."""
    odd = Odd(seed)
    for _ in range(30):
        (app / "dais.yaml").write_text(odd.text(), encoding="utf-8")
        done = subprocess.run([DAIS_BIN, "check", app], env=clean_env(app), capture_output=True, check=False)
        said = done.stdout.decode() + done.stderr.decode()
        assert not REPORT.search(said), said
        if done.returncode == 0:
            return odd
        lines = {int(number) for number in re.findall(r"dais\.yaml:(\d+):\d+: (?!warning)", said)}
        assert done.returncode == 1 and lines, said
        for number in lines:
            odd.make_plain(number)
    raise AssertionError(said)


# ---- readers: each gives {variable: value} of what it found, as far as it knows the place --------
def variables_in(node):
    """Of a tree: NAME: value, "NAME=value", or { name: NAME, value: value }."""
    found = {}
    if isinstance(node, dict):
        low = {str(key).lower(): value for key, value in node.items()}
        if isinstance(low.get("name"), str) and isinstance(low.get("value"), str):
            found[low["name"]] = low["value"]
        for key, value in node.items():
            assert "INJECTED" not in str(key), f"a value became a key: {node}"
            if isinstance(value, str):
                found[key] = value
            else:
                is_other = isinstance(value, (int, float, bool, type(None)))
                assert not (str(key).startswith("ODD_") and is_other), f"{key} is no text: {value}"
                found.update(variables_in(value))
    elif isinstance(node, list):
        for item in node:
            if isinstance(item, str) and re.match(r"\w+=", item):
                name, _, value = item.partition("=")
                found[name] = value
            else:
                found.update(variables_in(item))
    return found


def read_json(_path, text):
    return variables_in(json.loads(text))


class Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation and the like, as plain data."""


Loader.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node)
                             if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node))


def read_yaml(_path, text):
    return {name: value for document in yaml.load_all(text, Loader) for name, value in variables_in(document).items()}


def read_compose(_path, text):
    """`$$` is a dollar there; a lone one is replaced."""
    return {name: value.replace("$$", "\0").replace("$", "REPLACED ").replace("\0", "$")
            for name, value in variables_in(yaml.load(text, Loader)).items()}


def read_env(path, text):
    """By a real shell: whatever is executed instead of assigned shows."""
    names = [name for name in re.findall(r"^(?:export )?(\w+)=", text, re.M) if name.startswith("ODD_")]
    script = 'set -a; . "$1" || exit 9; shift; for n; do printf "%s\\0" "${!n-unset}"; done'
    done = subprocess.run(["/bin/bash", "--norc", "-uc", script, "bash", path, *names], env={"PATH": "/nowhere"},
                          capture_output=True, check=False)
    assert done.returncode == 0 and done.stderr == b"", done.stderr
    values = done.stdout.decode().split("\0")[:-1]
    try:
        import dotenv  # pylint: disable=import-outside-toplevel
        by_dotenv = dotenv.dotenv_values(path, interpolate=False)
        assert {name: by_dotenv[name] for name in names} == dict(zip(names, values))
    except ImportError:
        pass
    return dict(zip(names, values))


def read_shell(path, _text):
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return {}


def read_python(path, text):
    found = {}
    for node in __import__("ast").walk(compile(text, str(path), "exec", 0x400, True)):
        pairs = zip(node.keys, node.values) if type(node).__name__ == "Dict" else ()
        for key, value in pairs:
            if type(key).__name__ == type(value).__name__ == "Constant" and str(key.value).startswith("ODD_"):
                found[key.value] = value.value
    return found


def read_ini(_path, text):
    """systemd's units: sections, keys, comments and nothing else."""
    joined = re.sub(r"\\\n", " ", text)
    for line in joined.split("\n"):
        assert re.match(r"([#;].*|\[[\w-]+\]|[A-Z]\w*=.*|\s*)\Z", line), repr(line)
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#", ";"),
                                          inline_comment_prefixes=None)
    parser.read_string(joined)
    return {}


DOCKER = "FROM ARG RUN COPY ADD ENV WORKDIR USER EXPOSE VOLUME ENTRYPOINT CMD HEALTHCHECK LABEL STOPSIGNAL SHELL"


def read_dockerfile(_path, text):
    lines, end = [], None
    for line in text.split("\n"):
        if end:
            end = None if line == end else end
        elif not re.match(r"\s*(#|$)", line):
            lines.append(line)
            heredoc = re.search(r"<<-?['\"]?(\w+)", line)
            end = heredoc[1] if heredoc and line.startswith(("RUN <<", "COPY <<")) else None
    for line in re.sub(r"\\\s*\n", " ", "\n".join(lines)).split("\n"):
        assert not line or line.split()[0] in DOCKER.split(), f"no instruction: {line!r}"
        if line.startswith(("CMD [", "ENTRYPOINT [", "SHELL [")):
            json.loads(line[line.index("["):])
    return {}


def read_braces(_path, text):
    """nginx and Caddy: words, quotes, blocks. No value became a word at the start of a statement."""
    depth, start = 0, True
    for token in re.finditer(r'#[^\n]*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`|[{};\n]|[^\s{};]+', text):
        word = token[0]
        if word.startswith("#"):
            continue
        depth += (word == "{") - (word == "}")
        assert depth >= 0 and not (start and "INJECTED" in word), text[max(token.start() - 200, 0):token.end()]
        start = word in "{};\n"
    assert depth == 0
    return {}


def read_html(_path, text):
    class Page(html.parser.HTMLParser):  # pylint: disable=abstract-method
        """Notices a script that came out of a value."""
        def handle_data(self, data):
            assert self.rawdata is not None and not (self.cdata_elem == "script" and "alert(1)" in data)
    Page().feed(text)
    return {}


def read_text(_path, text):
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text)
    for line in re.split(r"[\n\x85\u2028\u2029]", text):
        assert not line.startswith("INJECTED"), line
    return {}


READERS = [  # the first that fits
    ("*compose*.yml", read_compose), ("*compose*.yaml", read_compose), ("*.json", read_json), ("*.yml", read_yaml),
    ("*.yaml", read_yaml), ("*.env", read_env), ("*.env.*", read_env), ("*.example", read_env), ("*.sh", read_shell),
    ("*.py", read_python), ("*.service", read_ini), ("*.socket", read_ini), ("*.timer", read_ini),
    ("*Dockerfile", read_dockerfile), ("*.conf", read_braces), ("*Caddyfile", read_braces), ("*.html", read_html),
    ("*", read_text),
]


# ---- the property ------------------------------------------------------------------------------
def read(path, name, data):
    text = data.decode("utf-8")
    reader = next(reader for pattern, reader in READERS if fnmatch.fnmatch(name, pattern))
    try:
        return reader(path, text)
    except Exception as error:
        raise AssertionError(f"{name} cannot be read by {reader.__name__}: {error!r}\n{text[:3000]}") from error


def refusal(done):
    """Exit 1 names what cannot be expressed: a position in dais.yaml, or the fact and the file."""
    return re.search(r"dais\.yaml:\d+:\d+: |: [\w.]+ cannot be written into this file|no value may be exactly",
                     done.stderr)


@pytest.fixture(scope="module", name="app")
def app_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    for name in ("web", "store", "cache/x"):
        (folder / name).mkdir(parents=True)
    (folder / "web/index.html").write_text("<!doctype html><title>odd</title>")
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_values_come_through_unharmed(app, seed, tmp_path):
    odd = accepted(app, seed)
    wanted = odd.variables()
    for word in [*KINDS, *TARGETS]:
        out = tmp_path / word
        done = subprocess.run([DAIS_BIN, "render", word, app, "-o", out], env=clean_env(app), capture_output=True,
                              text=True, check=False)
        assert not REPORT.search(done.stderr), done.stderr
        assert done.returncode == 0 or (done.returncode == 1 and refusal(done)), f"{word}: {done.stderr}"
        if done.returncode:
            assert not out.exists(), "a refusal writes nothing"
            continue
        for name, data in (tree(out) if out.exists() else {}).items():
            assert is_intact(data) in (True, None), f"{word}: {name}"
            for variable, value in read(out / name, name, data).items():
                if variable in wanted:
                    assert value == wanted[variable], f"{word}: {variable} in {name}\n{data.decode()[:3000]}"


# ---- the readers themselves --------------------------------------------------------------------
@pytest.mark.parametrize("name, text", [
    ("a.json", '{"INJECTED": 1}'), ("a.yml", "a: 1\nINJECTED: yes\n"), ("a.yml", "a: [\n"), ("a.yaml", "ODD_1: no\n"),
    ("docker-compose.yml", "ODD_1: [\n"), ("a.sh", "echo 'x\n"), ("a.py", "x = '\n"),
    ("app.service", "[Unit]\nx y\n"), ("app.Dockerfile", "FROM x\nINJECTED yes\n"), ("nginx.conf", "a {\n"),
    ("nginx.conf", "a b;\nINJECTED yes;\n"), ("a.txt", "x\nINJECTED"),
    (".env", "ODD_1=$(echo x >&2)\n"), (".env", "ODD_1='x\n"),
])
def test_readers_notice(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(AssertionError):
        read(tmp_path / name, name, text.encode())


def test_readers_find(tmp_path):
    for name, text in (("a.json", '{"ODD_1": "a$b"}'), ("a.yml", "x: [{name: ODD_1, value: 'a$b'}]\n"),
                       ("compose.yml", "environment: { ODD_1: 'a$$b' }\n"), ("b-compose.yml", "e: ['ODD_1=a$$b']\n"),
                       (".env.example", "ODD_1='a$b'\n"), ("w.py", 'E = {"ODD_1": "a$b"}\n')):
        (tmp_path / name).write_text(text)
        assert read(tmp_path / name, name, text.encode())["ODD_1"] == "a$b", name


def test_a_plain_manifest_renders_everywhere(app, tmp_path):
    odd = Odd(0)
    for row in odd.rows:
        row[1] = row[2]
    (app / "dais.yaml").write_text(odd.text())
    for word in [*KINDS, *TARGETS]:
        render(word, app, tmp_path / word)
