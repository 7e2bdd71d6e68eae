// One estimate: follow it, stop it, read the result.

import * as api from "./api.js";
import { badge, STATUS_WORDS } from "./badge.js";
import { fetchContract, optionsOf } from "./contract.js";
import { curvePicture } from "./curve.js";
import { alertBox, announce, card, h, note, quiet, small, spread, stack } from "./dom.js";
import { evaluationsView } from "./evaluations.js";
import { follow, hasEnded } from "./events.js";
import { duration, figure, percent, plural, when, whole } from "./format.js";
import { resultView } from "./result.js";
import { describeSet, nameOf } from "./sets.js";
import { estimateSnippets } from "./snippets.js";
import { isWithdrawn } from "./withdrawn.js";

/** The options that were set, under their API names. */
function chosenOptions(contract, estimate) {
  const known = optionsOf(contract, "EstimateRequest");
  const all = { ...estimate.options, priority: estimate.priority };
  return Object.fromEntries(Object.entries(all).filter(([name, value]) => value !== null && value !== known.get(name)?.initial));
}

export async function showEstimate(main, signal, id) {
  const [first, contract] = await Promise.all([api.estimate(id, signal), fetchContract()]);
  const [source, target] = await Promise.all([first.source, first.target].map(setOrPlaceholder));
  if (signal.aborted) return;
  const view = new EstimateView(main, contract, first, source, target);
  view.update(first);
  const earlier = await api.curve(id);
  if (first.result) view.showEvaluations(signal);
  if (hasEnded(first)) return view.complete(earlier.data);
  view.addPoints(earlier.data);
  await follow(id, { signal, onRecord: (record) => view.update(record), onPoint: (point) => view.advance(point), onTrouble: (error) => view.trouble(error) });
}

/** A stand-in for a set that has been deleted since. */
async function setOrPlaceholder(id) {
  try {
    return await api.sampleSet(id);
  } catch (error) {
    if (error.status !== 404) throw error;
    return { id, name: null, shape: null, deleted: true };
  }
}

/** How an option is told; others by name and value. */
const OPTION_WORDS = {
  confidence: (share) => `${percent(share)} confidence`,
  critic: (family) => `${family} critic`,
  diameter: (distance) => `rows at most ${distance} apart`,
  ranges: (ends) => (ends.length === 2 ? `values from ${ends[0]} to ${ends[1]}` : "a range for each column"),
  upper: (effort) => (effort === "none" ? "no upper bound" : `${effort} upper bound`),
  max_seconds: (seconds) => `about ${duration(seconds)} of training`,
  scale: (unit) => (unit === "standardize" ? "standardised columns" : unit === "robust" ? "robustly scaled columns" : Array.isArray(unit) ? "a unit for each column" : `unit ${unit}`),
  category_cost: (cost) => `levels ${cost} apart`,
  split: (split) => (split === "blocks" ? "rows ordered in time" : `split ${split}`),
};

const ABOUT_THE_CURVE = "The value on the select rows while critics train. It chooses among them and is no result: the bound is computed once, at the end, on rows that nothing has seen.";

