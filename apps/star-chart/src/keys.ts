// The keyboard: one listener that turns single keys into actions, silent while someone types.
import { useEffect, useRef } from "react";

export type Keys = Record<string, (event: KeyboardEvent) => void>;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
}

/** Listens for `keys` on the whole page; Escape and arrows are heard in fields as well. */
export function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  useEffect(() => {
    latest.current = keys;
  });
  useEffect(() => {
    function onKey(event: KeyboardEvent) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (document.querySelector("dialog[open]")) return;
      if (isTyping(event.target) && !(event.key === "Escape" || event.key === "ArrowDown")) return;
      if (event.target instanceof HTMLSelectElement && event.key === "ArrowDown") return;
      latest.current[event.key]?.(event);
    }
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

/** Moves the focus up or down the links of a list; into it when it was elsewhere. */
export function moveFocus(list: HTMLElement | null, step: 1 | -1): void {
  const links = [...(list?.querySelectorAll<HTMLAnchorElement>("a") ?? [])];
  const at = links.findIndex((link) => link === document.activeElement);
  const current = at < 0 ? links.findIndex((link) => link.ariaCurrent) : at;
  links[Math.min(links.length - 1, Math.max(0, current + step))]?.focus();
}
