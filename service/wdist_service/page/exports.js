// All figures of a matrix as a table, and as files: CSV, JSON, and the picture as SVG.

import { warningBox } from "./advice.js";
import { h, heads, quiet, rowHead, s, save, scrollBox, small } from "./dom.js";
import { figure, percent, plural, roundedDown, roundedUp } from "./format.js";
import { cellOf, linesOf, pairsOf } from "./heat.js";
import { struck } from "./withdrawn.js";

const FIGURES = ["value", "lower_bound", "upper_bound", "simultaneous_lower_bound", "simultaneous_upper_bound", "p_value", "adjusted_p_value"];

/** The card below a finished matrix; `more` are elements that stand before its buttons. */
export function figuresCard(batch, state, [before, ...buttons]) {
  const { matrix } = state;
  const file = (words, kind, make) => quiet(() => save(new Blob([make()], { type: kind }), `${batch.id}.${words.toLowerCase()}`), `Save as ${words}`);
  const details = h("details", { ontoggle: () => details.children.length === 1 && details.append(table(state)) }, h("summary", null, "All figures"));
  return h("section", { class: "card stack", "aria-label": "Figures" }, before, toMind(state), h("div", { class: "files" }, file("CSV", "text/csv", () => csv(state)), file("JSON", "application/json", () => JSON.stringify({ ...batch, matrix: { ...matrix, row_names: state.rows, column_names: state.columns } }, null, 1)), file("SVG", "image/svg+xml", () => svg(state)), buttons), details);
}

/** Each warning once, with the first pair that has it: those of other pairs differ in their figures only. */
function toMind({ matrix, rows, columns }) {
  const names = new Map([...matrix.rows.map((id, i) => [id, rows[i]]), ...matrix.columns.map((id, i) => [id, columns[i]])]);
  const alike = Object.values(Object.groupBy(matrix.warnings, ({ warning }) => warning.replace(/\d[\d.,]*/g, "#")));
  return warningBox(alike.map(([{ row, column, warning }, ...others]) => `${names.get(row)} and ${names.get(column)}${others.length ? `, and ${plural(others.length, "more pair")}` : ""}: ${warning}`));
}

function table(state) {
  const { matrix, rows, columns } = state;
  const has = (name) => pairsOf(state).some(([i, j]) => Number.isFinite(matrix[name]?.[i][j]));
  const titles = { value: "Critic shows", lower_bound: "At least", upper_bound: "At most", simultaneous_lower_bound: "Together: at least", simultaneous_upper_bound: "Together: at most", p_value: "p-value", adjusted_p_value: "p, adjusted for all" };
  const shown = FIGURES.filter(has);
  const printed = (name, value) => (name.endsWith("lower_bound") ? roundedDown(value) : name.endsWith("upper_bound") ? roundedUp(value) : figure(value, name.endsWith("p_value") ? 2 : 3));
  return scrollBox("All figures", small(`${matrix.units ?? "Pairs are in different units"}; confidence: `, h("span", { class: "unbroken" }, percent(matrix.confidence))),
    h("table", null, h("thead", null, heads(["Pair", "Answer", ...shown.map((name) => titles[name])])),
      h("tbody", null, pairsOf(state).map(([i, j]) => {
        const { kind, status, isOld } = cellOf(matrix, i, j);
        return h("tr", null, rowHead(h("a", { href: `#/estimates/${matrix.estimates?.[i][j]}` }, `${rows[i]} and ${columns[j]}`)), h("td", null, kind ?? status ?? "deleted"), shown.map((name) => h("td", null, struck(printed(name, matrix[name][i][j]), isOld(name)))));
      }))));
}

function csv(state) {
  const { matrix, rows, columns } = state;
  const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const lines = pairsOf(state).map(([i, j]) => {
    const { isOld } = cellOf(matrix, i, j);
    return [rows[i], columns[j], matrix.rows[i], matrix.columns[j], matrix.estimates?.[i][j] ?? "", matrix.statuses?.[i][j] ?? "", ...FIGURES.map((name) => (isOld(name) ? "" : `${matrix[name]?.[i][j] ?? ""}`)), `${matrix.confidence}`, matrix.units ?? ""];
  });
  return [["source", "target", "source_id", "target_id", "estimate", "status", ...FIGURES, "confidence", "units"], ...lines].map((line) => `${line.map(quoted).join(",")}\r\n`).join("");
}

/** A picture that stands by itself, on white. */
function svg({ matrix, rows, columns, isSquare }) {
  const [wide, tall, left, top] = [110, 44, 150, 40];
  const high = Math.max(1e-300, ...matrix.lower_bound.flat().filter(Number.isFinite));
  const text = (x, y, words, more) => s("text", { x, y, "font-size": 12, fill: "#1a1f24", ...more }, words);
  const middle = { "text-anchor": "middle" };
  const short = (name) => (name.length > 18 ? `${name.slice(0, 17)}…` : name);
  const all = rows.flatMap((row, i) => [text(left - 8, top + i * tall + 26, short(row), { "text-anchor": "end" }), columns.map((_, j) => {
    const found = cellOf(matrix, i, j);
    const [x, y] = [left + j * wide, top + i * tall];
    const isSame = isSquare && i === j;
    const share = isSame || found.isOld("lower_bound") ? 0 : (found.lower ?? 0) / high;
    const lines = isSame ? [] : found.kind ? linesOf(found).map((part) => part?.textContent ?? part) : [found.status ?? "–"];
    return [s("rect", { x, y, width: wide - 3, height: tall - 3, fill: isSame ? "#e2e2dc" : "#075a73", "fill-opacity": isSame ? 1 : share, stroke: "#d0d0c8" }), lines.filter(Boolean).map((line, k) => text(x + wide / 2, y + 18 + 16 * k, line, { ...middle, fill: share > 0.6 ? "#fff" : "#1a1f24" }))];
  })]);
  const [width, height] = [left + columns.length * wide, top + rows.length * tall + 26];
  const drawn = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": "sans-serif" }, s("rect", { width, height, fill: "#fff" }), columns.map((column, j) => text(left + j * wide + wide / 2, top - 12, short(column), middle)), all,
    text(8, height - 8, `${matrix.units ?? "Pairs are in different units"}; each end ${percent(matrix.confidence)} by itself`));
  return new XMLSerializer().serializeToString(drawn);
}
