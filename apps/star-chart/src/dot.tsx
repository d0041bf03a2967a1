// A star as a dot in the colour of its light; in a list its size tells the brightness.
import type { Light } from "./stars";

export function Dot({ light, magnitude = 0.8 }: { light: Light; magnitude?: number }) {
  const radius = Math.max(2.2, 6 - 1.1 * magnitude);
  return (
    <svg className={`dot light-${light}`} viewBox="-8 -8 16 16" width="16" height="16" aria-hidden="true">
      <circle r={radius} />
    </svg>
  );
}
