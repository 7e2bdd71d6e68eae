// Two sample sets at a known distance, to try the page without files.

import { write } from "./npy.js";

const ROWS = 4000;
const COLUMNS = 8;
const SHIFT = 1;

/** Two Gaussian samples whose populations differ by a shift of 1 along a diagonal: W1 is exactly 1. */
export function exampleFiles() {
  const random = normals(20260101);
  const cloud = (shift) => Array.from({ length: ROWS * COLUMNS }, () => random() + shift / Math.sqrt(COLUMNS));
  return [["cloud.npy", 0], ["cloud-moved-by-1.npy", SHIFT]].map(([name, shift]) => new File([write(cloud(shift), COLUMNS)], name));
}

/** Standard normal numbers by Box and Muller, from a small seeded generator (mulberry32). */
function normals(seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
