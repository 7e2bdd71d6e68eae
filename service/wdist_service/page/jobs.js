// All estimates and sample sets of this key's tenant, newest first.

import * as api from "./api.js";
import { unitsOf } from "./asked.js";
import { alertBox, announce, h, quiet, rowHead, sleep, under } from "./dom.js";
import { badge } from "./badge.js";
import { hasEnded } from "./events.js";
import { bytes, duration, percent, plural, roundedDown, roundedUp, typeName, unbroken, when } from "./format.js";
import { cell, lineButton, Listing } from "./listing.js";
import { renamable } from "./names.js";
import { columnNames, describeSet, nameOf } from "./sets.js";
import { isWithdrawn, runAgain, struck, withdrawnBadge } from "./withdrawn.js";

const POLL_SECONDS = 2;
const TYPING_MS = 250;
const DELETED = "(deleted)";
const STATES = [["", "in any state"], ["queued,running,canceling", "not done yet"], ["succeeded", "done"], ["failed", "failed"], ["canceled", "stopped"]];

export async function showJobs(main, signal) {
  const names = new Map();
  const message = h("div");
  const ticked = new Set();
  const jobs = new Listing("Estimates", ["Compare", "Estimate", "Asked", "Answer", "State", ""], api.estimates, (job) => jobRow(job, { names, act, tick: tick(job), untick: () => ticked.delete(job.id), isTicked: ticked.has(job.id) }));
  const sets = new Listing("Sample sets", ["Name", "Content", "Size", "Uploaded", ""], api.sampleSets, (set) => setRow(set, act));
  const batches = new Listing("Matrices and batches", ["Batch", "State", "Done", "Started", ""], api.batches, (batch) => batchRow(batch, names, act));
  const compare = quiet(() => {
    if (isReady()) location.hash = `#/runs/${[...ticked].join(",")}`;
  });
  // Ticks outlast a search, so that runs can be found one after the other.
  const tick = (job) => ({ target }) => (ticked[target.checked ? "add" : "delete"](job.id), count());
  const isReady = () => ticked.size > 1 && ticked.size < 5;
  function count() {
    compare.setAttribute("aria-disabled", String(!isReady()));
    compare.textContent = isReady() ? `Compare the ${ticked.size} ticked runs` : "Compare runs: tick two to four";
  }
  count();
  async function act(words, work) {
    message.replaceChildren();
    try {
      await work();
      announce(words);
      await refresh();
    } catch (error) {
      message.replaceChildren(alertBox(error));
    }
  }
  /** Looks up the names of sets that the entries do not tell, and draws. */
  async function show() {
    for (const job of jobs.entries.values()) for (const side of ["source", "target"]) if (job[`${side}_name`]) names.set(job[side], job[`${side}_name`]);
    const used = [...[...jobs.entries.values()].flatMap((job) => [job.source, job.target]), ...[...batches.entries.values()].flatMap(shownSets)];
    const unknown = used.filter((id) => !names.has(id));
    await Promise.all([...new Set(unknown)].map(async (id) => names.set(id, await api.sampleSet(id).then(nameOf, () => DELETED))));
    for (const listing of [jobs, batches, sets]) listing.draw();
    batches.element.hidden = batches.entries.size === 0 && !batches.isNarrowed;
    count();
  }
  async function refresh() {
    await sets.load();
    for (const set of sets.entries.values()) names.set(set.id, nameOf(set));
    await Promise.all([jobs.load(), batches.load()]);
    await show();
  }
  const search = h("input", { type: "search", "aria-label": "Search for names and ids", placeholder: "a name, or the beginning of an id", maxlength: 200, autocomplete: "off", spellcheck: "false" });
  const state = h("select", { "aria-label": "State" }, STATES.map(([value, words]) => h("option", { value }, words)));
  let typing = null;
  const find = async () => {
    const text = search.value.trim() || undefined;
    try {
      await Promise.all([jobs.want({ search: text, status: state.value ? state.value.split(",") : undefined }), batches.want({ search: text })]);
      await show();
      announce(`${plural(jobs.entries.size, "estimate")}${jobs.next ? " and more" : ""}.`);
    } catch (error) {
      message.replaceChildren(alertBox(error));
    }
  };
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(find, TYPING_MS);
  });
  state.addEventListener("change", find);
  jobs.count.before(compare);
  jobs.table.classList.add("jobs");
  main.append(h("h1", null, "Jobs"), h("div", { class: "search", role: "search" }, search, state), message, jobs.element, batches.element, sets.element);
  await refresh();
  while (!signal.aborted) {
    await sleep(POLL_SECONDS);
    const isBusy = [...jobs.entries.values()].some((job) => !hasEnded(job));
    if (signal.aborted || !isBusy || document.hidden) continue;
    for (const listing of [jobs, batches]) await listing.load().then(show, () => {}); // retried on the next poll
  }
}

