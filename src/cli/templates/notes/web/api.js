// The calls of the API that the page needs; a failure is an Error with the sentence to show.
const NOTES = "api/notes";

async function call(method, path, body, headers = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body ? { "Content-Type": "application/json", ...headers } : headers,
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  if (answer.status === 204) return null;
  const type = answer.headers.get("Content-Type") ?? "", value = type.includes("json") ? await answer.json() : null;
  if (answer.ok) return value;
  const error = new Error(value?.detail ?? `The server answered with ${answer.status}.`);
  error.status = answer.status;
  throw error;
}

/** A page of notes, the latest first, or those with the words. */
export function list(words, after) {
  const query = new URLSearchParams({ limit: "30", ...(after && { after }) });
  if (words) query.set("search", /[\p{L}\p{N}]$/u.test(words) ? `${words}*` : words); // the last word is still being typed
  else query.set("sort", "-updated");
  return call("GET", `${NOTES}?${query}`);
}

export const get = (id) => call("GET", `${NOTES}/${id}`);

/** The key is the same when a note is sent again after no answer came: it is made once. */
export const create = (note, key) => call("POST", NOTES, note, { "Idempotency-Key": key });

/** Only if it is still the version that was read; otherwise the error's status is 412. */
export const save = (note, fields) => call("PATCH", `${NOTES}/${note.id}`, fields, { "If-Match": `"v${note.version}"` });

export const remove = (id) => call("DELETE", `${NOTES}/${id}`);
export const restore = (id) => call("POST", `${NOTES}/${id}/restore`);
