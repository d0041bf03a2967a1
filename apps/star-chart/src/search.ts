// Which stars are listed, and in which order: pure functions of the address's query.
import { lights, stars, type Light, type Star } from "./stars";

export const sorts = ["brightness", "distance", "name"] as const;
export type Sort = (typeof sorts)[number];

export interface View {
  text: string;
  light: Light | null;
  sort: Sort;
}

export function viewFrom(query: URLSearchParams): View {
  return {
    text: query.get("q") ?? "",
    light: lights.find((light) => light === query.get("light")) ?? null,
    sort: sorts.find((sort) => sort === query.get("sort")) ?? "brightness",
  };
}

/** The shortest query that means this view: "" for the default one. */
export function queryOf(view: View): string {
  const query = new URLSearchParams();
  if (view.text) query.set("q", view.text);
  if (view.light) query.set("light", view.light);
  if (view.sort !== "brightness") query.set("sort", view.sort);
  const text = query.toString();
  return text ? `?${text}` : "";
}

const order: Record<Sort, (a: Star, b: Star) => number> = {
  brightness: (a, b) => a.magnitude - b.magnitude,
  distance: (a, b) => a.distance - b.distance,
  name: (a, b) => a.name.localeCompare(b.name),
};

/** Accents and case do not matter: "bootes" finds Boötes. */
function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

const haystacks = new Map(
  stars.map((star) => [
    star.id,
    plain(`${star.name} ${star.designation} ${star.constellation} ${star.spectrum}`),
  ]),
);

export function starsIn(view: View): Star[] {
  const words = plain(view.text).split(/\s+/).filter(Boolean);
  return stars
    .filter((star) => !view.light || star.light === view.light)
    .filter((star) => words.every((word) => haystacks.get(star.id)?.includes(word)))
    .sort(order[view.sort]);
}