function jobRow(job, { names, act, tick, untick, isTicked }) {
  const pair = `${names.get(job.source) ?? job.source} and ${names.get(job.target) ?? job.target}`;
  const title = job.name ?? pair;
  const seconds = job.started_at && job.finished_at ? (new Date(job.finished_at) - new Date(job.started_at)) / 1000 : null;
  const share = job.progress && !hasEnded(job) ? ` ${Math.round((100 * job.progress.step) / (job.progress.steps || 1))} %` : "";
  const button = hasEnded(job)
    ? lineButton("Delete", title, () => confirm(`Delete the estimate of ${title}?`) && act("The estimate is deleted.", () => api.deleteEstimate(job.id).then(untick)))
    : lineButton("Stop", title, () => act("The estimate stops.", () => api.cancelEstimate(job.id)), { "aria-disabled": job.status === "canceling" || null });
  const box = job.result && h("input", { type: "checkbox", checked: isTicked, "aria-label": `Compare ${title}`, onchange: tick });
  const rename = (name) => act("The name is changed.", () => api.renameEstimate(job.id, name));
  return h("tr", null, cell(box ? "Compare" : null, box), rowHead(renamable(h("a", { href: `#/estimates/${job.id}` }, title), job.name, rename), job.name && under(pair)),
    cell("Asked", ...askedWords(job)), cell("Answer", ...answerOf(job, title, names, act)),
    cell("State", badge(job.status), share, under(when(job.created_at), seconds !== null && `, took ${duration(seconds)}`)), h("td", { class: "number" }, button));
}

/** Units and confidence, and the main options. */
function askedWords({ options }) {
  const { critic, steps, max_seconds: seconds, split, groups, seed } = options;
  const others = [critic !== "auto" && critic, steps && plural(steps, "step"), seconds && `at most ${duration(seconds)}`, split === "blocks" && "blocks of time", groups && "groups", seed && `seed ${seed}`];
  return [`${unitsOf(options)}, `, h("span", { class: "unbroken" }, percent(options.confidence)), under(others.filter(Boolean).join(", "))];
}

/** The headline and both ends; with a button to run it again if figures of the result are withdrawn. */
function answerOf(job, title, names, act) {
  const { result, error } = job;
  if (!result) return [error ? h("span", { class: "small" }, error.message) : "–"];
  const ends = [["lower_bound", "at least", roundedDown], ["upper_bound", "at most", roundedUp]].filter(([name]) => Number.isFinite(result[name]));
  const bounds = under(ends.map(([name, words, round], i) => [i > 0 && ", ", `${words} `, struck(round(result[name]), isWithdrawn(result, name))]));
  if (!result.withdrawn) return [unbroken(result.verdict.headline), bounds];
  const isGone = [job.source, job.target].some((id) => names.get(id) === DELETED);
  const again = !isGone && lineButton("Run again", title, () => act("The estimate runs again.", () => runAgain(job)));
  return [bounds, withdrawnBadge(), " ", again];
}

const BATCH_WORDS = { queued: "waiting", running: "running", canceling: "stopping", finished: "done", canceled: "stopped" };
const BATCH_BADGES = { finished: "succeeded" };

const SHOWN_SETS = 4;
const shownSets = (batch) => (batch.sets ?? []).slice(0, SHOWN_SETS);

function batchRow(batch, names, act) {
  const { counts } = batch;
  const isOver = ["finished", "canceled"].includes(batch.status);
  const title = batch.kind === "matrix" ? `All pairs of ${plural(batch.sets.length, "set")}` : batch.kind === "reference" ? `One set against ${plural(batch.sets.length - 1, "other")}` : `${plural(counts.total, "chosen pair")}`;
  const shown = batch.name ?? title;
  const rename = (name) => act("The name is changed.", () => api.renameBatch(batch.id, name));
  const name = renamable(batch.kind === "pairs" ? h("span", null, shown) : h("a", { href: `#/batches/${batch.id}` }, shown), batch.name, rename);
  const failed = counts.failed ? `, ${counts.failed} failed` : "";
  return h("tr", null, rowHead(name, batch.name && under(title), setsOf(batch, names)), cell("State", h("span", { class: `badge ${BATCH_BADGES[batch.status] ?? batch.status}` }, BATCH_WORDS[batch.status])), cell("Done", `${counts.succeeded} of ${counts.total}${failed}`),
    cell("Started", when(batch.created_at)), h("td", { class: "number" }, !isOver && lineButton("Stop", shown, () => act("The batch stops.", () => api.cancelBatch(batch.id)))));
}

/** The names of a batch's sets, the first few of them. */
function setsOf(batch, names) {
  const shown = shownSets(batch).map((id) => names.get(id) ?? id);
  const rest = (batch.sets?.length ?? 0) - shown.length;
  return shown.length > 0 && under(shown.join(", "), rest > 0 && ` and ${rest} more`);
}

function setRow(set, act) {
  const name = nameOf(set);
  const columns = columnNames(set);
  return h("tr", null, rowHead(name), cell("Content", describeSet(set), set.table ? ", of several kinds" : `, ${typeName(set.dtype)}`, columns && under(columns)), cell("Size", bytes(set.bytes)), cell("Uploaded", when(set.created_at)),
    h("td", { class: "number" }, lineButton("Delete", name, () => confirm(`Delete the sample set ${name}?`) && act("The sample set is deleted.", () => api.deleteSampleSet(set.id)))));
}
