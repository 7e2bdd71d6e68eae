// Histograms of the critic's scores on both sets, overlaid. The gap between their means is the estimated distance.

import { h, hiddenTable, responsive, s } from "./dom.js";
import { figure } from "./format.js";
import { axisBelow, linear, picture } from "./scales.js";

const BINS = 48;

/** Shares of both sets per bin over the central 99.8 % of all scores. The outermost bins also count the scores beyond. */
export function bin(source, target) {
  const all = Float64Array.from([...source, ...target]).sort();
  const low = all[Math.floor(0.001 * (all.length - 1))];
  const high = all[Math.ceil(0.999 * (all.length - 1))];
  const count = (scores) => {
    const shares = new Array(BINS).fill(0);
    for (const score of scores) shares[Math.max(0, Math.min(BINS - 1, Math.floor(((score - low) / (high - low || 1)) * BINS)))] += 1 / scores.length;
    return shares;
  };
  return { low, high: high > low ? high : low + 1, source: count(source), target: count(target) };
}

const mean = (scores) => scores.reduce((sum, score) => sum + score, 0) / scores.length;

/** scores: {source: [...], target: [...]}; names: the sets' names. */
export function histogramPicture(scores, names) {
  const bins = bin(scores.source, scores.target);
  const means = { source: mean(scores.source), target: mean(scores.target) };
  const label = `Histograms of the critic's scores. Mean of ${names.source}: ${figure(means.source)}; mean of ${names.target}: ${figure(means.target)}.`;
  const width = (bins.high - bins.low) / BINS;
  return h("figure", { class: "stack" },
    h("div", { class: "legend" }, h("span", { class: "key source" }, names.source), h("span", { class: "key target" }, names.target)),
    responsive({ class: "plot" }, (size) => draw(size, bins, means, label)),
    hiddenTable("Share of rows by score", ["Score from", names.source, names.target], bins.source.map((share, i) => [figure(bins.low + i * width), `${(100 * share).toFixed(1)} %`, `${(100 * bins.target[i]).toFixed(1)} %`])));
}

function draw(width, bins, means, label) {
  const height = 250;
  const base = height - 34;
  const at = linear([bins.low, bins.high], [8, width - 8]);
  const up = linear([0, Math.max(...bins.source, ...bins.target)], [base, 46]);
  const steps = (shares) => shares.map((share, i) => `V${up(share).toFixed(1)}H${at(bins.low + ((i + 1) * (bins.high - bins.low)) / BINS).toFixed(1)}`).join("");
  const outline = (shares, kind) => s("path", { d: `M${at(bins.low)} ${base}${steps(shares)}V${base}Z`, class: `hill ${kind}` });
  const [from, to] = [at(means.source), at(means.target)];
  return picture(width, height, label, outline(bins.source, "source"), outline(bins.target, "target"),
    ["source", "target"].map((side) => s("line", { x1: at(means[side]), x2: at(means[side]), y1: 26, y2: base, class: `mean ${side}` })),
    s("path", { d: `M${from} 30H${to}`, class: "gap" }),
    s("text", { x: Math.max(90, Math.min(width - 90, (from + to) / 2)), y: 19, "text-anchor": "middle", class: "gap-text" }, `means ${figure(Math.abs(means.target - means.source), 3)} apart`),
    axisBelow([bins.low, bins.high], at, base, width),
    s("text", { x: width - 8, y: height - 1, "text-anchor": "end", class: "axis-name" }, "score f(x)"));
}
