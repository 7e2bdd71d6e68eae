// A matrix: all pairs of several sample sets, as a heat map ordered so that similar sets are adjacent.

import * as api from "./api.js";
import { fetchContract } from "./contract.js";
import { alertBox, announce, h, hiddenText, notYet, quiet, remark, sleep, spread, stack, uniqueId } from "./dom.js";
import { plural } from "./format.js";
import { figuresCard } from "./exports.js";
import { heatMap, pairsOf } from "./heat.js";
import { renamable } from "./names.js";
import { OptionsForm } from "./options.js";
import { rankingCard } from "./ranking.js";
import { list } from "./pair.js";
import { ReadingForm, textColumns } from "./reading.js";
import { columnsIn, describeSet, nameOf, optionText } from "./sets.js";
import { uploadFile } from "./upload.js";
import { runBatchAgain, withdrawnNotice } from "./withdrawn.js";

const POLL_SECONDS = 1.5;
const MOST_SETS = 100;
const entries = new Map(); // key -> {name, set, progress, error, file, by}; kept while the page is open
let options = null;
let reading = null;
let kept = {}; // options of the matrix that is done again which the form has no control for
const split = h("input", { type: "text", id: uniqueId("by"), autocomplete: "off", spellcheck: "false", placeholder: "none" });

async function prepare() {
  const together = ["simultaneous", "What the confidence holds for", { false: "each pair by itself", true: "each pair, and all together" }];
  const question = ["compare", "What to compare", { false: "every pair", true: "the first with the others: which is closest?" }];
  const contract = await fetchContract();
  options ??= new OptionsForm(contract, "BatchRequest", ["Compare ", question, ". The confidence holds for ", together, "."]);
  reading ??= new ReadingForm(contract);
}

export async function showMatrix(main, signal) {
  await prepare();
  if (signal.aborted) return;
  const list = h("ul", { class: "set-list" });
  const message = h("div");
  const as = h("div");
  const draw = () => (message.replaceChildren(), list.replaceChildren(...[...entries].map(([key, entry]) => setLine(key, entry, draw))));
  reading.again = () => readAgain(draw);
  split.onchange = () => new Set([...entries.values()].map(({ file, set }) => set && (file ?? set))).size === 1 && readAgain(draw, column()); // one file, or all refused
  const earlier = h("div");
  const button = h("button", { type: "submit", class: "primary" });
  const asked = options.fields.get("compare");
  const name = () => (button.textContent = asked.read() ? "Find the closest" : "Estimate all pairs");
  asked.control.addEventListener("change", name);
  name();
  main.append(
    h("section", { class: "stack" }, h("h1", null, "All distances among several populations"),
      h("p", { class: "lead" }, "Drop one file for each population, or one table that holds them all. Every pair gets its own bound; the matrix shows which are near each other.")),
    h("form", { class: "card", novalidate: true, onsubmit: (event) => (event.preventDefault(), submit(button, message)) },
      h("p", { class: "sentence" }, h("label", { for: split.id }, "Make one set for each value in the column "), split, " of a file."),
      dropMany((files) => files.forEach((file) => add(file, draw)), earlier), reading.element, list, options.element, as, message, h("div", { class: "spread actions" }, button)));
  if (Object.keys(kept).length) as.append(h("p", { class: "note" }, `As before, too: ${Object.keys(kept).join(", ")}. `, h("button", { class: "link", onclick: () => as.replaceChildren((kept = {}) && "") }, "Leave that out")));
  draw();
  const page = await api.sampleSets();
  if (signal.aborted) return;
  if (page.data.length) earlier.replaceWith(earlierSets(page.data, draw));
}

function dropMany(onFiles, earlier) {
  const input = h("input", { type: "file", multiple: true, class: "visually-hidden", id: uniqueId("file"), onchange: (event) => {
    onFiles([...event.target.files]);
    event.target.value = "";
  } });
  const box = h("div", { class: "drop", role: "region", "aria-label": "Files" }, h("div", { class: "chooser" }, input, h("label", { for: input.id, class: "button" }, "Choose files"),
    remark("or drop them here, all with the same columns"), earlier));
  box.addEventListener("dragover", () => box.classList.add("over"));
  box.addEventListener("dragleave", () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    box.classList.remove("over");
    onFiles([...event.dataTransfer.files]);
  });
  return box;
}

function earlierSets(sets, draw) {
  const select = h("select", { "aria-label": "Add a set uploaded before", onchange: () => {
    const set = sets.find((each) => each.id === select.value);
    entries.set(set.id, { name: nameOf(set), set });
    select.value = "";
    draw();
  } }, h("option", { value: "" }, `or add one of ${plural(sets.length, "earlier set")} …`), sets.map((set) => h("option", { value: set.id }, optionText(set))));
  return select;
}

/** The column that tells the sets of a file apart, or null. */
const column = () => split.value.trim() || null;

