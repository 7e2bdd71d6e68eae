// Numbers, sizes and times as people read them.

const THIN = "\u2009";

/** A number rounded to significant digits, without an exponent unless it is very large or small. */
export function figure(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-4) return value.toExponential(digits - 1).replace("-", "−").replace("e", " e");
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(size)));
  return value.toLocaleString("en-US", { minimumFractionDigits: Math.min(decimals, 20), maximumFractionDigits: Math.min(decimals, 20) }).replace("-", "−");
}

/** A number with three digits, as the server's sentences print it. */
export const short = (value) => figure(+value.toPrecision(3), 3);

/** What a critic shows; by chance it may be less than nothing. */
export const criticShows = (value) => (value > 0 ? short(value) : "none");

/** Ends of an interval with three digits, rounded outwards. */
export const roundedDown = (value) => outwards(value, -1);
export const roundedUp = (value) => outwards(value, 1);

function outwards(value, way) {
  if (!value || !Number.isFinite(value)) return figure(value, 3);
  const near = +value.toPrecision(3);
  return short(way * (near - value) < 0 ? near + way * 10 ** (Math.floor(Math.log10(Math.abs(value))) - 2) : near);
}

const SECONDS = { seconds: 1, minutes: 60, hours: 3600, days: 86_400 };

/** The date of a number of units since a start; to the minute unless it is a whole day. */
export function momentText(value, { unit, start }) {
  const zero = start ?? "1970-01-01";
  const time = new Date(Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/.test(zero) || !zero.includes("T") ? zero : `${zero}Z`) + 1000 * SECONDS[unit] * value);
  if (Number.isNaN(time.getTime())) return figure(value);
  const [day, hour] = time.toISOString().split("T");
  return unit === "days" || hour.startsWith("00:00:00") ? day : `${day} ${hour.slice(0, 5)}`;
}

/** A sentence whose “95 %” and “p < 0.001” are not broken at the end of a line. */
export const unbroken = (text) => text.replaceAll(" %", "\u00a0%").replace(/\bp ([<=]) /g, "p\u00a0$1\u00a0");

export const whole = (value) => value.toLocaleString("en-US");
/** Twelve digits, so that a confidence of 0.9999999 is not shown as 100 %. */
export const percent = (share) => `${+(100 * share).toPrecision(12)}${THIN}%`;

export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)}${THIN}${units[unit]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 9.95) return `${+seconds.toFixed(1)}${THIN}s`;
  if (seconds < 60) return `${Math.round(seconds)}${THIN}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}${THIN}min${Math.round(seconds % 60) ? ` ${Math.round(seconds % 60)}${THIN}s` : ""}`;
  return `${Math.floor(minutes / 60)}${THIN}h ${minutes % 60}${THIN}min`;
}

export function when(time) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday
    ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })
    : date.toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

/** "5,000 rows of 8 numbers" or "60,000 images of 28 × 28". */
export function describeShape(shape) {
  const [rows, ...rest] = shape;
  if (rest.length === 0) return `${whole(rows)} numbers`;
  if (rest.length === 1) return `${whole(rows)} rows of ${whole(rest[0])} number${rest[0] === 1 ? "" : "s"}`;
  return `${whole(rows)} images of ${rest.join(" × ")}`;
}

const KINDS = { f: "float", i: "int", u: "uint", b: "bool" };

/** The NumPy name of a type: float32 for "<f4". */
export function typeName(dtype) {
  const [, kind, size] = /^[<>|=]?([fiub])(\d+)$/.exec(dtype) ?? [];
  return kind === undefined ? dtype : kind === "b" ? "bool" : `${KINDS[kind]}${8 * size}`;
}

export const plural = (count, word) => `${whole(count)} ${word}${count === 1 ? "" : "s"}`;
