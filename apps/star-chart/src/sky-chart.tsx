// The whole sky on one sheet: grid, Milky Way, the Sun's path, figures, and the stars of the list.
import { go } from "./router";
import { dotRadius, eclipticPole, galacticPole, greatCircle, onSheet, type Point } from "./sky";
import { figures, starById, stars, type Star } from "./stars";
import { t } from "./strings";

const path = (points: readonly Point[]) =>
  points.map((p, i) => `${i ? "L" : "M"}${p.x.toFixed(2)} ${p.y.toFixed(2)}`).join("");

const milkyWay = greatCircle(galacticPole.ra, galacticPole.dec).map(path).join("");
const ecliptic = greatCircle(eclipticPole.ra, eclipticPole.dec).map(path).join("");
const grid = [
  ...[3, 6, 9, 12, 15, 18, 21].map((hour) => `M${onSheet(hour, 0).x} -5V185`),
  ...[60, 30, -30, -60].map((dec) => `M0 ${90 - dec}H360`),
].join("");
const chains = figures.map(({ chain, loose }) => ({
  loose,
  d: path(chain.flatMap((id) => starById(id) ?? []).map((star) => onSheet(star.ra, star.dec))),
}));

// Which stars carry their name, and on which side of the dot it stands free; `major` ones on a
// phone as well, which has no room for more.
const labels: Record<string, { left?: boolean; major?: boolean }> = {
  sirius: { left: true, major: true }, canopus: { major: true },
  "rigil-kentaurus": { left: true, major: true }, arcturus: { left: true, major: true },
  vega: { major: true }, capella: { major: true }, rigel: { major: true },
  procyon: { left: true }, betelgeuse: { left: true }, altair: { left: true }, aldebaran: {},
  antares: { major: true }, spica: {}, fomalhaut: { major: true }, deneb: { left: true }, regulus: {},
  achernar: {}, pollux: { left: true }, acrux: {}, dubhe: {}, alkaid: { left: true },
  polaris: {},
};

function Label({ star }: { star: Star }) {
  const label = labels[star.id];
  if (!label) return null;
  const { x, y } = onSheet(star.ra, star.dec);
  const gap = (dotRadius(star.magnitude) + 1.5) * (label.left ? -1 : 1);
  return (
    <text className={label.major ? "major" : undefined} x={x + gap} y={y + 1.3}
      textAnchor={label.left ? "end" : "start"}>
      {star.name}
    </text>
  );
}

/** The list is the way in for the keyboard and for those who listen; the sheet is for the eye. */
export function SkyChart({ shown, query }: { shown: readonly Star[]; query: string }) {
  return (
    <article className="chart">
      <div className="lead">
        <h1>{t.heading}</h1>
        <p>{t.intro}</p>
      </div>
      <svg viewBox="0 -5 360 190" role="img" aria-label={t.chartLabel} className="sheet">
        <g className="band"><path className="wide" d={milkyWay} /><path d={milkyWay} /></g>
        <path className="grid" d={grid} />
        <path className="equator" d="M0 90H360" />
        <path className="ecliptic" d={ecliptic} />
        {chains.map(({ d, loose }) => <path key={d} className={loose ? "figure loose" : "figure"} d={d} />)}
        {stars.map((star) => {
          const { x, y } = onSheet(star.ra, star.dec);
          return (
            <g key={star.id} className={shown.includes(star) ? "star" : "star dim"}
              onClick={() => go(`/star/${star.id}${query}`)}>
              <title>{`${star.name} · ${star.constellation} · ${t.magnitude(star.magnitude)}`}</title>
              <circle className="target" cx={x} cy={y} r="3.4" />
              <circle className={`light-${star.light}`} cx={x} cy={y} r={dotRadius(star.magnitude)} />
              <Label star={star} />
            </g>
          );
        })}
      </svg>
      <p className="note">{t.chartNote}</p>
    </article>
  );
}
