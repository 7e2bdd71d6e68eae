// What a sample set holds: its columns with kinds, levels and missing values, and what was left out of its file.

import { h, heads, rowHead, scrollBox, small } from "./dom.js";
import { bytes, describeShape, figure, momentText, plural, typeName, when, whole } from "./format.js";

const SHOWN_LEVELS = 6;
const MANY_LEVELS = 20;
const SHOWN_NAMES = 4;
const KINDS = { number: "number", boolean: "true or false", category: "category", time: "time" };

export const nameOf = (set) => set.name ?? set.id;

/** A set as a choice in a list: its name, its size, and when it came. */
export const optionText = (set) => `${nameOf(set)}: ${describeSet(set)}, ${when(set.created_at)}`;

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
  return [h("p", null, describeSet(set)), small(`${kind}, ${bytes(set.bytes)}${range}`), notesOf(set, reading), columnsOf(set)].filter(Boolean);
}

/** What was left out when the file was read; null if nothing was. */
function notesOf(set, reading) {
  return set.notes?.length ? h("ul", { class: "notes small" }, set.notes.map((note) => h("li", null, reading?.inWords(note) ?? note))) : null;
}

/** The columns of a set, {name, kind, levels, unit, start, figures}; null for images. Without names they are counted from 0. */
export function columnsIn(set) {
  if (set.shape.length !== 2) return null;
  const columns = set.table?.columns ?? Array.from({ length: set.shape[1] }, (_, i) => ({ name: set.columns?.[i] ?? `column ${i}`, kind: "number" }));
  return columns.map((column, i) => ({ ...column, figures: set.statistics?.columns?.[i] }));
}

/** A table in a box in which it scrolls. */
export const scrollTable = (label, head, rows) => scrollBox(label, h("table", null,
  h("thead", null, heads(head)), h("tbody", null, rows)));

const MOST_OPEN = 8; // columns that are shown without a click

function columnsOf(set) {
  const columns = columnsIn(set);
  if (!columns || (columns.length > MOST_ROWS && !set.columns && !set.table)) return null;
  const hasMissing = columns.some(({ figures }) => figures?.missing > 0);
  return h("details", { class: "columns small", open: columns.length <= MOST_OPEN }, h("summary", null, plural(columns.length, "column")),
    scrollTable(`Columns of ${nameOf(set)}`, ["Column", "Kind", "Values", ...(hasMissing ? ["Missing"] : [])],
      columns.slice(0, MOST_ROWS).map((column) => h("tr", null, rowHead(column.name), h("td", null, kindOf(column)), h("td", null, valuesOf(column)), hasMissing && h("td", { class: "number" }, whole(column.figures?.missing ?? 0))))), moreColumns(columns));
}

export const MOST_ROWS = 200; // of a table of columns
const moreColumns = ({ length }) => (length > MOST_ROWS ? h("p", { class: "soft" }, `and ${whole(length - MOST_ROWS)} more`) : null);
export const kindOf = ({ kind }) => KINDS[kind] ?? kind;

/** The levels of a column with how many rows have each, its range, or its first and last date. */
export function valuesOf({ kind, levels, unit, start, figures }) {
  if (kind === "category" || kind === "boolean") {
    const counts = figures?.levels ? Object.entries(figures.levels) : (levels ?? []).map((level) => [level, null]);
    const all = figures?.distinct ?? counts.length;
    if (all > MANY_LEVELS) return `${whole(all)} levels, such as ${counts.slice(0, 2).map(([level]) => level).join(" and ")}`;
    const rest = all - Math.min(counts.length, SHOWN_LEVELS);
    const shown = counts.slice(0, SHOWN_LEVELS).map(([level, count]) => (count === null ? level : `${level} (${whole(count)})`));
    return shown.join(", ") + (rest > 0 ? ` and ${whole(rest)} more` : "");
  }
  if (!Number.isFinite(figures?.min)) return "";
  const ends = [figures.min, figures.max].map((value) => (kind === "time" ? momentText(value, { unit, start }) : Number.isInteger(value) && Math.abs(value) < 1e7 ? whole(value) : figure(value)));
  return ends[0] === ends[1] ? `always ${ends[0]}` : ends.join(" to ");
}

/** A value of a row as people read it: the level of a code, the number otherwise; NaN is missing. */
export function valueText(value, column) {
  if (Number.isNaN(value)) return "missing";
  if (column?.kind === "category") return column.levels[value] ?? figure(value);
  if (column?.kind === "boolean") return value ? "true" : "false";
  if (column?.kind === "time") return momentText(value, column);
  return figure(value);
}
