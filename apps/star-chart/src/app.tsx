// The frame of the star chart: header, the list beside the page that the address names, shortcuts.
import { useEffect, useRef, useState } from "react";
import { moveFocus, useKeys } from "./keys";
import { Link, go, useAddress } from "./router";
import { queryOf, starsIn, viewFrom, type View } from "./search";
import { Shortcuts } from "./shortcuts";
import { SkyChart } from "./sky-chart";
import { StarList } from "./star-list";
import { StarPage } from "./star-page";
import { starById, stars } from "./stars";
import { t } from "./strings";
import { toggleTheme } from "./theme";

type Page = "chart" | "star" | "missing";

export function App() {
  const { path, query } = useAddress();
  const view = viewFrom(query);
  const shown = starsIn(view);
  const star = starById(/^\/star\/([a-z-]+)\/?$/.exec(path)?.[1] ?? "");
  const page: Page = path === "/" ? "chart" : star ? "star" : "missing";
  const list = useRef<HTMLElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const [help, setHelp] = useState(false);

  useEffect(() => {
    document.title = star ? `${star.name} · ${t.title}` : t.title;
    if (page !== "chart") scrollTo(0, 0);
  }, [star, page]);

  const show = (next: View) => go((page === "missing" ? "/" : path) + queryOf(next), { replace: true });
  const clear = () => {
    show({ ...view, text: "", light: null });
    field.current?.focus();
  };
  const neighbour = (step: number) => {
    const next = star && stars[stars.indexOf(star) + step];
    if (next) go(`/star/${next.id}${queryOf(view)}`);
  };

  useKeys({
    "/": (event) => {
      event.preventDefault();
      field.current?.focus();
      field.current?.select();
    },
    "?": () => setHelp(true),
    t: toggleTheme,
    "[": () => neighbour(-1),
    "]": () => neighbour(1),
    ArrowDown: (event) => {
      event.preventDefault();
      moveFocus(list.current, 1);
    },
    ArrowUp: (event) => {
      event.preventDefault();
      moveFocus(list.current, -1);
    },
    Escape: () => (view.text || view.light ? clear() : go("/" + queryOf(view))),
  });

  return (
    <div className="app" data-page={page}>
      <a className="skip" href="#main">{t.skip}</a>
      <header className="top">
        <Link to={"/" + queryOf(view)} className="brand">{t.title}</Link>
        <span className="grow" />
        <button type="button" className="icon" onClick={() => setHelp(true)} aria-label={t.shortcuts}
          title={t.shortcuts}>?</button>
        <button type="button" className="icon" onClick={toggleTheme} aria-label={t.theme} title={t.theme}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" strokeWidth="1.5" />
            <path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor" />
          </svg>
        </button>
      </header>
      <StarList view={view} shown={shown} current={star} onView={show} onClear={clear}
        listRef={list} fieldRef={field} />
      <main id="main" tabIndex={-1}>
        {page === "chart" && <SkyChart shown={shown} query={queryOf(view)} />}
        {star && <StarPage key={star.id} star={star} query={queryOf(view)} />}
        {page === "missing" && (
          <div className="empty">
            <h1>{t.missingTitle}</h1>
            <p>{t.missingText}</p>
            <Link to="/">{t.clear}</Link>
          </div>
        )}
      </main>
      <Shortcuts open={help} onClose={() => setHelp(false)} />
    </div>
  );
}
