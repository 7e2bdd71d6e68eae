// The result: the bound and its picture, the comparisons, the witness function, and every figure.

import * as api from "./api.js";
import { alertBox, h, save } from "./dom.js";
import { figureTable } from "./figures.js";
import { figure, percent } from "./format.js";
import { comparisonPicture, intervalPicture } from "./interval.js";
import { isWithdrawn, runAgain, struck, withdrawnNotice } from "./withdrawn.js";
import { witnessView } from "./witness.js";

/** Elements for a finished estimate. */
export function resultView(contract, estimate, source, target) {
  const { result } = estimate;
  const isComplete = !source.deleted && !target.deleted;
  return [result.withdrawn && withdrawnNotice(result.withdrawn, isComplete ? () => runAgain(estimate) : null),
    headline(result),
    h("section", { class: "card" }, h("h2", null, "Beside other ways of measuring"), comparisonPicture(result), biasNote(result)),
    isComplete && witnessView(estimate, source, target),
    figures(contract, estimate)].filter(Boolean);
}

function headline(result) {
  const isOld = isWithdrawn(result, "lower_bound");
  return h("section", { class: isOld ? "card result withdrawn" : "card result" },
    h("p", { class: "big" }, ends(result, isOld)),
    h("p", { class: "units" }, `Wasserstein-1 distance, ${confidence(result)}. Units: ${result.units}.`),
    intervalPicture(result),
    h("p", { class: "meaning" }, result.withdrawn && "The earlier version said: ", result.meaning, " ", chance(result)),
    result.no_upper_bound && h("p", { class: "small soft" }, `No upper bound: ${result.no_upper_bound}.`),
    result.warnings.length > 0 && h("ul", { class: "warnings" }, result.warnings.map((warning) => h("li", null, warning))));
}

/** The distance in large figures: between two ends, at least one, or at most the other. */
function ends(result, isOld) {
  const { lower_bound: lower, upper_bound: upper } = result;
  const words = (text, isStruck = false) => h("span", { class: "big-words" }, struck(text, isStruck));
  const shown = (value, isStruck) => h("span", { class: "bound-figure" }, struck(value, isStruck));
  const high = Number.isFinite(upper) && shown(figure(upper), isWithdrawn(result, "upper_bound"));
  if (lower > 0) return high ? [words("between", isOld), " ", shown(figure(lower), isOld), " ", words("and"), " ", high] : [words("at least", isOld), " ", shown(figure(lower), isOld)];
  return [shown("0", isOld), " ", words("no evidence of a difference", isOld), high && [words(", and at most"), " ", high]];
}

function confidence({ split, confidence: share, upper_bound: upper, upper_kind: kind }) {
  const one = `${split === "blocks" ? "approximately " : ""}${percent(share)} confidence`;
  if (!Number.isFinite(upper) || !kind) return one;
  return `${one} each, ${percent(Math.max(0, +(2 * share - 1).toPrecision(12)))} together${kind === "approximate" ? ", the upper end approximately" : ""}`;
}

function chance(result) {
  const { p_value: p } = result;
  if (p === null || p === undefined || isWithdrawn(result, "p_value")) return null;
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
  const isOld = (estimate.result.method_version ?? 1) === 1;
  const note = isOld && h("p", { class: "note" }, "The certificate has format 1, which wdist verify refuses: run the estimate again for one that it checks.");
  return h("div", { class: "stack" }, note, h("div", { class: "files" },
    file("Result (JSON)", `${estimate.id}.json`, async () => new Blob([JSON.stringify(estimate, null, 2)], { type: "application/json" })),
    file("Curve (JSON)", `${estimate.id}.curve.json`, () => api.download(`${path}/curve`)),
    file("Certificate", `${estimate.id}.cert`, () => api.download(`${path}/certificate`)),
    file("Critic (safetensors)", `${estimate.id}.safetensors`, () => api.download(`${path}/critic`)),
    file("Critic’s configuration", `${estimate.id}.critic.json`, () => api.download(`${path}/critic?part=config`))), trouble);
}
