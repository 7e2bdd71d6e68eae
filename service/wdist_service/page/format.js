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
