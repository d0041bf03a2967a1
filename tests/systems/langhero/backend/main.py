# A language game's backend: scenes from text, turns over a WebSocket, media mounts; all files lie in its parent folder.
import hashlib
import json
import math
import os
import pathlib
import re
import secrets
import struct
import time
import wave

from fastapi import Body, FastAPI, HTTPException, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse

HERE = pathlib.Path(__file__).resolve().parent
NOTES, EXAMPLES, IMAGES = (HERE.parent / name for name in ("voice_notes", "examples_audio", "image_cache"))
RUNS = HERE / "published_runs"
MAX_CHUNK = int(os.environ.get("STREAM_MAX_CHUNK_BYTES", 256 << 10))
MAX_SESSION = int(os.environ.get("STREAM_MAX_SESSION_BYTES", 8 << 20))
app = FastAPI(title="Speak Up")
scenarios = [{"id": 1, "setting": "A tea house", "line": "Welcome. What would you like?", "keywords": ["tea"],
              "image_url": "/images/generated/tea-house.png", "audio_url": "/examples/welcome.wav"}]


def write_clip(path):
    """Half a second of two tones."""
    path.parent.mkdir(exist_ok=True)
    with wave.open(str(path), "wb") as clip:
        clip.setnchannels(1)
        clip.setsampwidth(2)
        clip.setframerate(8000)
        clip.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(i / (4 + i // 2000)))) for i in range(4000)))


for folder in (NOTES, EXAMPLES, IMAGES, RUNS):
    folder.mkdir(exist_ok=True)
write_clip(EXAMPLES / "welcome.wav")


@app.get("/api/meta")
def meta():
    return {"demo": os.environ.get("DEMO_MODE") == "1", "streaming": True}


@app.get("/api/scenarios")
def list_scenarios():
    return scenarios


@app.get("/api/stories")
def stories():
    return [{"id": "tea", "title": scenarios[0]["setting"]}]


@app.post("/api/stories/import")
def import_text(text: str = Body(embed=True)):
    """One scene for each sentence; replaces the list of everybody."""
    lines = [part.strip() for part in re.split(r"[.!?]", text) if part.strip()]
    if not lines:
        raise HTTPException(422, "There is no sentence in it.")
    scenarios[:] = [{**scenarios[0], "id": i, "line": line, "keywords": line.lower().split()[-1:]}
                    for i, line in enumerate(lines, 1)]
    return scenarios


@app.get("/narrative/options")
def options(scenario_id: int):
    scene = next((s for s in scenarios if s["id"] == scenario_id), None)
    if not scene:
        raise HTTPException(404, "There is no such scene.")
    return {"options": [f"I say “{word}”" for word in scene["keywords"]]}


@app.post("/api/notes")
async def add_note(request: Request):
    name = f"{time.strftime('%Y%m%d%H%M%S')}_{secrets.token_hex(3)}.wav"
    (NOTES / name).write_bytes(await request.body())
    return {"file": name, "url": f"/voice_notes/{name}"}


@app.get("/api/notes")
def list_notes():
    return sorted(path.name for path in NOTES.glob("*.wav"))


@app.post("/api/published_runs")
def publish(run: dict):
    if run.get("attest_rights") is not True or run.get("confirm_publish") is not True:
        raise HTTPException(422, "Say that it is yours, and that it may be public.")
    public_id, key = secrets.token_hex(6), secrets.token_hex(16)
    kept = {"title": run.get("title", ""), "scenarios": scenarios, "key": hashlib.sha256(key.encode()).hexdigest()}
    (RUNS / f"{public_id}.json").write_text(json.dumps(kept))
    return {"public_id": public_id, "delete_key": key}


def run_file(public_id):
    path = RUNS / f"{public_id}.json"
    if not re.fullmatch("[0-9a-f]{12}", public_id) or not path.exists():
        raise HTTPException(404, "There is no such run.")
    return path


@app.get("/api/published_runs/{public_id}")
def read_run(public_id: str):
    run = json.loads(run_file(public_id).read_text())
    return {"title": run["title"], "scenarios": run["scenarios"]}


@app.delete("/api/published_runs/{public_id}", status_code=204)
def unpublish(public_id: str, delete_key: str = Body(embed=True)):
    path = run_file(public_id)
    if hashlib.sha256(delete_key.encode()).hexdigest() != json.loads(path.read_text())["key"]:
        raise HTTPException(403, "This is not its key.")
    path.unlink()
    return Response(status_code=204)


# ---- media ---------------------------------------------------------------------------------------
def media(folder, name, request):
    """A file or the range of it that was asked for; the type follows from the name, even where that lies."""
    path = folder / name
    if path.parent != folder or not path.is_file():
        raise HTTPException(404, "There is no such file.")
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if not found:
        return FileResponse(path, headers={"Accept-Ranges": "bytes"})
    data = path.read_bytes()
    first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
    if first > last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
    return Response(data[first:last + 1], 206, {"Content-Range": f"bytes {first}-{last}/{len(data)}",
                                                "Accept-Ranges": "bytes"}, FileResponse(path).media_type)


@app.get("/voice_notes/{name}")
def voice_note(name: str, request: Request):
    return media(NOTES, name, request)


@app.get("/examples/{name}")
def example(name: str, request: Request):
    return media(EXAMPLES, name, request)


@app.get("/images/generated/{name}")
def image(name: str, request: Request):
    return media(IMAGES, name, request)


# ---- turns ---------------------------------------------------------------------------------------
class Turn:
    """One conversation: the first text says what is expected, binary chunks are speech, `stop` judges it."""

    def __init__(self, socket):
        self.socket, self.bytes, self.seq = socket, 0, 0
        self.expected = ""

    async def send(self, event, **more):
        await self.socket.send_text(json.dumps({"event": event, **more}))

    async def refuse(self, reason):
        await self.send("error", error=reason)
        await self.socket.close(1009, reason)

    async def chunk(self, data):
        """False when it was one too many."""
        self.bytes += len(data)
        if len(data) > MAX_CHUNK:
            await self.refuse("stream_chunk_too_large")
        elif self.bytes > MAX_SESSION:
            await self.refuse("stream_session_bytes_exceeded")
        else:
            self.seq += 1
            await self.send("partial", seq=self.seq, transcript=self.expected[:4 * self.seq], bytes=self.bytes)
            return True
        return False

    async def text(self, text):
        if text == "reset":
            self.bytes = self.seq = 0
            await self.send("reset")
        elif text in ("stop", "done", "finish"):
            await self.send("final", result="match" if self.seq else "silence", score=10 * bool(self.seq),
                            bytes=self.bytes)

    async def run(self):
        init = json.loads(await self.socket.receive_text())
        self.expected = init.get("expected_response", "I would like some tea")
        await self.send("ready", scenario_id=init.get("scenario_id"))
        while True:
            message = await self.socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("bytes") is not None:
                if not await self.chunk(message["bytes"]):
                    return
            else:
                await self.text(message["text"])


@app.websocket("/stream/mock")
@app.websocket("/stream/interaction")
async def stream(socket: WebSocket):
    await socket.accept()
    try:
        await Turn(socket).run()
    except (WebSocketDisconnect, json.JSONDecodeError):
        pass
