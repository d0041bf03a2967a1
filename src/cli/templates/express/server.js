// The backend: a guest book with a JSON API, live messages as events, and one file of JSON lines.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const express = require("express");

const FILE = process.env.ENTRIES || "storage/entries.jsonl"; // `persist` in dais.yaml keeps the folder
const app = express();
const visitors = new Set();
app.set("trust proxy", "loopback"); // dais says who the client is
app.disable("x-powered-by");
app.use(express.json({ limit: "64kb" }));

// ---- the entries -------------------------------------------------------------------------------
fs.mkdirSync(path.dirname(FILE), { recursive: true });
const entries = fs.existsSync(FILE) ? fs.readFileSync(FILE, "utf8").split("\n").flatMap(parse) : [];
const file = fs.createWriteStream(FILE, { flags: "a" });

// The last line may be cut off after a power failure.
function parse(line) {
  try {
    return line ? [JSON.parse(line)] : [];
  } catch {
    return [];
  }
}

function save(name, text) {
  const id = (entries.at(-1)?.id ?? 0) + 1;
  const entry = { id, name, text, created: new Date().toISOString() };
  entries.push(entry);
  return new Promise((resolve, reject) =>
    file.write(JSON.stringify(entry) + "\n", (error) => (error ? reject(error) : resolve(entry))));
}

// ---- the API -----------------------------------------------------------------------------------
app.get("/health", (request, response) => {
  fs.accessSync(FILE, fs.constants.W_OK); // a server that cannot write is not well
  response.json({ status: "ok" });
});

app.get("/api/entries", (request, response) => {
  const limit = Math.min(Math.max(Number.parseInt(request.query.limit, 10) || 50, 1), 100);
  const before = Number.parseInt(request.query.before, 10) || Infinity;
  const rest = entries.filter((entry) => entry.id < before);
  const items = rest.slice(-limit).reverse();
  response.json({ items, next: rest.length > limit ? items.at(-1).id : null });
});

app.post("/api/entries", async (request, response, next) => {
  const name = String(request.body?.name ?? "").trim(), text = String(request.body?.text ?? "").trim();
  if (!name || name.length > 60 || !text || text.length > 500)
    return response.status(422).json({ title: "A name of up to 60 and a text of up to 500 characters are needed." });
  try {
    const entry = await save(name, text);
    tellAll({ entry });
    response.status(201).json(entry);
  } catch (error) {
    next(error);
  }
});

// ---- live --------------------------------------------------------------------------------------
function tellAll(message) {
  for (const visitor of visitors) visitor.write(`data: ${JSON.stringify(message)}\n\n`);
}

app.get("/api/live", (request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  visitors.add(response);
  tellAll({ online: visitors.size });
  request.on("close", () => {
    visitors.delete(response);
    tellAll({ online: visitors.size });
  });
});
setInterval(() => visitors.forEach((visitor) => visitor.write(": still here\n\n")), 20000).unref();

// ---- errors, start and end -----------------------------------------------------------------------
app.use((request, response) => response.status(404).json({ title: "There is nothing at this path." }));
app.use((error, request, response, next) => {
  if (response.headersSent) return next(error);
  const status = error.status ?? 500;
  if (status >= 500) console.error(error);
  response.status(status).json({ title: status < 500 ? error.message : "Something went wrong here." });
});

const server = app.listen(process.env.PORT || 9000, "127.0.0.1");
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  visitors.forEach((visitor) => visitor.end());
  server.closeIdleConnections();
});
