// One monitor: its series, the chosen update, and what can be done with it.

import * as api from "./api.js";
import { badge } from "./badge.js";
import { fetchContract } from "./contract.js";
import { alertBox, announce, card, h, notYet, option, quiet, remark, rowHead, save, sleep, spread, under, uniqueId } from "./dom.js";
import { dropZone, Slot } from "./dropzone.js";
import { hasEnded } from "./events.js";
import { figure, percent, plural, when, whole } from "./format.js";
import { cell, lineButton, Listing } from "./listing.js";
import { stateBadge } from "./monitors.js";
import { ReadingForm } from "./reading.js";
import { thresholdsForm } from "./thresholds.js";
import { betweenText, timeline, updateName } from "./timeline.js";
import { alarmList, updateView } from "./update.js";

const POLL_SECONDS = { busy: 1, idle: 10 };
const PAGE = 100; // updates that are fetched at once

export async function showMonitor(main, signal, id) {
  const [monitor, contract, sets] = await Promise.all([api.monitor(id, signal), fetchContract(), api.sampleSets()]);
  const reference = await api.sampleSet(monitor.reference_set);
  if (signal.aborted) return;
  const view = new MonitorView(main, id, contract, reference, sets.data);
  await view.refresh();
  while (!signal.aborted) {
    await sleep(view.isBusy ? POLL_SECONDS.busy : POLL_SECONDS.idle);
    if (!signal.aborted && !document.hidden) await view.refresh(signal).catch(() => {}); // retried on the next poll
  }
}