/** Sends a file; what it becomes takes the place of its line, or of the line of an earlier reading, `place`. */
async function add(file, draw, by = column(), place = null) {
  const key = uniqueId("entry");
  const abort = new AbortController();
  const entry = { name: file.name, set: null, progress: 0, error: null, abort, file, by };
  if (place === null) entries.set(key, entry);
  else replace(place, [[key, entry]]);
  draw();
  try {
    const sets = await uploadFile(file, { reading: reading.read(), by, signal: abort.signal, onProgress: (share) => entry.show?.((entry.progress = share)) });
    if (!entries.has(key)) return;
    replace(key, sets.map((set) => [set.id, { name: by ? nameOf(set) : file.name, set, file, by }]));
    announce(by ? `${file.name} is uploaded: ${plural(sets.length, "set")}.` : `${file.name} is uploaded.`);
  } catch (error) {
    if (error.name === "AbortError") return;
    Object.assign(entry, { error, progress: null });
  }
  draw();
}

/** Puts other entries in the place of one. */
function replace(key, others) {
  const inPlace = [...entries].flatMap(([each, old]) => (each === key ? others : [[each, old]]));
  entries.clear();
  for (const [each, value] of inPlace) entries.set(each, value);
}

/** Reads the files once more, each in the place of its first set. Sets that were uploaded before stay as they are. */
function readAgain(draw, splitBy) {
  const files = new Map();
  for (const [key, { file, by, abort }] of [...entries]) {
    if (!file) continue;
    abort?.abort();
    if (files.has(file)) entries.delete(key);
    else files.set(file, [key, by]);
  }
  for (const [file, [key, by]] of files) add(file, draw, splitBy === undefined ? by : splitBy, key);
}

function toFront(key, draw) {
  const all = [...entries].sort(([one], [other]) => (other === key) - (one === key));
  entries.clear();
  for (const [each, value] of all) entries.set(each, value);
  draw();
}

function setLine(key, entry, draw) {
  const remove = quiet(() => {
    entry.abort?.abort();
    entries.delete(key);
    draw();
  }, "Remove", hiddenText(` ${entry.name}`));
  let state = null;
  if (entry.error) state = stack(reading.refusal(entry.error), entry.by ? null : splits(entry.error, draw));
  else if (entry.set) state = remark(describeSet(entry.set), entry.set.notes?.map((note) => h("span", { class: "block" }, reading.inWords(note))));
  else {
    state = h("progress", { max: 1, value: entry.progress, "aria-label": `Sending ${entry.name}` });
    entry.show = (share) => (state.value = share);
  }
  const isFirst = entries.keys().next().value === key;
  const first = !isFirst && entry.set && quiet(() => toFront(key, draw), "Put first", hiddenText(` ${entry.name}`));
  return h("li", null, h("strong", null, entry.name), h("div", null, state), h("span", { class: "row-end" }, first, remove));
}

/** Buttons that split the files by a column of text which a refusal names. */
const splits = (error, draw) => [...textColumns(error.detail ?? "")].filter(([, kind]) => kind === "categories").map(([name]) => h("button", { onclick: () => readAgain(draw, (split.value = name)) }, `Make one set for each value in ${name}`));

