// The result on a line from 0: the excluded part, the possible part, and other estimates for comparison.

import { h, hiddenTable, responsive, s } from "./dom.js";
import { figure, percent, roundedDown, roundedUp, short, criticShows, whole } from "./format.js";
import { axisBelow, linear, picture } from "./scales.js";
import { isWithdrawn, RUN_AGAIN } from "./withdrawn.js";

/** The range [0, end]: everything drawn, with some room on the right. */
const domainOf = (values) => [0, (Math.max(...values.filter(Number.isFinite)) || 1) * 1.18];

const FAR = 4; // two random rows further apart than this many times the distance are told in words only

/** The line: excluded below lower_bound, possible from there to upper_bound or the edge of the picture; and its legend. */
export function intervalPicture(result) {
  const { lower_bound: lower, upper_bound: upper, value, spread } = result;
  const drawn = [lower, upper ?? lower * 1.35, value];
  const far = spread && spread <= FAR * Math.max(...drawn) ? spread : null;
  const domain = domainOf([...drawn, far ?? 0]);
  const mark = isWithdrawn(result, "lower_bound") ? "Withdrawn: run again. " : "";
  const rest = `The critic shows ${criticShows(value)}.${far ? ` Two random rows of the source are ${short(far)} apart.` : ""}`;
  const label = `${mark}Line from 0. ${whereItLies(result)} ${rest}`;
  const key = (kind, words) => h("span", { class: `dot-key ${kind}` }, words);
  return h("div", { class: `stack interval${isWithdrawn(result, "lower_bound") ? " withdrawn" : ""}` },
    responsive({ class: "plot" }, (width) => drawInterval(width, domain, label, result, far)),
    h("div", { class: "legend small", "aria-hidden": "true" }, lower > 0 && key("gone", "excluded"), key("", `the critic shows ${criticShows(value)}`), far && key("far", `two random rows of the source: ${short(far)}`)));
}

function whereItLies({ lower_bound: lower, upper_bound: upper }) {
  if (upper === null) return lower > 0 ? `The distance lies at or above ${roundedDown(lower)}; what is below is excluded.` : "Nothing is excluded.";
  if (upper < lower) return `The bounds contradict each other: at least ${roundedDown(lower)}, at most ${roundedUp(upper)}.`;
  return `The distance lies between ${roundedDown(lower)} and ${roundedUp(upper)}.`;
}

function drawInterval(width, domain, label, result, far) {
  const { lower_bound: lower, upper_bound: upper, value } = result;
  const at = linear(domain, [8, width - 8]);
  const from = at(lower);
  const to = at(upper ?? domain[1]);
  const ends = [lower > 0 && ["lower_bound", from, `at least ${roundedDown(lower)}`], upper !== null && ["upper_bound", to, `at most ${roundedUp(upper)}`]].filter(Boolean);
  const places = ends.map(([, x, words]) => clamp(x, 4 * words.length + 2, width - 4 * words.length - 2));
  const isTight = ends.length === 2 && Math.abs(places[1] - places[0]) < 4 * (ends[0][2].length + ends[1][2].length) + 12;
  const y = isTight ? 52 : 34; // labels that would touch stand one above the other
  return picture(width, y + 60, label,
    s("defs", null, s("linearGradient", { id: "fade" }, s("stop", { offset: 0.55, class: "bound-stop" }), s("stop", { offset: 1, class: "bound-stop", "stop-opacity": upper === null ? 0.15 : 1 }))),
    lower > 0 && s("rect", { x: at(0), y, width: from - at(0), height: 22, class: "excluded" }),
    s("rect", { x: from, y, width: Math.max(0, to - from), height: 22, fill: "url(#fade)" }),
    upper === null && s("path", { d: `M${width - 14} ${y + 5}l6 6l-6 6`, class: "arrow" }),
    far && s("line", { x1: at(far), x2: at(far), y1: y - 6, y2: y + 28, class: "spread-line" }),
    ends.map(([name, x, words], i) => [s("line", { x1: x, x2: x, y1: y - 10, y2: y + 28, class: "bound-line" }),
      s("text", { x: places[i], y: y - (isTight && i === 1 ? 34 : 16), "text-anchor": "middle", class: isWithdrawn(result, name) ? "bound-text gone" : "bound-text" }, words)]),
    s("circle", { cx: at(Math.max(0, value)), cy: y + 11, r: 5.5, class: "value-dot" }),
    axisBelow(domain, at, y + 32, width));
}

