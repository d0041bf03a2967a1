// The guest book's page: reads entries, sends new ones, shows what others write as it comes.
import { live } from "./live.js";

const $ = (id) => document.getElementById(id);
const list = $("entries"), form = $("form");
const fields = [
  { input: $("name"), problem: $("name-problem"), wanted: "Write your name, so that others know who it was." },
  { input: $("text"), problem: $("text-problem"), wanted: "Write a few words." },
];
const shown = new Set();
let next = null;

// ---- entries -----------------------------------------------------------------------------------
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

function ago(date) {
  const seconds = (date - Date.now()) / 1000;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]])
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  return "just now";
}

function item(entry) {
  const li = document.createElement("li"), who = document.createElement("div");
  const name = document.createElement("strong"), time = document.createElement("time");
  const text = document.createElement("p"), date = new Date(entry.created);
  who.className = "who";
  name.textContent = entry.name;
  time.dateTime = entry.created;
  time.title = date.toLocaleString();
  time.textContent = ago(date);
  text.textContent = entry.text;
  who.append(name, time);
  li.append(who, text);
  return li;
}

function add(entry, where) {
  if (shown.has(entry.id)) return;
  shown.add(entry.id);
  const li = item(entry);
  if (where === "first") li.className = "fresh";
  list[where === "first" ? "prepend" : "append"](li);
  $("empty").hidden = true;
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (answer.ok) return answer.json();
  const wait = answer.headers.get("Retry-After");
  if (answer.status === 429) throw new Error(`That was a bit fast. Try again in ${wait || 60} s.`);
  throw new Error(`The server answered with ${answer.status}.`);
}

async function read() {
  $("older").disabled = true;
  $("broken").hidden = true;
  try {
    const page = await ask(`api/entries?limit=20${next ? `&before=${next}` : ""}`);
    list.querySelectorAll(".skeleton").forEach((li) => li.remove());
    page.items.forEach((entry) => add(entry, "last"));
    next = page.next;
    $("older").hidden = !next;
    $("empty").hidden = shown.size > 0;
    $("end").hidden = Boolean(next) || shown.size < 20;
  } catch (error) {
    list.querySelectorAll(".skeleton").forEach((li) => li.remove());
    $("why").textContent = error.message;
    $("broken").hidden = false;
    $("empty").hidden = true; // nobody knows whether it is
  }
  list.setAttribute("aria-busy", "false");
  $("older").disabled = false;
}

$("older").addEventListener("click", read);
$("again").addEventListener("click", read);
$("first").addEventListener("click", () => $("name").focus());
setInterval(() => list.querySelectorAll("time").forEach((t) => (t.textContent = ago(new Date(t.dateTime)))), 30000);

// ---- the form ----------------------------------------------------------------------------------
function check(field) {
  const bad = !field.input.value.trim();
  field.input.setAttribute("aria-invalid", String(bad));
  field.problem.textContent = bad ? field.wanted : "";
  field.problem.hidden = !bad;
  return !bad;
}

function count() {
  const left = 500 - $("text").value.length;
  $("left").textContent = left < 100 ? `${left} characters left` : "";
}

for (const field of fields) {
  field.input.value = localStorage.getItem(`draft-${field.input.name}`) ?? "";
  field.input.addEventListener("blur", () => field.input.value && check(field));
  field.input.addEventListener("input", () => {
    localStorage.setItem(`draft-${field.input.name}`, field.input.value);
    if (field.input.getAttribute("aria-invalid") === "true") check(field);
    count();
  });
}
count();

form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const wrong = fields.filter((field) => !check(field));
  if (wrong.length) return wrong[0].input.focus();
  const button = form.querySelector("button"), problem = $("form-problem");
  button.disabled = true;
  problem.hidden = true;
  try {
    const body = JSON.stringify({ name: $("name").value, text: $("text").value });
    add(await ask("api/entries", { method: "POST", headers: { "Content-Type": "application/json" }, body }), "first");
    $("text").value = "";
    localStorage.removeItem("draft-text");
    count();
  } catch (error) {
    problem.textContent = `${error.message} Your message is still here.`;
    problem.hidden = false;
  }
  button.disabled = false;
});

// ---- live --------------------------------------------------------------------------------------
live("api/live", {
  state(state) {
    $("live").dataset.state = state;
    $("live").textContent = state === "on" ? "Live" : "Not connected, trying again…";
  },
  message(message) {
    if (message.entry) add(message.entry, "first");
    if (message.online) $("live").textContent = message.online === 1 ? "Live" : `Live, ${message.online} here`;
  },
});
read();
