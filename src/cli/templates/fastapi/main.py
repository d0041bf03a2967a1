# The backend: a guest book with a JSON API, live messages over a WebSocket, and one SQLite file.
"""dais.yaml says how it is run. The paths of requests arrive as the browser sent them: /api/entries
is /api/entries here, too."""
import contextlib
import datetime
import os
import sqlite3

from fastapi import FastAPI, Query, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, constr

DATABASE = os.environ.get("DATABASE", "storage/guest-book.db")  # `persist` in dais.yaml keeps the folder

app = FastAPI(title="{{title}}")
visitors: set[WebSocket] = set()


# ---- the database --------------------------------------------------------------------------------
@contextlib.contextmanager
def database():
    db = sqlite3.connect(DATABASE, timeout=10)
    db.row_factory = sqlite3.Row
    try:
        with db:  # commits, or rolls back after an exception
            yield db
    finally:
        db.close()


def prepare():
    os.makedirs(os.path.dirname(DATABASE) or ".", exist_ok=True)
    with database() as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY AUTOINCREMENT,"
                   " name TEXT NOT NULL, text TEXT NOT NULL, created TEXT NOT NULL)")


prepare()


# ---- the API -------------------------------------------------------------------------------------
class NewEntry(BaseModel):
    name: constr(strip_whitespace=True, min_length=1, max_length=60)
    text: constr(strip_whitespace=True, min_length=1, max_length=500)


def save(new: NewEntry) -> dict:
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    row = {"name": new.name, "text": new.text, "created": created.replace("+00:00", "Z")}
    with database() as db:
        done = db.execute("INSERT INTO entries (name, text, created) VALUES (:name, :text, :created)", row)
        return {"id": done.lastrowid, **row}


@app.get("/health")
def health():
    with database() as db:  # a server whose database is gone is not well
        db.execute("SELECT count(*) FROM entries")
    return {"status": "ok"}


@app.get("/api/entries")
def list_entries(limit: int = Query(50, ge=1, le=100), before: int = Query(2**62, ge=1)):
    with database() as db:
        rows = db.execute("SELECT * FROM entries WHERE id < ? ORDER BY id DESC LIMIT ?",
                          (before, limit + 1)).fetchall()
    items = [dict(row) for row in rows[:limit]]
    return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}


@app.post("/api/entries", status_code=201)
async def add_entry(new: NewEntry):
    # SQLite waits for the disk, so it runs in a thread: nothing here may block the event loop.
    entry = await run_in_threadpool(save, new)
    await tell_all({"entry": entry})
    return entry


# ---- live ----------------------------------------------------------------------------------------
async def tell_all(message: dict):
    for visitor in list(visitors):
        try:
            await visitor.send_json(message)
        except (RuntimeError, WebSocketDisconnect):
            visitors.discard(visitor)


@app.websocket("/api/live")
async def live(visitor: WebSocket):
    await visitor.accept()  # dais lets only pages of this app connect
    visitors.add(visitor)
    await tell_all({"online": len(visitors)})
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await visitor.receive_text()
    visitors.discard(visitor)
    await tell_all({"online": len(visitors)})
