// Histograms of the critic's scores on both sets, overlaid. The gap between their means is what the critic shows.

import { h, hiddenTable, responsive, s } from "./dom.js";
import { figure, short } from "./format.js";
import { axisBelow, linear, picture } from "./scales.js";

/** shares: {edges, source, target}, shares of each set by bin; means: of each set, or null; names: the sets' names. */
export function histogramPicture(shares, means, names) {
  const label = `Histograms of the critic's scores.${means ? ` Mean of ${names.source}: ${figure(means.source, 3)}; mean of ${names.target}: ${figure(means.target, 3)}.` : ""}`;
  const rows = shares.source.map((share, i) => [figure(shares.edges[i], 3), `${(100 * share).toFixed(1)} %`, `${(100 * shares.target[i]).toFixed(1)} %`]);
  return h("figure", { class: "stack" },
    h("div", { class: "legend" }, h("span", { class: "key source" }, names.source), h("span", { class: "key target" }, names.target)),
    responsive({ class: "plot" }, (size) => draw(size, shares, means, label)),
    hiddenTable("Share of rows by score", ["Score from", names.source, names.target], rows));
}

function draw(width, shares, means, label) {
  const { edges } = shares;
  const height = 250;
  const base = height - 34;
  const domain = [edges[0], edges.at(-1)];
  const at = linear(domain, [8, width - 8]);
  const up = linear([0, Math.max(...shares.source, ...shares.target)], [base, 46]);
  const outline = (side) => s("path", { d: `M${at(edges[0])} ${base}${shares[side].map((share, i) => `V${up(share).toFixed(1)}H${at(edges[i + 1]).toFixed(1)}`).join("")}V${base}Z`, class: `hill ${side}` });
  return picture(width, height, label, outline("source"), outline("target"),
    means && gap(means, at, width, base),
    axisBelow(domain, at, base, width),
    s("text", { x: width - 8, y: height - 1, "text-anchor": "end", class: "axis-name" }, "score f(x)"));
}

function gap(means, at, width, base) {
  const [from, to] = [at(means.source), at(means.target)];
  return [["source", from], ["target", to]].map(([side, x]) => s("line", { x1: x, x2: x, y1: 26, y2: base, class: `mean ${side}` })).concat(
    s("path", { d: `M${from} 30H${to}`, class: "gap" }),
    s("text", { x: Math.max(90, Math.min(width - 90, (from + to) / 2)), y: 19, "text-anchor": "middle", class: "gap-text" }, `means ${short(means.target - means.source)} apart`));
}
