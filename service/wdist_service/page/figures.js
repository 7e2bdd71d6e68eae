// Every figure of a result, a line each: what the contract says is shown, and the page's own lines of rows and training.

import { shownFigures } from "./contract.js";
import { figureHead, h, rowHead } from "./dom.js";
import { duration, figure, percent, short, whole } from "./format.js";
import { isWithdrawn, RUN_AGAIN, struck } from "./withdrawn.js";

/** The table. */
export function figureTable(contract, estimate) {
  const { result } = estimate;
  const line = (name, value, note) => h("tr", null, rowHead(name), h("td", { class: "number" }, value), h("td", { class: "soft" }, note));
  const parts = (side) => ["train", "select", "test"].map((part) => whole(result.n[side][part])).join(" / ");
  const words = wordsOf(result);
  return h("table", { class: "figures" }, figureHead(), h("tbody", null,
    shownFigures(contract, result).map((shown) => {
      const isOld = isWithdrawn(result, shown.name === "simultaneous" ? "simultaneous_lower_bound" : shown.name);
      return line(shown.name, struck(printed(shown), isOld), isOld ? RUN_AGAIN : shown.meaning.replaceAll(/\{(\w+)\}/g, (all, name) => words[name] ?? all));
    }),
    line("source rows", parts("source"), "train / select / test"),
    line("target rows", parts("target"), "train / select / test"),
    result.groups && line("test groups", `${whole(result.groups.source)} and ${whole(result.groups.target)}`, "of source and target; a draw is a group, and a row of it"),
    line("critic", result.critic.family, `${whole(result.steps)} steps in ${duration(result.seconds)} on ${result.device}`),
    line("seed", String(result.seed), "of the split, of training and of the permutation test"),
    line("estimate", h("code", null, estimate.id), "its name in the API")));
}

/** A figure of the contract as it is printed. */
export function printed({ value, digits, decimals }) {
  if (decimals !== undefined) return value.toFixed(decimals);
  return digits === undefined ? String(value) : figure(value, digits);
}

/** What the contract's sentences leave open: "W1 is at least this, with {about}{confidence} confidence". */
function wordsOf({ confidence, split, upper_kind: kind, n, groups, null_baseline: baseline, simultaneous }) {
  const [source, target] = [n.source, n.target].map(({ train, select, test }) => train + select + test);
  const notByGroup = groups ? ", not by group" : "";
  return {
    confidence: percent(confidence),
    about: split === "blocks" ? "approximately " : "",
    upper_about: kind === "approximate" ? "approximately " : "",
    unit: groups ? "groups" : "rows",
    rows: baseline && `${whole(baseline.rows)} rows of each set${notByGroup}`,
    within: baseline && short(baseline.within),
    all_rows: `all ${source === target ? `${whole(source)} rows of each set` : `${whole(source)} and ${whole(target)} rows`}${notByGroup}`,
    statements: simultaneous && whole(simultaneous.statements),
  };
}
