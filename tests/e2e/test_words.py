# Full-text words: every character as Unicode has it, and the same found by SQLite's FTS5 and by Postgres.
import pathlib
import random
import resource
import sqlite3
import subprocess
import unicodedata

import postgres
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = ["words", "words_query", "utf8", "buf", "slice", "arena", "err", "mem", "must"]
PARTS = ["war", "peace", "War", "PEACE", "wars", "peaceful", "Straße", "strasse", "don't", "don’t", "é", "e\u0301",
         "東", "京", "東京", "京東", "カ", "ガ", "ｶﾞ", "학교", "학", "한", "ที่", "นี่", "محمد", "مُحَمَّد", "क़", "हिन्दी",
         "3.14", "3", "14", "x" * 80, "x" * 64, "😀", "&", "\\", "it's", "a:b", "NOT", "AND", "½", "ﬁne", "fine"]


def build(folder, *flags):
    program = folder / "words"
    sources = [f"src/base/{name}.c" for name in BASE]
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Isrc", *flags, "tests/e2e/words_main.c", *sources, "-o",
                    program], cwd=ROOT, check=True)
    return program


@pytest.fixture(scope="module", name="ask")
def fixture_ask(tmp_path_factory):
    program = build(tmp_path_factory.mktemp("words"), "-g", "-O1", "-fsanitize=address,undefined")

    def ask(how, texts):
        done = subprocess.run([program, how], input="".join(text + "\0" for text in texts).encode(),
                              capture_output=True, check=True, timeout=600)
        assert not done.stderr
        return done.stdout.decode().split("\0")[:-1]
    return ask


def test_the_table_is_up_to_date():
    done = subprocess.run(["/usr/bin/python3", "-B", "tools/words", "--check"], cwd=ROOT, check=False, text=True,
                          capture_output=True)
    assert done.returncode == 0, done.stdout


# ---- every character ---------------------------------------------------------------------------------
CHARS = [chr(cp) for cp in range(1, 0x110000) if not 0xD800 <= cp < 0xE000]


def test_every_character(ask):
    """Against Unicode itself, not against the tool that wrote the table."""
    assert unicodedata.unidata_version == "14.0.0"
    apostrophes = {"\u02bb", "\u02bc"}
    alone, inside = ask("text", CHARS), ask("text", [f"a{char}b" for char in CHARS])
    for char, word, between in zip(CHARS, alone, inside):
        what = f"U+{ord(char):04X} {unicodedata.name(char, '')}: {word!r}, {between!r}"
        category = unicodedata.category(char)
        is_word = (category[0] in "LN" or category == "Co") and char not in apostrophes
        if is_word and not word:
            assert "FILLER" in what or all(unicodedata.category(c) == "Mn" or c == "\u0640"
                                           for c in unicodedata.normalize("NFKD", char).strip()), what
        elif is_word:
            assert between == f"a{word}b" or between.split() in (["a", word, "b"], [f"a{word}", "b"]), what
        elif category in ("Mn", "Mc", "Me"):
            assert between == f"a{word}b" and (word or category != "Mc"), what
        else:
            assert word == "" and between == ("ab" if category == "Cf" and char != "\u200b" else "a b"), what


def test_folds_are_those_of_unicode(ask):
    """A character, its decomposition, its other case: all one word; and a fold folds to itself."""
    words = dict(zip(CHARS, ask("text", CHARS)))
    folds = list(words.values())
    assert ask("text", folds) == folds
    left_as_they_are = {chr(cp) for first, end in ((0xF900, 0xFADA), (0xFC00, 0xFDF2), (0x2F800, 0x2FA1E))
                        for cp in range(first, end)}
    chars = [char for char in CHARS if words[char] and char not in left_as_they_are]
    decomposed = ask("text", [unicodedata.normalize("NFD", char) for char in chars])
    lower, upper = ask("text", [char.lower() for char in chars]), ask("text", [char.upper() for char in chars])
    for char, nfd, low, up in zip(chars, decomposed, lower, upper):
        what = f"U+{ord(char):04X} {unicodedata.name(char, '')} {words[char]!r} {nfd!r} {low!r} {up!r}"
        assert nfd == words[char] == low, what
        assert up == words[char] or "GEGRAMMENI" in what, what  # an iota below becomes one beside
        assert len(words[char].encode()) <= 12, what


def test_megabytes_take_linear_time(tmp_path):
    program = build(tmp_path, "-O2")

    def used():
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime

    def seconds(text, times):
        """Of the processor: others who use the machine do not count."""
        begin = used()
        subprocess.run([program, "text"], input=text.encode() * times, stdout=subprocess.DEVNULL, check=True)
        return used() - begin
    for text in ("x" * 50000, "東京" * 9000, "é Ж ﬁ 학교 " * 2000, "\u0301" * 20000, "a\u00ad" * 20000):
        assert seconds(text, 80) < 30 * (seconds(text, 8) + 0.05)


