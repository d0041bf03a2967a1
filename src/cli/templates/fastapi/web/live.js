// Live messages over a WebSocket that is opened again when it breaks.
export function live(path, on) {
  let wait = 500;

  function open() {
    const url = new URL(path, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    socket.onopen = () => {
      wait = 500;
      on.state("on");
    };
    socket.onmessage = (event) => on.message(JSON.parse(event.data));
    socket.onclose = () => {
      on.state("retry");
      setTimeout(open, wait);
      wait = Math.min(wait * 2, 15000);
    };
  }
  open();
}
