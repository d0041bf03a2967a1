# The list of AWS signatures, computed once more by a program that shares nothing with ours.
import hashlib
import hmac
import pathlib
import posixpath
import re
from urllib.parse import quote

VECTORS = pathlib.Path(__file__).parents[1] / "unit/aws/vectors.txt"
ACCOUNT = {"id", "secret", "region", "service", "time"}
LISTS = {"query", "header"}


def read_cases(text):
    account, cases, case = {}, [], None
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if not line or word == "#" or line == "#":
            continue
        if word == "case":
            case = {**account, "case": rest, "query": [], "header": []}
            cases.append(case)
        elif word in ACCOUNT:
            account[word] = rest
        elif word in LISTS:
            case[word].append(rest)
        else:
            case[word] = rest
    return cases


def path_of(case):
    path = case["path"]
    if case["style"] != "normal":
        return quote(path, safe="/~")
    folder = "/" if re.search(r"/\.{0,2}$", path) else ""
    path = re.sub("^/+", "/", posixpath.normpath(path)) + folder
    return quote(quote(re.sub("/+$", "/", path), safe="/~"), safe="/~")


def signature_of(case):
    digest = case.get("payload") or hashlib.sha256(case["body"].encode()).hexdigest()
    scope = "/".join([case["time"][:8], case["region"], case["service"], "aws4_request"])
    heads = [("host", case["host"])] + [tuple(line.split(":", 1)) for line in case["header"]]
    query = [tuple(line.split("=", 1)) for line in case["query"]]
    added = [("X-Amz-Date", case["time"])] + [("X-Amz-Security-Token", case.get("token"))] * ("token" in case)
    if "expires" in case:
        names = ";".join(sorted({name.lower() for name, _ in heads}))
        query += added + [("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Expires", case["expires"]),
                          ("X-Amz-Credential", case["id"] + "/" + scope), ("X-Amz-SignedHeaders", names)]
    else:
        heads += added + [("X-Amz-Content-Sha256", digest)] * (case["style"] == "s3")
    merged = {}
    for name, value in heads:
        merged.setdefault(name.lower(), []).append(" ".join(value.split()))
    pairs = sorted([quote(name, safe="~"), quote(value, safe="~")] for name, value in query)
    canonical = "\n".join([
        case["method"], path_of(case), "&".join(map("=".join, pairs)),
        *[f"{name}:{','.join(values)}" for name, values in sorted(merged.items())],
        "", ";".join(sorted(merged)), digest])
    text = "\n".join(["AWS4-HMAC-SHA256", case["time"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + case["secret"]).encode()
    for step in [*scope.split("/"), text]:
        key = hmac.digest(key, step.encode(), "sha256")
    return key.hex(), ";".join(sorted(merged))


def test_the_list_holds():
    cases = read_cases(VECTORS.read_text())
    assert len(cases) > 50 and sum(case["source"] == "published" for case in cases) > 35
    for case in cases:
        assert signature_of(case) == (case["signature"], case["signed"]), case["case"]
