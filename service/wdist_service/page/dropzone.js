// The drop zone of one sample set: drop a file, choose one, or pick a set uploaded before.

import * as api from "./api.js";
import { announce, h, hiddenText, quiet, spread, stack, uniqueId } from "./dom.js";
import { bytes, plural } from "./format.js";
import { HEADER_BYTES, parseHeader } from "./npy.js";
import { describeSet, optionText, setDetails } from "./sets.js";
import { uploadFile } from "./upload.js";

/** A sample set being chosen. `set` is filled once the server has it. */
export class Slot {
  /** `reading`: the form that says how files are read. */
  constructor(side, title, hint, reading) {
    this.side = side;
    this.reading = reading;
    this.title = title;
    this.hint = hint;
    this.set = null;
    this.error = null;
    this.progress = null;
    this.file = null;
    this.onChange = () => {};
  }

  get name() {
    return this.set?.name ?? this.file?.name ?? this.set?.id ?? null;
  }

  clear() {
    this.abort?.abort();
    Object.assign(this, { set: null, error: null, progress: null, file: null });
  }

  use(set) {
    this.clear();
    this.set = set;
    this.#changed(`${this.title}: ${set.name ?? set.id} chosen.`);
  }

  /** Uploads at once, while the user chooses the options. */
  async take(file, lacking = new Set()) {
    this.clear();
    const mine = (this.abort = new AbortController());
    this.file = file;
    this.progress = 0;
    this.#changed(`${this.title}: sending ${file.name}.`);
    try {
      await refuseBrokenNpy(file);
      const onProgress = (share) => {
        if (this.abort !== mine) return;
        this.progress = share;
        this.onProgress?.(share);
      };
      const onTrouble = (error) => this.abort === mine && this.onTrouble?.(error);
      const [set] = await uploadFile(file, { reading: this.reading.read(lacking), onProgress, onTrouble, signal: mine.signal });
      if (this.abort !== mine) return;
      Object.assign(this, { set, progress: null });
      this.#changed(`${this.title}: ${file.name} is uploaded, ${describeSet(set)}.`);
    } catch (error) {
      if (this.abort !== mine || error.name === "AbortError") return;
      const [, lacks] = /no column is named '(.*?)'; there are/.exec(error.detail ?? "") ?? [];
      if ((this.reading.wish || this.isAlone) && lacks && !lacking.has(lacks)) return this.take(file, lacking.add(lacks)); // the other file has it
      if (this.reading.settles(error)) return this.reading.again();
      Object.assign(this, { error, progress: null });
      this.#changed(null);
    }
  }

  /** Reads the file once more, as the form says now. A set uploaded before stays as it is. */
  async again() {
    if (this.file) await this.take(this.file);
  }

  #changed(words) {
    if (words) announce(words);
    this.onChange();
  }
}

/** Checks the header of an .npy file before the upload. */
async function refuseBrokenNpy(file) {
  if (!file.name.toLowerCase().endsWith(".npy")) return;
  const header = parseHeader(await file.slice(0, HEADER_BYTES).arrayBuffer());
  if (!header) throw new api.ApiError("This is not an .npy file.", `${file.name} does not begin as such a file does.`, "Save the array with numpy.save, then drop that file.");
}

/** The slot as an element that redraws itself. onFiles receives all files of a drop; notes(set): what else is said of the set chosen. */
export function dropZone(slot, earlierSets, onFiles, notes = () => []) {
  const box = h("section", { class: `drop ${slot.side}`, "aria-label": slot.title });
  const take = (files) => files.length && onFiles([...files]);
  let depth = 0; // children send dragenter and dragleave too
  const over = (change) => box.classList.toggle("over", (depth += change) > 0);
  box.addEventListener("dragenter", () => over(1));
  box.addEventListener("dragleave", () => over(-1));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    over(-depth);
    const folder = [...event.dataTransfer.items].find((item) => item.webkitGetAsEntry?.()?.isDirectory)?.getAsFile();
    if (!folder) return take(event.dataTransfer.files);
    Object.assign(slot, { error: new api.ApiError(`${folder.name} is a folder.`, "A browser sends files only.", "For pictures, put those of one population into a .zip and drop that; otherwise drop the file itself.") });
    slot.onChange();
  });
  slot.redraw = () => box.replaceChildren(...contents(slot, earlierSets(), take, notes));
  slot.redraw();
  return box;
}

function contents(slot, earlier, take, notes) {
  const head = h("div", { class: "drop-head" }, h("h2", null, slot.title), h("span", { class: "small" }, slot.hint));
  if (slot.progress !== null) return [head, sending(slot)];
  if (slot.set) return [head, ...chosen(slot, notes)];
  return [head, chooser(slot, earlier, take), slot.error && slot.reading.refusal(slot.error, slot.file)].filter(Boolean);
}

function sending(slot) {
  const bar = h("progress", { max: 1, value: slot.progress, "aria-label": `Sending ${slot.file.name}` });
  const text = h("span", { class: "small soft" });
  const show = (share) => {
    bar.value = share;
    text.textContent = share < 1 ? `${bytes(share * slot.file.size)} of ${bytes(slot.file.size)}` : "Sent. The server reads it and checks every value …";
  };
  slot.onProgress = show;
  slot.onTrouble = (error) => (error ? (text.textContent = "The connection broke off; trying again …") : null);
  show(slot.progress);
  return stack(h("strong", null, slot.file.name), bar, spread(text,
    quiet(() => (slot.clear(), slot.onChange()), "Stop")));
}

function chosen(slot, notes) {
  return [h("strong", { class: "file" }, slot.name), ...setDetails(slot.set, slot.reading), ...notes(slot.set),
    quiet(() => (slot.clear(), slot.onChange()), "Choose another", hiddenText(` for ${slot.title}`))];
}

function chooser(slot, earlier, take) {
  const input = h("input", { type: "file", multiple: true, class: "visually-hidden", id: uniqueId("file"), onchange: (event) => take(event.target.files) });
  const select = h("select", { "aria-label": `${slot.title}: a set uploaded before`, onchange: (event) => slot.use(earlier.find((set) => set.id === event.target.value)) },
    h("option", { value: "" }, `or use one of ${plural(earlier.length, "earlier set")} …`),
    earlier.map((set) => h("option", { value: set.id }, optionText(set))));
  return h("div", { class: "chooser" }, input,
    h("label", { for: input.id, class: "button" }, "Choose a file", hiddenText(` for ${slot.title}`)),
    h("span", { class: "soft small drop-words" }, "or drop it here: a table, an array, or a .zip of pictures", h("span", { class: "block" }, slot.reading.endings.join(", "))), earlier.length > 0 && select);
}
