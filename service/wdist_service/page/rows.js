// Fetches single rows of a stored sample set by byte range, as the file may be gigabytes.

import * as api from "./api.js";
import { h } from "./dom.js";
import { HEADER_BYTES, decode, parseHeader } from "./npy.js";

const headers = new Map();

async function headerOf(set) {
  if (!headers.has(set.id)) headers.set(set.id, parseHeader(await api.contentRange(set.id, 0, Math.min(HEADER_BYTES, set.bytes) - 1)));
  return headers.get(set.id);
}

/** The values of some rows, one Float64Array each; null for Fortran order, where rows are not contiguous. */
export async function fetchRows(set, indices) {
  const header = await headerOf(set);
  if (!header?.itemBytes || header.fortranOrder) return null;
  const width = header.shape.slice(1).reduce((product, size) => product * size, 1);
  const length = width * header.itemBytes;
  return Promise.all(indices.map(async (index) => {
    const first = header.offset + index * length;
    return decode(await api.contentRange(set.id, first, first + length - 1), header, width);
  }));
}

/** {height, width, channels, isPlanar} of a row; null if rows are not images. */
export function imageShape(shape, layout) {
  const rest = shape.slice(1);
  if (rest.length === 2) return { height: rest[0], width: rest[1], channels: 1, isPlanar: false };
  if (rest.length !== 3) return null;
  const isPlanar = layout ? layout === "nchw" : [1, 3, 4].includes(rest[0]) && ![1, 3, 4].includes(rest[2]);
  const [height, width, channels] = isPlanar ? [rest[1], rest[2], rest[0]] : rest;
  return [1, 3, 4].includes(channels) ? { height, width, channels, isPlanar } : null;
}

/** An image as a canvas; [low, high] maps to black and white. */
export function thumbnail(values, image, [low, high], label) {
  const { height, width, channels, isPlanar } = image;
  const canvas = h("canvas", { width, height, role: "img", "aria-label": label, class: "thumbnail" });
  const picture = new ImageData(width, height);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      const from = Math.min(channel, channels === 3 || channels === 4 ? 2 : 0);
      const value = values[isPlanar ? from * width * height + pixel : pixel * channels + from];
      picture.data[4 * pixel + channel] = (255 * (value - low)) / (high - low || 1);
    }
    picture.data[4 * pixel + 3] = 255;
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}
