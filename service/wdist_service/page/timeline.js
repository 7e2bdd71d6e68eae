// The series of a monitor: both ends and the value of every update, the line of the alarm, and the evidence below it.

import { announce, h, responsive, s, stack } from "./dom.js";
import { roundedDown, roundedUp } from "./format.js";
import { linear, picture, ticks } from "./scales.js";

const HEIGHT = 300;
const EVIDENCE = 46; // pixels for the evidence, below the series
const RIGHT = 14;
const BELOW = 2.2; // an upper end further up than this many times the other figures leaves the picture

/** The time of a batch as people write it: midnight is left out. */
export const timeText = (at) => (typeof at === "string" ? at.replace(/T00:00(:00(\.0+)?)?(Z|\+00:00)?$/, "").replace("T", " ") : at === null ? "" : String(at));
export const updateName = ({ number, at }) => `Update ${number}${at === null ? "" : `, ${timeText(at)}`}`;

export function betweenText({ series_lower_bound: lower, series_upper_bound: upper }) {
  return upper === null ? `at least ${roundedDown(lower)}` : `${roundedDown(lower)} to ${roundedUp(upper)}`;
}

/** The picture. show(updates, limit, epoch) draws figures, oldest first; onChoose(figures) is called for the one that is chosen. */
export function timeline(onChoose) {
  const state = { updates: [], limit: 0, epoch: 1, chosen: null };
  const box = responsive({ class: "plot timeline", tabindex: "0", role: "slider", "aria-label": "Chosen update", "aria-orientation": "horizontal" }, (width) => draw(width, state));
  function choose(index, isAsked = true) {
    const figures = state.updates[Math.max(0, Math.min(state.updates.length - 1, index))];
    if (!figures) return;
    state.chosen = figures.number;
    tell();
    box.redraw();
    onChoose(figures, isAsked);
  }
  function tell() {
    const index = state.updates.findIndex(({ number }) => number === state.chosen);
    const figures = state.updates[index];
    const values = figures ? { min: 1, max: state.updates.length, now: index + 1, text: `${updateName(figures)}: ${betweenText(figures)}${figures.alarms.length ? ", alarm" : ""}` } : { min: 0, max: 0, now: 0, text: "no update yet" };
    for (const [name, value] of Object.entries(values)) box.setAttribute(`aria-value${name}`, value);
  }
  const now = () => state.updates.findIndex(({ number }) => number === state.chosen);
  box.addEventListener("click", (event) => state.at && choose(Math.round(state.at.inverse(event.clientX - box.getBoundingClientRect().left))));
  box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(now() + step);
  });
  tell();
  return {
    box: stack(h("div", { class: "legend small" }, h("span", { class: "line-key bound" }, "both ends, of all updates together"), h("span", { class: "dot-key" }, "value on held-out rows"),
      h("span", { class: "line-key trivial" }, "alarm above this"), h("span", { class: "line-key evidence" }, "evidence, up to its limit")), box),
    show(updates, limit, epoch) {
      const wasLast = state.chosen === null || state.chosen === state.updates.at(-1)?.number;
      Object.assign(state, { updates, limit, epoch });
      if (wasLast && updates.length && updates.at(-1).number !== state.chosen) choose(updates.length - 1, false);
      tell();
      box.redraw();
    },
    choose(number) {
      choose(state.updates.findIndex((each) => each.number === number));
      announce(box.getAttribute("aria-valuetext"));
    },
  };
}

