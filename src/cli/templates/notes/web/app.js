// The page: shows notes, searches them as one types, and edits one at a time in a dialog.
import * as api from "./api.js";

const $ = (id) => document.getElementById(id);
let notes = [], next = null, open = null, asked = 0, key = "";

// ---- the list ----------------------------------------------------------------------------------
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

function ago(date) {
  const seconds = (date - Date.now()) / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]])
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  return "just now";
}

function item(note) {
  const li = document.createElement("li"), button = document.createElement("button");
  const name = document.createElement("strong"), time = document.createElement("time"), text = document.createElement("span");
  const date = new Date(note.updated);
  name.textContent = note.title;
  time.dateTime = note.updated;
  time.title = date.toLocaleString();
  time.textContent = ago(date);
  text.textContent = note.text ?? "";
  button.type = "button";
  button.dataset.id = note.id;
  button.append(name, time, text);
  button.addEventListener("click", () => edit(note));
  li.append(button);
  return li;
}

function show(focus) {
  const words = sought();
  $("notes").replaceChildren(...notes.map(item));
  $("notes").setAttribute("aria-busy", "false");
  $("empty").hidden = notes.length > 0 || Boolean(words);
  $("none").hidden = notes.length > 0 || !words;
  $("broken").hidden = true;
  $("more").hidden = !next;
  $("found").textContent = words && notes.length ? `${notes.length}${next ? " or more" : ""} found` : "";
  if (focus) ($("notes").querySelector(`[data-id="${focus}"]`) ?? $("new")).focus();
}

const sought = () => (/[\p{L}\p{N}]/u.test($("q").value) ? $("q").value.trim() : "");

/** Only the last question's answer counts; after: go on behind the last page. */
async function read(after) {
  const turn = ++asked;
  try {
    const page = await api.list(sought(), after);
    if (turn !== asked) return;
    notes = after ? [...notes, ...page.items] : page.items;
    next = page.next;
    show();
  } catch (error) {
    if (turn !== asked) return;
    $("notes").querySelectorAll(".skeleton").forEach((li) => li.remove());
    $("notes").setAttribute("aria-busy", "false");
    $("why").textContent = error.message;
    $("broken").hidden = false;
    $("empty").hidden = $("none").hidden = true; // nobody knows
  }
}

let pause;
$("q").addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(read, 150);
});
$("more").addEventListener("click", () => read(next));
$("again").addEventListener("click", () => read());
$("clear").addEventListener("click", () => {
  $("q").value = "";
  $("q").focus();
  read();
});

// ---- the dialog ----------------------------------------------------------------------------------
const draft = () => `draft-${open?.id ?? "new"}`;

function edit(note) {
  open = note;
  key = crypto.randomUUID?.() ?? String(Math.random()).slice(2).padEnd(16, "0");
  const kept = JSON.parse(localStorage.getItem(draft()) ?? "null");
  $("editor-title").textContent = note ? "Edit note" : "New note";
  $("title").value = kept?.title ?? note?.title ?? "";
  $("text").value = kept?.text ?? note?.text ?? "";
  $("delete").hidden = !note;
  $("save").textContent = "Save note";
  tell("");
  mark(false);
  $("editor").showModal();
  (note ? $("text") : $("title")).focus();
}

function close(focus) {
  $("editor").close();
  show(focus ?? open?.id);
  open = null;
}

function leave() {
  localStorage.removeItem(draft());
  close();
}

function tell(text) {
  $("form-problem").textContent = text;
  $("form-problem").hidden = !text;
}

function mark(bad) {
  $("title").setAttribute("aria-invalid", String(bad));
  $("title-problem").textContent = bad ? "Give it a title, so that you find it again." : "";
  $("title-problem").hidden = !bad;
  return bad;
}

const isUntitled = () => !$("title").value.trim();
$("title").addEventListener("blur", (event) => {
  if (event.relatedTarget?.id !== "cancel" && (open || $("text").value)) mark(isUntitled());
});
$("form").addEventListener("input", () => {
  localStorage.setItem(draft(), JSON.stringify({ title: $("title").value, text: $("text").value }));
  if ($("title").getAttribute("aria-invalid") === "true") mark(isUntitled());
});

/** Somebody else, or another window, was faster: what they wrote is shown beside, and saving again replaces it. */
async function meet() {
  const other = await api.get(open.id);
  open = other;
  $("save").textContent = "Replace it with mine";
  tell(`It was changed meanwhile, to “${other.title}”: ${(other.text ?? "").slice(0, 300) || "no text"}`);
}

async function send(fields) {
  const note = open ? await api.save(open, fields) : await api.create(fields, key);
  localStorage.removeItem(draft());
  notes = [note, ...notes.filter((other) => other.id !== note.id)];
  close(note.id);
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (mark(isUntitled())) return $("title").focus();
  $("save").disabled = true;
  tell("");
  try {
    await send({ title: $("title").value.trim(), text: $("text").value });
  } catch (error) {
    if (error.status === 412) await meet().catch((why) => tell(why.message));
    else tell(`${error.message} What you wrote is still here.`);
  }
  $("save").disabled = false;
});

$("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("form").requestSubmit();
});
$("cancel").addEventListener("click", leave);
$("editor").addEventListener("cancel", (event) => {
  event.preventDefault();
  leave();
});

// ---- deleting, and undoing it ------------------------------------------------------------------
let fading;

function toast(text, undo) {
  $("toast-text").textContent = text;
  $("undo").hidden = !undo;
  $("undo").onclick = undo;
  $("toast").hidden = false;
  clearTimeout(fading);
  fading = setTimeout(() => ($("toast").hidden = true), 10000);
}

async function bring(note) {
  try {
    const back = await api.restore(note.id);
    notes = [back, ...notes.filter((other) => other.id !== back.id)].sort((a, b) => (a.updated < b.updated ? 1 : -1));
    $("toast").hidden = true;
    show(note.id);
  } catch (error) {
    toast(`It could not be restored. ${error.message}`, () => bring(note));
  }
}

$("delete").addEventListener("click", async () => {
  const note = open;
  try {
    await api.remove(note.id);
  } catch (error) {
    return tell(error.message);
  }
  localStorage.removeItem(draft());
  notes = notes.filter((other) => other.id !== note.id);
  close("nothing");
  toast(`Deleted “${note.title}”.`, () => bring(note));
});

// ---- keys, time and the start ------------------------------------------------------------------
addEventListener("keydown", (event) => {
  if ($("editor").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target === $("q") && $("q").value) return $("clear").click();
  if (event.target.matches("input, textarea")) return;
  if (event.key !== "/" && event.key !== "n") return;
  event.preventDefault();
  if (event.key === "/") $("q").focus();
  else edit(null);
});
$("new").addEventListener("click", () => edit(null));
$("first").addEventListener("click", () => edit(null));
addEventListener("focus", () => $("editor").open || read());
setInterval(() => $("notes").querySelectorAll("time").forEach((t) => (t.textContent = ago(new Date(t.dateTime)))), 30000);
read();
