// All estimates and sample sets of this key's tenant, newest first.

import * as api from "./api.js";
import { alertBox, announce, h } from "./dom.js";
import { badge } from "./badge.js";
import { hasEnded } from "./events.js";
import { bytes, duration, figure, plural, typeName, when } from "./format.js";
import { cell, lineButton, Listing } from "./listing.js";
import { columnNames, describeSet, nameOf } from "./sets.js";
import { isWithdrawn, runAgain, struck, withdrawnBadge } from "./withdrawn.js";

const POLL_SECONDS = 2;
const DELETED = "(deleted)";

export async function showJobs(main, signal) {
  const names = new Map();
  const message = h("div");
  const jobs = new Listing("Estimates", ["Sets", "State", "Bound", "Started", "Took", ""], api.estimates, (job) => jobRow(job, names, act));
  const sets = new Listing("Sample sets", ["Name", "Content", "Size", "Uploaded", ""], api.sampleSets, (set) => setRow(set, act));
  const batches = new Listing("Matrices and batches", ["Batch", "State", "Done", "Started", ""], api.batches, (batch) => batchRow(batch, names, act));
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
  async function refresh() {
    await sets.load();
    for (const set of sets.entries.values()) names.set(set.id, nameOf(set));
    await jobs.load();
    await batches.load();
    const used = [...[...jobs.entries.values()].flatMap((job) => [job.source, job.target]), ...[...batches.entries.values()].flatMap(shownSets)];
    const unknown = used.filter((id) => !names.has(id));
    await Promise.all([...new Set(unknown)].map(async (id) => names.set(id, await api.sampleSet(id).then(nameOf, () => DELETED))));
    for (const listing of [jobs, batches, sets]) listing.draw();
    batches.element.hidden = batches.entries.size === 0;
  }
  main.append(h("h1", null, "Jobs"), message, jobs.element, batches.element, sets.element);
  await refresh();
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 1000 * POLL_SECONDS));
    const isBusy = [...jobs.entries.values()].some((job) => !hasEnded(job));
    if (signal.aborted || !isBusy || document.hidden) continue;
    for (const listing of [jobs, batches]) await listing.load().then(() => listing.draw(), () => {}); // retried on the next poll
  }
}

function jobRow(job, names, act) {
  const title = `${names.get(job.source) ?? job.source} and ${names.get(job.target) ?? job.target}`;
  const seconds = job.started_at && job.finished_at ? (new Date(job.finished_at) - new Date(job.started_at)) / 1000 : null;
  const share = job.progress && !hasEnded(job) ? ` ${Math.round((100 * job.progress.step) / (job.progress.steps || 1))} %` : "";
  const button = hasEnded(job)
    ? lineButton("Delete", title, () => confirm(`Delete the estimate of ${title}?`) && act("The estimate is deleted.", () => api.deleteEstimate(job.id)))
    : lineButton("Stop", title, () => act("The estimate stops.", () => api.cancelEstimate(job.id)), { "aria-disabled": job.status === "canceling" || null });
  return h("tr", null, h("th", { scope: "row" }, h("a", { href: `#/estimates/${job.id}` }, title)), cell("State", badge(job.status), share), cell("Bound", boundOf(job, title, names, act)),
    cell("Started", when(job.created_at)), cell("Took", duration(seconds)), h("td", { class: "number" }, button));
}

/** The bound; with a button beside it if figures of the result are withdrawn. */
function boundOf(job, title, names, act) {
  if (!job.result) return "–";
  const bound = struck(`≥ ${figure(job.result.lower_bound)}`, isWithdrawn(job.result, "lower_bound"));
  if (!job.result.withdrawn) return bound;
  const isGone = [job.source, job.target].some((id) => names.get(id) === DELETED);
  const again = !isGone && lineButton("Run again", title, () => act("The estimate runs again.", () => runAgain(job)));
  return [bound, " ", withdrawnBadge(), " ", again];
}

const BATCH_WORDS = { queued: "waiting", running: "running", canceling: "stopping", finished: "done", canceled: "stopped" };
const BATCH_BADGES = { finished: "succeeded" };

const SHOWN_SETS = 4;
const shownSets = (batch) => (batch.sets ?? []).slice(0, SHOWN_SETS);

function batchRow(batch, names, act) {
  const { counts } = batch;
  const isOver = ["finished", "canceled"].includes(batch.status);
  const title = batch.kind === "matrix" ? `All pairs of ${plural(batch.sets.length, "set")}` : batch.kind === "reference" ? `One set against ${plural(batch.sets.length - 1, "other")}` : `${plural(counts.total, "chosen pair")}`;
  const name = batch.kind === "pairs" ? title : h("a", { href: `#/batches/${batch.id}` }, title);
  const failed = counts.failed ? `, ${counts.failed} failed` : "";
  return h("tr", null, h("th", { scope: "row" }, name, setsOf(batch, names)), cell("State", h("span", { class: `badge ${BATCH_BADGES[batch.status] ?? batch.status}` }, BATCH_WORDS[batch.status])), cell("Done", `${counts.succeeded} of ${counts.total}${failed}`),
    cell("Started", when(batch.created_at)), h("td", { class: "number" }, !isOver && lineButton("Stop", title, () => act("The batch stops.", () => api.cancelBatch(batch.id)))));
}

/** The names of a batch's sets, the first few of them. */
function setsOf(batch, names) {
  const shown = shownSets(batch).map((id) => names.get(id) ?? id);
  const rest = (batch.sets?.length ?? 0) - shown.length;
  return shown.length > 0 && h("span", { class: "small soft block" }, shown.join(", "), rest > 0 && ` and ${rest} more`);
}

function setRow(set, act) {
  const name = nameOf(set);
  const columns = columnNames(set);
  return h("tr", null, h("th", { scope: "row" }, name), cell("Content", describeSet(set), set.table ? ", of several kinds" : `, ${typeName(set.dtype)}`, columns && h("span", { class: "small soft block" }, columns)), cell("Size", bytes(set.bytes)), cell("Uploaded", when(set.created_at)),
    h("td", { class: "number" }, lineButton("Delete", name, () => confirm(`Delete the sample set ${name}?`) && act("The sample set is deleted.", () => api.deleteSampleSet(set.id)))));
}
