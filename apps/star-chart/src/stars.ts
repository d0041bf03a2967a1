// The stars: true figures (J2000 positions, combined magnitudes, distances as known today).

/** One star as the app uses it; `ra` in hours, `dec` in degrees, `distance` in light years. */
export interface Star {
  id: string;
  name: string;
  designation: string;
  constellation: string;
  ra: number;
  dec: number;
  magnitude: number;
  distance: number;
  spectrum: string;
  light: Light;
  note: string;
}

/** What colour a star looks, from its spectral class. */
export type Light = "blue" | "white" | "yellow" | "orange" | "red";

export const lights: readonly Light[] = ["blue", "white", "yellow", "orange", "red"];

// name | designation | right ascension | declination | magnitude | light years | spectrum | note
const table = `
Sirius|α CMa|06:45.1|-16:43|-1.46|8.6|A1 V|The brightest star of the night, because it is near and bright in itself. A white dwarf the size of the Earth circles it every fifty years.
Canopus|α Car|06:24.0|-52:42|-0.74|310|A9 II|Spacecraft steer by it. Never seen from most of Europe, it stands almost overhead in Tasmania.
Rigil Kentaurus|α Cen|14:39.6|-60:50|-0.27|4.4|G2 V|Two suns much like ours, eighty years to a turn, with the small red Proxima far outside them: the nearest stars of all.
Arcturus|α Boo|14:15.7|+19:11|-0.05|36.7|K1.5 III|An old giant passing through from the thick of the galaxy. Follow the arc of the Dipper's handle and you arrive here.
Vega|α Lyr|18:36.9|+38:47|0.03|25.0|A0 V|For a century it was the zero of the magnitude scale. It was the pole star 14,000 years ago and will be again.
Capella|α Aur|05:16.7|+46:00|0.08|42.9|G8 III|Two yellow giants as close to each other as Venus is to the Sun; to every telescope of the nineteenth century, one point.
Rigel|β Ori|05:14.5|-08:12|0.13|860|B8 Ia|Orion's foot shines with the light of about a hundred thousand suns.
Procyon|α CMi|07:39.3|+05:13|0.34|11.5|F5 IV-V|"Before the dog": it rises shortly ahead of Sirius, and like Sirius it keeps a white dwarf.
Achernar|α Eri|01:37.7|-57:14|0.46|139|B6 Vep|The end of the river. It spins so fast that it is far wider than it is tall.
Betelgeuse|α Ori|05:55.2|+07:24|0.50|550|M1-2 Ia-ab|Put in place of the Sun it would swallow Mars. It dimmed by more than half early in 2020, behind dust of its own making.
Hadar|β Cen|14:03.8|-60:22|0.61|390|B1 III|The second of the Pointers, which lead the eye to the Southern Cross.
Altair|α Aql|19:50.8|+08:52|0.76|16.7|A7 V|The southern corner of the Summer Triangle, turning once in nine hours where the Sun takes 25 days.
Acrux|α Cru|12:26.6|-63:06|0.77|320|B0.5 IV|The foot of the Southern Cross and the southernmost star of the first magnitude.
Aldebaran|α Tau|04:35.9|+16:31|0.86|65.3|K5 III|The bull's eye. It seems to sit among the Hyades but is less than half as far away.
Antares|α Sco|16:29.4|-26:26|0.96|550|M1.5 Iab|The rival of Mars, by name and by colour, at the heart of the scorpion.
Spica|α Vir|13:25.2|-11:10|0.97|250|B1 V|Two hot stars so close that they pull each other into eggs, four days to a turn.
Pollux|β Gem|07:45.3|+28:02|1.14|33.8|K0 III|The nearest giant star, and it has a planet larger than Jupiter.
Fomalhaut|α PsA|22:57.7|-29:37|1.16|25.1|A3 V|Alone in the autumn south, with rings of dust around it that telescopes have photographed.
Deneb|α Cyg|20:41.4|+45:17|1.25|2600|A2 Ia|Perhaps the most distant star you can see without trying. How far it is, nobody knows to better than a third.
Mimosa|β Cru|12:47.7|-59:41|1.25|280|B0.5 III|The eastern arm of the Southern Cross, among the hottest stars of the first magnitude.
Regulus|α Leo|10:08.4|+11:58|1.39|79.3|B8 IVn|The little king lies so near the Sun's path that the Moon often covers it.
Adhara|ε CMa|06:58.6|-28:58|1.50|430|B2 II|Nearly five million years ago it stood so near that it was almost as bright as Venus is now.
Castor|α Gem|07:34.6|+31:53|1.58|51|A1 V|One star to the eye, two in a small telescope, six in truth.
Shaula|λ Sco|17:33.6|-37:06|1.62|570|B2 IV|The sting in the scorpion's raised tail.
Gacrux|γ Cru|12:31.2|-57:07|1.63|88.6|M3.5 III|The red head of the Southern Cross, and the nearest red giant.
Bellatrix|γ Ori|05:25.1|+06:21|1.64|250|B2 V|The Amazon star, Orion's western shoulder.
Elnath|β Tau|05:26.3|+28:36|1.65|134|B7 III|The bull's northern horn, long shared with the charioteer's foot.
Miaplacidus|β Car|09:13.2|-69:43|1.67|113|A1 III|"Calm waters": the second light of the keel.
Alnilam|ε Ori|05:36.2|-01:12|1.69|2000|B0 Ia|The middle of Orion's belt and much the farthest of the three.
Alnair|α Gru|22:08.2|-46:58|1.74|101|B6 V|The bright one of the crane, once the tail of the southern fish.
Alioth|ε UMa|12:54.0|+55:58|1.77|83|A1 III-IVp|The brightest of the Dipper, in the handle next to the bowl.
Alnitak|ζ Ori|05:40.8|-01:57|1.77|1260|O9.5 Iab|The eastern star of the belt; the Horsehead hangs just below it.
Dubhe|α UMa|11:03.7|+61:45|1.79|123|K0 III|With Merak it points to the pole, five times their distance on.
Mirfak|α Per|03:24.3|+49:52|1.79|510|F5 Ib|The jewel in a loose cluster that binoculars show best.
Wezen|δ CMa|07:08.4|-26:24|1.83|1600|F8 Ia|"The weight": a supergiant of some fifty thousand suns, down in the dog's back.
Sargas|θ Sco|17:37.3|-43:00|1.86|300|F0 II|Low in the scorpion's tail, and on few northern horizons.
Kaus Australis|ε Sgr|18:24.2|-34:23|1.85|143|B9.5 III|The southern end of the archer's bow, base of the Teapot.
Avior|ε Car|08:22.5|-59:31|1.86|600|K3 III|Named in the 1930s, because pilots needed a word for it.
Alkaid|η UMa|13:47.5|+49:19|1.86|104|B3 V|The tip of the handle, and no kin to the five stars in the middle of the Dipper.
Menkalinan|β Aur|05:59.5|+44:57|1.90|81|A1 IV|Two equal stars that hide each other in turn every forty-seven hours.
Atria|α TrA|16:48.7|-69:02|1.91|391|K2 IIb|Its name is its address: Alpha of the Triangulum Australe. It is on the flag of Brazil.
Alhena|γ Gem|06:37.7|+16:24|1.92|109|A1.5 IV|The foot of the second twin, at the edge of the winter Milky Way.
Peacock|α Pav|20:25.6|-56:44|1.94|179|B3 V|Another name made for pilots, and for once the bird stands right behind it.
Mirzam|β CMa|06:22.7|-17:57|1.98|490|B1 II-III|"The herald": it rises a little before Sirius and trembles in brightness six hours to a beat.
Alphard|α Hya|09:27.6|-08:40|1.98|177|K3 II-III|"The solitary one", in an empty part of the sky that belongs to the water snake.
Polaris|α UMi|02:31.8|+89:16|1.98|433|F7 Ib|Within a degree of the pole for our lifetime, and the nearest of the stars whose pulse measures the universe.
Hamal|α Ari|02:07.2|+23:28|2.00|65.8|K1 III|The ram's head, which marked the spring equinox when the zodiac was young.
Diphda|β Cet|00:43.6|-17:59|2.02|96|K0 III|"The second frog"; the first is Fomalhaut.
Mizar|ζ UMa|13:23.9|+54:56|2.04|83|A2 V|With faint Alcor beside it, an old test of eyes, and in 1617 one of the first doubles seen in a telescope.
Mirach|β And|01:09.7|+35:37|2.05|197|M0 III|The step from which to hop to the Andromeda galaxy.
Nunki|σ Sgr|18:55.3|-26:18|2.05|228|B2.5 V|A name from Babylon, perhaps the oldest one still in use.
Alpheratz|α And|00:08.4|+29:05|2.06|97|B8 IV|The head of Andromeda, and a corner of the square of Pegasus.
Saiph|κ Ori|05:47.8|-09:40|2.07|650|B0.5 Ia|Orion's other foot: as hot as they come, so most of its light is out of our sight.
Algieba|γ Leo|10:20.0|+19:51|2.08|130|K1 III|Two golden giants in the lion's mane, one of the loveliest pairs in a small telescope.
Kochab|β UMi|14:50.7|+74:09|2.08|131|K4 III|A guardian of the pole, which it was nearest to when Troy fell.
Rasalhague|α Oph|17:34.9|+12:34|2.08|48.6|A5 IV|The head of the snake bearer, spinning almost as fast as a star can.
Almach|γ And|02:03.9|+42:20|2.10|390|K3 II|Gold and blue in a small telescope.
Denebola|β Leo|11:49.1|+14:34|2.11|36|A3 V|The tuft of the lion's tail.
Algol|β Per|03:08.2|+40:57|2.12|90|B8 V|The demon winks: every 2.87 days a dimmer star passes in front and takes two thirds of its light for a few hours.
Mintaka|δ Ori|05:32.0|-00:18|2.23|1200|O9.5 II|The western star of the belt; it rises due east wherever you are.
Alphecca|α CrB|15:34.7|+26:43|2.23|75|A0 V|The jewel of the northern crown.
Sadr|γ Cyg|20:22.2|+40:15|2.23|1800|F8 Ib|The breast of the swan, where the Milky Way is at its richest.
Eltanin|γ Dra|17:56.6|+51:29|2.24|154|K5 III|Watching it from near London in the 1720s, Bradley found that the Earth's motion bends starlight.
Schedar|α Cas|00:40.5|+56:32|2.24|228|K0 III|The heart of Cassiopeia, at the bottom of the W.
Merak|β UMa|11:01.8|+56:23|2.37|79.7|A1 V|The lower of the two that point to Polaris.
Phecda|γ UMa|11:53.8|+53:42|2.44|83|A0 V|The thigh of the bear, at the bottom of the Dipper's bowl.
Imai|δ Cru|12:15.1|-58:45|2.79|345|B2 IV|The faint western arm that completes the Southern Cross.
Alcyone|η Tau|03:47.5|+24:06|2.87|440|B7 III|First of the Pleiades, a cluster about a hundred million years young.
Albireo|β Cyg|19:30.7|+27:58|3.05|430|K2 II|The swan's beak: amber and sapphire, the double that convinces everyone.
Megrez|δ UMa|12:15.4|+57:02|3.31|80.5|A3 V|The faintest of the Dipper, where handle meets bowl.
Thuban|α Dra|14:04.4|+64:23|3.65|303|A0 III|The pole star when the pyramids were built.
`;

