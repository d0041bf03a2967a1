// Where things stand on paper: pure geometry of the sky, no drawing.

export interface Point {
  x: number;
  y: number;
}

const rad = Math.PI / 180;

/** The whole sky on a sheet of 360 by 180: RA grows to the left, declination upwards. */
export function onSheet(raHours: number, dec: number): Point {
  return { x: 360 - ((raHours * 15) % 360), y: 90 - dec };
}

/** A patch of sky around a centre (gnomonic), in degrees; null when on the far side. */
export function aroundCentre(ra: number, dec: number, centre: { ra: number; dec: number }): Point | null {
  const a = (ra - centre.ra) * 15 * rad;
  const [d, d0] = [dec * rad, centre.dec * rad];
  const depth = Math.sin(d0) * Math.sin(d) + Math.cos(d0) * Math.cos(d) * Math.cos(a);
  if (depth < 0.2) return null;
  return {
    x: (-Math.cos(d) * Math.sin(a)) / depth / rad,
    y: -(Math.cos(d0) * Math.sin(d) - Math.sin(d0) * Math.cos(d) * Math.cos(a)) / depth / rad,
  };
}

/** A great circle given by its pole, as runs of points that do not jump across the sheet's edge. */
export function greatCircle(poleRaDegrees: number, poleDec: number): Point[][] {
  const [a, d] = [poleRaDegrees * rad, poleDec * rad];
  const u = [-Math.sin(a), Math.cos(a), 0] as const;
  const v = [-Math.sin(d) * Math.cos(a), -Math.sin(d) * Math.sin(a), Math.cos(d)] as const;
  const runs: Point[][] = [[]];
  for (let degree = 0; degree <= 360; degree += 2) {
    const [c, s] = [Math.cos(degree * rad), Math.sin(degree * rad)];
    const [x, y, z] = [u[0] * c + v[0] * s, u[1] * c + v[1] * s, u[2] * c + v[2] * s];
    const ra = ((Math.atan2(y, x) / rad + 360) % 360) / 15;
    const point = onSheet(ra, Math.asin(z) / rad);
    const last = runs.at(-1)?.at(-1);
    if (last && Math.abs(last.x - point.x) > 180) {
      const turn = last.x > point.x ? 360 : -360; // both runs reach beyond the edge they meet at
      runs.at(-1)?.push({ x: point.x + turn, y: point.y });
      runs.push([{ x: last.x - turn, y: last.y }]);
    }
    runs.at(-1)?.push(point);
  }
  return runs;
}

/** The poles of the Milky Way and of the Sun's path. */
export const galacticPole = { ra: 192.86, dec: 27.13 };
export const eclipticPole = { ra: 270, dec: 66.56 };

/** How large a dot is drawn: brighter is larger, the faintest still visible. */
export function dotRadius(magnitude: number): number {
  return Math.max(0.75, 2.3 - 0.52 * magnitude) * 0.62;
}

/** How many suns the star shines like, from its magnitude and distance, dust ignored. */
export function luminosity(magnitude: number, lightYears: number): number {
  const absolute = magnitude - 5 * Math.log10(lightYears / 32.616);
  return 10 ** ((4.83 - absolute) / 2.5);
}

export function hoursText(ra: number): string {
  const hours = Math.floor(ra);
  return `${hours}h ${String(Math.floor((ra - hours) * 60 + 1e-6)).padStart(2, "0")}m`;
}

export function degreesText(dec: number): string {
  const whole = Math.floor(Math.abs(dec) + 1e-9);
  const minutes = Math.round((Math.abs(dec) - whole) * 60);
  return `${dec < 0 ? "−" : "+"}${whole}° ${String(minutes).padStart(2, "0")}′`;
}
