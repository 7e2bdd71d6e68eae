// The evaluations of stored sets by one critic, which are jobs: how far they are, their scores, and a way to stop them.

import * as api from "./api.js";
import { badge } from "./badge.js";
import { alertBox, announce, h, heads, hiddenText, rowHead, save, sleep, small, under } from "./dom.js";
import { hasEnded } from "./events.js";
import { bytes, when, whole } from "./format.js";
import { cell, lineButton } from "./listing.js";
import { nameOf } from "./sets.js";

const POLL_SECONDS = 1;

/** A card that keeps itself up to date until `signal` is aborted; hidden while there are none. */
export function evaluationsView(id, signal) {
  const body = h("tbody");
  const message = h("div");
  const card = h("section", { class: "card", hidden: true }, h("h2", null, "Scores of stored sets"),
    small("The critic’s score of every row of a set, as Python or HTTP asked for them."), message,
    h("div", { class: "table-box" }, h("table", { class: "listing" }, h("caption", { class: "visually-hidden" }, "Scores of stored sets"),
      h("thead", null, heads(["Set", "State", "Rows", "Started", hiddenText("Actions")])), body)));
  const names = new Map();
  async function draw() {
    const { data } = await api.evaluations(id, signal);
    for (const { sample_set: set } of data) if (!names.has(set)) names.set(set, await api.sampleSet(set).then(nameOf, () => "(deleted)"));
    card.hidden = data.length === 0;
    const focused = document.activeElement?.dataset?.action;
    body.replaceChildren(...data.map((each) => line(id, each, names.get(each.sample_set), act)));
    if (focused) body.querySelector(`[data-action="${focused}"]`)?.focus();
    return data.every(hasEnded);
  }
  async function act(work) {
    message.replaceChildren();
    try {
      await work();
      await draw();
    } catch (error) {
      message.replaceChildren(alertBox(error));
    }
  }
  async function follow() {
    while (!signal.aborted) {
      if (await draw().catch(() => false)) return; // whatever failed is tried again
      await sleep(POLL_SECONDS);
    }
  }
  follow();
  return card;
}

function line(id, job, name, act) {
  const button = (words, work) => lineButton(words, name, () => act(work), { "data-action": `${words} ${job.id}` });
  const fetchScores = async () => save(await api.evaluationContent(id, job.id), `${job.id}.npy`);
  const remove = async (words) => {
    await api.deleteEvaluation(id, job.id);
    announce(words);
  };
  const share = Math.floor((100 * job.done) / (job.rows || 1));
  return h("tr", null, rowHead(name, job.gradient && under("gradient")),
    cell("State", badge(job.status), job.status === "running" && ` ${share} %`, job.error && under(job.error.message)),
    cell("Rows", hasEnded(job) ? whole(job.rows) : `${whole(job.done)} of ${whole(job.rows)}`), cell("Started", when(job.created_at)),
    h("td", { class: "number" }, job.status === "succeeded" && button(`Save ${bytes(job.bytes)}`, fetchScores),
      hasEnded(job) ? button("Delete", () => remove("The scores are deleted.")) : button("Stop", () => remove("The evaluation stops."))));
}
