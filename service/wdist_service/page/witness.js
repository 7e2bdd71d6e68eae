// The witness of an estimate: the columns that carry the distance, the scores of held-out rows, and the most unusual rows.

import * as api from "./api.js";
import { columnList, columnName } from "./columns.js";
import { alertBox, card, h, remark, rowHead, scrollBox, small, stack } from "./dom.js";
import { figure, percent, short, whole } from "./format.js";
import { histogramPicture } from "./histogram.js";
import { fetchRows, imageShape, thumbnail } from "./rows.js";
import { nameOf, valueText } from "./sets.js";
import { againButton, runAgain } from "./withdrawn.js";

const SHOWN_ROWS = 6;
const SHOWN_COLUMNS = 7;
const RARE = 0.02; // a level that so few rows of the other set have is marked

/** Cards that fill themselves once the server has sent the witness. isComplete: whether both sets are still there. */
export function witnessView(estimate, source, target, isComplete) {
  const box = h("div", { class: "stack wide" }, h("p", { class: "soft" }, "Fetching the columns and rows …"));
  const fill = () => load(estimate, { source, target }, isComplete).then((parts) => box.replaceChildren(...parts), (error) => box.replaceChildren(alertBox(error, fill)));
  fill();
  return box;
}

async function load(estimate, sets, isComplete) {
  let witness;
  try {
    witness = await api.witness(estimate.id);
  } catch (error) {
    if (error.status !== 404) throw error;
    return [withoutWitness(estimate, isComplete)];
  }
  const names = { source: nameOf(sets.source), target: nameOf(sets.target) };
  const shape = sets.source.shape ?? sets.target.shape;
  const image = shape && imageShape(shape, estimate.options.layout);
  return [!image && columnsCard(witness, estimate.result, names), await rowsCard(witness, estimate.result, sets, names, image)].filter(Boolean);
}

function withoutWitness(estimate, isComplete) {
  return card(h("h2", null, "Which columns make the difference"),
    h("p", { class: "soft" }, "An earlier version made this estimate, and kept neither columns nor rows. A new run shows them."), isComplete && !estimate.result.withdrawn && h("div", null, againButton("Run again for its columns and rows", () => runAgain(estimate), "")));
}

function columnsCard({ columns }, { confidence, split }, names) {
  if (columns.length === 0) return null;
  const hold = columns[0].lower_bound === null ? "" : ` The bounds are on the distance of a column alone, and hold for all columns together, with ${split === "blocks" ? "approximately " : ""}${percent(confidence)} confidence.`;
  return card(h("h2", null, "Which columns make the difference"),
    small(`Those that carry most of it come first.${hold}`), columnList(columns, { names }));
}

async function rowsCard({ unusual, histogram, means, columns }, result, sets, names, image) {
  const lists = [];
  for (const side of ["source", "target"]) {
    const title = h("h3", null, h("span", { class: `key ${side}` }, side === "source" ? "Source rows least like the target" : "Target rows least like the source"));
    lists.push(stack(title, await rowsOf(image ? unusual[side] : unusual[side].slice(0, SHOWN_ROWS), side, sets, image, columns.map(({ name }) => name))));
  }
  return card(h("h2", null, "Which rows make the difference"),
    small("The critic f gives every row a score: low for what is typical of the source, high for the target. Rows one unit apart have scores at most one unit apart, so the gap between the means is no more than the distance, chance apart. All these rows are held out."),
    histogramPicture(histogram, means, names), clipped(result, means),
    small("Scores have no zero of their own: a target row may be below 0 and still above most source rows."),
    h("div", { class: "stack wide" }, lists));
}

/** Why the means are further apart than the value; null if they are not. */
function clipped({ value }, means) {
  if (!means) return null;
  const apart = means.target - means.source;
  if (short(apart) === short(value)) return null;
  return small(`The value is ${short(value)} and not ${short(apart)}, because rare scores are clipped for the bound.`);
}