class EstimateView {
  constructor(main, contract, estimate, source, target) {
    Object.assign(this, { contract, id: estimate.id, source, target, status: null, points: new Map() });
    this.badge = h("span");
    this.actions = h("div", { class: "row-end" });
    this.live = h("div", { class: "stack" });
    this.outcome = h("div", { class: "stack wide" });
    this.lost = h("div");
    this.curveTitle = h("h2");
    this.curve = curvePicture();
    this.curve.box.hidden = true; // until there is something to see
    this.curve.trivial(distanceOfMeans(source, target, estimate.options.scale));
    this.curveCard = card(spread(this.curveTitle, h("span", { class: "tag" }, "uncertified")), this.live, this.curve.box,
      small(ABOUT_THE_CURVE));
    const chosen = chosenOptions(contract, estimate);
    document.title = `${nameOf(source)} and ${nameOf(target)} · wdist`;
    const set = (each, side) => h("span", { class: `key ${side}` }, nameOf(each));
    const about = [source, target].map((each) => (each.shape ? describeSet(each) : "deleted since")).join(" against ");
    main.append(
      h("section", { class: "stack" }, spread(h("h1", { class: "pair" }, set(source, "source"), " ", h("span", { class: "soft" }, "and"), " ", set(target, "target")), this.actions),
        estimate.name && h("p", null, h("strong", null, estimate.name)),
        h("p", { class: "soft facts" }, [this.badge, about, `asked for ${when(estimate.created_at)}`, optionsInWords(estimate.options.confidence, chosen)].map((each) => h("span", null, each)))),
      this.lost, this.outcome,
      this.curveCard,
      card(h("h2", null, "Do this again"), source.deleted || target.deleted ? h("p", { class: "soft" }, "A sample set of this estimate was deleted.") : estimateSnippets(source, target, chosen)));
  }

  showEvaluations(signal) {
    this.curveCard.before(evaluationsView(this.id, signal));
  }

