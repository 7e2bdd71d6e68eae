// The matrix as a table with coloured cells, which works with a keyboard and a screen reader too.

import { clusterOrder } from "./cluster.js";
import { h } from "./dom.js";
import { figure } from "./format.js";
import { RUN_AGAIN, struck } from "./withdrawn.js";

const QUANTITIES = [["lower_bound", "certified bound, each by itself"], ["simultaneous_lower_bound", "certified bound, all together"], ["value", "value on held-out rows"], ["p_value", "p-value"]];
const ORDERS = [["near", "near sets together"], ["given", "as they were given"]];
const UPPER = { lower_bound: "upper_bound", simultaneous_lower_bound: "simultaneous_upper_bound" }; // beside each lower bound
const NUMBERS_UP_TO = 12; // sets; with more, figures do not fit and cells show colour only

/** Fills a card; show() redraws it. */
export function heatMap(card) {
  const choice = (label, choices) => h("select", { onchange: () => draw(), "aria-label": label }, choices.map(([value, text]) => h("option", { value }, text)));
  const quantity = choice("What is shown", QUANTITIES);
  const order = choice("Order of the sets", ORDERS);
  const box = h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": "Matrix of distances" });
  const scale = h("div", { class: "heat-scale" });
  const units = h("p", { class: "small soft" });
  let state = null;
  let drawn = null;
  card.replaceChildren(h("p", { class: "sentence" }, "Show the ", quantity, ", ", order, "."), box, scale, units);

  function draw() {
    const key = JSON.stringify([state.matrix, quantity.value, order.value]);
    if (key === drawn) return; // redrawing would lose the focus
    drawn = key;
    const { matrix, rows, columns, isSquare } = state;
    const values = matrix[quantity.value];
    const inOrder = columns.map((_, i) => i);
    const near = isSquare ? clusterOrder(matrix.value) : inOrder.sort((i, j) => matrix.value[0][i] - matrix.value[0][j]);
    const places = order.value === "near" ? near : columns.map((_, i) => i);
    const all = values.flatMap((row, i) => row.filter((value, j) => !(isSquare && i === j) && Number.isFinite(value) && !isWithdrawnCell(matrix, quantity.value, i, j)));
    const [low, high] = quantity.value === "p_value" ? [0, 1] : [0, Math.max(1e-300, ...all)];
    box.replaceChildren(table({ across: places, down: isSquare ? places : rows.map((_, i) => i) }, state, quantity.value, { low, high, isReversed: quantity.value === "p_value" }));
    scale.replaceChildren(...(all.length ? legend(low, high, quantity.value === "p_value") : [])); // as when all pairs have failed
    units.textContent = quantity.value === "p_value" || !all.length ? "" : explained(matrix, UPPER[quantity.value]);
  }

  return {
    /** matrix as the API gives it; names: Map of set ids; estimates: ids by row and column, or null. */
    show(matrix, names, estimates) {
      const [rows, columns] = [matrix.rows, matrix.columns].map((ids) => ids.map((id) => names.get(id)));
      const isTogether = matrix.simultaneous_lower_bound?.some((row, i) => row.some((bound, j) => Number.isFinite(bound) && matrix.rows[i] !== matrix.columns[j]));
      const together = [...quantity.options].find((option) => option.value === "simultaneous_lower_bound");
      together.hidden = together.disabled = !isTogether;
      state = { matrix, rows, columns, estimates, isSquare: rows.length === columns.length && matrix.rows.every((id, i) => id === matrix.columns[i]) };
      draw();
    },
  };
}

/** What the figures are: their units, and what stands in the second line of a cell. */
function explained(matrix, upper) {
  const units = matrix.units ?? (matrix.complete ? "Pairs are in different units: their figures cannot be compared." : "");
  const sentence = units && !units.endsWith(".") ? `${units}.` : units;
  if (!hasUpper(matrix, upper)) return sentence;
  const kind = matrix.upper_kind === "approximate" ? ", approximate" : "";
  return `${sentence} Each end of an interval has the confidence by itself; “to” begins the upper one${kind}.`;
}

const hasUpper = (matrix, upper) => matrix[upper]?.some((row, i) => row.some((bound, j) => Number.isFinite(bound) && matrix.rows[i] !== matrix.columns[j])) ?? false;

const isWithdrawnCell = (matrix, quantity, i, j) => matrix.withdrawn?.cells[i][j].includes(quantity) ?? false;

function table({ across, down }, { matrix, rows, columns, estimates, isSquare }, quantity, range) {
  const values = matrix[quantity];
  const isSmall = across.length <= NUMBERS_UP_TO;
  const upper = (i, j) => (isWithdrawnCell(matrix, UPPER[quantity], i, j) ? null : matrix[UPPER[quantity]]?.[i][j]);
  const one = (i, j) => (isSquare && i === j ? diagonal() : cell(`${rows[i]} and ${columns[j]}`, [values[i][j], upper(i, j)], isWithdrawnCell(matrix, quantity, i, j), estimates?.[i]?.[j], range, isSmall));
  return h("table", { class: isSmall ? "heat" : "heat dense" }, h("caption", { class: "visually-hidden" }, "Distances between all pairs"),
    h("thead", null, h("tr", null, h("td"), across.map((j) => h("th", { scope: "col", title: columns[j] }, h("span", null, columns[j]))))),
    h("tbody", null, down.map((i) => h("tr", null, h("th", { scope: "row", title: rows[i] }, rows[i]), across.map((j) => one(i, j))))));
}

const diagonal = () => h("td", { class: "diagonal" }, h("span", { class: "visually-hidden" }, "the same set"));

function cell(pair, [value, upper], isOld, estimate, { low, high, isReversed }, isSmall) {
  if (!Number.isFinite(value)) return h("td", { class: "waiting", title: `${pair}: no result yet` }, h("span", { class: "visually-hidden" }, "no result yet"), isSmall && h("span", { "aria-hidden": "true" }, "·"));
  const share = Math.max(0, Math.min(1, (value - low) / (high - low || 1)));
  const heat = isReversed ? 1 - share : share;
  const text = figure(value, 3);
  const end = Number.isFinite(upper) ? `to ${figure(upper, 3)}` : null;
  const told = [isOld ? `${text}, ${RUN_AGAIN}` : text, end].filter(Boolean).join(" ");
  const content = isSmall ? [struck(text, isOld), end && h("span", { class: "upper" }, ` ${end}`)] : h("span", { class: "visually-hidden" }, told);
  const look = isOld ? { class: "withdrawn" } : { class: heat > 0.76 ? "hot" : "cool", style: { "--heat-share": `${Math.round(100 * heat)}%` } };
  return h("td", { ...look, title: `${pair}: ${told}` },
    estimate ? h("a", { href: `#/estimates/${estimate}`, "aria-label": `${pair}: ${told}` }, content) : content);
}

function legend(low, high, isReversed) {
  return [h("span", { class: "small soft" }, isReversed ? "1: no sign of a difference" : "0: no evidence"), h("span", { class: "heat-bar", "aria-hidden": "true" }), h("span", { class: "small soft" }, isReversed ? "0: surely different" : figure(high, 3))];
}
