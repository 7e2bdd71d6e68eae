// How files are read: a form of the parameters of an upload, and buttons that do what a refusal advises.

import { endingsOf, parametersOf } from "./contract.js";
import { alertBox, h } from "./dom.js";
import { fieldOf, textFieldOf } from "./fields.js";
import { plural } from "./format.js";

const ADVICE = /\?(\w+)=([\w.~%-]+)/g; // as the server's messages name an option
const UPLOAD = "/v1/sample-sets";
// What the page says itself, labels, which are no rows, and folders, which are not sent from here.
const NOT_ASKED = new Set(["name", "format", "filename", "labels", "subfolders", "by"]);
/** What a button does that sets an option; others by label and value. */
const REMEDIES = {
  drop: (value) => `Leave out the column ${value}`,
  categories: (value) => `Take ${value} as a category`,
  dates: (value) => `Take ${value} as dates`,
  time_unit: (value) => `Count times in ${value}`,
  missing: (value) => ({ drop: "Leave out rows with a missing value", level: "Make missing values a level" })[value],
  member: (value) => `Take the array ${value}`,
  sheet: (value) => `Take the sheet ${value}`,
};

/** The form. onChange is called after a change; again() reads the files that are here once more. */
export class ReadingForm {
  constructor(contract) {
    this.options = new Map([...parametersOf(contract, UPLOAD)].filter(([name]) => !NOT_ASKED.has(name)));
    this.endings = endingsOf(contract, UPLOAD);
    this.fields = new Map([...this.options].map(([name, option]) => [name, textFieldOf(option) ?? fieldOf(option)]).filter(([, field]) => field));
    this.again = () => {};
    this.button = h("button", { type: "button", onclick: () => this.again() }, "Read the files again");
    this.count = h("span", { class: "soft" });
    this.element = h("details", { class: "reading", oninput: () => this.#tell() }, h("summary", null, "How the files are read", this.count),
      h("div", { class: "stack" }, h("p", { class: "small soft" }, "Files that are compared are read alike."), h("div", { class: "option-grid" }, [...this.fields].map(([name, field]) => this.#line(this.options.get(name), field))), this.button));
  }

  #line({ label, help }, { control }) {
    control.removeAttribute("aria-label");
    return h("div", { class: "option" }, h("label", { for: control.id }, label), control, h("span", { class: "small soft" }, help));
  }

  /** Shows beside the title how many options are set. */
  #tell() {
    const set = Object.keys(this.read()).length;
    this.count.textContent = set ? ` (${plural(set, "option")} set)` : "";
  }

  /** The options that differ from the defaults, by API name. */
  read() {
    const given = [...this.fields].map(([name, field]) => [name, field.read()]);
    return Object.fromEntries(given.filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(this.options.get(name).initial)));
  }

  /** A message in the words of this form: what it calls ?option=value is “label: value”. */
  inWords(text) {
    const [, sentence, stop] = /^(.*?)(\.?)$/s.exec(text); // the last dot ends the sentence, and no value
    return sentence.replace(ADVICE, (whole, name, value) => (this.options.has(name) ? `“${this.options.get(name).label}: ${decoded(value)}”` : whole)) + stop;
  }

  /** A refusal in words, with buttons that do what it advises. */
  refusal(error) {
    const said = error.message.replace(/^the body \(\w+\): (.)/i, (_, first) => first.toUpperCase()); // no one here sent a “body”
    const box = alertBox({ title: error.title, message: this.inWords(said), next: error.next });
    const buttons = this.#remedies(error);
    if (buttons.length) box.append(h("div", { class: "remedies" }, buttons));
    return box;
  }

  /** Buttons for the options that a refusal names as ?option=value: each sets one, and reads the files again. */
  #remedies(error) {
    const named = [...(error.detail ?? "").matchAll(ADVICE)].map(([, name, value]) => [name, decoded(value)]);
    const possible = named.filter(([name, value]) => this.fields.get(name)?.set && value !== "NAME");
    const distinct = new Map(possible.map(([name, value]) => [`${name} ${value}`, [name, value]]));
    return [...distinct.values()].map(([name, value]) => h("button", { type: "button", class: "remedy", onclick: () => {
      this.fields.get(name).set(value);
      this.#tell();
      this.again();
    } }, REMEDIES[name]?.(value) ?? `${this.options.get(name).label}: ${value}`));
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