const constellations: Record<string, string> = {
  And: "Andromeda", Aql: "Aquila", Ari: "Aries", Aur: "Auriga", Boo: "Boötes", CMa: "Canis Major",
  CMi: "Canis Minor", Car: "Carina", Cas: "Cassiopeia", Cen: "Centaurus", Cet: "Cetus",
  CrB: "Corona Borealis", Cru: "Crux", Cyg: "Cygnus", Dra: "Draco", Eri: "Eridanus",
  Gem: "Gemini", Gru: "Grus", Hya: "Hydra", Leo: "Leo", Lyr: "Lyra", Oph: "Ophiuchus",
  Ori: "Orion", Pav: "Pavo", Per: "Perseus", PsA: "Piscis Austrinus", Sco: "Scorpius",
  Sgr: "Sagittarius", Tau: "Taurus", TrA: "Triangulum Australe", UMa: "Ursa Major",
  UMi: "Ursa Minor", Vir: "Virgo",
};

const lightOfClass: Record<string, Light> = {
  O: "blue", B: "blue", A: "white", F: "yellow", G: "yellow", K: "orange", M: "red",
};

/** "05:14.5" and "-08:12" to a number of hours or degrees. */
function sexagesimal(text: string): number {
  const [whole = "0", minutes = "0"] = text.split(":");
  const value = Math.abs(Number(whole)) + Number(minutes) / 60;
  return text.startsWith("-") ? -value : value;
}

