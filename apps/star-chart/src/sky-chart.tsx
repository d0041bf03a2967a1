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
  ...[3, 6, 9, 12, 15, 18, 21].map((hour) => `M${onSheet(hour, 0).x} 0V180`),
  ...[60, 30, -30, -60].map((dec) => `M0 ${90 - dec}H360`),
].join("");
const chains = figures.map(({ chain, loose }) => ({
  loose,
  d: path(chain.flatMap((id) => starById(id) ?? []).map((star) => onSheet(star.ra, star.dec))),
}));

// Names that would run into a neighbour stand on the other side of their star.
const labels: Record<string, "left" | "right"> = {
  sirius: "left", canopus: "right", arcturus: "left", vega: "right", capella: "right",
  rigel: "right", procyon: "left", betelgeuse: "left", altair: "left", aldebaran: "right",
  antares: "right", spica: "left", fomalhaut: "right", deneb: "left", regulus: "left",
  achernar: "right", pollux: "left", acrux: "right", "rigil-kentaurus": "left", dubhe: "right",
  alkaid: "left", polaris: "right",
};

function Label({ star }: { star: Star }) {
  const side = labels[star.id];
  if (!side) return null;
  const { x, y } = onSheet(star.ra, star.dec);
  const gap = (dotRadius(star.magnitude) + 1.5) * (side === "left" ? -1 : 1);
  return <text x={x + gap} y={y + 1.3} textAnchor={side === "left" ? "end" : "start"}>{star.name}</text>;
}

/** The list is the way in for the keyboard and for those who listen; the sheet is for the eye. */
export function SkyChart({ shown, query }: { shown: readonly Star[]; query: string }) {
  return (
    <article className="chart">
      <div className="lead">
        <h1>{t.title}</h1>
        <p>{t.intro}</p>
      </div>
      <svg viewBox="0 0 360 180" role="img" aria-label={t.chartLabel} className="sheet">
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
