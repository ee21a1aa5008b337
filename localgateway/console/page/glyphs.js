// A shape for each verdict: a socket (circle), a row (square), and what is between them.

import { s } from "./dom.js";

const FULL = { fill: "currentColor", stroke: "currentColor", "stroke-width": 1.5 };
const EMPTY = { fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-dasharray": "2 2" };

function socket(look) {
  return s("circle", { cx: 7, cy: 8, r: 4.5, ...look });
}

function row(look) {
  return s("rect", { x: 24.5, y: 3.5, width: 9, height: 9, rx: 2, ...look });
}

function path(d, look) {
  return s("path", { d, fill: "none", stroke: "currentColor", "stroke-width": 1.5, ...look });
}

const CROSS = "M15.5 5.500l5 5m0-5l-5 5";
const DRAWN = {
  match: () => [socket(FULL), path("M12 8h12"), row(FULL)],
  settling: () => [socket(FULL), path("M12 8h12", { "stroke-dasharray": "1.5 2.5" }), row(EMPTY)],
  closing: () => [socket(FULL), path("M14 8h7m-3-3l3 3-3 3"), row({ ...FULL, fill: "none" })],
  expired: () => [socket(FULL), path(CROSS), row({ ...FULL, fill: "none" }), path("M29 5.500v3h2.500")],
  no_row: () => [socket(FULL), path(CROSS), row(EMPTY)],
  no_socket: () => [socket(EMPTY), path(CROSS), row(FULL)],
};

/** Returns the shape of a verdict; the word beside it says the same. */
export function glyph(verdict) {
  return s("svg", { viewBox: "0 0 36 16", width: 36, height: 16, "aria-hidden": "true", class: "glyph" }, ...DRAWN[verdict]());
}
