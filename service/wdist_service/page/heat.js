// The matrix as a table with coloured cells, which works with a keyboard and a screen reader too.

import { clusterOrder } from "./cluster.js";
import { h, hiddenText, scrollBox } from "./dom.js";
import { figure, percent, roundedDown, roundedUp } from "./format.js";
import { RUN_AGAIN, struck } from "./withdrawn.js";

const QUANTITIES = [["lower_bound", "both ends, each by itself"], ["simultaneous_lower_bound", "both ends, all together"], ["value", "value on held-out rows"], ["p_value", "p-value"]];
const ORDERS = [["near", "near sets together"], ["given", "as they were given"]];
const UPPER = { lower_bound: "upper_bound", simultaneous_lower_bound: "simultaneous_upper_bound" }; // beside each lower bound
const NUMBERS_UP_TO = 12; // sets; with more, figures do not fit and cells show colour only
const NO_RESULT = { failed: "failed", canceled: "stopped", running: "running" };
export const [NONE, SOME, OPEN, AGAINST] = ["no evidence", "differ", "too close to call", "bounds contradict"];

/** What one pair of a matrix says: {value, lower, upper, p, isOld(figure), status, kind}. `lower` names the lower bounds. */
export function cellOf(matrix, i, j, lower = "lower_bound") {
  const at = (name) => matrix[name]?.[i][j] ?? null;
  const isOld = (name) => matrix.withdrawn?.cells[i][j].includes(name) ?? false;
  const p = at(lower === "lower_bound" ? "p_value" : "adjusted_p_value");
  const found = { value: at("value"), lower: at(lower), upper: isOld(UPPER[lower]) ? null : at(UPPER[lower]), p, isOld, status: matrix.statuses?.[i][j] ?? null };
  const isSure = p !== null && p <= 1 - matrix.confidence;
  const kind = found.upper !== null && found.upper < found.lower ? AGAINST : found.lower > 0 ? (isSure || p === null ? SOME : OPEN) : isSure ? SOME : NONE;
  return { ...found, kind: found.value === null ? null : kind };
}

/** The pairs of a matrix, each once: [row, column]. */
export const pairsOf = ({ rows, columns, isSquare }) => rows.flatMap((_, i) => columns.flatMap((_, j) => (isSquare && j <= i ? [] : [[i, j]])));

/** Fills a card; show() redraws it. */
export function heatMap(card) {
  const choice = (label, choices) => h("select", { onchange: () => draw(), "aria-label": label }, choices.map(([value, text]) => h("option", { value }, text)));
  const quantity = choice("What is shown", QUANTITIES);
  const order = choice("Order of the sets", ORDERS);
  const box = scrollBox("Matrix of distances");
  const scale = h("div", { class: "heat-scale small soft" });
  const units = h("p", { class: "small soft" });
  let state = null;
  let drawn = null;
  card.replaceChildren(h("div", { class: "search" }, quantity, order), box, scale, units);

  function draw() {
    const key = JSON.stringify([state.matrix, quantity.value, order.value]);
    if (key === drawn) return; // redrawing would lose the focus
    drawn = key;
    const { matrix, rows, columns, isSquare } = state;
    const shown = quantity.value;
    const inOrder = columns.map((_, i) => i);
    const near = isSquare ? clusterOrder(matrix.value) : [...inOrder].sort((i, j) => matrix.value[0][i] - matrix.value[0][j]);
    const across = order.value === "near" ? near : inOrder;
    const isReversed = shown === "p_value";
    const cells = pairsOf(state).map(([i, j]) => ({ ...cellOf(matrix, i, j, UPPER[shown] && shown), figure: matrix[shown][i][j] }));
    const known = cells.filter((each) => Number.isFinite(each.figure) && !each.isOld(shown));
    const high = isReversed ? 1 : Math.max(1e-300, ...known.map((each) => each.figure));
    box.replaceChildren(table(state, { across, down: isSquare ? across : rows.map((_, i) => i) }, { shown, high, isReversed }));
    scale.replaceChildren(...(known.length ? legend(known, high, shown) : [])); // empty as when all pairs have failed
    units.textContent = known.length ? explained(matrix, shown) : "";
  }

  return {
    /** {matrix as the API gives it, rows and columns: names, isSquare}. */
    show(given) {
      state = given;
      const isTogether = pairsOf(given).some(([i, j]) => Number.isFinite(given.matrix.simultaneous_lower_bound?.[i][j])) && given.matrix.rows.length + given.matrix.columns.length > (given.isSquare ? 4 : 2);
      const together = [...quantity.options].find((option) => option.value === "simultaneous_lower_bound");
      together.hidden = together.disabled = !isTogether;
      draw();
    },
  };
}

