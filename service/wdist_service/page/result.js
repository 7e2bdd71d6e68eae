// The result: the verdict, what to mind, the columns and rows behind it, and the rest behind disclosures.

import { adviceButtons, explanations, warningBox } from "./advice.js";
import * as api from "./api.js";
import { alertBox, h, quiet, save, stack } from "./dom.js";
import { figureTable } from "./figures.js";
import { figure } from "./format.js";
import { comparisonPicture } from "./interval.js";
import { verdictCard } from "./verdict.js";
import { runAgain, withdrawnNotice } from "./withdrawn.js";
import { witnessView } from "./witness.js";

/** Elements for a finished estimate. `training`: a disclosure about the course of the training. */
export function resultView(contract, estimate, source, target, training = null) {
  const { result } = estimate;
  const isComplete = !source.deleted && !target.deleted;
  const buttons = (text) => (isComplete ? adviceButtons(text, estimate) : []);
  return [result.withdrawn && withdrawnNotice(result.withdrawn, isComplete ? () => runAgain(estimate) : null),
    verdictCard(result, buttons(result.no_upper_bound ?? "")),
    warningBox(result.warnings, buttons),
    witnessView(estimate, source, target, isComplete),
    h("section", { class: "card disclosures" },
      disclosure("Beside other ways of measuring", comparisonPicture(result), biasNote(result), explanations(result.warnings)),
      training,
      disclosure("All figures and files", h("div", { class: "table-box" }, figureTable(contract, estimate)), downloads(estimate)))].filter(Boolean);
}

const disclosure = (title, ...parts) => h("details", null, h("summary", null, title), stack(parts));

function biasNote({ null_baseline: baseline, lower_bound: lower }) {
  if (!baseline || !(baseline.within > lower / 2)) return null;
  return h("p", { class: "note" }, `Exact transport between two parts of one and the same set already gives ${figure(baseline.within)}, where the truth is 0. In many dimensions the distance between files says little about the populations; the bound does not have this bias.`);
}

function downloads(estimate) {
  const path = `/v1/estimates/${estimate.id}`;
  const trouble = h("div");
  const file = (words, name, load) => quiet(async () => {
    trouble.replaceChildren();
    try {
      save(await load(), name);
    } catch (error) {
      trouble.replaceChildren(alertBox(error));
    }
  }, words);
  const isOld = (estimate.result.method_version ?? 1) === 1;
  const note = isOld && h("p", { class: "note" }, "The certificate has format 1, which wdist verify refuses: run the estimate again for one that it checks.");
  return stack(note, h("div", { class: "files" },
    file("Result (JSON)", `${estimate.id}.json`, async () => new Blob([JSON.stringify(estimate, null, 2)], { type: "application/json" })),
    file("Curve (JSON)", `${estimate.id}.curve.json`, () => api.download(`${path}/curve`)),
    file("Certificate", `${estimate.id}.cert`, () => api.download(`${path}/certificate`)),
    file("Critic (safetensors)", `${estimate.id}.safetensors`, () => api.download(`${path}/critic`)),
    file("Critic’s configuration", `${estimate.id}.critic.json`, () => api.download(`${path}/critic?part=config`))), trouble);
}
