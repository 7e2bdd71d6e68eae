// The result: the bound and its picture, the comparisons, the witness function, and every figure.

import * as api from "./api.js";
import { alertBox, h, save } from "./dom.js";
import { figureTable } from "./figures.js";
import { figure, percent } from "./format.js";
import { comparisonPicture, intervalPicture } from "./interval.js";
import { witnessView } from "./witness.js";

/** Elements for a finished estimate. */
export function resultView(contract, estimate, source, target) {
  const { result } = estimate;
  return [headline(result),
    h("section", { class: "card" }, h("h2", null, "Beside other ways of measuring"), comparisonPicture(result), biasNote(result)),
    source.deleted || target.deleted ? null : witnessView(estimate, source, target),
    figures(contract, estimate)].filter(Boolean);
}

function headline(result) {
  const isZero = !(result.lower_bound > 0);
  return h("section", { class: "card result" },
    h("p", { class: "big" }, isZero ? [h("span", { class: "bound-figure" }, "0"), " ", h("span", { class: "big-words" }, "no evidence of a difference")]
      : [h("span", { class: "big-words" }, "at least "), h("span", { class: "bound-figure" }, figure(result.lower_bound))]),
    h("p", { class: "units" }, `Wasserstein-1 distance, ${result.split === "blocks" ? "approximately " : ""}${percent(result.confidence)} confidence. Units: ${result.units}.`),
    intervalPicture(result),
    h("p", { class: "meaning" }, result.meaning, " ", chance(result)),
    result.warnings.length > 0 && h("ul", { class: "warnings" }, result.warnings.map((warning) => h("li", null, warning))));
}

function chance({ p_value: p }) {
  if (p === null || p === undefined) return null;
  return `Two sets from one population would look at least this different with probability ${+p.toPrecision(2)}.`;
}

function biasNote({ null_baseline: baseline, lower_bound: lower }) {
  if (!baseline || !(baseline.within > lower / 2)) return null;
  return h("p", { class: "note" }, `Exact transport between two parts of one and the same set already gives ${figure(baseline.within)}, where the truth is 0. In many dimensions the distance between files says little about the populations; the bound does not have this bias.`);
}

function figures(contract, estimate) {
  const parts = [h("div", { class: "table-box" }, figureTable(contract, estimate)), downloads(estimate)];
  return h("section", { class: "card" }, h("details", null, h("summary", null, "All figures and files"), h("div", { class: "stack" }, parts)));
}

function downloads(estimate) {
  const path = `/v1/estimates/${estimate.id}`;
  const trouble = h("div");
  const file = (words, name, load) => h("button", { type: "button", class: "quiet", onclick: async () => {
    trouble.replaceChildren();
    try {
      save(await load(), name);
    } catch (error) {
      trouble.replaceChildren(alertBox(error));
    }
  } }, words);
  return h("div", { class: "stack" }, h("div", { class: "files" },
    file("Result (JSON)", `${estimate.id}.json`, async () => new Blob([JSON.stringify(estimate, null, 2)], { type: "application/json" })),
    file("Curve (JSON)", `${estimate.id}.curve.json`, () => api.download(`${path}/curve`)),
    file("Certificate", `${estimate.id}.cert`, () => api.download(`${path}/certificate`)),
    file("Critic (safetensors)", `${estimate.id}.safetensors`, () => api.download(`${path}/critic`)),
    file("Critic’s configuration", `${estimate.id}.critic.json`, () => api.download(`${path}/critic?part=config`))), trouble);
}
