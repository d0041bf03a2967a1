# tools/check: a clean tree passes, and every rule fails on a tree that breaks it.
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = {
    "src/base/slice.h": "/* Borrowed bytes, never owned. */\n#pragma once\n",
    "src/loop/loop.h": '/* The event loop of a thread. */\n#pragma once\n'
                       '#include "base/slice.h"\n\n#include <uv.h>\n',
    "src/loop/loop.c": '/* Turning the loop of a thread. */\n#include "loop/loop.h"\n\n'
                       "int loop_run(int turns)\n{\n    return turns;\n}\n",
    "tools/go": "#!/usr/bin/env bash\n# Does nothing at all, well.\nexit 0\n",
    "docs/API.md": "# API\n\nSee [the loop](../src/loop/loop.h) in `src/loop/loop.c`.\n",
    "data.json": '{"a": 1}\n',
}


def long_function(lines, name="long_one"):
    body = "".join(f"    n += {number};\n" for number in range(lines - 4))
    return f"int {name}(int n)\n{{\n{body}    return n;\n}}\n"


HEAD = "/* A file that breaks one rule. */\n"
BRANCHY = "int pick(int n)\n{\n" + "    if (n == 1)\n        n++;\n" * 41 + "    return n;\n}\n"
SLUGS = ('/* The one table of errors. */\n#pragma once\n#define ERR_MAP(X) \\\n'
         '    X(ERR_GONE, 410, "gone", 1, "Gone")\n')
BAD = [  # rule, file, content, what the message must say
    ("layers", "src/base/up.c", HEAD + '#include "loop/loop.h"\n', "base may not include loop/loop.h"),
    ("layers", "src/wire/side.c", HEAD + '#include "loop/loop.h"\n', "wire may not include"),
    ("layers", "src/attic/x.c", HEAD, "the room attic is not in LAYERS"),
    ("layers", "src/wire/lib.c", HEAD + "#include <uv.h>\n", "uv.h belongs to"),
    ("private-headers", "src/net/x.c", HEAD + '#include "loop/loop_impl.h"\n', "private to loop"),
    ("private-headers", "src/net/x.c", HEAD + '#include "loop/timer.h"\n', "include loop/loop.h"),
    ("private-headers", "tests/unit/net/test_x.c", HEAD + '#include "loop/loop_impl.h"\n', "private to loop"),
    ("include-style", "src/loop/x.c", HEAD + '#include "loop.h"\n', 'write "loop/loop.h"'),
    ("include-style", "src/loop/x_impl.h", HEAD + "int x(void);\n", "#pragma once"),
    ("banned", "src/loop/x.c", HEAD + "int x(const char *s)\n{\n    return atoi(s);\n}\n", "atoi is banned"),
    ("banned", "src/loop/x.c", HEAD + "void *x(void)\n{\n    return malloc(8);\n}\n", "malloc is banned"),
    ("function-size", "src/loop/x.c", HEAD + long_function(121), "long_one has 121 lines"),
    ("function-size", "src/loop/x.c", HEAD + long_function(61, "a") + "\n" + long_function(61, "b"),
     "2 of 3 are over it"),
    ("file-size", "src/loop/x.c", HEAD + "int a;\n" * 1500, "1501 lines"),
    ("branches", "src/loop/x.c", HEAD + BRANCHY, "41 branches"),
    ("format", "src/loop/x.c", HEAD + "int  x;\n", "make format"),
    ("headline", "src/loop/x.c", "int x;\n", "line 1 must be a comment"),
    ("headline", "src/loop/x.c", "/* x */\n", "says too little"),
    ("headline", "src/loop/x.c", "/* turns things around the clock. */\n", "capital letter"),
    ("headline", "src/loop/x.c", "/* Turns things around the clock */\n", "full stop"),
    ("headline", "tools/x.py", "import os\n", "line 1 must be a comment"),
    ("headline", "tools/bare", "#!/usr/bin/env bash\nexit 0\n", "line 1 must be a comment"),
    ("headline", "web-kit/x.css", "a {}\n", "line 1 must be a comment"),
    ("headline", "apps/x/a.tsx", "export const a = 1;\n", "line 1 must be a comment"),
    ("headline", "apps/x/dais.yaml", "app: x\n", "line 1 must be a comment"),
    ("whitespace", "docs/x.md", "a \n", "trailing whitespace"),
    ("whitespace", "src/loop/x.c", HEAD + "int\tx;\n", "a tab"),
    ("whitespace", "docs/x.md", "a\r\n", "LF alone"),
    ("whitespace", "docs/x.md", "a", "does not end in a newline"),
    ("whitespace", "tools/x.py", f"# Says something to the reader.\nx = {'1' * 130}\n", "columns"),
    ("whitespace", "docs/x.md", "<" * 7 + " HEAD\n", "merge conflict"),
    ("words", "docs/x.md", "see /ho" "me/someone/notes\n", "one machine only"),
    ("words", "apps/x/package-lock.json", '{"resolved": "http://127.0.0.1/a.tgz"}\n', "names a registry"),
    ("scripts", "tools/x.py", "# Says something short to the reader.\nif\n", "Python cannot read it"),
    ("scripts", "tools/x.sh", "# Says something short to the reader.\nif\n", "bash cannot read it"),
    ("scripts", "tools/x.sh", "#!/bin/sh\n# Says something short to the reader.\n", "chmod +x"),
    ("scripts", "x.json", "{,}\n", "not JSON"),
    ("doc-links", "docs/x.md", "[gone](gone.md)\n", "links to gone.md"),
    ("doc-links", "docs/x.md", "in `src/loop/gone.c`\n", "names src/loop/gone.c"),
    ("error-table", "src/base/err.h", SLUGS, "lacks `gone` (410)"),
    ("error-table", "docs/API.md", "| `odd` | 499 | x |\n", "`odd`"),
]


def write(root, path, content):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode())
    if path in ("tools/go", "tools/bare"):
        file.chmod(0o755)


@pytest.fixture
def tree(tmp_path):
    for path, content in GOOD.items():
        write(tmp_path, path, content)
    shutil.copy(ROOT / ".clang-format", tmp_path)
    return tmp_path


def check(tree):
    command = [ROOT / "tools/check", "--marks", tree]
    return subprocess.run(command, text=True, capture_output=True, check=False)


def test_a_good_tree_passes(tree):
    done = check(tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not ok" not in done.stdout and "ok layers" in done.stdout


@pytest.mark.parametrize("rule, path, content, message", BAD, ids=[f"{bad[0]}: {bad[3]}" for bad in BAD])
def test_each_rule_fails_where_it_is_broken(tree, rule, path, content, message):
    if rule == "error-table" and path == "docs/API.md":
        write(tree, "src/base/err.h", SLUGS.replace("gone", "odd"))
    write(tree, path, content)
    done = check(tree)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"not ok {rule}" in done.stdout, done.stdout
    lines = [line for line in done.stdout.splitlines() if f": {rule}: " in line]
    assert any(message in line for line in lines), done.stdout


def test_comments_and_strings_are_not_code(tree):
    write(tree, "src/loop/x.c", HEAD + "/* atoi(x) is banned. */\nconst char *const x = \"strcpy(a, b)\";\n")
    done = check(tree)
    assert done.returncode == 0, done.stdout


def test_every_rule_has_a_breaking_case():
    names = {line.split("def rule_")[1].split("(")[0].replace("_", "-")
             for line in (ROOT / "tools/check").read_text().splitlines() if line.startswith("def rule_")}
    assert names == {rule for rule, *_ in BAD}
