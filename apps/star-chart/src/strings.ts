// Every word the star chart says, in one place, so that it can be translated.
import type { Light } from "./stars";
import type { Sort } from "./search";

const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const magnitude = new Intl.NumberFormat(undefined, {
  minimumFractionDigits: 2,
  maximumFractionDigits: 2,
});

export const t = {
  title: "Star Chart",
  heading: "The whole sky",
  intro: "Its brightest stars, north and south, on one sheet.",
  skip: "Skip to the stars",
  search: "Search stars",
  searchHint: "Name, constellation, α Lyr",
  sortBy: "Sort by",
  sorts: { brightness: "Brightest", distance: "Nearest", name: "Name" } satisfies Record<Sort, string>,
  light: "Colour of light",
  allLights: "All",
  lights: {
    blue: "Blue", white: "White", yellow: "Yellow", orange: "Orange", red: "Red",
  } satisfies Record<Light, string>,
  count: (shown: number, all: number) =>
    shown === all ? `${all} stars` : `${shown} of ${all} stars`,
  noneTitle: "No star matches",
  noneText: (text: string) => text
    ? `Nothing here is called “${text}”. Try a constellation, such as Orion, or part of a name.`
    : "No star of this colour is on the chart.",
  clear: "Show all stars",
  chartLabel: "Chart of the whole sky",
  chartNote: "The whole sky, flattened: north is up, right ascension grows to the left as it does overhead. The pale band is the Milky Way, the dotted line the Sun’s yearly path.",
  back: "All stars",
  previous: "Brighter",
  next: "Fainter",
  facts: {
    magnitude: "Magnitude",
    distance: "Distance",
    spectrum: "Spectral type",
    luminosity: "Light, in suns",
    position: "Position (J2000)",
    constellation: "Constellation",
  },
  lightYears: (ly: number) => `${number.format(ly)} ly`,
  magnitude: (m: number) => magnitude.format(m).replace("-", "−"),
  suns: (n: number) => number.format(Number(n.toPrecision(2))),
  since: (year: number, ly: number) => {
    const bc = `around ${Math.round(-year / 100) * 100} BC`;
    const ad = ly >= 100 ? `around the year ${year}` : `in the year ${year}`;
    return `The light you see tonight left it ${year > 0 ? ad : bc}.`;
  },
  finderNote: (degrees: number) => `${degrees}° of sky around it`,
  missingTitle: "No such star",
  missingText: "The address names a star that is not on this chart, or a page that does not exist.",
  shortcuts: "Keyboard shortcuts",
  close: "Close",
  theme: "Switch between light and dark",
  keys: [
    ["/", "Search"],
    ["↑ ↓", "Move through the list"],
    ["Enter", "Open the star"],
    ["[ ]", "Brighter, fainter star"],
    ["Esc", "Clear the search, or go back"],
    ["T", "Light or dark"],
    ["?", "These shortcuts"],
  ] as const,
};