async function submit(button, message) {
  if (button.getAttribute("aria-disabled")) return;
  const chosen = [...entries.values()].filter((entry) => entry.set);
  const refuse = (words, next) => message.replaceChildren(notYet(words, next));
  if ([...entries.values()].some((entry) => !entry.set && !entry.error)) return refuse("a file is still on its way.", "Wait until it is uploaded, then press the button again.");
  if (chosen.length < 2) return refuse("a matrix needs at least two sets.", "Choose more files, or name the column that tells the populations of one apart.");
  const isComparison = options.fields.get("compare").read();
  if (isComparison && chosen.length < 3) return refuse("there is nothing to choose from.", "Give the reference first, then at least two others.");
  if (chosen.length > MOST_SETS) return refuse(`at most ${MOST_SETS} sets fit in one matrix here.`, "Remove some, or use the HTTP API.");
  message.replaceChildren();
  const differing = otherColumns(chosen);
  if (differing) return message.replaceChildren(differing);
  const values = options.read();
  if (!values) return;
  button.setAttribute("aria-disabled", "true");
  try {
    const [first, ...others] = chosen.map((entry) => entry.set.id);
    const batch = await api.createBatch(isComparison ? { reference: first, targets: others, ...kept, ...values } : { matrix: [first, ...others], ...kept, ...values });
    kept = {};
    location.hash = `#/batches/${batch.id}`;
  } catch (error) {
    options.show(error.fields ?? {});
    message.replaceChildren(alertBox(error));
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** Why sets with other columns than the first are not compared, with what mends it; null if all have the same. */
function otherColumns(chosen) {
  const names = chosen.map(({ set }) => (set.table ?? set.columns) && columnsIn(set).map(({ name }) => name));
  const odd = names.findIndex((each) => each && names[0] && each.join("\n") !== names[0].join("\n"));
  if (odd < 0) return null;
  const shared = names[0].filter((name) => names.every((each) => !each || each.includes(name)));
  const box = notYet(`${chosen[0].name} and ${chosen[odd].name} differ in their columns.`);
  const act = h("button", { onclick: () => (reading.only(shared), reading.again()) }, `Compare what they share: ${list(shared)}`);
  if (shared.length) box.append(chosen.every(({ file }) => file) ? h("div", { class: "remedies" }, act) : h("p", null, "Choose files, not earlier sets."));
  return box;
}

/** A running or finished matrix. */
export async function showBatch(main, signal, id) {
  const head = h("div", { class: "stack" });
  const title = h("div");
  const message = h("div");
  const box = h("section", { class: "card" });
  const notice = h("div");
  const more = h("div");
  main.append(stack(title, head), message, notice, box, more);
  let [map, said, names] = [null, null, null];
  const trouble = (error) => message.replaceChildren(alertBox(error));
  const entitle = (batch) => title.replaceChildren(h("h1", { class: "pair" }, renamable(h("span", null, batch.name ?? titleOf(batch)), batch.name, (name) => api.renameBatch(id, name).then(() => {
    announce("The name is changed.");
    entitle({ ...batch, name });
  }, trouble))));
  while (!signal.aborted) {
    const matrix = await api.matrix(id, signal);
    const batch = await api.batch(id, signal);  // after the matrix, so that the counts of a complete one are the last
    names ??= await namesOf([...matrix.rows, ...matrix.columns]);
    if (signal.aborted) return;
    if (!map) entitle(batch);
    head.replaceChildren(...heading(batch, trouble));
    if (matrix.withdrawn && !notice.hasChildNodes()) notice.append(withdrawnNotice(matrix.withdrawn, () => runBatchAgain(batch)));
    map ??= heatMap(box);
    const [rows, columns] = [matrix.rows, matrix.columns].map((ids) => ids.map((each) => names.get(each)));
    const state = { matrix, rows, columns, isSquare: rows.length === columns.length && matrix.rows.every((each, i) => each === matrix.columns[i]) };
    map.show(state);
    const isOver = matrix.complete;
    if (isOver && batch.options.compare) box.before(rankingCard(await api.comparison(id, signal)));
    if (isOver && said === false) announce("The matrix is finished.");
    said = isOver;
    if (isOver) return more.replaceWith(figuresCard(batch, state, [await failures(state), h("button", { onclick: () => again(batch).catch(trouble) }, "Do this again")]));
    await sleep(POLL_SECONDS);
  }
}

async function namesOf(ids) {
  const found = await Promise.all([...new Set(ids)].map(async (id) => [id, await api.sampleSet(id).then((set) => set.name ?? id, () => `${id} (deleted)`)]));
  return new Map(found);
}

const titleOf = (batch) => (batch.options.compare ? `Which of ${batch.sets.length - 1} populations is closest?` : batch.kind === "reference" ? `One population against ${plural(batch.sets.length - 1, "other")}` : `Distances among ${plural(batch.sets.length, "population")}`);

function heading(batch, trouble) {
  const { counts } = batch;
  const { total } = counts;
  const ended = (counts.succeeded ?? 0) + (counts.failed ?? 0) + (counts.canceled ?? 0);
  const stop = () => api.cancelBatch(batch.id).then(() => announce("The matrix stops."), trouble);
  const isOver = ["finished", "canceled"].includes(batch.status);
  return [spread(h("p", { class: "soft" }, `${ended} of ${plural(total, "pair")} done`, counts.failed ? `, ${counts.failed} failed` : "", counts.canceled ? `, ${counts.canceled} stopped` : ""), !isOver && h("button", { onclick: stop }, "Stop all")),
    isOver ? null : h("progress", { max: total || 1, value: ended, "aria-label": "Pairs done" })].filter(Boolean);
}

const TOLD_FAILURES = 5;

/** Why pairs failed, the first few of them; null if none did. */
async function failures({ matrix, rows, columns, isSquare }) {
  const failed = pairsOf({ rows, columns, isSquare }).filter(([i, j]) => matrix.statuses?.[i][j] === "failed");
  if (failed.length === 0) return null;
  const told = await Promise.all(failed.slice(0, TOLD_FAILURES).map(async ([i, j]) => {
    const id = matrix.estimates[i][j];
    const reason = await api.estimate(id).then(({ error }) => error?.message, () => null);
    return h("li", null, h("a", { href: `#/estimates/${id}` }, `${rows[i]} and ${columns[j]}`), `: ${reason ?? "the reason is not known"}`);
  }));
  return h("section", { class: "alert", role: "note" }, h("p", null, h("strong", null, `${plural(failed.length, "pair")} failed.`), failed.length > told.length && " The first of them:"), h("ul", { class: "pairs" }, told));
}

/** Fills the form with a batch's sets and options, and shows it. */
async function again(batch) {
  if (batch.kind === "reference" && !batch.options.compare) return void (location.hash = await runBatchAgain(batch)); // the form has no such question
  const sets = await Promise.all(batch.sets.map((id) => api.sampleSet(id)));
  await prepare();
  entries.clear();
  for (const set of sets) entries.set(set.id, { name: nameOf(set), set });
  options.fill(batch.options);
  kept = Object.fromEntries(Object.entries(batch.options).filter(([name, value]) => value !== null && !options.fields.has(name)));
  location.hash = "#/matrix";
}