class MonitorView {
  constructor(main, id, contract, reference, sets) {
    Object.assign(this, { id, reference, monitor: null, isBusy: false, isStale: true, shown: null });
    [this.title, this.state, this.alarms, this.actions, this.message, this.detail, this.controls] = ["span", "span", "div", "div", "div", "section", "div"].map((tag) => h(tag));
    this.actions.className = "row-end";
    this.detail.className = "card";
    this.detail.setAttribute("aria-label", "Chosen update");
    this.timeline = timeline((figures) => this.#show(figures.number));
    this.list = new Listing("Updates", ["Update", "State", "Distance", "Batch", "Submitted", ""], (after) => api.updates(id, after, after ? PAGE : this.limit), (update) => this.#line(update), "None yet. Drop the first batch below.");
    this.list.element.classList.add("updates");
    const { load } = this.list;
    this.list.load = async (after) => (await load.call(this.list, after), this.#draw());
    main.append(h("section", { class: "stack" }, spread(h("h1", { class: "pair" }, this.title), this.actions), h("p", { class: "soft" }, this.state)), this.alarms, this.message,
      h("section", { class: "card", "aria-label": "Series" }, this.timeline.box), this.detail, this.#nextBatch(contract, sets), card(this.controls), this.list.element);
  }

  async refresh(signal) {
    const before = this.monitor;
    this.monitor = await api.monitor(this.id, signal);
    const { waiting } = this.monitor;
    const isNew = JSON.stringify(this.monitor) !== JSON.stringify(before);
    this.isStale ||= isNew;
    if (isNew) this.#head();
    this.limit = before ? Math.min(PAGE, Math.max(before.waiting, waiting) + 5) : PAGE; // those that may have changed
    if (this.isStale || this.isBusy) await this.list.load();
    this.isStale = false;
    this.isBusy = waiting > 0;
  }

  #head() {
    const { monitor } = this;
    document.title = `${monitor.name} · wdist`;
    this.title.textContent = monitor.name;
    this.state.replaceChildren(...stateBadge(monitor).flat().filter(Boolean), ` against ${monitor.reference}, ${plural(monitor.reference_rows, "row")} · ${percent(monitor.confidence)} confidence for all updates together · tolerance ${figure(monitor.tolerance, 3)} · epoch ${whole(monitor.epoch)}${monitor.units ? ` · units: ${monitor.units}` : ""}`);
    this.alarms.replaceChildren(...[alarmList("Alarms that are on", monitor.alarms)].filter(Boolean));
    const button = (words, work) => quiet(() => this.#act(work), words);
    const isPaused = monitor.status === "paused";
    const keep = (words, format) => button(words, async () => save(await api.exported(this.id, format), `${monitor.name}.${format}`));
    this.actions.replaceChildren(button(isPaused ? "Resume" : "Pause", () => api.changeMonitor(this.id, { paused: !isPaused })), keep("Export CSV", "csv"), keep("Export JSON lines", "jsonl"),
      button("Delete", async () => {
        if (!confirm(`Delete the monitor ${monitor.name} and its history? The sample sets stay.`)) return;
        await api.deleteMonitor(this.id);
        location.hash = "#/monitors";
      }));
    if (this.controls.contains(document.activeElement)) return; // someone is typing
    const isOpen = this.controls.querySelector("details")?.open;
    this.controls.replaceChildren(thresholdsForm(monitor, columnsOf(this.reference), async (thresholds) => {
      await api.changeMonitor(this.id, { thresholds });
      await this.refresh();
      if (this.shown !== null) this.#show(this.shown); // beside the columns stand their thresholds
    }));
    this.controls.querySelector("details").open = isOpen;
  }

  async #act(work) {
    this.message.replaceChildren();
    try {
      await work();
      if (location.hash.endsWith(this.id)) await this.refresh();
    } catch (error) {
      this.message.replaceChildren(alertBox(error));
    }
  }

  #draw() {
    const updates = [...this.list.entries.values()];
    this.list.draw();
    const { thresholds, tolerance, epoch } = this.monitor;
    const figures = updates.filter((update) => update.figures).map((update) => update.figures).reverse();
    this.timeline.show(figures, thresholds.distance ?? tolerance, epoch);
    this.detail.hidden = figures.length === 0;
  }

  #show(number) {
    this.shown = number;
    const record = [...this.list.entries.values()].find((update) => update.figures?.number === number);
    this.detail.replaceChildren(...updateView(this.monitor, record));
  }

  #line(update) {
    const { figures, status, progress, error } = update;
    const name = figures ? updateName(figures) : update.name ?? update.batch;
    const isAlarm = figures?.alarms.length > 0;
    const share = status === "running" && progress?.steps && ` ${Math.round((100 * progress.step) / progress.steps)} %`;
    const choose = () => (this.timeline.choose(figures.number), this.detail.scrollIntoView({ block: "nearest" }));
    return h("tr", null, rowHead(figures ? h("button", { class: "link", onclick: choose }, name) : name),
      cell("State", isAlarm ? h("span", { class: "badge failed" }, "alarm") : badge(status), share, error && under(error.message)),
      cell("Distance", figures ? betweenText(figures) : "–"), cell("Batch", update.name ?? figures?.name ?? "–"), cell("Submitted", when(update.created_at)),
      h("td", { class: "number" }, !hasEnded(update) && lineButton("Stop", name, () => this.#act(() => api.cancelUpdate(this.id, update.id)))));
  }

  /** The form that compares another batch, or begins an epoch with another reference. */
  #nextBatch(contract, sets) {
    const reading = new ReadingForm(contract);
    for (const [name, value] of Object.entries(this.reference.reading ?? {})) for (const each of [value].flat()) reading.fields.get(name)?.set?.(String(each));
    const slot = new Slot("target", "Next batch", "new rows with the columns of the reference", reading);
    slot.isAlone = true; // what a wrong file was asked for says nothing of the next one
    const zone = dropZone(slot, () => sets.filter(({ id }) => id !== this.reference.id), ([file]) => slot.take(file));
    const at = h("input", { type: "text", id: uniqueId("at"), autocomplete: "off", placeholder: "2026-01-31, or a number" });
    const submit = (work) => this.#act(async () => {
      if (!slot.set) return this.message.replaceChildren(notYet("there is no batch.", slot.progress === null ? "Choose its file first." : "Wait until it is uploaded, then press the button again."));
      await work(slot.set.id);
      slot.clear();
      slot.redraw();
    });
    slot.onChange = () => (this.message.replaceChildren(), slot.redraw());
    reading.again = () => slot.again();
    const compare = (batch) => api.createUpdate(this.id, { batch, ...(at.value.trim() && { at: timeOf(at.value.trim()) }) }).then(() => announce("The batch has been accepted."));
    const begin = async (reference) => {
      if (!confirm("Begin a new epoch? From now on batches are compared with these rows. Earlier updates stay in the history.")) return;
      await api.beginEpoch(this.id, reference);
      this.reference = await api.sampleSet(reference);
      announce("A new epoch has begun.");
    };
    return h("form", { class: "card", novalidate: true, onsubmit: (event) => (event.preventDefault(), submit(compare)) }, zone, reading.element,
      option(h("label", { for: at.id }, "Time of the batch"), at, remark("May be left empty. Batches come in the order of their times.")),
      h("div", { class: "row-end actions" }, quiet(() => submit(begin), "Make it the new reference"), h("button", { type: "submit", class: "primary" }, "Compare this batch")));
  }
}

const columnsOf = (set) => set.table?.columns.map(({ name }) => name) ?? set.columns ?? Array.from({ length: set.shape.length === 2 ? set.shape[1] : 0 }, (_, i) => String(i));
const timeOf = (text) => (Number.isFinite(Number(text)) ? Number(text) : text);
