// The monitors of this key's tenant, and a form that begins one.

import * as api from "./api.js";
import { fetchContract } from "./contract.js";
import { alertBox, announce, h, notYet, option, rowHead, sleep, uniqueId } from "./dom.js";
import { dropZone, Slot } from "./dropzone.js";
import { when } from "./format.js";
import { cell, Listing } from "./listing.js";
import { OptionsForm } from "./options.js";
import { identifiers } from "./pair.js";
import { ReadingForm } from "./reading.js";
import { betweenText, timeText } from "./timeline.js";

const POLL_SECONDS = 10;

/** Whether an alarm is on, and since when, as a badge. */
export function stateBadge({ alarms, status, updates }) {
  const [first] = [...alarms].sort((one, other) => one.since - other.since);
  const since = first && (timeText(first.since_at ?? null) || `update ${first.since}`);
  const badge = (kind, words) => h("span", { class: `badge ${kind}` }, words);
  return [first ? badge("failed", `alarm since ${since}`) : updates ? badge("succeeded", "no alarm") : badge("", "no update yet"), status === "paused" && [" ", badge("", "paused")]];
}

export async function showMonitors(main, signal) {
  const listing = new Listing("All monitors", ["Monitor", "State", "Last distance", "Updates", "Begun"], api.monitors, line, "None yet. Begin one below.");
  main.append(h("section", { class: "stack" }, h("h1", null, "Monitors"),
    h("p", { class: "lead" }, "A monitor keeps one reference and compares every new batch with it. All of its statements hold together, so that the chance of a false alarm does not grow with the weeks.")),
  listing.element, h("p", null, h("a", { href: "#/webhooks" }, "Send alarms to an address"), h("span", { class: "soft" }, " (webhooks, for administrators)")));
  await listing.load();
  listing.draw();
  main.append(await beginForm());
  while (!signal.aborted) {
    await sleep(POLL_SECONDS);
    if (!signal.aborted && !document.hidden) await listing.load().then(() => listing.draw(), () => {}); // retried on the next poll
  }
}

const line = (monitor) => h("tr", null, rowHead(h("a", { href: `#/monitors/${monitor.id}` }, monitor.name)), cell("State", stateBadge(monitor)),
  cell("Last distance", monitor.last ? betweenText(monitor.last) : "–"), cell("Updates", monitor.updates), cell("Begun", when(monitor.created_at)));

async function beginForm() {
  const contract = await fetchContract();
  const { data: earlier } = await api.sampleSets();
  const options = new OptionsForm(contract, "MonitorRequest", ["A distance up to ", ["tolerance", "Tolerance"], " is no drift."]);
  const reading = new ReadingForm(contract);
  const slot = new Slot("source", "Reference", "what every batch is compared with", reading);
  const zone = dropZone(slot, () => earlier, ([file]) => slot.take(file), () => [identifiers([slot], reading)].filter(Boolean));
  slot.onChange = () => (message.replaceChildren(), slot.redraw());
  reading.again = () => slot.again();
  const name = h("input", { type: "text", id: uniqueId("name"), maxlength: 200, autocomplete: "off" });
  const message = h("div");
  const submit = async (event) => {
    event.preventDefault();
    if (!slot.set) return message.replaceChildren(notYet("a monitor needs a reference.", slot.progress === null ? "Choose its file above." : "Wait until it is uploaded, then press the button again."));
    const values = options.read();
    if (!values) return null;
    try {
      const monitor = await api.createMonitor({ reference: slot.set.id, name: name.value.trim() || slot.name, ...values });
      announce("The monitor has begun.");
      location.hash = `#/monitors/${monitor.id}`;
    } catch (error) {
      options.show(error.fields ?? {});
      message.replaceChildren(alertBox(error));
    }
    return null;
  };
  return h("form", { class: "card", novalidate: true, onsubmit: submit }, h("h2", null, "Begin a monitor"), zone, reading.element,
    option(h("label", { for: name.id }, "Name"), name), options.element, message, h("div", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Begin")));
}
