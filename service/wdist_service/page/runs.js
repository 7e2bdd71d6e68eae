// Two to four estimates side by side: what was asked of each, what it answers, and their intervals on one scale.

import * as api from "./api.js";
import { askedOf } from "./asked.js";
import { fetchContract, shownFigures } from "./contract.js";
import { alertBox, card, h, responsive, rowHead, scrollBox, small } from "./dom.js";
import { printed } from "./figures.js";
import { roundedDown, roundedUp, unbroken, when } from "./format.js";
import { drawIntervals } from "./ranking.js";
import { isWithdrawn } from "./withdrawn.js";

const NOT_SHOWN = new Set(["lower_bound", "upper_bound"]);

export async function showRuns(main, signal, list) {
  main.append(h("h1", null, "Compare runs"));
  const ids = [...new Set(list.split(","))].slice(0, 4);
  const [contract, ...found] = await Promise.all([fetchContract(), ...ids.map((id) => api.estimate(id, signal).catch((error) => error))]);
  if (signal.aborted) return;
  const lost = found.filter((each) => each instanceof Error);
  const runs = found.filter((each) => !(each instanceof Error)).map((run) => ({ ...run, pair: `${run.source_name ?? run.source} and ${run.target_name ?? run.target}` }));
  main.append(...lost.map((error) => alertBox(error)));
  if (runs.length < 2) return main.append(h("p", null, "Two or more are needed. ", h("a", { href: "#/jobs" }, "Choose them among the jobs"), "."));
  const reason = whyNot(runs);
  main.append(reason ? h("p", { class: "alert warnings", role: "note" }, reason) : h("section", { class: "card stack" }, h("h2", null, "The intervals on one scale"), scale(runs)),
    card(h("h2", null, "Side by side"), table(contract, runs)));
}

/** Why the distances of these runs cannot be compared; null if they can. */
function whyNot(runs) {
  const differ = (of) => new Set(runs.map((run) => JSON.stringify(of(run)))).size > 1;
  const done = runs.filter(({ result }) => result);
  if (done.length < 2) return "Fewer than two of these have a result, so that there is nothing to compare yet.";
  if (done.some(({ result }) => isWithdrawn(result, "lower_bound"))) return "Figures of one of these are withdrawn: run it again first.";
  if (differ(({ source, target }) => [source, target].sort())) return "These compare different sample sets, so their distances answer different questions: do not read one against the other.";
  if (differ(({ result }) => result?.units ?? null) || differ(({ result }) => result?.scale ?? null)) return "These are in different units, so their distances cannot be compared.";
  return null;
}

const titleOf = (run) => run.name ?? run.pair;

function table(contract, runs) {
  const asked = runs.map((run) => new Map(askedOf(contract, run.options).map((option) => [option.name, option])));
  const figures = runs.map(({ result }) => new Map(result ? shownFigures(contract, result).map((shown) => [shown.name, printed(shown)]) : []));
  const names = (maps) => [...new Set(maps.flatMap((map) => [...map.keys()]))];
  const options = names(asked).map((name) => [asked[0].get(name).label, asked.map((map) => map.get(name).text)]);
  const differs = ([, texts]) => new Set(texts).size > 1;
  const line = (row, isMarked = differs(row)) => h("tr", { class: isMarked ? "differs" : null }, rowHead(row[0], isMarked && h("span", { class: "tag" }, "differs")), row[1].map((text) => h("td", null, text)));
  const each = (label, of) => [label, runs.map(of)];
  const end = (name, round) => ({ result }) => (Number.isFinite(result?.[name]) ? round(result[name]) : "–");
  const heading = (words) => h("tr", null, h("th", { scope: "colgroup", colspan: runs.length + 1, class: "part" }, words));
  const same = options.filter((row) => !differs(row));
  return [scrollBox("Runs side by side", h("table", { class: "runs" }, h("thead", null, h("tr", null, h("td"), runs.map((run) => h("th", { scope: "col" }, h("a", { href: `#/estimates/${run.id}` }, titleOf(run)))))),
    h("tbody", null, heading("Compared"), [each("Source", (run) => run.source_name ?? run.source), each("Target", (run) => run.target_name ?? run.target), each("Started", (run) => when(run.created_at))].map((row) => line(row)),
      heading("Asked"), options.filter(differs).map((row) => line(row)), same.length === options.length && h("tr", null, rowHead("All options"), h("td", { colspan: runs.length }, "the same")),
      heading("Answer"), [each("In words", ({ result, status }) => (result ? unbroken(result.verdict.headline) : status)), each("At least", end("lower_bound", roundedDown)), each("At most", end("upper_bound", roundedUp)), each("Units", ({ result }) => result?.units ?? "–")].map((row) => line(row)),
      names(figures).filter((name) => !NOT_SHOWN.has(name)).map((name) => line([name, figures.map((map) => map.get(name) ?? "–")], false))))), // two runs never measure quite the same
  h("details", null, h("summary", null, "Options that are the same"), h("ul", { class: "pairs" }, same.map(([label, [text]]) => h("li", null, `${label}: ${text}`))))];
}

/** One line a run: its interval, with what the critic shows. */
function scale(runs) {
  const lines = runs.filter(({ result }) => result).map((run, i) => {
    const { lower_bound: lower, upper_bound: upper } = run.result;
    return { ...run.result, title: `${i + 1}  ${titleOf(run)}`, words: Number.isFinite(upper) ? `${roundedDown(lower)} to ${roundedUp(upper)}` : `at least ${roundedDown(lower)}` };
  });
  const cut = (width) => lines.map((line) => ({ ...line, title: line.title.slice(0, Math.floor(width / 8) - line.words.length) }));
  return [responsive({ class: "plot", "aria-hidden": "true" }, (width) => drawIntervals(width, cut(width))), small(`The circle is what the critic shows; an arrow: no upper end. Units: ${lines[0].units}.`)];
}
