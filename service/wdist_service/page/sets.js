// What a sample set holds: its columns with kinds, levels and missing values, and what was left out of its file.

import { h } from "./dom.js";
import { bytes, describeShape, figure, momentText, plural, typeName, whole } from "./format.js";

const SHOWN_LEVELS = 6;
const SHOWN_NAMES = 4;
const KINDS = { number: "number", boolean: "true or false", category: "category", time: "time" };

export const nameOf = (set) => set.name ?? set.id;

/** A set as a choice in a list: its name and size. */
export const optionText = (set) => `${nameOf(set)} (${set.shape.join(" × ")})`;

/** "5,000 rows of 8 columns" for a table with names; otherwise by its shape. */
export function describeSet(set) {
  const names = set.table?.columns ?? set.columns;
  return names ? `${plural(set.rows, "row")} of ${plural(names.length, "column")}` : describeShape(set.shape);
}

/** The names of the columns, cut short. */
export function columnNames(set) {
  const names = set.table?.columns.map(({ name }) => name) ?? set.columns;
  if (!names) return null;
  return names.slice(0, SHOWN_NAMES).join(", ") + (names.length > SHOWN_NAMES ? ` and ${whole(names.length - SHOWN_NAMES)} more` : "");
}

/** Elements that tell what the server has made of a file; `reading` puts its notes into the form's words. */
export function setDetails(set, reading) {
  const { min, max } = set.statistics ?? {};
  const range = Number.isFinite(min) ? `, values from ${figure(min)} to ${figure(max)}` : "";
  const kind = set.table ? "a table of several kinds" : typeName(set.dtype);
  return [h("p", null, describeSet(set)), h("p", { class: "small soft" }, `${kind}, ${bytes(set.bytes)}${range}`), notesOf(set, reading), columnsOf(set)].filter(Boolean);
}

/** What was left out when the file was read; null if nothing was. */
function notesOf(set, reading) {
  return set.notes?.length ? h("ul", { class: "notes small" }, set.notes.map((note) => h("li", null, reading?.inWords(note) ?? note))) : null;
}

function columnsOf(set) {
  const columns = set.table?.columns ?? set.columns?.map((name) => ({ name, kind: "number" }));
  if (!columns) return null;
  const figures = set.statistics?.columns;
  const hasMissing = figures?.some((each) => each?.missing > 0);
  return h("details", { class: "columns small" }, h("summary", null, plural(columns.length, "column")),
    h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": `Columns of ${nameOf(set)}` }, h("table", null,
      h("thead", null, h("tr", null, ["Column", "Kind", "Values", ...(hasMissing ? ["Missing"] : [])].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, columns.map((column, i) => h("tr", null, h("th", { scope: "row" }, column.name), h("td", null, KINDS[column.kind] ?? column.kind),
        h("td", null, valuesOf(column, figures?.[i])), hasMissing && h("td", { class: "number" }, whole(figures[i]?.missing ?? 0))))))));
}

/** The levels of a column with how many rows have each, or its range. */
function valuesOf({ kind, levels, unit, start }, figures) {
  if (kind === "category" || kind === "boolean") {
    const counts = figures?.levels ? Object.entries(figures.levels) : (levels ?? []).map((level) => [level, null]);
    const rest = (figures?.distinct ?? counts.length) - Math.min(counts.length, SHOWN_LEVELS);
    const shown = counts.slice(0, SHOWN_LEVELS).map(([level, count]) => (count === null ? level : `${level} (${whole(count)})`));
    return shown.join(", ") + (rest > 0 ? ` and ${whole(rest)} more` : "");
  }
  const range = Number.isFinite(figures?.min) ? `${figure(figures.min)} to ${figure(figures.max)}` : "";
  return kind === "time" ? `${range} ${unit} since ${start}` : range;
}

/** A value of a row as people read it: the level of a code, the number otherwise; NaN is missing. */
export function valueText(value, column) {
  if (Number.isNaN(value)) return "missing";
  if (column?.kind === "category") return column.levels[value] ?? figure(value);
  if (column?.kind === "boolean") return value ? "true" : "false";
  if (column?.kind === "time") return momentText(value, column);
  return figure(value);
}
