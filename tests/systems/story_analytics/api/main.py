# A chart publisher's backend and its faults: a lying health, a loop that freezes, a hole in its catch-all.
import csv
import json
import os
import pathlib
import re
import sqlite3
import time
import uuid

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse

DATA = pathlib.Path(os.environ.get("STORAGE_LOCAL_DIR", "data")).resolve()
DIST = pathlib.Path(__file__).resolve().parent.parent / "app" / "dist"
LIMIT = 3  # requests for a new password per address
app = FastAPI(title="Chart Room")
for folder in ("uploads", "charts"):
    (DATA / folder).mkdir(parents=True, exist_ok=True)
db = sqlite3.connect(DATA / "metadata.db", check_same_thread=False)
db.execute("CREATE TABLE IF NOT EXISTS sources(id TEXT PRIMARY KEY, name TEXT UNIQUE, bytes INT)")
asked = {}


# ---- how well it is ------------------------------------------------------------------------------
@app.get("/health")
async def health():
    """The lie: it asks nothing."""
    return {"status": "healthy"}


@app.get("/api/ready")
async def ready():
    try:
        db.execute("SELECT 1 FROM sources LIMIT 1")
    except sqlite3.Error as e:
        return JSONResponse({"status": "database is dead", "why": str(e)}, 503)
    return {"status": "ready", "pid": os.getpid()}


@app.post("/api/connections/drop")
async def drop_connection():
    """As after a restart of a database: the one shared connection is gone for good."""
    db.close()
    return {"status": "dropped"}


@app.post("/api/notebooks/{notebook}/execute")
async def execute(notebook: str, seconds: float = Body(embed=True)):
    """A cell runs in the event loop, so nothing else is answered meanwhile."""
    time.sleep(seconds)
    return {"notebook": notebook, "slept": seconds}


# ---- sources and charts --------------------------------------------------------------------------
async def save_part(request, path):
    """The one file of a multipart body, as it streams; its name."""
    boundary = b"\r\n--" + request.headers["content-type"].partition("boundary=")[2].encode()
    head, name, left = b"", None, b""
    with open(path, "wb") as out:
        async for data in request.stream():
            if name is None:
                head += data
                front, end, data = head.partition(b"\r\n\r\n")
                if not end:
                    continue
                name = re.search(rb'filename="([^"]*)"', front)[1].decode()
            left += data
            out.write(left[:-4096])
            left = left[-4096:]
        out.write(left.partition(boundary)[0])
    return name


@app.post("/api/data/upload", status_code=201)
async def upload(request: Request):
    source = uuid.uuid4().hex[:12]
    path = DATA / "uploads" / f"{source}.csv"
    name = await save_part(request, path)
    try:
        with db:
            db.execute("INSERT INTO sources VALUES(?, ?, ?)", (source, name, path.stat().st_size))
    except sqlite3.IntegrityError:
        path.unlink()
        raise HTTPException(409, "DUPLICATE_FILENAME") from None
    return {"source_id": source, "name": name, "bytes": path.stat().st_size}


@app.get("/api/data/sources")
async def sources():
    return [dict(zip(("id", "name", "bytes"), row)) for row in db.execute("SELECT * FROM sources ORDER BY name")]


@app.get("/api/data/preview/{source}")
async def preview(source: str, limit: int = 12):
    path = DATA / "uploads" / f"{source}.csv"
    if not path.exists():
        raise HTTPException(404, "There is no such source.")
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row, _ in zip(csv.reader(file), range(limit + 1))]
    return {"columns": rows[0], "rows": rows[1:]}


@app.post("/api/v2/charts/save", status_code=201)
async def save_chart(chart: dict):
    chart["id"] = uuid.uuid4().hex[:12]
    (DATA / "charts" / f"{chart['id']}.json").write_text(json.dumps(chart))
    return chart


@app.get("/api/v2/charts/")
async def charts():
    return [json.loads(path.read_text()) for path in sorted((DATA / "charts").glob("*.json"))]


@app.get("/api/v2/charts/{chart}")
async def get_chart(chart: str):
    path = DATA / "charts" / f"{chart}.json"
    if not path.exists():
        raise HTTPException(404, "There is no such chart.")
    return json.loads(path.read_text())


@app.get("/api/v2/dashboards/")
async def dashboards():
    return [{"sources": db.execute("SELECT count(*) FROM sources").fetchone()[0]}]


# ---- what depends on who asks and how ------------------------------------------------------------
@app.post("/api/admin/invites")
async def invite(request: Request):
    scheme = request.headers.get("x-forwarded-proto", "http")
    return {"link": f"{scheme}://{request.headers['host']}/login?invite={uuid.uuid4().hex}"}


@app.post("/api/auth/forgot-password")
async def forgot_password(request: Request):
    """Believes the first address of X-Forwarded-For."""
    address = request.headers.get("x-forwarded-for", request.client.host).split(",")[0].strip()
    asked[address] = asked.get(address, 0) + 1
    if asked[address] > LIMIT:
        return JSONResponse({"detail": "Too often."}, 429, {"Retry-After": "3600"})
    return {"status": "sent", "address": address}


@app.get("/{path:path}")
async def anything(path: str):
    """The hole: what a decoded `..` leads to is served."""
    file = pathlib.Path(os.path.normpath(DIST / path))
    return FileResponse(file if file.is_file() else DIST / "index.html")
