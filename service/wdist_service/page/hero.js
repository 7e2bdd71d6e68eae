// The picture on the start page: a line from 0 with the distances that are possible, and those that are not.

import { s } from "./dom.js";

export function heroPicture() {
  return s("svg", { viewBox: "0 0 380 176", class: "picture hero-picture", role: "img", "aria-label": "Two overlapping hills stand for the two populations. Below them a line from 0: the distance lies between two bounds." },
    s("path", { d: "M10 88C60 88 66 14 104 14s44 74 94 74z", class: "hill source" }),
    s("path", { d: "M92 88c58 0 66-58 112-58s60 58 118 58z", class: "hill target" }),
    s("text", { x: 86, y: 62, class: "hill-name source", "text-anchor": "middle" }, "source"),
    s("text", { x: 226, y: 66, class: "hill-name target", "text-anchor": "middle" }, "target"),
    s("rect", { x: 12, y: 122, width: 150, height: 16, class: "excluded" }),
    s("rect", { x: 162, y: 122, width: 110, height: 16, class: "included" }),
    s("rect", { x: 272, y: 122, width: 96, height: 16, class: "excluded" }),
    s("line", { x1: 162, x2: 162, y1: 114, y2: 146, class: "bound-line" }),
    s("line", { x1: 272, x2: 272, y1: 114, y2: 146, class: "bound-line" }),
    s("line", { x1: 12, x2: 368, y1: 146, y2: 146, class: "axis-line" }),
    s("line", { x1: 12, x2: 12, y1: 146, y2: 151, class: "axis-line" }),
    s("text", { x: 12, y: 166, class: "small-text" }, "0"),
    s("text", { x: 87, y: 134, class: "small-text", "text-anchor": "middle" }, "excluded"),
    s("text", { x: 320, y: 134, class: "small-text", "text-anchor": "middle" }, "excluded"),
    s("text", { x: 217, y: 166, class: "bound-text", "text-anchor": "middle" }, "the distance is here"));
}
