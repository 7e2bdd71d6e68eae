// Builds elements without HTML strings, so that text from files or the server can never become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, each] of Object.entries(value)) element.style.setProperty(key, each);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element; a button submits nothing unless it is of that type. Properties starting with "on" are listeners; false and null ones are left out. */
export const h = (tag, properties, ...children) => fill(document.createElement(tag), tag === "button" ? { type: "button", ...properties } : properties, children);

export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

/** A button beside those that matter more. */
export const quiet = (onclick, ...words) => h("button", { class: "quiet", onclick }, words);

/** Text for screen readers only. */
export const hiddenText = (...text) => h("span", { class: "visually-hidden" }, text);

/** Small letters: beside other words, as a second line, or as a paragraph. */
export const remark = (...text) => h("span", { class: "small soft" }, text);
export const under = (...text) => h("span", { class: "small soft block" }, text);
export const small = (...text) => h("p", { class: "small soft" }, text);
export const note = (...text) => h("p", { class: "note" }, text);

/** Boxes for elements: one below the other, at both ends of a line, as a card, or as an option with its label. */
export const stack = (...elements) => h("div", { class: "stack" }, elements);
export const spread = (...elements) => h("div", { class: "spread" }, elements);
export const card = (...elements) => h("section", { class: "card" }, elements);
export const option = (...elements) => h("div", { class: "option" }, elements);

/** A box in which a wide table scrolls, also by keys. */
export const scrollBox = (label, ...content) => h("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": label }, content);

export const figureHead = () => h("thead", { class: "visually-hidden" }, heads(["Name", "Figure", "Meaning"]));
export const rowHead = (...text) => h("th", { scope: "row" }, text);

/** The row of a table's heads. */
export const heads = (names) => h("tr", null, names.map((name) => h("th", { scope: "col" }, name)));

/** An SVG element. */
export const s = (tag, properties, ...children) => fill(document.createElementNS(SVG, tag), properties, children);

export const byId = (id) => document.getElementById(id);

let counter = 0;
export const uniqueId = (prefix) => `${prefix}-${(counter += 1)}`;

/** Announces a message to screen readers without showing it. */
export function announce(text) {
  const region = byId("announcer");
  region.textContent = "";
  setTimeout(() => (region.textContent = text), 30); // without the pause, a repeated message would not be read again
}

/** An error with advice on what to do next; `again` adds a retry button. */
export function alertBox(error, again) {
  const next = error.next ? h("p", { class: "next" }, error.next) : null;
  const button = again ? quiet(again, "Try again") : null;
  return h("div", { class: "alert", role: "alert" }, h("p", null, h("strong", null, error.title ?? "Something went wrong"), " ", error.message), next, button);
}

/** Why nothing can be begun yet, and what is to be done first. */
export const notYet = (words, next) => alertBox({ title: "Not yet:", message: words, next });

/** Calls draw(width) now and whenever the width of the box changes; returns the box. */
export function responsive(properties, draw) {
  const box = h("div", properties);
  let width = 0;
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now > 0 && now !== width) box.replaceChildren(draw((width = now)));
  }).observe(box);
  box.redraw = () => width > 0 && box.replaceChildren(draw(width));
  return box;
}

/** A table for screen readers only, with the figures behind a picture. */
export function hiddenTable(caption, head, rows) {
  return h("div", { class: "visually-hidden" }, h("table", null, h("caption", null, caption), // a table cannot be narrowed itself
    h("thead", null, heads(head)),
    h("tbody", null, rows.map((row) => h("tr", null, row.map((text, i) => h(i ? "td" : "th", i ? null : { scope: "row" }, text)))))));
}

/** Copies text to the clipboard, also without TLS, where the Clipboard API is missing. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = h("textarea", { class: "visually-hidden" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Offers bytes as a file to download. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
