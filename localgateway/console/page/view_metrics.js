// Metrics of the functions' log lines, as CloudWatch would draw them.

import { bars, steps } from "./charts.js";
import { fill, h } from "./dom.js";
import { decimal, shortClock } from "./format.js";
import { t } from "./i18n.js";

const EVERY_MS = 4000;
const FIRST = ["Opened", "Closed", "LiveConnections", "Refused", "MissedDisconnectShare", "Delivered"];

/** Returns the view of the metrics. */
export function metrics({ gateway, store }) {
  const grid = h("div", { class: "charts" });
  const empty = h("section", { class: "empty", hidden: true }, h("h2", {}, t("metrics.empty")), h("p", {}, t("metrics.empty.text")));
  let loaded = -Infinity;
  let version = -1;

  async function load() {
    loaded = performance.now();
    version = store.version;
    const answer = await gateway.get("metrics").catch(() => null);
    if (!answer) return;
    const cards = grouped(answer.series);
    empty.hidden = cards.length > 0;
    const open = new Set([...grid.querySelectorAll("details[open]")].map((each) => each.dataset.name));
    fill(grid, cards.map((each) => card(each, answer.now, open)));
  }

  const root = h("div", { class: "page" }, h("h1", {}, t("view.metrics")), h("p", { class: "note" }, t("metrics.window")), empty, grid);
  return {
    root,
    draw: () => {
      if (performance.now() - loaded > EVERY_MS && (version !== store.version || loaded < 0)) load();
      else if (performance.now() - loaded > 4 * EVERY_MS) load();
    },
  };
}

// One card for each name: the series with the most dimensions, such as a cause, are its parts.
function grouped(all) {
  const names = new Map();
  for (const series of all) {
    if (!names.has(series.name)) names.set(series.name, []);
    names.get(series.name).push(series);
  }
  const rank = (name) => (FIRST.indexOf(name) + 1 || FIRST.length + 1);
  return [...names]
    .map(([name, series]) => {
      const most = Math.max(...series.map((each) => Object.keys(each.dimensions).length));
      const parts = series.filter((each) => Object.keys(each.dimensions).length === most);
      const shared = Object.keys(parts[0].dimensions).filter((key) => parts.every((each) => each.dimensions[key] === parts[0].dimensions[key]));
      const fewest = Math.min(...series.map((each) => Object.keys(each.dimensions).length));
      const own = most > fewest ? Object.keys(parts[0].dimensions).filter((key) => !series.some((each) => Object.keys(each.dimensions).length === fewest && key in each.dimensions)) : Object.keys(parts[0].dimensions).filter((key) => !shared.includes(key));
      return { name, unit: parts[0].unit, parts: parts.map((each) => ({ label: own.map((key) => each.dimensions[key]).join(" "), minutes: each.minutes })) };
    })
    .sort((one, other) => rank(one.name) - rank(other.name) || one.name.localeCompare(other.name));
}

function card({ name, unit, parts }, now, open) {
  const counted = unit === "Count" && !/^live/i.test(name);
  const valued = (minute) => (minute === null ? null : counted ? minute[1] : minute[1] / minute[0]);
  const columns = parts[0].minutes.map((_, column) => parts.map((each) => valued(each.minutes[column])));
  const present = columns.flat().filter((value) => value !== null);
  const latest = columns.map((stack) => stack.find((value) => value !== null)).filter((value) => value !== undefined).at(-1);
  const value = counted ? present.reduce((sum, each) => sum + each, 0) : latest;
  const shown = `${decimal(value)}${suffix(unit)}`;
  const label = t("metrics.label", { name, value: shown });
  const chart = counted ? bars(columns, { label }) : steps(columns.map((stack) => stack[0]), { label });
  const legend = parts.filter((each) => each.label);
  return h(
    "section",
    { class: "panel metric" },
    h("div", { class: "metric-head" }, h("h2", {}, name), h("p", {}, h("b", {}, shown), " ", h("small", {}, t(counted ? "metrics.sum" : "metrics.latest")))),
    chart,
    legend.length
      ? h("ul", { class: "legend" }, legend.map((each) => h("li", {}, h("i", { class: `key series-${parts.indexOf(each) % 6}` }), each.label, " ", h("b", {}, decimal(each.minutes.reduce((sum, minute) => sum + (valued(minute) ?? 0), 0))))))
      : null,
    h("details", { "data-name": name, open: open.has(name) }, h("summary", {}, t("metrics.table")), table(parts, now, valued)),
  );
}

function table(parts, now, valued) {
  const minutes = parts[0].minutes;
  const at = (column) => 60000 * (Math.floor(now / 60) - (minutes.length - 1 - column));
  return h(
    "table",
    {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("metrics.minute")), parts.map((each) => h("th", { scope: "col" }, each.label || t("metrics.sum"))))),
    h(
      "tbody",
      {},
      minutes.map((_, column) =>
        parts.some((each) => each.minutes[column])
          ? h("tr", {}, h("th", { scope: "row" }, shortClock(at(column)).slice(0, 5)), parts.map((each) => h("td", {}, each.minutes[column] ? decimal(valued(each.minutes[column])) : "–")))
          : null,
      ).filter(Boolean),
    ),
  );
}

function suffix(unit) {
  return { Percent: " %", Seconds: " s", Milliseconds: " ms", Bytes: " B" }[unit] ?? "";
}
