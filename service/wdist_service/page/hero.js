// The picture on the start page: a line from 0 with the excluded part and the possible distances.

import { s } from "./dom.js";

export function heroPicture() {
  return s("svg", { viewBox: "0 0 380 176", class: "picture hero-picture", role: "img", "aria-label": "Two overlapping hills stand for the two populations. Below them a line from 0: the part up to the bound is excluded, the distance lies beyond it." },
    s("path", { d: "M10 88C60 88 66 14 104 14s44 74 94 74z", class: "hill source" }),
    s("path", { d: "M92 88c58 0 66-58 112-58s60 58 118 58z", class: "hill target" }),
    s("text", { x: 86, y: 62, class: "hill-name source", "text-anchor": "middle" }, "source"),
    s("text", { x: 226, y: 66, class: "hill-name target", "text-anchor": "middle" }, "target"),
    s("defs", null, s("linearGradient", { id: "hero-fade" }, s("stop", { offset: 0.3, class: "bound-stop" }), s("stop", { offset: 1, class: "bound-stop", "stop-opacity": 0 }))),
    s("rect", { x: 12, y: 122, width: 150, height: 16, class: "excluded" }),
    s("rect", { x: 162, y: 122, width: 206, height: 16, fill: "url(#hero-fade)" }),
    s("line", { x1: 162, x2: 162, y1: 114, y2: 146, class: "bound-line" }),
    s("line", { x1: 12, x2: 368, y1: 146, y2: 146, class: "axis-line" }),
    s("line", { x1: 12, x2: 12, y1: 146, y2: 151, class: "axis-line" }),
    s("text", { x: 12, y: 166, class: "small-text" }, "0"),
    s("text", { x: 87, y: 134, class: "small-text", "text-anchor": "middle" }, "excluded"),
    s("text", { x: 162, y: 166, class: "bound-text", "text-anchor": "middle" }, "the bound"),
    s("text", { x: 242, y: 166, class: "small-text" }, "the distance is here"));
}
