// The witness function: the critic's scores on both sets, and the rows that differ most.

import * as api from "./api.js";
import { alertBox, h } from "./dom.js";
import { figure, whole } from "./format.js";
import { histogramPicture } from "./histogram.js";
import { fetchRows, imageShape, sampleRows, thumbnail } from "./rows.js";
import { separation, valueText } from "./sets.js";

const SHOWN_ROWS = 6;
const SHOWN_IMAGES = 12;
const SHOWN_COLUMNS = 7;
const EVALUATED_ROWS = 10_000; // a larger set is sampled

/** A card that fills itself once the server has scored the rows. */
export function witnessView(estimate, source, target) {
  const body = h("div", { class: "stack wide" }, h("p", { class: "soft" }, "Scoring rows of both sets …"));
  const fill = () => load(estimate, source, target).then((parts) => body.replaceChildren(...parts), (error) => body.replaceChildren(alertBox(error, fill)));
  fill();
  return h("section", { class: "card" }, h("h2", null, "Which rows make the difference"),
    h("p", { class: "soft small" }, "The critic f gives every row a score: low for what is typical of the source, high for the target. Scores of rows one unit apart differ by at most one unit, so the gap between the two means cannot exceed the distance."), body);
}

async function load(estimate, source, target) {
  const sets = { source, target };
  const names = { source: source.name ?? source.id, target: target.name ?? target.id };
  const scored = {};
  for (const side of ["source", "target"]) scored[side] = await score(estimate.id, sets[side]);
  const scores = { source: scored.source.scores, target: scored.target.scores };
  const parts = [histogramPicture(scores, names), h("p", { class: "small soft" }, coverage(scored, sets), " The bound uses unseen rows only; this picture also shows rows that the critic learned from.")];
  const extremes = { source: order(scores.source, (one, other) => one - other), target: order(scores.target, (one, other) => other - one) };
  const image = imageShape(source.shape, estimate.options.layout);
  for (const side of ["source", "target"]) {
    const places = extremes[side].slice(0, image ? SHOWN_IMAGES : SHOWN_ROWS);
    const indices = places.map((place) => scored[side].indices?.[place] ?? place);
    const values = await fetchRows(sets[side], indices);
    if (!values) continue;
    const entries = indices.map((index, i) => ({ index, score: scores[side][places[i]], values: values[i] }));
    const title = h("h3", null, h("span", { class: `key ${side}` }, side === "source" ? "Source rows least like the target" : "Target rows least like the source"));
    const isTied = entries.length > 1 && entries[0].score === entries.at(-1).score;
    const note = isTied ? h("p", { class: "small soft" }, "Scores are cut off at a limit, and these rows are all beyond it.") : null;
    parts.push(h("div", { class: "stack" }, title, note ?? "", unusualRows(entries, side, sets, image)));
  }
  return parts;
}

/** Rows {index, score, values} of one side, as pictures if `image` says how they are images, else as a table. */
export const unusualRows = (entries, side, sets, image) => (image ? gallery(entries, image, sets) : table(entries, side, sets));

/** {scores, indices}; indices is null if every row was scored. */
async function score(id, set) {
  if (set.rows <= EVALUATED_ROWS) return { scores: await api.scores(id, set), indices: null };
  const sample = set.table ? null : await sampleRows(set); // rows of codes are encoded by the server
  if (!sample) throw new api.ApiError("These rows cannot be scored here:", `${set.name ?? set.id} is ${set.table ? "a table of several kinds" : "stored in Fortran order"} and has more than ${whole(EVALUATED_ROWS)} rows.`, "Score it with result.critic.evaluate in Python.");
  return { scores: await api.scores(id, set, sample.file), indices: sample.indices };
}

const order = (scores, compare) => scores.map((_, i) => i).sort((one, other) => compare(scores[one], scores[other]));

function coverage(scored, sets) {
  const parts = ["source", "target"].map((side) => [scored[side].scores.length, sets[side].rows, side]);
  const partial = parts.filter(([shown, rows]) => shown < rows);
  return partial.length ? `${partial.map(([shown, rows, side]) => `${whole(shown)} of ${whole(rows)} ${side} rows, from all over the file`).join("; ")}.` : "All rows of both sets.";
}

function gallery(entries, image, { source, target }) {
  const range = [Math.min(source.statistics.min, target.statistics.min), Math.max(source.statistics.max, target.statistics.max)];
  return h("ul", { class: "gallery" }, entries.map(({ index, score, values }) =>
    h("li", null, thumbnail(values, image, range, `Image ${index}, score ${figure(score, 3)}`), h("span", { class: "small soft" }, `${figure(score, 3)}`))));
}

/** A table of rows. Columns that differ most come first, and values far from the other set are highlighted. */
function table(entries, side, sets) {
  const other = sets[side === "source" ? "target" : "source"];
  const own = sets[side].statistics.columns;
  const far = other.statistics.columns;
  const width = entries[0].values.length;
  const differs = (i) => (own && far ? separation(own[i], far[i], [sets[side].rows, other.rows]) : 0);
  const shown = Array.from({ length: width }, (_, i) => i).sort((one, two) => differs(two) - differs(one) || one - two).slice(0, SHOWN_COLUMNS).sort((one, two) => one - two);
  const name = (i) => sets[side].columns?.[i] ?? other.columns?.[i] ?? `column ${i}`;
  const described = sets[side].table?.columns;
  const cell = (value, i) => {
    const deviations = far && Number.isFinite(far[i].mean) && Number.isFinite(value) ? Math.abs(value - far[i].mean) / (far[i].std || 1) : 0;
    return h("td", { class: deviations > 2 ? "number striking" : "number", title: deviations ? `${deviations.toFixed(1)} standard deviations from the mean of the other set` : null }, valueText(value, described?.[i]));
  };
  return h("div", { class: "stack" },
    h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": `Unusual ${side} rows` }, h("table", null,
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "row"), h("th", { scope: "col", class: "number" }, "score"), shown.map((i) => h("th", { scope: "col", class: "number" }, name(i))))),
      h("tbody", null, entries.map(({ index, score, values }) => h("tr", null, h("th", { scope: "row" }, whole(index)), h("td", { class: "number" }, figure(score, 3)), shown.map((i) => cell(values[i], i))))))),
    h("p", { class: "small soft" }, shown.length < width ? `The ${shown.length} of ${whole(width)} columns that differ most. ` : "", far ? "Bold: more than two standard deviations from the other set’s mean." : ""));
}
