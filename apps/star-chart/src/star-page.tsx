// One star: its story, its figures, the sky around it and its neighbours in brightness.
import { Dot } from "./dot";
import { Finder } from "./finder";
import { Link } from "./router";
import { degreesText, hoursText, luminosity } from "./sky";
import { stars, type Star } from "./stars";
import { t } from "./strings";

function Facts({ star }: { star: Star }) {
  const rows: [string, string][] = [
    [t.facts.constellation, star.constellation],
    [t.facts.magnitude, t.magnitude(star.magnitude)],
    [t.facts.distance, t.lightYears(star.distance)],
    [t.facts.luminosity, t.suns(luminosity(star.magnitude, star.distance))],
    [t.facts.spectrum, `${star.spectrum}, ${t.lights[star.light].toLowerCase()}`],
    [t.facts.position, `${hoursText(star.ra)}, ${degreesText(star.dec)}`],
  ];
  return (
    <dl className="facts">
      {rows.map(([term, value]) => <div key={term}><dt>{term}</dt><dd>{value}</dd></div>)}
    </dl>
  );
}

function Neighbours({ star, query }: { star: Star; query: string }) {
  const at = stars.indexOf(star);
  const [before, after] = [stars[at - 1], stars[at + 1]];
  return (
    <nav className="neighbours">
      {before ? <Link to={`/star/${before.id}${query}`} rel="prev"><small>{t.previous}</small>{before.name}</Link> : <span />}
      {after && <Link to={`/star/${after.id}${query}`} rel="next"><small>{t.next}</small>{after.name}</Link>}
    </nav>
  );
}

export function StarPage({ star, query }: { star: Star; query: string }) {
  const left = new Date().getFullYear() - Math.round(star.distance);
  return (
    <article className="page">
      <Link to={"/" + query} className="back">← {t.back}</Link>
      <header>
        <Dot light={star.light} magnitude={star.magnitude} />
        <h1>{star.name}</h1>
        <span className="where">{star.designation}</span>
      </header>
      <div className="columns">
        <div>
          <p className="story">{star.note}</p>
          <p className="story">{t.since(left, star.distance)}</p>
          <Facts star={star} />
        </div>
        <Finder star={star} />
      </div>
      <Neighbours star={star} query={query} />
    </article>
  );
}
