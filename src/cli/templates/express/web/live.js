// Live messages as server-sent events; the browser connects again by itself.
export function live(path, on) {
  const source = new EventSource(path);
  source.onopen = () => on.state("on");
  source.onmessage = (event) => on.message(JSON.parse(event.data));
  source.onerror = () => {
    on.state("retry");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => live(path, on), 5000);
  };
}
