# A story studio's API: accounts with bearer tokens, stories in one SQLite file, an idempotent analysis.
import collections
import hashlib
import json
import os
import pathlib
import re
import sqlite3
import threading
import uuid

from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, Field

SCHEMA = """
CREATE TABLE IF NOT EXISTS users(id TEXT PRIMARY KEY, email TEXT UNIQUE, name TEXT, salt TEXT, hash TEXT);
CREATE TABLE IF NOT EXISTS tokens(token TEXT PRIMARY KEY, user TEXT);
CREATE TABLE IF NOT EXISTS stories(id TEXT PRIMARY KEY, owner TEXT, title TEXT, blueprint TEXT);
CREATE TABLE IF NOT EXISTS runs(id TEXT PRIMARY KEY, story TEXT, key TEXT, hash TEXT, dashboard TEXT,
                                UNIQUE(story, key, hash));
"""
app = FastAPI(title="Story Studio")
api = APIRouter(prefix="/api/v1")


class Account(BaseModel):
    email: str = Field(min_length=3, max_length=200)
    password: str = Field(min_length=8)
    display_name: str = ""


class Story(BaseModel):
    title: str = Field(min_length=1, max_length=300)
    blueprint: dict = {}


class Source(BaseModel):
    source_text: str = Field(max_length=200_000)
    idempotency_key: str = Field(min_length=3, max_length=140)


class Store:
    """The one connection, which all threads share."""

    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.executescript(SCHEMA)

    def rows(self, statement, *values):
        with self.lock, self.db:
            return self.db.execute(statement, values).fetchall()

    def row(self, statement, *values):
        return next(iter(self.rows(statement, *values)), None)


store = Store(pathlib.Path(os.environ.get("STORY_GEN_DB_PATH", "work/local/story_gen.db")))


def hash_of(password, salt):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 20_000).hex()


def user_of(authorization: str = Header("")):
    scheme, _, token = authorization.partition(" ")
    user = store.row("SELECT users.* FROM tokens JOIN users ON users.id = user WHERE token = ?", token)
    if scheme.lower() != "bearer" or not user:
        raise HTTPException(401, "Sign in first.")
    return user


def story_of(story_id: str, user=Depends(user_of)):
    """A stranger's story is not there at all."""
    story = store.row("SELECT * FROM stories WHERE id = ? AND owner = ?", story_id, user["id"])
    if not story:
        raise HTTPException(404, "There is no such story.")
    return story


def told(story):
    return {"id": story["id"], "title": story["title"], "blueprint": json.loads(story["blueprint"])}


@app.get("/healthz")
def healthz():
    return {"status": "ok", "owner": "story_gen"}


@api.get("")
def capabilities():
    return {"name": "story_gen", "version": "v1", "capabilities": ["stories", "analysis", "dashboard"]}


@api.post("/auth/register", status_code=201)
def register(account: Account):
    salt = uuid.uuid4().hex
    try:
        store.rows("INSERT INTO users VALUES(?, ?, ?, ?, ?)", uuid.uuid4().hex, account.email.lower(),
                   account.display_name, salt, hash_of(account.password, salt))
    except sqlite3.IntegrityError:
        raise HTTPException(409, "There is an account with this address.") from None
    return {"email": account.email.lower()}


@api.post("/auth/login")
def login(account: Account):
    user = store.row("SELECT * FROM users WHERE email = ?", account.email.lower())
    if not user or hash_of(account.password, user["salt"]) != user["hash"]:
        raise HTTPException(401, "Wrong address or password.")
    token = uuid.uuid4().hex
    store.rows("INSERT INTO tokens VALUES(?, ?)", token, user["id"])
    return {"access_token": token, "token_type": "bearer"}


@api.get("/me")
def me(user=Depends(user_of)):
    return {"email": user["email"], "display_name": user["name"]}


@api.get("/stories")
def list_stories(user=Depends(user_of), limit: int = 100):
    return [told(row) for row in
            store.rows("SELECT * FROM stories WHERE owner = ? ORDER BY title LIMIT ?", user["id"], limit)]


@api.post("/stories", status_code=201)
def add_story(story: Story, user=Depends(user_of)):
    story_id = uuid.uuid4().hex
    store.rows("INSERT INTO stories VALUES(?, ?, ?, ?)", story_id, user["id"], story.title,
               json.dumps(story.blueprint))
    return told(store.row("SELECT * FROM stories WHERE id = ?", story_id))


@api.get("/stories/{story_id}")
def get_story(story=Depends(story_of)):
    return told(story)


@api.put("/stories/{story_id}")
def put_story(changed: Story, story=Depends(story_of)):
    store.rows("UPDATE stories SET title = ?, blueprint = ? WHERE id = ?", changed.title,
               json.dumps(changed.blueprint), story["id"])
    return told(store.row("SELECT * FROM stories WHERE id = ?", story["id"]))


def analyse(text):
    sentences = [part for part in re.split(r"[.!?]+", text) if part.strip()]
    words = re.findall(r"[a-z']{4,}", text.lower())
    return {"sentences": len(sentences), "words": len(text.split()),
            "themes": [{"word": word, "n": n} for word, n in collections.Counter(words).most_common(5)]}


@api.post("/stories/{story_id}/analysis/run")
def run_analysis(source: Source, story=Depends(story_of)):
    """The same key with the same text is the same run."""
    digest = hashlib.sha256(source.source_text.encode()).hexdigest()
    store.rows("INSERT OR IGNORE INTO runs VALUES(?, ?, ?, ?, ?)", uuid.uuid4().hex, story["id"],
               source.idempotency_key, digest, json.dumps(analyse(source.source_text)))
    run = store.row("SELECT * FROM runs WHERE story = ? AND key = ? AND hash = ?", story["id"],
                    source.idempotency_key, digest)
    return {"run_id": run["id"]}


@api.get("/stories/{story_id}/dashboard/overview")
def overview(story=Depends(story_of)):
    run = store.row("SELECT * FROM runs WHERE story = ? ORDER BY rowid DESC", story["id"])
    if not run:
        return {"run_id": None}
    return {"run_id": run["id"], **json.loads(run["dashboard"])}


app.include_router(api)