/** Unusual rows with their values, or only their numbers where the set was deleted or its rows cannot be fetched one by one. */
async function rowsOf(unusual, side, sets, image, ranking) {
  const values = sets[side].deleted ? null : await fetchRows(sets[side], unusual.map(({ row }) => row));
  const entries = unusual.map(({ row, score }, i) => ({ index: row, score, values: values?.[i] }));
  if (values) return unusualRows(entries, side, sets, image, ranking);
  return h("p", null, entries.map(({ index, score }) => `row ${whole(index)} (${figure(score, 3)})`).join(", "), ". ", numbering(sets[side]));
}

/** What the numbers of rows count. A set is stored without the rows that were left out when it was read. */
function numbering(set) {
  const kept = set.notes?.some((note) => note.includes("missing values and were left out"));
  return `Row numbers are those of ${nameOf(set)}, from 0${kept ? `; they count only the ${whole(set.rows)} rows that were kept, not those left out` : ""}.`;
}

/** Rows {index, score, values} of one side, as images or as a table; `ranking` has names of columns to show first. */
export const unusualRows = (entries, side, sets, image, ranking = []) => (image ? gallery(entries, image, sets) : table(entries, side, sets, ranking));

function gallery(entries, image, { source, target }) {
  const range = [source, target].filter(({ deleted }) => !deleted).map(({ statistics: { min, max } }) => [min, max]);
  const ends = [Math.min(...range.map(([low]) => low)), Math.max(...range.map(([, high]) => high))];
  return h("ul", { class: "gallery" }, entries.map(({ index, score, values }) =>
    h("li", null, thumbnail(values, image, ends, `Image ${index}, score ${figure(score, 3)}`), remark(`row ${whole(index)}`, h("span", { class: "block" }, figure(score, 3))))));
}

/** A table of rows. The first columns of `ranking` are shown, and values that are unusual in the other set are marked. */
function table(entries, side, sets, ranking) {
  const other = sets[side === "source" ? "target" : "source"];
  const width = entries[0].values.length;
  const described = sets[side].table?.columns;
  const name = (i) => described?.[i].name ?? sets[side].columns?.[i] ?? other.columns?.[i] ?? String(i);
  const heads = Array.from({ length: width }, (_, i) => name(i));
  const places = (other.table?.columns ?? other.columns ?? heads).map((each, i) => [each?.name ?? each, i]);
  const far = new Map(places.map(([each, i]) => [each, other.statistics?.columns?.[i]]));
  const place = (i) => (ranking.indexOf(heads[i]) + ranking.length + 1) % (ranking.length + 1); // those without a rank come last
  const shown = heads.map((_, i) => i).sort((one, two) => place(one) - place(two) || one - two).slice(0, SHOWN_COLUMNS);
  const cell = (value, i) => {
    const text = valueText(value, described?.[i]);
    const why = unusual(value, text, far.get(heads[i]), other.rows);
    return h("td", { class: why ? "number striking" : "number", title: why }, text);
  };
  return h("div", { class: "stack" },
    scrollBox(`Unusual ${side} rows`, h("table", { class: "rows" },
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "row"), h("th", { scope: "col", class: "number" }, "score"), shown.map((i) => h("th", { scope: "col", class: "number" }, columnName(heads[i]))))),
      h("tbody", null, entries.map(({ index, score, values }) => h("tr", null, rowHead(whole(index)), h("td", { class: "number" }, figure(score, 3)), shown.map((i) => cell(values[i], i))))))),
    small(shown.length < width ? `${shown.length} of ${whole(width)} columns. ` : "", numbering(sets[side]), other.statistics?.columns ? " Bold: unusual in the other set, by more than two standard deviations or as a rare level." : ""));
}

/** Why a value is unusual in the other set, whose figures of the column are `far`; null if it is not. */
function unusual(value, text, far, rows) {
  if (far?.levels) return (far.levels[text] ?? 0) < RARE * rows && Object.keys(far.levels).length === (far.distinct ?? 0) ? `${whole(far.levels[text] ?? 0)} rows of the other set have it` : null;
  const deviations = Number.isFinite(far?.mean) ? Math.abs(value - far.mean) / (far.std || 1) : 0;
  return deviations > 2 ? `${deviations.toFixed(1)} standard deviations from the mean of the other set` : null;
}
