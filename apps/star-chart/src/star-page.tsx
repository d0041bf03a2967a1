// One star: its story, its figures, and the patch of sky around it.
import { Dot } from "./dot";
import { Link } from "./router";
import { aroundCentre, degreesText, dotRadius, hoursText, luminosity } from "./sky";
import { figures, starById, stars, type Star } from "./stars";
import { t } from "./strings";

const reach = 24; // degrees from the centre of the finder to its edge

function Finder({ star }: { star: Star }) {
  const placed = stars.flatMap((other) => {
    const at = aroundCentre(other.ra, other.dec, star);
    return at && Math.hypot(at.x, at.y) < reach * 1.5 ? [{ other, at }] : [];
  });
  const point = (id: string) => {
    const found = starById(id);
    return found && aroundCentre(found.ra, found.dec, star);
  };
  const lines = figures.flatMap(({ chain, loose }) => chain.slice(1).flatMap((id, i) => {
    const [from, to] = [point(chain[i] ?? ""), point(id)];
    return from && to ? [{ key: `${chain[i]}-${id}`, from, to, loose }] : [];
  }));
  return (
    <figure className="finder">
      <svg viewBox={`${-reach} ${-reach} ${2 * reach} ${2 * reach}`} aria-hidden="true">
        <path className="grid" d={`M0 ${-reach}V${reach}M${-reach} 0H${reach}`} />
        <circle className="grid" r={reach / 3} />
        <circle className="grid" r={(reach * 2) / 3} />
        {lines.map(({ key, from, to, loose }) => (
          <line key={key} className={loose ? "figure loose" : "figure"}
            x1={from.x} y1={from.y} x2={to.x} y2={to.y} />
        ))}
        <circle className="mark" r={dotRadius(star.magnitude) * 0.7 + 1.6} />
        {placed.map(({ other, at }) => (
          <g key={other.id}>
            <circle className={`light-${other.light}`} cx={at.x} cy={at.y}
              r={dotRadius(other.magnitude) * 0.7} />
            {other !== star && Math.abs(at.x) < reach * 0.8 && Math.abs(at.y) < reach * 0.92 && (
              <text x={at.x} y={at.y + dotRadius(other.magnitude) * 0.7 + 1.9} textAnchor="middle">
                {other.name}
              </text>
            )}
          </g>
        ))}
      </svg>
      <figcaption>{t.finderNote(2 * reach)}</figcaption>
    </figure>
  );
}

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
