// Sending files.

import * as api from "./api.js";

/** Sends a file; resolves to its sample set. */
export function uploadFile(file, { onProgress, signal }) {
  return api.upload(file, { name: file.name, onProgress, signal });
}
