// A table of one of the API's lists.

import { card, h, heads, hiddenText, spread } from "./dom.js";
import { plural } from "./format.js";

/** A cell of a line, with its column's name for narrow screens, where there are no columns. */
export const cell = (label, ...content) => h("td", { "data-label": label }, content);

/** A quiet button of a line; `of` says to screen readers which line it belongs to. */
export const lineButton = (words, of, onclick, more) => h("button", { class: "quiet", onclick, ...more }, words, hiddenText(` ${of}`));

/** The table, one page at a time. Only changed rows are redrawn, which keeps the focus. */
export class Listing {
  /** `row(entry)` makes the line of an entry; `empty` is said while there are none. */
  constructor(title, head, fetchPage, row, empty = ["None yet. ", h("a", { href: "#/" }, "Compare two sample sets")]) {
    Object.assign(this, { fetchPage, row, entries: new Map(), rows: new Map(), next: null, asked: 0, answered: 0, wanted: {} });
    this.body = h("tbody");
    this.count = h("span", { class: "soft small" });
    this.more = h("button", { class: "quiet more", hidden: true, onclick: () => this.load(this.next).then(() => this.draw()) }, "Show older ones");
    this.empty = h("p", { class: "soft", hidden: true }, empty);
    this.table = h("div", { class: "table-box" }, h("table", { class: "listing" }, h("caption", { class: "visually-hidden" }, title),
      h("thead", null, heads(head.map((text) => text || hiddenText("Actions")))), this.body));
    this.none = h("p", { class: "soft", hidden: true }, "None is found.");
    this.element = card(spread(h("h2", null, title), this.count), this.table, this.empty, this.none, this.more);
  }

  get isNarrowed() {
    return Object.values(this.wanted).some((value) => value !== undefined);
  }

  /** Shows others from now on: `wanted` goes to `fetchPage`. */
  async want(wanted) {
    this.wanted = wanted;
    this.answered = this.asked + 1; // what was asked for before comes too late
    this.entries = new Map();
    await this.load();
  }

  async load(after) {
    const number = ++this.asked;
    const page = await this.fetchPage(after, this.wanted);
    if (number < this.answered) return; // asked before something was deleted, say, and answered late
    this.answered = number;
    const fresh = new Map(page.data.map((entry) => [entry.id, entry]));
    if (after) this.entries = new Map([...this.entries, ...fresh]);
    else {
      // Ids are in order of time: what is older than this page stays, and what is missing on it was deleted.
      const last = page.data.at(-1)?.id;
      this.entries = new Map([...fresh, ...[...this.entries].filter(([id]) => page.has_more && id < last)]);
    }
    if (after || this.entries.size === fresh.size) this.next = page.next;
  }

  draw() {
    for (const [id, row] of this.rows) {
      if (this.entries.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    [...this.entries.values()].forEach((entry, i) => {
      const version = JSON.stringify(entry);
      const old = this.rows.get(entry.id);
      if (old?.version !== version && !old?.querySelector("form")) { // not while it is being renamed
        const row = Object.assign(this.row(entry), { version });
        if (old) old.replaceWith(row);
        this.rows.set(entry.id, row);
      }
      const row = this.rows.get(entry.id);
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] ?? null);
    });
    this.count.textContent = this.entries.size ? `${plural(this.entries.size, "entry").replace("entrys", "entries")}${this.next ? ", more below" : ""}` : "";
    this.table.hidden = this.entries.size === 0;
    this.empty.hidden = this.entries.size > 0 || this.isNarrowed;
    this.none.hidden = this.entries.size > 0 || !this.isNarrowed;
    this.more.hidden = !this.next;
  }
}