/** What the figures are: their units, and how sure they are. */
function explained(matrix, shown) {
  const said = matrix.units ?? (matrix.complete ? "Pairs are in different units: their figures cannot be compared." : "");
  const units = said && !said.endsWith(".") ? `${said}.` : said;
  if (shown === "p_value") return "Of each pair by itself.";
  if (shown === "value") return `${units} What the critic shows on held-out rows, without a confidence; the ends are in the table below.`;
  const about = matrix.upper_kind === "approximate" ? "; upper ends hold approximately" : "";
  const sure = percent(matrix.confidence);
  return `${units} ${shown === "lower_bound" ? `Each end of an interval has ${sure} confidence by itself` : `All ends hold together with ${sure} confidence`}${about}.`;
}

function table(state, { across, down }, look) {
  const { rows, columns, isSquare } = state;
  const isSmall = across.length <= NUMBERS_UP_TO;
  const one = (i, j) => (isSquare && i === j ? diagonal() : cell(state, i, j, look, isSmall));
  return h("table", { class: isSmall ? "heat" : "heat dense" }, h("caption", { class: "visually-hidden" }, "Distances between all pairs"),
    h("thead", null, h("tr", null, h("td"), across.map((j) => h("th", { scope: "col", title: columns[j] }, h("span", null, columns[j]))))),
    h("tbody", null, down.map((i) => h("tr", null, h("th", { scope: "row", title: rows[i] }, rows[i]), across.map((j) => one(i, j))))));
}

const diagonal = () => h("td", { class: "diagonal" }, hiddenText("the same set"));

/** [first line, second line] of a cell. */
export function linesOf({ lower, upper, kind, isOld }, shown = "lower_bound") {
  const most = Number.isFinite(upper) ? roundedUp(upper) : null;
  if (kind === NONE || (kind === SOME && !(lower > 0))) return [kind, most ? `below ${most}` : null];
  const from = struck(roundedDown(lower), isOld(shown));
  return most ? [from, `to ${most}`] : [from, "or more"];
}

function cell({ matrix, rows, columns }, i, j, { shown, high, isReversed }, isSmall) {
  const pair = `${rows[i]} and ${columns[j]}`;
  const id = matrix.estimates?.[i][j];
  const linked = (told, content) => (id ? h("a", { href: `#/estimates/${id}`, "aria-label": told }, content) : [hiddenText(told), h("span", { "aria-hidden": "true" }, content)]);
  const found = cellOf(matrix, i, j, UPPER[shown] && shown);
  const value = matrix[shown][i][j];
  if (!Number.isFinite(value)) {
    const words = NO_RESULT[found.status] ?? "waiting";
    return h("td", { class: `waiting ${found.status}`, title: `${pair}: ${words}` }, linked(`${pair}: ${words}`, isSmall ? words : found.status === "failed" ? "×" : "·"));
  }
  const share = Math.max(0, Math.min(1, value / high));
  const heat = isReversed ? 1 - share : share;
  const isOld = found.isOld(shown);
  const [first, second] = UPPER[shown] ? linesOf(found, shown) : [struck(figure(value, 3), isOld), null];
  const ends = UPPER[shown] ? "" : `, ${linesOf(cellOf(matrix, i, j)).map((part) => part?.textContent ?? part).filter(Boolean).join(" ")}`;
  const told = `${pair}: ${[first.textContent ?? first, isOld ? RUN_AGAIN : null, second].filter(Boolean).join(" ")}${found.kind === OPEN || found.kind === AGAINST ? `, ${found.kind}` : ""}${ends}`;
  const look = isOld ? { class: "withdrawn" } : { class: heat > 0.76 ? "hot" : "cool", style: { "--heat-share": `${Math.round(100 * heat)}%` } };
  return h("td", { ...look, title: told }, linked(told, isSmall ? [h("span", null, first, found.kind === OPEN && UPPER[shown] && "?"), second && h("span", { class: "upper" }, second)] : ""));
}

/** In words what the colours mean, and the words in cells that have none. */
function legend(known, high, shown) {
  const bar = h("span", { class: "heat-bar", "aria-hidden": "true" });
  if (shown === "p_value") return ["1: no sign of a difference", bar, "0: surely different"];
  const some = (kind) => known.some((each) => each.kind === kind);
  return [h("span", null, shown === "value" ? "0" : "0: no evidence of a difference"), bar, h("span", null, `darker is further apart: ${shown === "value" ? `up to ${figure(high, 3)}` : `at least ${roundedDown(high)}`}`),
    UPPER[shown] && known.some(({ kind, lower }) => kind === SOME && !(lower > 0)) && h("span", null, "“differ”: too few rows to say by how much"),
    UPPER[shown] && some(OPEN) && h("span", null, "“?”: too close to call"), some(AGAINST) && h("span", null, "some bounds contradict each other: open the pair")].filter(Boolean);
}
