// How files are read: a form of the parameters of an upload, and buttons that do what a refusal advises.

import { endingsOf, parametersOf } from "./contract.js";
import { alertBox, h, remark, small, stack } from "./dom.js";
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
  header: (value) => (value === "true" ? "The first line is names" : "The first line is a row like the others"),
};
const MOST_BUTTONS = 12;
const TEXT = /holds text|not a number: declare/;
const ALL = ". All at once: "; // what follows is for programs: here are buttons
const INCOMPLETE = /; ([\d,]+ of [\w ,]+ rows ha\w+ missing values), in /;
const SEVERAL = /holds \d+ arrays \((.*)\); choose|has \d+ sheets \((.*)\): choose/;
const IMAGE = /\.(png|jpe?g|gif|bmp|webp|tiff?)$/i;

/** The columns that a refusal says hold text, and what each could be declared as: "categories", "dates", or nothing. */
export function textColumns(text) {
  const [detail] = text.split(ALL);
  const named = Object.fromEntries([...detail.matchAll(ADVICE)].map(([, option, value]) => [option, decoded(value)]));
  if (!TEXT.test(detail) || !named.drop) return new Map();
  const also = (words) => [...(detail.split(words)[1] ?? "").split(/ there are |, too/)[0].matchAll(/'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g)].map(([, one, other]) => (one ?? other).replace(/\\(.)/g, "$1"));
  return new Map([[named.drop, named.dates ? "dates" : named.categories && "categories"],
    ...also("there is text in ").map((name) => [name, "categories"]), ...also("there are dates in ").map((name) => [name, "dates"])]);
}

/** Columns of text that are no categories, by a refusal: each has nearly as many texts as rows, or dates of another form. */
const noCategories = (text) => new URLSearchParams(text.split(ALL)[1]).getAll("drop");

function inColumns(found) {
  const of = (words, isDate) => [...found].filter(([, kind]) => (kind === "dates") === isDate).map(([name], i) => (i ? name : `${words} in ${name}`)).join(", ");
  return `There is ${[of("text", false), of("dates", true)].filter(Boolean).join(", and ")}.`;
}

/** The form. onChange is called after a change; again() reads the files that are here once more. */
export class ReadingForm {
  constructor(contract) {
    this.options = new Map([...parametersOf(contract, UPLOAD)].filter(([name]) => !NOT_ASKED.has(name)));
    this.endings = endingsOf(contract, UPLOAD);
    this.fields = new Map([...this.options].map(([name, option]) => [name, textFieldOf(option) ?? fieldOf(option)]).filter(([, field]) => field));
    this.again = () => {};
    this.wish = null; // what to do with every column of text, once a person has said: "drop" or "declare"
    this.button = h("button", { onclick: () => this.again() }, "Read the files again");
    this.count = h("span", { class: "soft" });
    this.element = h("details", { class: "reading", oninput: () => this.#tell() }, h("summary", null, "How the files are read", this.count),
      stack(small("Files that are compared are read alike."), h("div", { class: "option-grid" }, [...this.fields].map(([name, field]) => this.#line(this.options.get(name), field))), this.button));
  }

  #line({ label, help }, { control }) {
    control.removeAttribute("aria-label");
    return h("div", { class: "option" }, h("label", { for: control.id }, label), control, remark(help));
  }

  /** Shows beside the title how many options are set. */
  #tell() {
    const set = Object.keys(this.read()).length;
    this.count.textContent = set ? ` (${plural(set, "option")} set)` : "";
  }

  /** The options that differ from the defaults, by API name; `lacking`: names that the file does not have. */
  read(lacking = new Set()) {
    const given = [...this.fields].map(([name, field]) => [name, field.names ? field.read()?.filter((each) => !lacking.has(each)) ?? null : field.read()]);
    return Object.fromEntries(given.filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(this.options.get(name).initial)));
  }

  /** Leaves columns out, however they were declared. */
  leaveOut(names) {
    const chosen = this.fields.get("columns").names();
    for (const option of ["columns", "categories", "dates"]) this.#keep(option, (each) => !names.includes(each));
    if (!chosen.length) names.forEach((name) => this.fields.get("drop").set(name));
    this.#tell();
  }

  /** Takes these columns only, in this order. */
  only(names) {
    for (const option of ["drop", "categories", "dates"]) this.#keep(option, (each) => option !== "drop" && names.includes(each));
    this.fields.get("columns").write(names);
    this.#tell();
  }

  declare(option, name) {
    this.fields.get(option).set(name);
    this.#tell();
  }

  #keep(option, isKept) {
    const field = this.fields.get(option);
    field.write(field.names().filter(isKept));
  }

  /** Does with the columns of text of a refusal what was wished for; whether that changed anything. */
  settles({ detail }) {
    if (!this.wish || !detail) return false;
    const before = JSON.stringify(this.read());
    const found = textColumns(detail);
    const free = this.wish === "declare" ? noCategories(detail) : [];
    const out = [...found].filter(([name, kind]) => this.wish === "drop" || free.includes(name) || !kind || this.fields.get(kind).names().includes(name)).map(([name]) => name);
    this.leaveOut(out);
    const asked = this.wish === "declare" ? [...new URLSearchParams(detail.split(ALL)[1]).values()] : []; // without words among numbers, which are to be mended
    for (const [name, kind] of found) if (!out.includes(name) && (!asked.length || asked.includes(name))) this.declare(kind, name);
    if (this.wish === "declare" && INCOMPLETE.test(detail)) this.declare("missing", "level");
    const isTimed = found.size ? this.fields.get("dates").names().length : this.wish === "declare" && detail.includes("?time_unit=");
    if (isTimed && !this.fields.get("time_unit").read()) this.declare("time_unit", "days");
    return JSON.stringify(this.read()) !== before;
  }

  /** A message in the words of this form: what it calls ?option=value is “label: value”. */
  inWords(text) {
    const [, sentence, stop] = /^(.*?)(\.?)$/s.exec(text); // the last dot ends the sentence, and no value
    return sentence.replace(ADVICE, (whole, name, value) => (this.options.has(name) ? `“${this.options.get(name).label}: ${decoded(value)}”` : whole)) + stop;
  }

  /** A refusal in words, with buttons that do what it advises; `file` is the one that was refused. */
  refusal(error, file) {
    const isFormat = error.status === 415;
    const said = error.message.replace(/^the body(?: \(\w+\))?: (.)/i, (_, first) => first.toUpperCase()).replace(/; say which format it is with \?format=.*$/s, ".").split(ALL)[0]; // no one here sent a “body”
    const text = textColumns(error.detail ?? "");
    const lost = INCOMPLETE.exec(error.detail ?? "");
    const buttons = this.#remedies(error, text);
    const isImage = isFormat && IMAGE.test(file?.name ?? "");
    const next = isImage ? "Put the pictures of each population, all of one size, into a .zip and drop that." : error.next ?? (error.status !== 422 ? null : buttons.length ? null : "Correct it, or choose another file.");
    const box = alertBox({ title: [422, 415].includes(error.status) ? `${file?.name ?? "This file"} cannot be used yet.` : error.title, message: text.size > 1 ? `${inColumns(text)}${lost ? ` ${lost[1]}.` : ""} The distance is of numbers: say what to do with these columns.` : this.inWords(said), next });
    if (buttons.length) box.append(h("div", { class: "remedies" }, buttons));
    return box;
  }

  /** Buttons for the options that a refusal names as ?option=value: each sets one, and reads the files again. */
  #remedies(error, text) {
    const detail = error.detail ?? "";
    const [, arrays, sheets] = SEVERAL.exec(detail) ?? [];
    const several = (names, option) => (names?.split(", ") ?? []).slice(0, MOST_BUTTONS).map((name) => [option, name]);
    const named = [...several(arrays, "member"), ...several(sheets, "sheet"), ...[...detail.matchAll(ADVICE)].map(([, name, value]) => [name, decoded(value)])];
    const possible = named.filter(([name, value]) => this.fields.get(name)?.set && value !== "NAME");
    const distinct = new Map(possible.map(([name, value]) => [`${name} ${value}`, [name, value]]));
    const all = (wish, ...words) => h("button", { class: "remedy", onclick: () => {
      this.wish = wish;
      this.settles(error);
      this.again();
    } }, words);
    return [...(text.size > 1 ? [all("drop", "Leave these columns out"), all("declare", [...text.values()].includes("dates") ? "Take text as categories, dates as dates" : "Take them as categories", INCOMPLETE.test(detail) && ", missing values as a level", noCategories(detail).map((name) => `, leave out ${name}`))] : []),
      ...[...distinct.values()].map(([name, value]) => h("button", { class: "remedy", onclick: () => {
        this.declare(name, value);
        this.again();
      } }, REMEDIES[name]?.(value) ?? `${this.options.get(name).label}: ${value}`))];
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
