// The answer at the top of a result: the server's words, the picture of the interval, and what to do next.

import { h, note, small } from "./dom.js";
import { percent, plural, roundedDown, roundedUp, unbroken } from "./format.js";
import { intervalPicture } from "./interval.js";
import { isWithdrawn, struck } from "./withdrawn.js";

const SIGNS = { differ: "≠", size_unknown: "≠", no_evidence: "≈", undecided: "?", contradiction: "!", withdrawn: "×" };

/** A heading with a sign of this kind of answer. */
export const headline = (kind, words) => h("h2", { class: "headline" }, h("span", { class: "sign", "aria-hidden": "true" }, SIGNS[kind] ?? "?"), h("span", null, unbroken(words)));

/** The card; `more` are elements that end it. */
export function verdictCard(result, more = []) {
  const { kind, headline: answer, distance, size, caveat } = result.verdict;
  return h("section", { class: `card result ${kind}` }, headline(kind, answer),
    kind !== "withdrawn" && h("p", { class: "lead distance" }, unbroken(distance)), // else it is the reason, which stands above
    earlier(result), intervalPicture(result),
    size && h("p", { class: "meaning" }, size),
    caveat && h("p", { class: "meaning caveat" }, caveat),
    nextStep(kind, result),
    small(`Wasserstein-1 distance, ${confidence(result)}. Units: ${result.units}.`), more.length > 0 && h("div", { class: "remedies" }, more));
}

/** What an earlier version said and must not be used, struck through. */
function earlier(result) {
  const { lower_bound: lower, upper_bound: upper } = result;
  const ends = [["lower_bound", "at least", roundedDown(lower)], ["upper_bound", "at most", Number.isFinite(upper) && roundedUp(upper)]].filter(([name, , shown]) => shown && isWithdrawn(result, name));
  if (ends.length === 0) return null;
  return h("p", { class: "meaning" }, "The earlier version said: ", ends.map(([, words, shown], i) => [i ? ", " : "", `${words} `, h("span", { class: "bound-figure" }, struck(shown, true))]), ".");
}

/** What this kind of answer does not say, or what to do. */
function nextStep(kind, { n, groups }) {
  const [source, target] = ["source", "target"].map((side) => Object.values(n[side]).reduce((sum, rows) => sum + rows, 0));
  const had = groups ? "" : `This estimate had ${source === target ? `${plural(source, "row")} of each set` : `${plural(source, "row")} of the source and ${plural(target, "row")} of the target`}.`;
  const words = {
    size_unknown: had,
    undecided: had,
    no_evidence: `This does not show that they are equal: a difference that is too small for so many rows is not seen. ${had}`,
    contradiction: "Use neither bound: look for copied rows, and give rows of one origin a common group.",
  }[kind];
  return words === undefined ? null : note(words, " ", kind !== "contradiction" && h("a", { href: "#/" }, "Compare larger sets"));
}

function confidence({ split, confidence: share, upper_bound: upper, upper_kind: kind }) {
  const one = `${split === "blocks" ? "approximately " : ""}${percent(share)} confidence`;
  if (!Number.isFinite(upper) || !kind) return one;
  return `${one} each, ${percent(Math.max(0, +(2 * share - 1).toPrecision(12)))} together${kind === "approximate" ? ", the upper end approximately" : ""}`;
}