function draw(width, state) {
  const { updates, limit } = state;
  const floor = HEIGHT - EVIDENCE - 36;
  const shown = Math.max(limit, ...updates.flatMap((each) => [each.value, each.series_lower_bound]));
  const highest = Math.max(shown, ...updates.map((each) => each.series_upper_bound ?? 0));
  const domain = [Math.min(0, ...updates.map(({ value }) => value)), Math.min(highest, BELOW * shown || highest) * 1.08 || 1];
  const { values, text } = ticks(...domain, 5);
  const left = 16 + 8 * Math.max(...values.map((value) => text(value).length));
  const room = (width - left - RIGHT) / Math.max(1, updates.length);
  const at = (index) => left + room * (index + 0.5);
  state.at = { inverse: (x) => (x - left) / room - 0.5 };
  const up = linear(domain, [floor, 12]);
  const names = updates.map((each) => timeText(each.at) || `${each.number}`);
  const every = Math.max(1, Math.ceil((11 * Math.max(1, ...names.map((name) => name.length))) / room));
  return picture(width, HEIGHT, summary(updates),
    values.map((value) => s("g", { class: "grid" }, s("line", { x1: left, x2: width - RIGHT, y1: up(value), y2: up(value) }), s("text", { x: left - 8, y: up(value) + 4, "text-anchor": "end" }, text(value)))),
    updates.length > 0 && s("line", { class: "trivial-line", x1: left, x2: width - RIGHT, y1: up(limit), y2: up(limit) }),
    updates.map((each, i) => mark(each, at(i), up, state, Math.min(5, room / 3))),
    evidence(updates, at, state, [left, width - RIGHT]),
    s("g", { class: "axis" }, names.map((name, i) => (updates.length - 1 - i) % every === 0 && s("text", { x: Math.min(at(i), width - 4 * name.length), y: HEIGHT - 4, "text-anchor": "middle" }, name))));
}

function mark(figures, x, up, { chosen, epoch }, half) {
  const { series_lower_bound: lower, series_upper_bound: upper, value, alarms } = figures;
  const isOpen = upper === null || up(upper) < 8;
  const top = isOpen ? 8 : up(upper);
  const kind = `update${figures.epoch < epoch ? " earlier" : ""}${alarms.length ? " alarm" : ""}${figures.number === chosen ? " chosen" : ""}`;
  return s("g", { class: kind },
    figures.number === chosen && s("line", { class: "chosen-line", x1: x, x2: x, y1: 2, y2: HEIGHT - 20 }),
    s("line", { class: "range", x1: x, x2: x, y1: up(lower), y2: top, "stroke-width": Math.max(1.5, 2 * half) }),
    s("line", { class: "end", x1: x - half, x2: x + half, y1: up(lower), y2: up(lower) }),
    !isOpen && s("line", { class: "end", x1: x - half, x2: x + half, y1: top, y2: top }),
    s("circle", { class: "value-dot", cx: x, cy: up(value), r: Math.min(4, half + 1) }),
    alarms.length > 0 && s("path", { class: "flag", d: `M${x - half - 1} 2h${2 * half + 2}l${-half - 1} 7z` }));
}

/** The evidence of each epoch on a logarithmic scale, from 1 to its limit. */
function evidence(updates, at, { epoch }, [left, right]) {
  const floor = HEIGHT - 22;
  const rise = ({ evidence: value, evidence_limit: limit }) => floor - EVIDENCE * Math.max(0, Math.min(1, Math.log(Math.max(1, value)) / Math.log(limit)));
  const epochs = [...Map.groupBy(updates.map((each, i) => [each, i]), ([each]) => each.epoch)];
  return s("g", { class: "evidence" }, s("line", { class: "axis-line", x1: left, x2: right, y1: floor, y2: floor }), s("line", { class: "limit", x1: left, x2: right, y1: floor - EVIDENCE, y2: floor - EVIDENCE }),
    epochs.map(([number, all]) => s("g", { class: number < epoch ? "earlier" : null }, number > 1 && s("line", { class: "axis-line", x1: at(all[0][1] - 0.5), x2: at(all[0][1] - 0.5), y1: 8, y2: floor }),
      s("path", { class: "evidence-line", d: `M${all.map(([each, i]) => `${at(i).toFixed(1)} ${rise(each).toFixed(1)}`).join("L")}` }), all.length === 1 && s("circle", { cx: at(all[0][1]), cy: rise(all[0][0]), r: 2.5 }))));
}

function summary(updates) {
  const last = updates.at(-1);
  return last ? `${updates.length} updates. ${updateName(last)}: ${betweenText(last)}.` : "No update yet.";
}
