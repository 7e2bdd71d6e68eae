// The options of an estimate: the common ones as a sentence, the others below it.

import { h, uniqueId } from "./dom.js";

const CONFIDENCE = [["0.9", "90 %"], ["0.95", "95 %"], ["0.99", "99 %"], ["0.999", "99.9 %"]];
const TIME = [["", "as long as it needs"], ["5", "about 5 seconds"], ["30", "about 30 seconds"], ["120", "about 2 minutes"], ["600", "about 10 minutes"], ["3600", "about an hour"]];
const CRITIC = [["auto", "whichever kind does best"], ["groupsort", "dense networks (GroupSort)"], ["bcop", "convolutions for images (BCOP)"], ["cone", "cones, for clusters"], ["sliced", "a single direction"], ["affine", "the difference of the means"]];
const SCALE = [["", "the data’s own units"], ["standardize", "standard deviations of each column"], ["number", "units of"]];
const LAYOUT = [["", "recognise it"], ["nhwc", "height, width, channels"], ["nchw", "channels, height, width"]];
const SPLIT = [["random", "are independent draws"], ["blocks", "are ordered in time"]];
const METHOD = [["betting", "betting, for any two sets"], ["paired_betting", "paired betting"], ["empirical_bernstein", "empirical Bernstein"]];
const PRIORITY = [["high", "before others"], ["normal", "in turn"], ["low", "after others"]];

/** The form's fields. read() returns the values by API name; show(fields) marks what the server rejected. */
export class OptionsForm {
  /** `more`: another sentence of words and [name, choices]. */
  constructor(more = null) {
    this.fields = new Map();
    this.factor = h("input", { type: "number", step: "any", min: "0", value: "1", "aria-label": "Length of the unit", hidden: true, class: "short" });
    this.factor.addEventListener("input", () => mark(this.factor, null));
    this.extra = more?.find(Array.isArray)?.[0] ?? null;
    this.element = h("div", { class: "stack" }, this.#sentence(more ?? []), this.#more());
    this.#field("scale").addEventListener("change", () => (this.factor.hidden = this.#field("scale").value !== "number"));
  }

  #field = (name) => this.fields.get(name);

  #select(name, label, choices, initial = choices[0][0]) {
    const select = h("select", { "aria-label": label, name }, choices.map(([value, text]) => h("option", { value, selected: value === initial }, text)));
    select.addEventListener("change", () => mark(select, null));
    this.fields.set(name, select);
    return select;
  }

  #number(name, value, properties) {
    const input = h("input", { type: "number", name, value, step: "1", id: uniqueId(name), ...properties });
    input.addEventListener("input", () => mark(input, null));
    this.fields.set(name, input);
    return input;
  }

  #sentence(more) {
    return h("p", { class: "sentence" },
      "State the distance in ", this.#select("scale", "Units of the distance", SCALE), this.factor, " with ", this.#select("confidence", "Confidence", CONFIDENCE, "0.95"),
      " confidence; train for ", this.#select("max_seconds", "Training time", TIME), " and use ", this.#select("critic", "Kind of critic", CRITIC), ". ",
      more.map((part) => (Array.isArray(part) ? this.#select(part[0], "What the confidence holds for", part[1]) : part)));
  }

  #more() {
    const line = (label, control, help) => {
      control.id ||= uniqueId("option");
      control.removeAttribute("aria-label");
      return h("div", { class: "option" }, h("label", { for: control.id }, label), control, h("span", { class: "small soft" }, help));
    };
    return h("details", null, h("summary", null, "More options"), h("div", { class: "option-grid" },
      line("Random seed", this.#number("seed", 0, { min: 0 }), "Splits the rows and starts training. Fix it before you look at a result."),
      line("Rows for exact transport", this.#number("baseline_rows", 1000, { min: 0, max: 5000 }), "For the comparison beside the result; 0 leaves it out."),
      line("Axes of images", this.#select("layout", "Axes of images", LAYOUT), "Only needed where the shape leaves it open."),
      line("The rows of a file", this.#select("split", "The rows of a file", SPLIT), "In time, the last rows are tested; the bound is then approximate, and there is no p-value."),
      line("Method of the bound", this.#select("method", "Method of the bound", METHOD), "From held-out scores to the bound. Paired betting is tighter, if the sets are independent of each other."),
      line("Largest possible distance", this.#number("diameter", "", { min: 0, step: "any", placeholder: "unknown" }), "Of any two rows, if you know one: then there is an upper bound too."),
      line("Turn in the queue", this.#select("priority", "Turn in the queue", PRIORITY, "normal"), "When several estimates wait.")));
  }

  /** The options that differ from the defaults, by API name; null if a field is invalid, which is then marked. */
  read() {
    const text = (name) => this.#field(name).value;
    const values = { confidence: Number(text("confidence")) };
    if (text("critic") !== "auto") values.critic = text("critic");
    if (text("max_seconds")) values.max_seconds = Number(text("max_seconds"));
    if (text("layout")) values.layout = text("layout");
    if (text("split") !== "random") values.split = text("split");
    if (text("method") !== "betting") values.method = text("method");
    if (text("priority") !== "normal") values.priority = text("priority");
    if (this.extra && text(this.extra)) values[this.extra] = true;
    if (text("scale") === "standardize") values.scale = "standardize";
    if (text("scale") === "number") {
      if (!(this.factor.valueAsNumber > 0)) return this.#refuse(this.factor, "The unit must be a number above 0.");
      values.scale = this.factor.valueAsNumber;
    }
    const diameter = this.#field("diameter");
    if (diameter.validity.badInput || (diameter.value !== "" && !(diameter.valueAsNumber > 0))) return this.#refuse(diameter, "Give a number above 0, or leave it empty.");
    if (diameter.value !== "") {
      if (values.split === "blocks" || values.scale === "standardize") return this.#refuse(diameter, "An upper bound needs rows that are independent draws, and no standardised columns: leave one of the two out.");
      values.diameter = diameter.valueAsNumber;
    }
    for (const [name, initial] of [["seed", 0], ["baseline_rows", 1000]]) {
      const input = this.#field(name);
      if (!input.validity.valid || input.value === "") return this.#refuse(input, `Give a whole number${input.max ? ` from 0 to ${Number(input.max).toLocaleString("en-US")}` : ", 0 or more"}.`);
      if (input.valueAsNumber !== initial) values[name] = input.valueAsNumber;
    }
    return values;
  }

  #refuse(control, words) {
    mark(control, words);
    control.closest("details")?.setAttribute("open", "");
    control.focus();
    return null;
  }

  /** Marks the fields that the server's response names. True if any of them is in this form. */
  show(fields) {
    const named = Object.entries(fields).filter(([name]) => this.fields.has(name));
    for (const [name, words] of named) this.#refuse(this.#field(name), words);
    return named.length > 0;
  }
}

/** Attaches an error message to a control, or removes it. */
function mark(control, words) {
  control.message?.remove();
  control.toggleAttribute("aria-invalid", false);
  control.removeAttribute("aria-describedby");
  if (!words) return;
  control.message = h("span", { class: "field-error", role: "alert", id: uniqueId("message") }, words);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", control.message.id);
  control.after(control.message);
}
