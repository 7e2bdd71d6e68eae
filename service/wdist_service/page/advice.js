// What a warning advises, as a button that runs the estimate again so.

import { h, note } from "./dom.js";
import { againButton, runAgain } from "./withdrawn.js";

const MOST_STEPS = 1_000_000;
const longer = ({ options, result }) => ({ planned_steps: null, ...(options.steps ? { steps: Math.min(MOST_STEPS, 4 * options.steps) } : { max_seconds: Math.ceil(Math.max(30, 4 * result.seconds)) }) });

/** [what a warning says, what its button does, the options that this changes]. */
export const ADVICE = [
  ["training was ended early", "Train to the end", () => ({})],
  ["train the critic for longer", "Train for longer", longer],
  ["let critic='auto' choose", "Let the best kind of critic be chosen", () => ({ critic: "auto" })],
  ["consider scale='standardize'", "Measure in standard deviations", () => ({ scale: "standardize", diameter: null })],
  ["upper='none' was asked for", "Run it with an upper bound", () => ({ upper: "standard" })],
];

/** Warnings that only explain a figure: they stand beside the figures. */
export const EXPLAINED = ["because rare scores are clipped", "by less than the margin of the bound", "with so few held-out rows, each of them may be chance", "split by blocks of time"];
const isExplained = (warning) => EXPLAINED.some((said) => warning.includes(said));

/** The warnings that explain figures, as notes. */
export const explanations = (warnings) => warnings.filter(isExplained).map((warning) => note(sentence(warning)));

/** The options that buttons beside a warning change: [words, options]. Without those that would change nothing. */
export function adviceOf(warning, estimate) {
  const found = ADVICE.filter(([said]) => warning.includes(said)).map(([, words, change]) => [words, change(estimate)]);
  return found.filter(([, change]) => change.critic === undefined || change.critic !== estimate.options.critic).filter(([, change]) => change.max_seconds === undefined || estimate.result.steps > 0);
}

/** Buttons that run an estimate again as a text advises. */
export const adviceButtons = (text, estimate) => adviceOf(text, estimate).map(([words, change]) => againButton(words, () => runAgain(estimate, change), "quiet"));

/** A box with what is to be minded; again(warning) gives the elements behind it. Null if there is nothing. */
export function warningBox(all, again = () => []) {
  const warnings = all.filter((warning) => !isExplained(warning));
  if (warnings.length === 0) return null;
  return h("section", { class: "alert warnings", role: "note", "aria-label": "What to mind" }, h("ul", { class: "stack" }, warnings.map((warning) => h("li", { class: "stack" }, h("p", null, sentence(warning)), again(warning)))));
}

/** A sentence with its capital and full stop; what stands before a colon is the name of a set. */
const sentence = (whole) => {
  const text = whole.replace(/(leave \w+ out) with drop=\[.*\]$/, "$1, by the button above the options before a run"); // here nothing can be left out of a set
  return (/^\S+:/.test(text) ? text[0] : text[0].toUpperCase()) + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
};
