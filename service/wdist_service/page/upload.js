// Uploads files. The file extension determines the format, as on the command line. Large files go in parts by the tus
// protocol, so that a broken connection costs one part and not the whole file.

import * as api from "./api.js";

const FORMATS = { npy: "npy", npz: "npz", parquet: "parquet", csv: "csv", zip: "images" };
const PART_BYTES = 8 * 2 ** 20;
const PAUSES_SECONDS = [0.5, 1, 2, 4, 8, 15];
const TUS = { "Tus-Resumable": "1.0.0" };
export const ACCEPT = Object.keys(FORMATS).map((ending) => `.${ending}`).join(",");

export const formatOf = (name) => FORMATS[/\.(\w+)$/.exec(name.toLowerCase())?.[1]] ?? null;

/** Sends a file; resolves to its sample set. onTrouble gets an error on each interruption, and null once it is over. */
export async function uploadFile(file, { onProgress, onTrouble, signal }) {
  const format = formatOf(file.name);
  if (!format) throw new api.ApiError("This kind of file is not read here.", `${file.name} should end in ${Object.keys(FORMATS).join(", ")}.`, "Save the array with numpy.save, then drop that file.");
  if (file.size <= PART_BYTES) return api.upload(file, { name: file.name, format, onProgress, signal });
  return new Resumable(file, format, { onProgress, onTrouble, signal }).run();
}

class Resumable {
  constructor(file, format, options) {
    Object.assign(this, { file, format, ...options, offset: 0, setId: null, failures: 0 });
  }

  async run() {
    const metadata = `name ${base64(this.file.name)},format ${base64(this.format)}`;
    const begun = await api.send("POST", "/v1/uploads", { headers: { ...TUS, "Upload-Length": String(this.file.size), "Upload-Metadata": metadata }, signal: this.signal });
    this.path = new URL(begun.headers.get("Location"), location.origin).pathname;
    this.signal?.addEventListener("abort", () => api.send("DELETE", this.path, { headers: TUS }).catch(() => {})); // it expires anyway
    while (this.setId === null) await this.#next();
    return api.sampleSet(this.setId);
  }

  /** Sends one part, or finds the offset to resume from after a failure. */
  async #next() {
    try {
      if (this.failures > 0) this.#heard(await api.send("HEAD", this.path, { headers: TUS, signal: this.signal }));
      if (this.setId !== null) return;
      const body = this.file.slice(this.offset, this.offset + PART_BYTES);
      const headers = { ...TUS, "Upload-Offset": String(this.offset), "Content-Type": "application/offset+octet-stream" };
      this.#heard(await api.send("PATCH", this.path, { headers, body, signal: this.signal }));
      if (this.failures > 0) this.onTrouble?.(null);
      this.failures = 0;
    } catch (error) {
      const isPassing = error.status === 0 || error.status >= 500 || [408, 409, 423, 429].includes(error.status);
      if (this.signal?.aborted || !isPassing || this.failures >= PAUSES_SECONDS.length) throw error;
      this.onTrouble?.(error);
      await new Promise((resolve) => setTimeout(resolve, 1000 * PAUSES_SECONDS[this.failures]));
      this.failures += 1;
    }
  }

  #heard(response) {
    this.offset = Number(response.headers.get("Upload-Offset"));
    this.setId = response.headers.get("Wdist-Sample-Set");
    this.onProgress?.(this.offset / this.file.size);
  }
}

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