# ---- both databases ----------------------------------------------------------------------------------
def made_up(seed):
    rand = random.Random(seed)

    def text(n):
        return "".join(rand.choice(PARTS) + rand.choice([" ", " ", " ", "", ", ", "-"]) for _ in range(n))

    def term():
        core = text(rand.choice([1, 1, 2, 3])).strip()
        core = rand.choice([core, core[:2], f'"{core}"', f'"{core}'])
        return rand.choice(["", "", "", "-"]) + core + rand.choice(["", "", "*"])
    texts = [text(rand.randrange(30)) for _ in range(300)]
    return texts, [" ".join(term() for _ in range(rand.randrange(1, 4))) for _ in range(600)]


def found_by_sqlite(ask, texts, queries):
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE t USING fts5(a, content='', tokenize='ascii')")
    db.executemany("INSERT INTO t(rowid, a) VALUES(?, ?)", enumerate(ask("text", texts)))
    return [{row for row, in db.execute("SELECT rowid FROM t WHERE t MATCH ?", [query])}
            for query in ask("fts5", queries)]


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def found_by_postgres(ask, texts, queries, db):
    vectors = ",".join(f"({row},{quoted(text)}::tsvector)" for row, text in enumerate(ask("vector", texts)))
    db.query("CREATE TABLE t(id int, v tsvector)")
    for at in range(0, len(vectors), 100000):  # an argument of a command has at most 128 KB
        db.query(f"CREATE TABLE IF NOT EXISTS parts(n int, part text); INSERT INTO parts VALUES({at},"
                 + quoted(vectors[at:at + 100000].replace("\\", "")) + ")")
    db.query("DO $$ BEGIN EXECUTE 'INSERT INTO t VALUES ' || (SELECT string_agg(part, '' ORDER BY n) FROM parts);"
             " END $$")
    asked, found = ask("tsquery", queries), []
    for at in range(0, len(asked), 100):
        rows = ",".join(f"({n},{quoted(query)}::tsquery)" for n, query in enumerate(asked[at:at + 100]))
        answers = dict(db.query(f"SELECT n, string_agg(id::text, ' ') FROM (VALUES {rows}) q(n, q)"
                                " LEFT JOIN t ON v @@ q GROUP BY n"))
        found += [set(map(int, answers[str(n)].split())) for n in range(len(asked[at:at + 100]))]
    return found


def test_fts5_takes_what_anybody_types(ask):
    texts, queries = made_up(1)
    queries = [query for query, asked in zip(queries, ask("fts5", queries)) if asked]
    found = found_by_sqlite(ask, texts, queries)
    assert len(queries) > 300 and sum(map(bool, found)) > 200


@pytest.fixture(scope="module", name="db")
def fixture_db():
    if postgres.why_not():
        pytest.skip(postgres.why_not())
    with postgres.Postgres() as db:
        yield db


def test_both_databases_find_the_same(ask, db):
    texts, queries = made_up(2)
    queries = [query for query, asked in zip(queries, ask("fts5", queries)) if asked]
    here, there = found_by_sqlite(ask, texts, queries), found_by_postgres(ask, texts, queries, db)
    assert [(query, *both) for query, *both in zip(queries, here, there) if both[0] != both[1]] == []
    assert sum(map(bool, here)) > 200


def test_what_a_vector_holds(ask, db):
    """The largest there can be are taken; and what they then lack is what words.h says."""
    texts = {"words": " ".join(f"w{n}" for n in range(400000)), "same": "京" * 20000 + "都" + " 東京" * 20,
             "long": " ".join(f"{n:064}" for n in range(30000))}
    for name, text in texts.items():
        file = pathlib.Path(db.folder, name)
        file.write_text(ask("vector", [text])[0], encoding="utf-8")
        file.chmod(0o644)
        db.query(f"CREATE TABLE {name} AS SELECT pg_read_file({quoted(str(file))})::tsvector AS v")

    def has(name, query):
        return db.query(f"SELECT v @@ {quoted(ask('tsquery', [query])[0])}::tsquery FROM {name}") == [["t"]]
    assert int(db.query("SELECT length(v) FROM words")[0][0]) > 100000
    assert int(db.query("SELECT length(v) FROM long")[0][0]) > 10000
    assert db.query("SELECT array_length(positions, 1) FROM same, unnest(v) WHERE lexeme = '京'") == [["256"]]
    assert has("words", '"w16381 w16382"') and not has("words", '"w16382 w16383"') and has("words", "w16382 w20000")
    assert has("same", "都 東") and not has("same", "東京")
