// The start page: two sample sets, options in words, one button.

import * as api from "./api.js";
import { fetchContract, optionsOf } from "./contract.js";
import { alertBox, announce, h, notYet, stack } from "./dom.js";
import { Slot, dropZone } from "./dropzone.js";
import { exampleFiles } from "./example.js";
import { OptionsForm } from "./options.js";
import { pairView, rowsNote } from "./pair.js";
import { ReadingForm } from "./reading.js";
import { heroPicture } from "./hero.js";

// Kept while the page is open, so that a visit to the jobs does not lose the dropped files.
let slots = [];
let options = null;
let reading = null;
let pair = { isBlocked: false, elements: [] };

export async function showCompare(main, signal) {
  main.append(hero()); // while the contract is on its way
  const contract = await fetchContract();
  if (signal.aborted) return;
  const least = optionsOf(contract, "EstimateRequest").get("source").kinds[0]["x-least-rows"];
  options ??= new OptionsForm(contract, "EstimateRequest");
  if (!reading) {
    reading = new ReadingForm(contract);
    reading.again = () => slots.map((slot) => slot.again());
    slots = [new Slot("source", "Source", "the reference, P", reading), new Slot("target", "Target", "compared with it, Q", reading)];
  }
  let earlier = [];
  const message = h("div"); // what the last action of the person led to; nothing that arrives by itself may wipe it
  const note = h("div");
  const both = h("div", { class: "stack both" });
  const start = h("button", { type: "submit", class: "primary" }, "Estimate the distance");
  const example = h("button", { class: "link", onclick: async () => {
    await Promise.all(exampleFiles().map((file, i) => slots[i].take(file)));
    if (!signal.aborted && slots.every((slot) => slot.set)) submit(start, message);
  } }, "Try two sets whose distance is known to be 1");
  const onFiles = (at) => (files) => {
    message.replaceChildren();
    note.replaceChildren();
    const order = files.length > 1 ? [0, 1] : [at];
    order.forEach((slot, i) => slots[slot].take(files[i]));
    if (files.length > 2) note.replaceChildren(h("p", { class: "note" }, "The first two files were taken. To compare more than two sets, use ", h("a", { href: "#/matrix" }, "Matrix"), "."));
  };
  const zones = slots.map((slot, i) => dropZone(slot, () => earlier, onFiles(i), (set) => rowsNote(set, least)));
  const redraw = () => {
    for (const slot of slots) slot.redraw();
    pair = pairView(slots, reading, options, least);
    both.replaceChildren(...pair.elements);
    form.classList.toggle("paired", both.querySelector("table") !== null);
    example.hidden = slots.some((slot) => slot.set || slot.progress !== null);
  };
  for (const slot of slots) slot.onChange = () => {
    message.replaceChildren();
    redraw();
  };
  const form = h("form", { class: "card compare", novalidate: true, onsubmit: (event) => (event.preventDefault(), submit(start, message)) },
    h("div", { class: "zones" }, zones), both, reading.element, options.element, note, message, h("div", { class: "spread actions" }, start, example));
  main.append(form, howItWorks());
  options.fields.get("scale").control.onchange = redraw; // what is said of the units follows it
  redraw();
  const page = await api.sampleSets();
  if (signal.aborted) return;
  earlier = page.data;
  redraw();
}

function hero() {
  return h("section", { class: "hero" },
    stack(h("h1", null, "How far apart are two populations, when all you have is samples?"),
      h("p", { class: "lead" }, "Drop two files. You get an answer you can rely on: do they differ, and ", h("strong", null, "between which bounds"), " does their ", h("span", { class: "unbroken" }, "Wasserstein-1"), " distance lie, at the confidence you choose?")),
    heroPicture());
}

function howItWorks() {
  const step = (title, text) => h("li", null, h("h3", null, title), h("p", { class: "soft" }, text));
  return h("section", { class: "stack" }, h("h2", null, "What the number means"), h("ol", { class: "steps" },
    step("The distance", "How far, on average, rows of one population must move to become the other. In your data’s own units; 0 only if the two are equal."),
    step("Learned on one part", "A network that cannot change faster than its input learns on half of the rows to tell the sets apart; 10 % choose the best one."),
    step("Certified on the rest", "What it still finds on the 40 % it never saw, less a margin for chance, is the lower bound. For equal populations it stays at 0, except as often as the confidence allows. The upper bound is the cost of moving one set onto the other, plus a margin.")));
}

async function submit(button, message) {
  if (button.getAttribute("aria-disabled")) return;
  const missing = slots.find((slot) => !slot.set);
  if (missing) {
    const words = missing.progress === null ? `Choose a file for ${missing.title.toLowerCase()}.` : `${missing.file.name} is still on its way.`;
    message.replaceChildren(notYet(words, missing.progress === null ? "Drop a file on its box, or take the example." : "Wait until it is uploaded, then press the button again."));
    return;
  }
  if (pair.isBlocked) {
    const reason = document.querySelector(".compare .alert");
    reason?.scrollIntoView({ block: "center" });
    return announce(reason?.textContent ?? "These two cannot be compared yet.");
  }
  message.replaceChildren();
  const values = options.read();
  if (!values) return;
  button.setAttribute("aria-disabled", "true");
  try {
    const body = { source: slots[0].set.id, target: slots[1].set.id, ...values };
    const estimate = await api.createEstimate(body, api.newKey());
    announce("The estimate has been accepted.");
    location.hash = `#/estimates/${estimate.id}`;
  } catch (error) {
    options.show(error.fields ?? {});
    message.replaceChildren(alertBox(error));
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
