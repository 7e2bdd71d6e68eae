// Uploads files. The server tells the format by the name of the file, as the command line does. Large files go in parts by
// the tus protocol, so that a broken connection costs one part and not the whole file.

import * as api from "./api.js";
import { sleep } from "./dom.js";

const PART_BYTES = 8 * 2 ** 20;
const PAUSES_SECONDS = [0.5, 1, 2, 4, 8, 15];
const TUS = { "Tus-Resumable": "1.0.0" };
const MOST_NAME = 200; // characters

/** Sends a file; resolves to its sample sets: one, or with `by` one for each level of that column. `reading`: how it is
 *  read, by API name. onTrouble gets an error on each interruption, and null once it is over. */
export async function uploadFile(file, { reading = {}, by = null, onProgress, onTrouble, signal }) {
  const name = file.name.replace(/[\u0000-\u001f\u007f]/g, " ").slice(-MOST_NAME); // the ending says the format
  const parameters = { name: by ? null : name, filename: name, ...reading };
  if (by || file.size <= PART_BYTES) return api.upload(file, { ...parameters, by, onProgress, signal });
  return [await new Resumable(file, parameters, { onProgress, onTrouble, signal }).run()];
}

class Resumable {
  constructor(file, parameters, options) {
    Object.assign(this, { file, parameters, ...options, offset: 0, setId: null, failures: 0 });
  }

  async run() {
    const lines = (value) => [value].flat().join("\n"); // of a list, one name a line
    const metadata = Object.entries(this.parameters).map(([name, value]) => `${name} ${base64(lines(value))}`).join(",");
    const begun = await api.send("POST", "/v1/uploads", { headers: { ...TUS, "Upload-Length": String(this.file.size), "Upload-Metadata": metadata }, signal: this.signal });
    const place = begun.headers.get("Location");
    this.path = place.slice(place.lastIndexOf("/v1/")); // what is before it is the server's address
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
      await sleep(PAUSES_SECONDS[this.failures]);
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
