// Two chosen sets side by side: their columns, why they cannot be compared yet, and what is better changed first.

import * as api from "./api.js";
import { alertBox, h, note, rowHead, small } from "./dom.js";
import { figure, plural, whole } from "./format.js";
import { columnsIn, describeSet, kindOf, MOST_ROWS, nameOf, scrollTable, valuesOf } from "./sets.js";

const MUCH = 10; // between the spreads of two columns, from where one decides the distance
const SHOWN = 6; // names in a sentence
const ENOUGH = 500; // rows, below which the margin for chance is wide

export const list = (names) => names.slice(0, SHOWN).join(", ") + (names.length > SHOWN ? ` and ${whole(names.length - SHOWN)} more` : "");
const button = (words, act) => h("button", { onclick: act }, words);

/** What is said of a set with few rows, or with fewer than the server takes. */
export function rowsNote({ rows }, least) {
  if (rows < least) return [alertBox({ title: `${plural(rows, "row")}: too few.`, message: `At least ${whole(least)} are needed, as part of them is kept back for the bound.`, next: "Choose a file with more rows." })];
  return rows < ENOUGH ? [note(`With ${whole(rows)} rows the margin for chance is wide: only a large difference will show.`)] : [];
}

/** Of two slots, {isBlocked, elements}. `least`: rows that each must have; `options`: the form of the estimate's options. */
export function pairView(slots, reading, options, least) {
  const sets = slots.map(({ set }) => set);
  if (sets.includes(null)) return { isBlocked: false, elements: [] };
  const columns = sets.map(columnsIn);
  const clash = clashOf(slots, columns, reading);
  const isTable = columns.every(Boolean);
  return { isBlocked: Boolean(clash) || sets.some(({ rows }) => rows < least),
    elements: [clash, isTable && sideBySide(sets, columns, clash), isTable && !clash && identifiers(slots, reading, columns), isTable && !clash && units(columns, options)].filter(Boolean) };
}

/** Why two sets cannot be compared, with what mends it; null if they can. */
function clashOf(slots, columns, reading) {
  const sets = slots.map(({ set }) => set);
  const refuse = (message, next, ...buttons) => {
    const box = alertBox({ title: "These two cannot be compared yet.", message, next });
    if (buttons.length) box.append(h("div", { class: "remedies" }, buttons));
    return box;
  };
  const [one, other] = sets.map(({ shape }) => shape.slice(1).join(" × "));
  if (!columns.every(Boolean)) return one === other ? null : refuse(`Rows of the source are ${one}, rows of the target ${other}.`, "Choose two files whose rows have one shape.");
  const names = columns.map((each) => each.map(({ name }) => name));
  const isNamed = sets.map((set) => Boolean(set.table ?? set.columns));
  if (!isNamed[0] || !isNamed[1]) {
    if (one !== other) return refuse(`The source has ${plural(+one, "column")}, the target ${other}.`, "Choose two files with the same columns in the same order.");
    const bare = isNamed[0] ? 1 : 0;
    const given = names[1 - bare];
    if (isNamed[0] === isNamed[1] || one === "1" || given.every((name) => /^\d+$/.test(name))) return null;
    const name = async ({ currentTarget }) => {
      try {
        slots[bare].use(await api.nameColumns(sets[bare].id, given));
      } catch (error) {
        currentTarget.closest(".alert").replaceWith(alertBox(error));
      }
    };
    return refuse(`The columns of ${nameOf(sets[bare])} have no names. Are they ${list(given)}?`, null, button("Yes, in this order", name));
  }
  const shared = names[0].filter((name) => names[1].includes(name));
  const fixed = slots.find(({ file }, i) => !file && names[i].join("\n") !== shared.join("\n")); // an earlier set stays as it was read
  const again = (words, change) => (fixed ? [] : [button(words, () => (change(), reading.again()))]);
  const reread = fixed && `${nameOf(fixed.set)} was read earlier: choose its file to read it in another way.`;
  const only = names.map((each) => each.filter((name) => !shared.includes(name)));
  const lacks = only.map((each, i) => each.length && `only the ${slots[i].side} has ${list(each)}`).filter(Boolean);
  const plain = (name) => name.normalize().toLowerCase().replace(/[^\p{L}\p{N}]/gu, "") || name;
  const pair = only[0].flatMap((name) => only[1].filter((other) => plain(other) === plain(name)).map((other) => `“${name}” and “${other}”`))[0];
  const rename = pair && `${pair} look alike: give both one name.`;
  if (!shared.length) return refuse("They share no column.", rename || "Choose two files with the same columns.");
  if (lacks.length) return refuse(`Their columns differ: ${lacks.join("; ")}.`, [rename, reread].filter(Boolean).join(" ") || null, ...again(`Compare what they share: ${list(shared)}`, () => reading.only(shared)));
  if (names[0].join("\n") !== names[1].join("\n")) return refuse("They have the same columns in another order.", reread, ...again("Take both in the order of the source", () => reading.only(names[0])));
  const odd = columns[0].filter(({ kind }, i) => kind !== columns[1][i].kind);
  if (!odd.length) return null;
  const said = odd.map(({ name, kind }) => `${name} is “${kindOf({ kind })}” in the source and “${kindOf(columns[1][names[1].indexOf(name)])}” in the target`);
  const out = odd.map(({ name }) => name);
  if (slots.some(({ file }) => !file)) return refuse(`${list(said)}.`, "Choose both files again to read them alike.");
  return refuse(`${list(said)}.`, null, !said.join().includes("“time”") && button(`Take ${list(out)} as categories`, () => (out.forEach((name) => reading.declare("categories", name)), reading.again())),
    out.length < names[0].length && button(`Leave out ${list(out)}`, () => (reading.leaveOut(out), reading.again())));
}

