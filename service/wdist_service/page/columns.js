// The columns behind a distance, those that carry most of it first: what each shows alone, and how both sets lie in it.

import { h, responsive, s, small, stack } from "./dom.js";
import { figure, percent, roundedDown, criticShows, whole } from "./format.js";
import { linear, picture } from "./scales.js";

const SHOWN = 6;
const HEIGHT = 74;
const BAR = 9;
const SIDES = ["source", "target"];

/** What a column is called; one without a name has its number. */
export const columnName = (name) => (/^\d+$/.test(name) ? `column ${name}` : name);

/** Columns {name, lower_bound, value, attribution, histogram?}. names: of the sets; mark(column) adds to the words. */
export function columnList(columns, { names = null, mark = () => null }) {
  const list = h("ol", { class: "column-list" }, columns.slice(0, SHOWN).map(item));
  function item(column) {
    return h("li", null, h("div", null, h("h3", null, columnName(column.name)), small(inWords(column), mark(column))), column.histogram && histogram(column, names));
  }
  const rest = columns.slice(SHOWN);
  const more = rest.length > 0 && h("button", { class: "quiet more", onclick: () => {
    list.append(...rest.map(item));
    more.remove();
  } }, rest.length === 1 ? "Show the last column" : `Show ${whole(rest.length)} more columns`);
  const legend = names && h("div", { class: "legend small" }, SIDES.map((side) => h("span", { class: `key ${side}` }, names[side])));
  return stack(legend, list, more);
}

function inWords({ lower_bound: lower, value, attribution }) {
  const bound = lower === null ? "no bound, as rows are not independent" : lower > 0 ? h("strong", null, `at least ${roundedDown(lower)}`) : "no evidence in this column alone";
  return [bound, ` · the column alone shows ${criticShows(value)}`, attribution > 0 && [" · ", h("span", { class: "unbroken" }, `carries ${share(attribution)}`), " of the difference"]];
}

const share = (value) => percent(value >= 0.0995 || value === 0 ? Math.round(100 * value) / 100 : Math.round(1000 * value) / 1000);

/** One small picture of a column in both sets. */
function histogram({ histogram: shares, name }, names) {
  const draw = shares.levels ? drawLevels : drawNumbers;
  const text = (value) => (typeof value === "string" ? value.replace("T", " ") : figure(value, 3).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""));
  const label = `${columnName(name)}: ${SIDES.map((side) => `${names[side]} ${shares.levels ? levelsInWords(shares, side) : middleInWords(shares, side, text)}`).join("; ")}.`;
  return responsive({ class: "plot" }, (width) => draw(width, shares, label, text));
}

const levelsInWords = ({ levels, ...shares }, side) => levels.map((level, i) => `${level} ${share(shares[side][i])}`).join(", ") + missingInWords(shares, side);
const missingInWords = (shares, side) => (missingOf(shares) ? `, missing ${share(shares.missing[side])}` : "");

/** Whether bins are around whole numbers, one each. */
const areWhole = (edges) => edges.every((edge) => Math.abs(edge % 1) === 0.5);

/** "half below 3.1", or of whole numbers "half at most 3", by the bin in which the middle lies. */
function middleInWords({ edges, ...shares }, side, text) {
  const all = shares[side].reduce((sum, each) => sum + each, 0);
  let below = 0;
  const bin = shares[side].findIndex((each) => (below += each) >= all / 2);
  return (all > 0 ? (areWhole(edges) ? `half at most ${text(edges[bin + 1] - 0.5)}` : `half below ${text(edges[bin + 1])}`) : "none") + missingInWords(shares, side);
}

/** The shares of missing values; null if none is missing. */
const missingOf = ({ missing }) => (missing?.source || missing?.target ? missing : null);

function drawNumbers(width, shares, label, text) {
  const edges = shares.edges.map((edge, i) => (typeof edge === "string" ? i : edge)); // times are in words, in bins of equal width
  const missing = missingOf(shares);
  const right = missing ? width - 64 : width - 2;
  const base = HEIGHT - 20;
  const at = linear([edges[0], edges.at(-1)], [2, right]);
  const densities = SIDES.map((side) => shares[side].map((each, i) => each / (edges[i + 1] - edges[i] || 1)));
  const up = linear([0, Math.max(...densities.flat()) || 1], [base, 4]);
  const [first, last] = [shares.edges[0], shares.edges.at(-1)];
  const ends = areWhole(shares.edges) ? [[first + 0.5, 0, "start"], [last - 0.5, right, "end"]] : [[first, 0, "start"], [last, right, "end"]];
  return picture(width, HEIGHT, label,
    SIDES.map((side, k) => s("path", { class: `hill ${side}`, d: `M${at(edges[0])} ${base}${densities[k].map((each, i) => `V${up(each).toFixed(1)}H${at(edges[i + 1]).toFixed(1)}`).join("")}V${base}Z` })),
    s("line", { class: "axis-line", x1: 0, x2: right, y1: base, y2: base }),
    s("g", { class: "axis" }, ends.map(([value, x, anchor]) => s("text", { x, y: HEIGHT - 5, "text-anchor": anchor }, text(value))),
      missing && s("text", { x: width - 2, y: HEIGHT - 5, "text-anchor": "end" }, "missing")),
    missing && SIDES.map((side, k) => s("rect", { class: `hill ${side}`, x: width - 42 + k * 18, y: base - (base - 4) * missing[side], width: 15, height: (base - 4) * missing[side] })));
}

/** A line each: its name, and the shares of both sets. */
function drawLevels(width, shares, label) {
  const missing = missingOf(shares);
  const lines = [...shares.levels.map((level, i) => [level, shares.source[i], shares.target[i]]), ...(missing ? [["missing", missing.source, missing.target]] : [])];
  const left = Math.min(130, width / 3);
  const room = Math.floor(left / 7.2);
  const at = linear([0, Math.max(...lines.flatMap(([, ...both]) => both)) || 1], [0, width - left - 46]);
  return picture(width, lines.length * 2.6 * BAR, label, lines.map(([name, ...both], i) => {
    const y = i * 2.6 * BAR;
    return s("g", null, s("text", { x: left - 8, y: y + BAR + 4, "text-anchor": "end", class: "small-text" }, name.length > room ? `${name.slice(0, room - 1)}…` : name, s("title", null, name)),
      both.map((each, k) => [s("rect", { class: `hill ${SIDES[k]}`, x: left, y: y + k * BAR, width: Math.max(0.5, at(each)), height: BAR - 1 }),
        s("text", { class: "tiny", x: left + at(each) + 5, y: y + k * BAR + BAR - 1 }, share(each))]));
  }));
}
