// The training curve: value on the select rows, labelled as not certified.

import { h, responsive, s, stack } from "./dom.js";
import { duration, figure, roundedDown } from "./format.js";
import { axisBelow, besideText, linear, picture, ticks } from "./scales.js";

const MOST_POINTS = 800;

/** A live curve; set(points), trivial(value) and bound(value) redraw it. Points are {step, seconds, value}. */
export function curvePicture() {
  const state = { points: [], trivial: null, bound: null, hover: null };
  const box = responsive({ class: "plot curve", tabindex: "0", role: "group", "aria-label": "Curve of the uncertified value; left and right arrow keys read single points" }, (width) => draw(width, state));
  const legend = h("div", { class: "legend" });
  const redraw = () => {
    legend.replaceChildren(...[
      h("span", { class: "line-key value" }, "value on select rows"),
      state.trivial !== null && h("span", { class: "line-key trivial" }, `distance of the means ${figure(state.trivial)}`),
      state.bound !== null && h("span", { class: "line-key bound" }, `certified bound ${roundedDown(state.bound)}`)].filter(Boolean));
    box.redraw();
  };
  const move = (index) => {
    state.hover = index === null ? null : Math.max(0, Math.min(state.points.length - 1, index));
    redraw();
  };
  box.addEventListener("pointermove", (event) => move(nearest(state, event.clientX - box.getBoundingClientRect().left)));
  box.addEventListener("pointerleave", () => move(null));
  box.addEventListener("blur", () => move(null));
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || state.points.length === 0) return;
    event.preventDefault();
    move((state.hover ?? state.points.length - 1) + step);
  });
  redraw();
  return {
    box: stack(legend, box),
    set(points) {
      state.points = thin(points.filter((point) => Number.isFinite(point.value)));
      redraw();
    },
    trivial(value) {
      state.trivial = Number.isFinite(value) ? value : null;
      redraw();
    },
    bound(value) {
      state.bound = value;
      redraw();
    },
  };
}

function thin(points) {
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, i) => i % every === 0 || i === points.length - 1);
}

function nearest(state, x) {
  if (!state.at || state.points.length === 0) return null;
  let best = 0;
  state.points.forEach((point, i) => {
    if (Math.abs(state.at(point.seconds) - x) < Math.abs(state.at(state.points[best].seconds) - x)) best = i;
  });
  return best;
}

function draw(width, state) {
  const { points, trivial, bound } = state;
  const height = 260;
  const values = points.map((point) => point.value).concat(trivial ?? [], bound ?? [], 0);
  const domain = [Math.min(...values), Math.max(...values) * 1.12 || 1];
  const seconds = [0, Math.max(1, points.at(-1)?.seconds ?? 1)];
  const { values: rounds, text } = ticks(...domain, 5);
  const left = 14 + 8 * Math.max(...rounds.map((value) => text(value).length));
  const at = linear(seconds, [left, width - 14]);
  const up = linear(domain, [height - 34, 12]);
  state.at = at;
  const last = points.at(-1);
  const label = last ? `Value on select rows, not certified: ${figure(last.value)} after ${duration(last.seconds)}.` : "No value yet.";
  return picture(width, height, label,
    rounds.map((value) => s("g", { class: "grid" }, s("line", { x1: left, x2: width - 14, y1: up(value), y2: up(value) }), s("text", { x: left - 8, y: up(value) + 4, "text-anchor": "end" }, text(value)))),
    axisBelow(seconds, at, height - 34, width - left),
    s("text", { x: width - 14, y: height - 1, "text-anchor": "end", class: "axis-name" }, "seconds"),
    trivial !== null && level(at, up, seconds, trivial, "trivial-line"),
    bound !== null && level(at, up, seconds, bound, "bound-level"),
    points.length > 1 && s("path", { d: `M${points.map((point) => `${at(point.seconds).toFixed(1)} ${up(point.value).toFixed(1)}`).join("L")}`, class: "value-line" }),
    last && s("circle", { cx: at(last.seconds), cy: up(last.value), r: 4, class: "value-dot" }),
    state.hover !== null && points[state.hover] && readout(points[state.hover], at, up, width, height));
}

const level = (at, up, [from, to], value, kind) => s("line", { class: kind, x1: at(from), x2: at(to), y1: up(value), y2: up(value) });

function readout(point, at, up, width, height) {
  const x = at(point.seconds);
  return s("g", { class: "readout" }, s("line", { x1: x, x2: x, y1: 8, y2: height - 34 }), s("circle", { cx: x, cy: up(point.value), r: 4.5 }),
    besideText(x, 20, width, `${figure(point.value)} at ${duration(point.seconds)}, step ${point.step}`, null));
}