/** The table of the columns: what each set holds in them, or that it lacks them. */
function sideBySide([one, other], [source, target], clash) {
  const places = new Map(target.map((column) => [column.name, column]));
  const isBare = one.columns === null || other.columns === null; // compared by position
  if (isBare && source.length !== target.length) return null;
  const all = source.map((column, i) => [column, isBare ? target[i] : places.get(column.name)]);
  if (!isBare) all.push(...target.filter(({ name }) => !source.some((each) => each.name === name)).map((column) => [null, column]));
  const cell = (column) => h("td", null, column ? [valuesOf(column), column.figures?.missing > 0 && h("span", { class: "block soft" }, `${whole(column.figures.missing)} missing`)] : h("strong", { class: "lacking" }, "not in it"));
  const kinds = (pair) => [...new Set(pair.filter(Boolean).map(kindOf))].join(" / ");
  return h("details", { class: "small pair-columns", open: clash || all.length <= MUCH }, h("summary", null, clash ? "The columns of both" : `What is compared: ${describeSet(one)} with ${plural(other.rows, "row")}`),
    scrollTable("Columns of both sets", ["Column", "Kind", "Source", "Target"], all.slice(0, MOST_ROWS).map((pair) => h("tr", null, rowHead((pair[0] ?? pair[1]).name), h("td", null, kinds(pair)), pair.map(cell)))));
}

/** Whether a column has a value of its own in nearly every row, or counts the rows. */
function isIdentifier({ kind, figures }, rows) {
  if (!figures) return false;
  if (kind === "category") return figures.distinct > 0.9 * rows;
  return kind === "number" && figures.max - figures.min === rows - 1 && Math.abs(figures.std / Math.sqrt((rows * rows - 1) / 12) - 1) < 1e-6;
}

/** What is said of columns that name the rows of every slot's set; null without any. */
export function identifiers(slots, reading, columns = slots.map(({ set }) => columnsIn(set))) {
  if (!columns.every(Boolean)) return null;
  const found = columns[0].filter((_, i) => slots.every(({ set }, k) => isIdentifier(columns[k][i], set.rows))).map(({ name }) => name);
  if (!found.length || found.length === columns[0].length) return null;
  return advice(`${list(found)}: a value of its own in every row. It names rows and says nothing of the populations, but counts in the distance.`,
    slots.every(({ file, set }) => file && (set.table ?? set.columns)) ? button(`Leave out ${list(found)}`, () => (reading.leaveOut(found), reading.again())) : h("p", null, "Choose files without it."));
}

const advice = (words, act) => h("div", { class: "alert warnings", role: "note" }, h("p", null, words), act);

/** A sentence about the units, with a button where one column would decide the distance; null where there is nothing to say. */
function units([source, target], options) {
  const scale = options.fields.get("scale");
  if (![null, "none"].includes(scale.read())) return null;
  const spread = (one, other) => Math.sqrt((one?.std ** 2 + other?.std ** 2) / 2);
  const sizes = source.map(({ name, kind, figures }, i) => (kind === "category" ? ["levels of a category", 1] : [name, spread(figures, target[i].figures)])).filter(([, size]) => size > 0).sort(([, one], [, other]) => other - one);
  if (sizes.length < 2) return null;
  const [[most, high], [least, low]] = [sizes[0], sizes.at(-1)];
  if (high <= MUCH * low) return small("The columns vary by similar amounts: if their units are the same, the data’s own will do; else count each in its standard deviations.");
  return advice(`${most} would decide the distance almost alone: in the data’s own units its standard deviation is ${figure(high, 3)}, that of ${least} ${figure(low, 3)}.`,
    button("Count each column in its standard deviations", () => {
      scale.set("standardize");
      scale.control.dispatchEvent(new Event("change", { bubbles: true }));
    }));
}
