# A paper theatre's backend that trusts everybody: the bearer names the folder, and no one is ever refused.
import hashlib
import json
import os
import pathlib
import re
import secrets
import shutil
import sqlite3

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import FileResponse

ASSETS = pathlib.Path(os.environ.get("PAPETERIE_ASSETS_DIR", "assets")).resolve()
DB = os.environ.get("PAPETERIE_DB_PATH", "papeterie.db")
app = FastAPI(title="Paper Theatre")


@app.on_event("startup")
def prepare():
    for folder in ("users", "prompts"):
        (ASSETS / folder).mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(DB) as db:
        db.execute("CREATE TABLE IF NOT EXISTS users(id TEXT, username TEXT UNIQUE, hash TEXT)")


def user_of(authorization):
    return authorization.removeprefix("Bearer ").strip() or "default"


def sprites_of(user):
    return ASSETS / "users" / user / "sprites"


def told(user, path):
    config = path / f"{path.name}.prompt.json"
    return {"name": path.name, "user": user, "url": f"/assets/users/{user}/sprites/{path.name}/{path.name}.png",
            "config": json.loads(config.read_text()) if config.exists() else {}}


@app.get("/")
def banner():
    return {"message": "Paper Theatre API"}


@app.get("/api/health")
def health():
    return {"status": "ok", "storage_mode": "local"}


@app.get("/api/behaviors")
def behaviors():
    return ["drift", "oscillate"]


# ---- accounts that protect nothing ---------------------------------------------------------------
@app.post("/api/auth/register")
def register(account: dict):
    with sqlite3.connect(DB) as db:
        digest = hashlib.sha256(account["password"].encode()).hexdigest()
        db.execute("INSERT INTO users VALUES(?, ?, ?)", (secrets.token_hex(4), account["username"], digest))
    return {"username": account["username"]}


@app.post("/api/auth/login")
def login(account: dict):
    """The leak: the stored hash goes out with the answer."""
    with sqlite3.connect(DB) as db:
        row = db.execute("SELECT id, username, hash FROM users WHERE username = ?", (account["username"],)).fetchone()
    if not row:
        raise HTTPException(404, "There is no such user.")
    return dict(zip(("id", "username", "password_hash"), row), token=secrets.token_hex(8))


# ---- sprites -------------------------------------------------------------------------------------
@app.get("/api/sprites")
def sprites(authorization: str = Header("")):
    found = []
    for user in dict.fromkeys((user_of(authorization), "community")):
        found += [told(user, path) for path in sorted(sprites_of(user).glob("*")) if path.is_dir()]
    return found


@app.post("/api/sprites/upload")
async def upload(request: Request, name: str, authorization: str = Header("")):
    folder = sprites_of(user_of(authorization)) / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.png").write_bytes(await request.body())
    return told(user_of(authorization), folder)


def sprite(user, name):
    folder = sprites_of(user) / name
    if not re.fullmatch(r"[\w-]+", name) or not folder.is_dir():
        raise HTTPException(404, "There is no such sprite.")
    return folder


@app.put("/api/sprites/{name}/config")
def configure(name: str, config: dict, authorization: str = Header("")):
    folder = sprite(user_of(authorization), name)
    (folder / f"{name}.prompt.json").write_text(json.dumps(config))
    return told(user_of(authorization), folder)


@app.post("/api/sprites/{name}/share")
def share(name: str, authorization: str = Header("")):
    shutil.copytree(sprite(user_of(authorization), name), sprites_of("community") / name, dirs_exist_ok=True)
    return told("community", sprites_of("community") / name)


@app.delete("/api/sprites/{name}")
def delete(name: str, authorization: str = Header("")):
    shutil.rmtree(sprite(user_of(authorization), name))
    return {"deleted": name}


# ---- prompts, which anybody may write ------------------------------------------------------------
@app.get("/api/prompts/")
def prompts():
    return sorted(path.stem for path in (ASSETS / "prompts").glob("*.prompt"))


@app.get("/api/prompts/{name}")
def prompt(name: str):
    path = ASSETS / "prompts" / f"{name}.prompt"
    if not path.exists():
        raise HTTPException(404, "There is no such prompt.")
    return {"name": name, "text": path.read_text()}


@app.post("/api/prompts/{name}")
def write_prompt(name: str, changed: dict):
    (ASSETS / "prompts" / f"{name}.prompt").write_text(changed["text"])
    return {"name": name}


# ---- everybody's files ---------------------------------------------------------------------------
@app.get("/assets/{path:path}")
def asset(path: str):
    file = ASSETS / path
    if file.is_file():
        return FileResponse(file)
    if path.endswith(".prompt.json"):
        return {}
    raise HTTPException(404, "There is no such file.")
