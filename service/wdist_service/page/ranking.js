// A comparison: which of several candidates is closest to a reference, with the interval of each distance.

import { card, h, hiddenTable, note, responsive, s } from "./dom.js";
import { figure, percent, roundedDown, roundedUp } from "./format.js";
import { axisBelow, linear, picture } from "./scales.js";

const ROW = 52;

/** The card of a comparison as the API gives it. names of sets stand in backquotes in its sentences. */
export function rankingCard({ comparison, reason }) {
  if (!comparison) return card(h("h2", null, "Which is closest?"), h("p", null, `There is no answer: ${reason}.`));
  const { reference, ranking, differences, sentence, confidence, kind, units, missing } = comparison;
  const sure = `${percent(confidence)}${kind === "approximate" ? ", approximate" : ""}`;
  return h("section", { class: "card stack", "aria-label": "Which is closest?" },
    h("p", { class: "lead" }, named(sentence)),
    h("figure", { class: "stack" },
      h("figcaption", { class: "soft" }, "Distance from ", h("strong", null, reference), `, all statements together ${sure}. Unit: ${units}.`),
      responsive({ class: "plot", "aria-hidden": "true" }, (width) => drawIntervals(width, ranking.map((each) => ({ ...each, title: `${place(each)}  ${each.name}` })))),
      hiddenTable(`Distance from ${reference}`, ["Candidate", "Place", "At least", "At most", "The critic shows"], ranking.map((each) => [each.name, place(each), roundedDown(each.lower_bound), roundedUp(each.upper_bound), figure(each.value)]))),
    missing.length > 0 && note(`Without a result, and left out: ${missing.join(", ")}.`),
    differences.length > 1 && h("details", null, h("summary", null, "Every two of them"), h("ul", { class: "pairs" }, differences.map((each) => h("li", null, named(each.sentence))))));
}

const place = ({ best, worst }) => (best === worst ? `${best}` : `${best}–${worst}`);

/** A sentence with the names in it set off. */
const named = (sentence) => sentence.split("`").map((part, i) => (i % 2 ? h("strong", null, part) : part));

/** Intervals on one scale: {title, lower_bound, upper_bound (null: an arrow), value, words at the right end}. */
export function drawIntervals(width, lines) {
  const domain = [0, (Math.max(...lines.flatMap((each) => [each.lower_bound, each.upper_bound ?? 0, each.value])) || 1) * 1.05];
  const at = linear(domain, [4, width - 8]);
  const height = lines.length * ROW;
  return picture(width, height + 30, "", s("line", { x1: at(0), x2: at(0), y1: 6, y2: height, class: "zero" }),
    lines.map((each, i) => {
      const y = i * ROW + 38;
      const isOpen = !Number.isFinite(each.upper_bound);
      const [from, to] = [at(each.lower_bound), at(isOpen ? domain[1] : each.upper_bound)];
      return s("g", null, s("text", { x: 10, y: y - 16, class: "row-name" }, each.title), each.words && s("text", { x: width - 8, y: y - 16, "text-anchor": "end", class: "row-figure" }, each.words),
        s("line", { x1: from, x2: to, y1: y, y2: y, class: "bound-range" }), isOpen && s("path", { d: `M${to - 6} ${y - 6}l6 6l-6 6`, class: "arrow" }),
        (isOpen ? [from] : [from, to]).map((x) => s("line", { x1: x, x2: x, y1: y - 9, y2: y + 9, class: "bound-line" })),
        each.value >= 0 && s("circle", { cx: at(each.value), cy: y, r: 5.5, class: "value-dot" }));
    }),
    axisBelow(domain, at, height + 2, width));
}
