// Sending files: the format is known by the file's ending, as on the command line.

import * as api from "./api.js";

const FORMATS = { npy: "npy", npz: "npz", parquet: "parquet", csv: "csv", zip: "images", json: "json" };
export const ACCEPT = Object.keys(FORMATS).map((ending) => `.${ending}`).join(",");

/** Sends a file; resolves to its sample set. */
export async function uploadFile(file, { onProgress, signal }) {
  const ending = /\.(\w+)$/.exec(file.name.toLowerCase())?.[1];
  const format = FORMATS[ending];
  if (!format) throw new api.ApiError("This kind of file is not read here.", `${file.name} should end in ${Object.keys(FORMATS).join(", ")}.`, "Save the array with numpy.save, then drop that file.");
  return api.upload(file, { name: file.name, format, onProgress, signal });
}
