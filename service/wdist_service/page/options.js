// The options of an estimate: four as a sentence in the page's own words, the others as the contract describes them.

import { boundsOf, optionsOf, valuesOf } from "./contract.js";
import { h, remark, stack } from "./dom.js";
import { choiceField, fieldOf, mark, numberField, Refused } from "./fields.js";
import { percent } from "./format.js";

const CONFIDENCES = [0.9, 0.95, 0.99, 0.999];
const TIMES = { null: "as long as it needs", 5: "about 5 seconds", 30: "about 30 seconds", 120: "about 2 minutes", 600: "about 10 minutes", 3600: "about an hour" };
const CRITICS = { auto: "whichever kind does best", groupsort: "dense networks (GroupSort)", bcop: "convolutions for images (BCOP)", cone: "cones, for clusters", sliced: "a single direction", affine: "the difference of the means" };
const SCALES = { null: "the data’s own units", none: "the data’s own units", standardize: "standard deviations of each column", robust: "robust deviations of each column", number: "units of" };

/** Parts of a sentence; punctuation stays on the line of the control before it. */
function unbroken(parts) {
  const joined = [];
  for (const part of parts.filter(Boolean)) {
    const [, mark, rest] = /^([.,;]?)(.*)$/s.exec(typeof part === "string" ? part : "");
    if (mark) joined.push(h("span", { class: "unbroken" }, joined.pop(), mark), rest);
    else joined.push(part);
  }
  return joined;
}

/** The form's fields. read() returns the values by API name; show(fields) marks what the server rejected. */
export class OptionsForm {
  /** `request`: the name of its schema in the contract. `more`: another sentence, of words and [name, label, words of its values if it has only some]. */
  constructor(contract, request, more = []) {
    this.options = optionsOf(contract, request);
    this.fields = new Map();
    const sentences = [this.#sentence(), more.map((part) => (Array.isArray(part) ? this.#choice(...part) : part))];
    this.element = stack(h("p", { class: "sentence" }, unbroken(sentences.flat(Infinity))), this.#more());
  }

  #sentence() {
    const time = this.options.has("max_seconds") && ["; train for ", this.#presets("max_seconds", "Training time", Object.keys(TIMES).filter(Number).map(Number), TIMES)];
    return ["State the distance in ", this.#scale(), " with ", this.#presets("confidence", "Confidence", CONFIDENCES, Object.fromEntries(CONFIDENCES.map((share) => [share, percent(share)]))),
      " confidence", time, " and use ", this.#choice("critic", "Kind of critic", CRITICS), ". "];
  }

  #add(name, field) {
    this.fields.set(name, field);
    return field.control;
  }

  #choice(name, label, words) {
    const option = { ...this.options.get(name), label };
    const values = valuesOf(option.kinds[0]);
    return this.#add(name, values ? choiceField(option, values, words) : fieldOf(option));
  }

  /** A choice among some values of a number: those within its bounds, and its default. */
  #presets(name, label, values, words) {
    const option = this.options.get(name);
    const possible = values.filter(boundsOf(option.kinds[0]).has);
    if (!possible.includes(option.initial)) possible.unshift(option.initial);
    return this.#add(name, choiceField({ ...option, label }, possible, words));
  }

  /** Units: a name, or a number in a field of its own. */
  #scale() {
    const option = { ...this.options.get("scale"), label: "Units of the distance" };
    const names = option.kinds.flatMap((kind) => valuesOf(kind) ?? []).filter((value) => value !== "none");
    const number = option.kinds.find(({ type }) => type === "number");
    const units = choiceField(option, [option.initial, ...names, ...(number ? ["number"] : [])], SCALES);
    const length = numberField({ name: "scale_number", label: "Length of the unit", initial: 1 }, number ?? {});
    length.control.classList.add("short");
    length.control.hidden = true;
    const show = () => (length.control.hidden = units.read() !== "number");
    units.control.addEventListener("change", show);
    const set = (value) => {
      const isNumber = typeof value === "number";
      units.set(isNumber ? "number" : value);
      if (isNumber) length.set(value);
      show();
    };
    return [this.#add("scale", { control: units.control, read: () => (units.read() === "number" ? length.read() : units.read()), set }), length.control];
  }

  #more() {
    const rest = [...this.options.values()].filter(({ name }) => !this.fields.has(name)).map((option) => [option, fieldOf(option)]).filter(([, field]) => field);
    return h("details", null, h("summary", null, "More options"), h("div", { class: "option-grid" }, rest.map(([{ name, label, help }, field]) => {
      const control = this.#add(name, field);
      control.removeAttribute("aria-label");
      return h("div", { class: "option" }, h("label", { for: control.id }, label), control, remark(help));
    })));
  }

  /** The options that differ from the defaults, by API name; null if a field is invalid, which is then marked. */
  read() {
    const values = {};
    try {
      for (const [name, field] of this.fields) {
        const value = field.read();
        if (value !== this.options.get(name).initial) values[name] = value;
      }
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#refuse(error.control, error.message);
      return null;
    }
    return values;
  }

  /** Sets the controls to what an earlier request had, by API name; the others to their defaults. */
  fill(values) {
    for (const [name, field] of this.fields) field.set(values[name] ?? this.options.get(name).initial);
  }

  #refuse(control, words) {
    mark(control, words);
    control.closest("details")?.setAttribute("open", "");
    control.focus();
  }

  /** Marks the fields that the server's response names. */
  show(fields) {
    for (const [path, words] of Object.entries(fields)) {
      const field = this.fields.get(path.split(".")[0]);
      if (field) this.#refuse(field.control, words);
    }
  }
}