  advance(progress) {
    this.addPoints([progress]);
    if (this.status === "running") this.live.replaceChildren(...this.#progress({ status: this.status, progress, finishing: this.isFinishing }));
  }

  /** Draws the complete curve once there is a result. A critic computed in one step has none. */
  complete(points) {
    if (points.length) this.points.clear();
    this.addPoints(points);
    (this.training ?? this.curveCard).hidden = this.points.size === 0;
  }

  addPoints(points) {
    for (const point of points) this.points.set(point.seconds, point);
    this.curve.box.hidden = this.points.size < 2;
    this.curve.set([...this.points.values()].sort((one, other) => one.seconds - other.seconds));
  }

  trouble(error) {
    this.lost.replaceChildren(...(error ? [h("p", { class: "note", role: "status" }, `${error.title ?? "The connection broke off."} The estimate goes on if the server does. Trying again …`)] : []));
  }

  update(record) {
    if (record.progress && !hasEnded(record)) this.addPoints([record.progress]);
    this.live.replaceChildren(...this.#progress(record));
    if (record.status === "queued") this.#place(record);
    if (record.status === this.status && Boolean(record.finishing) === this.isFinishing) return;
    const isNews = this.status !== null;
    this.status = record.status;
    this.isFinishing = Boolean(record.finishing);
    this.badge.replaceChildren(badge(record.status), isFinishing(record) ? " finishing" : "");
    this.curveTitle.textContent = hasEnded(record) ? "While it trained" : "While it trains";
    this.actions.replaceChildren(...this.#buttons(record));
    this.outcome.replaceChildren(...this.#outcome(record));
    if (record.result) this.curve.trivial(record.result.trivial?.mean_difference);
    if (record.result && !isWithdrawn(record.result, "lower_bound")) this.curve.bound(record.result.lower_bound);
    if (isNews) announce(record.result?.meaning ?? (isFinishing(record) ? "The estimate finishes with what it has." : `The estimate is ${STATUS_WORDS[record.status]}.`));
    if (isNews && record.result) api.curve(this.id).then(({ data }) => this.complete(data), () => {}); // the complete curve
  }

  #progress({ status, progress, finishing }) {
    const said = (...words) => [h("p", { class: "lead live-words" }, words)];
    if (status === "queued") return said(`It waits for a worker${this.queue ?? ""}.`, ` ${STAYS}`);
    if (status === "canceling") return said("Stopping …");
    if (status !== "running") return [];
    if (!progress) return said("Reading the rows and getting ready to train …");
    const { step, steps, value, eta_seconds: left } = progress;
    const known = value !== null && h("p", null, "So far the best critic shows ", h("strong", null, figure(value)), ". The bound comes at the end, from rows that no critic has seen.");
    if (finishing || step >= steps) return [...said(finishing ? "Finishing: the bound is computed with the best critic so far …" : "Trained. Computing the bound on the rows that were kept back …"), known].filter(Boolean);
    return [h("progress", { max: steps || 1, value: step, "aria-label": `Step ${step} of ${steps}` }),
      ...said(`Training critics: ${whole(step)} of ${whole(steps)} steps.`, left >= 1 && ` About ${spoken(left)} left.`), known,
      small(`Finish now gives the bound with the best critic so far; Cancel gives none. ${STAYS}`)].filter(Boolean);
  }

  /** Says how many jobs wait, or that nothing will take them. */
  async #place(record) {
    const { workers, queued } = await api.readiness().catch(() => ({}));
    this.queue = workers?.fresh === 0 ? "; none is running now, which whoever runs this server can change" : queued > 1 ? `; ${whole(queued)} jobs wait in all` : "";
    if (this.status === "queued") this.live.replaceChildren(...this.#progress(record));
  }

  #buttons(record) {
    const act = (work) => async (event) => {
      const button = event.currentTarget;
      button.setAttribute("aria-disabled", "true");
      try {
        await work();
      } catch (error) {
        this.lost.replaceChildren(alertBox(error));
      } finally {
        button.removeAttribute("aria-disabled");
      }
    };
    if (["queued", "running"].includes(record.status)) {
      const finish = h("button", { onclick: act(async () => this.update(await api.finishEstimate(this.id))) }, "Finish now");
      const stop = quiet(act(async () => this.update(await api.cancelEstimate(this.id))), "Cancel");
      return record.status === "running" && !record.finishing ? [finish, stop] : [stop];
    }
    if (!hasEnded(record)) return [];
    return [quiet(act(async () => {
      if (!confirm("Delete this estimate and its critic? The sample sets stay.")) return;
      await api.deleteEstimate(this.id);
      location.hash = "#/jobs";
    }), "Delete")];
  }

  /** The curve behind a disclosure of the result; its card goes. */
  #training() {
    this.curveCard.hidden = true;
    this.training = h("details", { hidden: this.points.size === 0 }, h("summary", null, "Training"), stack(this.curve.box, small(ABOUT_THE_CURVE)));
    return this.training;
  }

  #outcome(record) {
    if (record.status === "failed") return [alertBox({ title: "This estimate failed.", message: record.error?.message ?? "The server gave no reason.", next: afterFailure(record) })];
    if (record.status === "canceled") return [note("This estimate was stopped before it was finished, so there is no bound.")];
    return record.result ? resultView(this.contract, record, this.source, this.target, this.#training()) : [];
  }
}

const STAYS = "It goes on whether or not this page stays open.";

/** "20 seconds", "3 minutes". */
function spoken(seconds) {
  const [count, unit] = seconds < 100 ? [seconds, "second"] : seconds < 5400 ? [seconds / 60, "minute"] : [seconds / 3600, "hour"];
  return plural(Math.max(1, Math.round(count)), unit);
}

const isFinishing = (record) => record.finishing && !hasEnded(record);

const FAULTS_OF_THE_SERVER = new Set(["internal_error", "trainer_died"]);

function afterFailure({ id, error }) {
  if (FAULTS_OF_THE_SERVER.has(error?.type)) return `This is a fault of the server, not of your data. Start it again; if it stays, give the operator its id: ${id}.`;
  return "Fix what it names, then start again from Compare.";
}

/** Norm of the difference of the column means over all rows, known from the uploads before training. */
function distanceOfMeans(source, target, scale) {
  const [one, other] = [source, target].map((set) => set.statistics?.columns);
  if (source.table || target.table || !one || !other || one.length !== other.length || (scale !== null && scale !== undefined && scale !== "none" && scale !== 1)) return null;
  return Math.hypot(...one.map((column, i) => column.mean - other[i].mean));
}

function optionsInWords(confidence, chosen) {
  const words = Object.entries({ confidence, ...chosen }).map(([name, value]) => OPTION_WORDS[name]?.(value) ?? (typeof value === "object" ? name : `${name} ${value}`));
  return words.join(", ");
}
