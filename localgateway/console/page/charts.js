// Small charts in SVG. A list or a table beside each has the same figures.

import { s } from "./dom.js";

/** Returns bars: `stacks` are lists of values by series, with one list per column. */
export function bars(stacks, { width = 300, height = 72, label }) {
  const top = Math.max(1e-9, ...stacks.map((stack) => stack.reduce((sum, value) => sum + (value ?? 0), 0)));
  const step = width / stacks.length;
  const drawn = stacks.flatMap((stack, column) => {
    let y = height;
    return stack.map((value, series) => {
      const tall = ((value ?? 0) / top) * (height - 4);
      y -= tall;
      return tall > 0
        ? s("rect", { x: column * step + 1, y, width: Math.max(1, step - 2), height: Math.max(1, tall), class: `series-${series % 6}`, rx: 1 })
        : null;
    });
  });
  return frame(drawn.filter(Boolean), width, height, label);
}

/** Returns a line through values by column; null leaves a gap. */
export function steps(values, { width = 300, height = 72, label }) {
  const top = Math.max(1e-9, ...values.map((value) => value ?? 0));
  const step = width / values.length;
  let pen = "M";
  let path = "";
  values.forEach((value, column) => {
    if (value === null) return;
    const y = height - 2 - (value / top) * (height - 6);
    path += `${pen}${(column + 0.1) * step} ${y}L${(column + 0.9) * step} ${y}`;
    pen = "L";
  });
  return frame(path ? [s("path", { d: path, class: "line", fill: "none" })] : [], width, height, label);
}

function frame(children, width, height, label) {
  const base = s("path", { d: `M0 ${height - 0.5}H${width}`, class: "axis" });
  return s(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": label, preserveAspectRatio: "none" },
    base,
    ...children,
  );
}

/** Returns how many values are in each of `columns` equal parts from 0 to the largest. */
export function histogram(values, columns) {
  const most = Math.max(1, ...values);
  const counts = new Array(columns).fill(0);
  for (const value of values) counts[Math.min(columns - 1, Math.floor((value / most) * columns))] += 1;
  return counts;
}
