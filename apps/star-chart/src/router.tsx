// A tiny router: the address below the base is the state, links change it without a reload.
import { useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from "react";

const base = import.meta.env.BASE_URL;
const changed = "star-chart:address";

/** The path below the base, starting with "/"; what is outside the base counts as "/". */
export function pathBelowBase(pathname: string): string {
  return pathname.startsWith(base) ? `/${pathname.slice(base.length)}` : "/";
}

export function hrefOf(to: string): string {
  return base + to.replace(/^\//, "");
}

/** Goes to a path below the base; `replace` leaves no step in the history. */
export function go(to: string, options: { replace?: boolean } = {}): void {
  const href = hrefOf(to);
  if (href === location.pathname + location.search) return;
  if (options.replace) history.replaceState(null, "", href);
  else history.pushState(null, "", href);
  dispatchEvent(new Event(changed));
}

function subscribe(onChange: () => void): () => void {
  addEventListener("popstate", onChange);
  addEventListener(changed, onChange);
  return () => {
    removeEventListener("popstate", onChange);
    removeEventListener(changed, onChange);
  };
}

export function useAddress(): { path: string; query: URLSearchParams } {
  const href = useSyncExternalStore(subscribe, () => location.pathname + location.search);
  const url = new URL(href, location.origin);
  return { path: pathBelowBase(url.pathname), query: url.searchParams };
}

/** A real link, so that it can be copied, opened in a new tab and followed without the router. */
export function Link({ to, ...rest }: { to: string } & AnchorHTMLAttributes<HTMLAnchorElement>) {
  function follow(event: MouseEvent) {
    if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  }
  return <a {...rest} href={hrefOf(to)} onClick={follow} />;
}