const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

/** {name, note, value, kind} of every figure that can be compared with the bound. */
function comparisons(result) {
  const { lower_bound, upper_bound, value, unclipped, confidence, trivial, empirical, null_baseline: baseline, split, groups } = result;
  const each = Number.isFinite(upper_bound) ? ", each end" : "";
  const holds = isWithdrawn(result, "lower_bound") ? RUN_AGAIN : `${split === "blocks" ? "approximately " : ""}${percent(confidence)} confidence${each}`;
  const rows = [
    { name: "Certified bound", note: holds, value: lower_bound, to: upper_bound, kind: "bound" },
    { name: groups ? "Critic on held-out groups" : "Critic on held-out rows", note: "low on average", value, kind: "value" },
    { name: "The same, not clipped", note: "rare scores are clipped for the bound", value: unclipped === value ? null : unclipped, kind: "plain" },
    { name: "Mean difference", note: "held out, along the train rows’ means", value: trivial?.mean_difference, kind: "plain" },
    { name: "Best single direction", note: "sliced distance, held out", value: trivial?.max_sliced, kind: "plain" },
    { name: "These files, exactly", note: "empirical distance of all rows", value: empirical?.exact ?? null, kind: "hollow" },
    { name: "Exact transport", note: baseline && `${whole(baseline.rows)} rows each${groups ? ", not by group" : ""}; biased upwards`, value: baseline?.between, kind: "hollow" },
    { name: "The same within one set", note: "truth is 0: all of it is bias", value: baseline?.within, kind: "hollow" },
  ];
  return rows.filter((row) => Number.isFinite(row.value));
}

/** One row per figure, with dots on a common scale. */
export function comparisonPicture(result) {
  const rows = comparisons(result);
  const domain = domainOf(rows.flatMap((row) => [row.value, row.to ?? 0]));
  return h("figure", { class: isWithdrawn(result, "lower_bound") ? "stack withdrawn" : "stack" },
    responsive({ class: "plot", "aria-hidden": "true" }, (width) => drawRows(width, domain, rows)),
    hiddenTable("The bound beside other ways of measuring", ["Measure", "Figure", "What it is"], rows.map((row) => [row.name, wordsOf(row), row.note])));
}

/** Names stand left of the scale, or above each line where there is little room. */
function drawRows(width, domain, rows) {
  const isWide = width >= 560;
  const [left, step] = isWide ? [250, 40] : [4, 52];
  const at = linear(domain, [left, width - roomFor(rows)]);
  const height = rows.length * step;
  return picture(width, height + 30, "", s("line", { x1: at(0), x2: at(0), y1: 6, y2: height, class: "zero" }),
    rows.map((row, i) => {
      const y = i * step + (isWide ? 20 : 36);
      return s("g", null, s("text", { x: isWide ? 0 : 10, y: y - (isWide ? 3 : 18), class: "row-name" }, row.name), isWide && s("text", { x: 0, y: y + 13, class: "row-note" }, row.note), mark(row, at, y));
    }),
    axisBelow(domain, at, height + 2, width - left));
}

/** The width of the figures to the right of the scale: those of an interval are two. */
const roomFor = (rows) => (rows.some((row) => Number.isFinite(row.to)) ? 130 : 108);

/** The figure of a row: bounds as the verdict shows them. */
function wordsOf({ kind, value, to }) {
  if (kind !== "bound") return figure(value);
  return Number.isFinite(to) ? `${roundedDown(value)} to ${roundedUp(to)}` : `at least ${roundedDown(value)}`;
}

function mark(row, at, y) {
  const x = at(row.value);
  const isInterval = Number.isFinite(row.to);
  const text = s("text", { x: (isInterval ? Math.max(x, at(row.to)) : x) + 12, y: y + 5, class: "row-figure" }, wordsOf(row));
  const stem = s("line", { x1: at(0), x2: x, y1: y, y2: y, class: `stem ${row.kind}` });
  if (row.kind !== "bound") return [stem, s("circle", { cx: x, cy: y, r: 5.5, class: `dot ${row.kind}` }), text];
  const range = isInterval && s("line", { x1: x, x2: at(row.to), y1: y, y2: y, class: "bound-range" });
  return [stem, range, s("line", { x1: x, x2: x, y1: y - 10, y2: y + 10, class: "bound-line" }), text];
}
