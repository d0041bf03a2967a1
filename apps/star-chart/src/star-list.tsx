// The list of stars with its search, colour filter and order, and what it says when nothing is left.
import type { RefObject } from "react";
import { Link } from "./router";
import { queryOf, sorts, type Sort, type View } from "./search";
import { Dot } from "./dot";
import { lights, stars, type Star } from "./stars";
import { t } from "./strings";

interface Props {
  view: View;
  shown: Star[];
  current: Star | undefined;
  onView: (view: View) => void;
  onClear: () => void;
  listRef: RefObject<HTMLElement | null>;
  fieldRef: RefObject<HTMLInputElement | null>;
}

export function StarList({ view, shown, current, onView, onClear, listRef, fieldRef }: Props) {
  return (
    <section className="side" ref={listRef} aria-label={t.title}>
      <form className="filter" role="search" onSubmit={(event) => event.preventDefault()}>
        <input ref={fieldRef} type="search" value={view.text} placeholder={t.searchHint}
          aria-label={t.search} aria-keyshortcuts="/" autoComplete="off" spellCheck={false}
          onChange={(event) => onView({ ...view, text: event.target.value })} />
        <fieldset className="lights">
          <legend className="quiet">{t.light}</legend>
          {[null, ...lights].map((light) => (
            <label key={light ?? "all"} title={light ? t.lights[light] : undefined}>
              <input type="radio" name="light" className="quiet" checked={view.light === light}
                onChange={() => onView({ ...view, light })} />
              {light ? <Dot light={light} /> : t.allLights}
              {light && <span className="quiet">{t.lights[light]}</span>}
            </label>
          ))}
        </fieldset>
        <div className="order">
          <output>{t.count(shown.length, stars.length)}</output>
          <label>
            <span className="quiet">{t.sortBy}</span>
            <select value={view.sort}
              onChange={(event) => onView({ ...view, sort: event.target.value as Sort })}>
              {sorts.map((sort) => <option key={sort} value={sort}>{t.sorts[sort]}</option>)}
            </select>
          </label>
        </div>
      </form>
      {shown.length > 0 ? (
        <ul className="stars">
          {shown.map((star) => (
            <li key={star.id}>
              <Link to={`/star/${star.id}${queryOf(view)}`}
                aria-current={star === current ? "page" : undefined}>
                <Dot light={star.light} magnitude={star.magnitude} />
                <span className="name">{star.name}</span>
                <span className="where">{star.designation}</span>
                <span className="figure">
                  {view.sort === "distance" ? t.lightYears(star.distance) : t.magnitude(star.magnitude)}
                </span>
              </Link>
            </li>
          ))}
        </ul>
      ) : (
        <div className="empty">
          <h2>{t.noneTitle}</h2>
          <p>{t.noneText(view.text)}</p>
          <button type="button" onClick={onClear}>{t.clear}</button>
        </div>
      )}
    </section>
  );
}
