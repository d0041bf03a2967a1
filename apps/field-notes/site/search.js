// The search of the first page: hides the leaves that do not match, keeps the search in the address.

const form = document.querySelector(".search");
const field = form.elements.q;
const cards = [...document.querySelectorAll(".leaves li")];
const none = document.querySelector(".none");
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

function matches(card, words, kind) {
  const text = plain(card.dataset.words);
  return (!kind || card.dataset.kind === kind) && words.every((word) => text.includes(word));
}

function update() {
  const words = plain(field.value).split(/\s+/).filter(Boolean);
  const kind = form.elements.kind.value;
  let shown = 0;
  for (const card of cards) {
    card.hidden = !matches(card, words, kind);
    shown += card.hidden ? 0 : 1;
  }
  none.hidden = shown > 0;
  form.querySelector("output").value =
    shown === cards.length ? `${shown} trees` : `${shown} of ${cards.length} trees`;
}

function remember() {
  const query = new URLSearchParams();
  if (field.value) query.set("q", field.value);
  if (form.elements.kind.value) query.set("kind", form.elements.kind.value);
  history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
}

function clear() {
  form.reset();
  update();
  remember();
  field.focus();
}

form.addEventListener("input", () => {
  update();
  remember();
});
form.addEventListener("submit", (event) => event.preventDefault());
none.querySelector("button").addEventListener("click", clear);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && event.target !== field) {
    event.preventDefault();
    field.focus();
    field.select();
  }
  if (event.key === "Escape" && (field.value || form.elements.kind.value)) clear();
});

const asked = new URLSearchParams(location.search);
field.value = asked.get("q") ?? "";
const kind = form.querySelector(`[name="kind"][value="${CSS.escape(asked.get("kind") ?? "")}"]`);
if (kind) kind.checked = true;
form.hidden = false;
update();
