// Linear scales and round ticks, shared by all pictures.

import { figure } from "./format.js";
import { s } from "./dom.js";

/** Round tick values within [low, high], about `count` of them. */
export function ticks(low, high, count) {
  const span = high - low || 1;
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const values = [];
  for (let i = first; i * step <= high + step * 1e-9; i += 1) values.push(i === 0 ? 0 : i * step);
  return { values, text: (value) => tickText(value, step) };
}

function tickText(value, step) {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  if (decimals > 4 || step >= 1e6) return figure(value, 2);
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "−");
}

/** A linear scale: value to pixel position. */
export const linear = ([low, high], [from, to]) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);

/** A horizontal axis with ticks below it. */
export function axisBelow(domain, at, y, width) {
  const { values, text } = ticks(...domain, Math.max(2, width / 95));
  return s("g", { class: "axis" }, s("line", { x1: at(domain[0]), x2: at(domain[1]), y1: y, y2: y }),
    values.map((value) => [s("line", { x1: at(value), x2: at(value), y1: y, y2: y + 5 }), s("text", { x: at(value), y: y + 19, "text-anchor": "middle" }, text(value))]));
}

export const picture = (width, height, label, ...children) =>
  s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "picture" }, ...children);

/** A text label at x: to the right of it if there is room, otherwise to the left. */
export function besideText(x, y, width, text, properties) {
  const room = text.length * 7.3 + 12;
  const isLeft = x + room > width;
  return s("text", { x: isLeft ? x - 8 : x + 8, y, "text-anchor": isLeft ? "end" : "start", ...properties }, text);
}
