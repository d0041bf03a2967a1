// The patch of sky around one star: a finder chart with the names that find room.
import { aroundCentre, dotRadius, type Point } from "./sky";
import { figures, starById, stars, type Star } from "./stars";
import { t } from "./strings";

const reach = 24; // degrees from the centre of the finder to its edge

interface Placed {
  other: Star;
  at: Point;
}

interface Label {
  name: string;
  x: number;
  y: number;
}

const size = 1.6; // of the letters, in degrees; a letter is a little over half as wide

function overlap(a: Label, b: Label): boolean {
  return Math.abs(a.y - b.y) < size && Math.abs(a.x - b.x) < (a.name.length + b.name.length) * size * 0.31;
}

/** Names below, above or beside their dots, the brightest first; one that finds no room is left out. */
function labelsFor(star: Star, placed: readonly Placed[]): Label[] {
  const labels: Label[] = [{ name: "    ", x: 0, y: size / 3 }]; // keeps the marked star free
  for (const { other: { name, magnitude, id }, at } of placed) {
    if (id === star.id) continue;
    const gap = dotRadius(magnitude) * 0.7 + 0.6;
    const half = name.length * size * 0.3;
    const tries = [
      { name, x: at.x, y: at.y + gap + size * 0.8 },
      { name, x: at.x, y: at.y - gap },
      { name, x: at.x + gap + half, y: at.y + size / 3 },
      { name, x: at.x - gap - half, y: at.y + size / 3 },
    ];
    const free = tries.find((one) => Math.abs(one.x) + half < reach && Math.abs(one.y) < reach - 0.6
      && !labels.some((label) => overlap(label, one)));
    if (free) labels.push(free);
  }
  return labels.slice(1);
}

export function Finder({ star }: { star: Star }) {
  const placed = stars.flatMap((other) => {
    const at = aroundCentre(other.ra, other.dec, star);
    return at && Math.max(Math.abs(at.x), Math.abs(at.y)) < reach ? [{ other, at }] : [];
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
          <circle key={other.id} className={`light-${other.light}`} cx={at.x} cy={at.y}
            r={dotRadius(other.magnitude) * 0.7} />
        ))}
        {labelsFor(star, placed).map(({ name, x, y }) => (
          <text key={name} x={x} y={y} textAnchor="middle">{name}</text>
        ))}
      </svg>
      <figcaption>{t.finderNote(2 * reach)}</figcaption>
    </figure>
  );
}
