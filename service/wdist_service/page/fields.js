// Form controls for options of the contract. read() gives the value by its API type, and throws Refused for an invalid one.

import { boundsOf, valuesOf } from "./contract.js";
import { h, uniqueId } from "./dom.js";

const YES_NO = { true: "yes", false: "no", null: "not set" };

/** What is wrong with a control's value. */
export class Refused extends Error {
  constructor(control, words) {
    super(words);
    this.control = control;
  }
}

/** The control of an option of one simple type; null for the others, which the page leaves to the API. */
export function fieldOf(option) {
  const [kind, ...others] = option.kinds;
  if (others.length) return null;
  const values = valuesOf(kind);
  if (values) return choiceField(option, option.isNullable ? [null, ...values] : values);
  if (kind.type === "array") return kind.items?.type === "number" ? listField(option, kind) : null;
  return ["integer", "number"].includes(kind.type) ? numberField(option, kind) : null;
}

/** Several numbers, with commas between them; empty where the option may be null. */
function listField({ name, label, isNullable }, { minItems: least = 0 }) {
  const control = h("input", { type: "text", inputmode: "decimal", name, "aria-label": label, id: uniqueId(name), placeholder: isNullable ? "not set" : null });
  control.addEventListener("input", () => mark(control, null));
  const read = () => {
    if (isNullable && control.value.trim() === "") return null;
    const parts = control.value.split(",").map((part) => part.trim());
    if (parts.length < least || parts.some((part) => part === "" || !Number.isFinite(Number(part)))) throw new Refused(control, `Give ${least || "some"} or more numbers, with commas between them, as in 0, 1${isNullable ? "; or leave it empty" : ""}.`);
    return parts.map(Number);
  };
  return { control, read, set: (value) => (control.value = value?.join(", ") ?? "") };
}

/** The control of an option that is text, or names of columns; null for others. */
export function textFieldOf(option) {
  const [kind, ...others] = option.kinds;
  if (others.length || valuesOf(kind)) return null;
  if (kind.type === "string") return textField(option, kind);
  return kind.type === "array" && kind.items?.type === "string" ? namesField(option) : null;
}

/** Text; empty where the option may be null. */
function textField({ name, label }, { maxLength }) {
  const control = h("input", { type: "text", name, "aria-label": label, id: uniqueId(name), maxlength: maxLength, placeholder: "not set", autocomplete: "off", spellcheck: "false" });
  control.addEventListener("input", () => mark(control, null));
  return { control, read: () => (control.value === "" ? null : control.value), set: (value) => (control.value = value) };
}

/** Names, one on each line, as a name may hold a comma. */
function namesField({ name, label, initial }) {
  const control = h("textarea", { name, rows: 2, "aria-label": label, id: uniqueId(name), placeholder: "one on each line", autocomplete: "off", spellcheck: "false" });
  control.addEventListener("input", () => mark(control, null));
  const names = () => control.value.split("\n").filter((line) => line.trim() !== "");
  const read = () => (names().length ? names() : initial);
  const write = (values) => (control.value = values.join("\n"));
  return { control, read, names, write, set: (value) => names().includes(value) || write([...names(), value]) };
}

/** A list of values; one without words shows its API name. */
export function choiceField({ name, initial, label, words: given }, choices, words = given) {
  const values = [...choices];
  const texts = values.map((value) => words[value] ?? given[value] ?? YES_NO[value] ?? String(value));
  const control = h("select", { name, "aria-label": label, id: uniqueId(name) }, values.map((value, i) => h("option", { value: value ?? "", selected: value === initial }, texts[i])));
  control.addEventListener("change", () => mark(control, null));
  const set = (value) => {
    const known = values.findIndex((each) => String(each) === String(value));
    if (known < 0) control.append(h("option", null, String(value))); // as of a request that another program sent
    control.selectedIndex = known < 0 ? values.push(value) - 1 : known;
  };
  return { control, read: () => values[control.selectedIndex], set };
}

/** A number within the option's bounds; empty where the option may be null. */
export function numberField({ name, initial, label, isNullable }, kind) {
  const { low, high, has, words } = boundsOf(kind);
  const limit = (value) => (Number.isFinite(value) ? value : null);
  const control = h("input", { type: "number", name, "aria-label": label, id: uniqueId(name), value: initial, min: limit(low), max: limit(high), step: kind.type === "integer" ? 1 : "any", placeholder: isNullable ? "not set" : null });
  control.addEventListener("input", () => mark(control, null));
  const read = () => {
    if (isNullable && control.value === "" && !control.validity.badInput) return null;
    if (!has(control.valueAsNumber)) throw new Refused(control, `Give ${words}${isNullable ? "; or leave it empty" : ""}.`);
    return control.valueAsNumber;
  };
  return { control, read, set: (value) => (control.value = value ?? "") };
}

/** Attaches an error message to a control, or removes it. */
export function mark(control, words) {
  control.message?.remove();
  control.toggleAttribute("aria-invalid", false);
  control.removeAttribute("aria-describedby");
  if (!words) return;
  control.message = h("span", { class: "field-error", role: "alert", id: uniqueId("message") }, words);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", control.message.id);
  control.after(control.message);
}