function starFrom(line: string): Star {
  const [name = "", designation = "", ra = "", dec = "", magnitude = "", distance = "",
    spectrum = "", note = ""] = line.split("|");
  return {
    id: name.toLowerCase().replace(/ /g, "-"),
    name,
    designation,
    constellation: constellations[designation.split(" ")[1] ?? ""] ?? "",
    ra: sexagesimal(ra),
    dec: sexagesimal(dec),
    magnitude: Number(magnitude),
    distance: Number(distance),
    spectrum,
    light: lightOfClass[spectrum[0] ?? ""] ?? "white",
    note,
  };
}

/** Every star, the brightest first. */
export const stars: readonly Star[] = table
  .trim()
  .split("\n")
  .map(starFrom)
  .sort((a, b) => a.magnitude - b.magnitude);

export function starById(id: string): Star | undefined {
  return stars.find((star) => star.id === id);
}

/** Figures people find in the sky, as chains of star ids; `loose` ones are drawn dashed. */
export const figures: readonly { chain: readonly string[]; loose?: boolean }[] = [
  { chain: ["dubhe", "merak", "phecda", "megrez", "dubhe"] },
  { chain: ["megrez", "alioth", "mizar", "alkaid"] },
  { chain: ["betelgeuse", "bellatrix", "mintaka", "alnilam", "alnitak", "betelgeuse"] },
  { chain: ["mintaka", "rigel", "saiph", "alnitak"] },
  { chain: ["acrux", "gacrux"] },
  { chain: ["mimosa", "imai"] },
  { chain: ["deneb", "sadr", "albireo"] },
  { chain: ["vega", "deneb", "altair", "vega"], loose: true },
  { chain: ["rigil-kentaurus", "hadar"] },
];
