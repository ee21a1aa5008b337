// Faults, turned up and down while the gateway runs, and the functions' execution environments.

import { fill, h, text } from "./dom.js";
import { duration } from "./format.js";
import { t } from "./i18n.js";

// The greatest value, the step, and how a value is shown.
const percent = (value) => `${Math.round(100 * value)} %`;
const FAULTS = {
  drop_disconnects: [1, 0.05, percent],
  drop_posts: [1, 0.05, percent],
  dynamodb_fail: [1, 0.05, percent],
  dynamodb_lag: [5000, 50, duration],
  repeat_messages: [1, 0.05, percent],
  shuffle_messages: [30, 1, (value) => duration(1000 * value)],
};

/** Returns the section about faults. */
export function faults({ act }) {
  const sliders = new Map();
  const change = async (name, value) => {
    const all = await act("faults", { changes: { [name]: value } }, () => t("faults.set", { name: t(`fault.${name}`), value: FAULTS[name][2](value) }));
    if (all) show(all);
  };
  const rows = Object.entries(FAULTS).map(([name, [max, step, shown]]) => {
    const value = h("output", { for: `fault-${name}` });
    const slider = h("input", {
      type: "range",
      id: `fault-${name}`,
      min: "0",
      max: String(max),
      step: String(step),
      value: "0",
      oninput: () => text(value, shown(Number(slider.value))),
      onchange: () => change(name, Number(slider.value)),
    });
    sliders.set(name, { slider, value, shown });
    return h("div", { class: "slider" }, h("label", { for: slider.id }, t(`fault.${name}`)), value, slider);
  });

  function show(all) {
    for (const [name, { slider, value, shown }] of sliders) {
      if (document.activeElement !== slider || Number(slider.value) !== all[name]) slider.value = all[name];
      text(value, shown(all[name]));
      slider.setAttribute("aria-valuetext", shown(all[name]));
    }
  }

  const none = Object.fromEntries(Object.keys(FAULTS).map((name) => [name, 0]));
  const reset = async () => {
    const all = await act("faults", { changes: none }, () => t("faults.reset"));
    if (all) show(all);
  };
  act("faults", { changes: {} }).then((all) => all && show(all));
  const root = h(
    "section",
    { class: "panel" },
    h("h2", {}, t("faults")),
    h("p", { class: "note" }, t("faults.text")),
    rows,
    h("p", { class: "buttons" }, h("button", { onclick: reset }, t("faults.reset"))),
  );
  return { root, draw: () => undefined };
}

/** Returns the section about execution environments. */
export function environments({ store, act }) {
  const list = h("ul", { class: "environments" });
  const none = h("p", { class: "note" }, t("environments.none"));
  let known = null;

  function draw() {
    const all = store.state.functions.flatMap((each) => each.environments.map((environment) => ({ ...environment, name: each.name, short: each.short })));
    none.hidden = all.length > 0;
    const mark = all.map((each) => `${each.id} ${each.busy}`).join();
    if (mark === known) return;
    known = mark;
    fill(list, all.map((each) => line(each, act)));
  }

  const root = h("section", { class: "panel" }, h("h2", {}, t("environments")), h("p", { class: "note" }, t("environments.text")), none, list);
  return { root, draw };
}

function line({ id, busy, name, short }, act) {
  const end = (restart) => act("environment", { function: name, environment: id, restart }, () => t(restart ? "restarted" : "stopped", { id, name: short }));
  return h(
    "li",
    {},
    h("b", {}, short),
    h("span", { class: "mono note" }, id),
    h("span", { class: "tag" }, t(busy ? "busy" : "idle")),
    h("button", { class: "quiet", "aria-label": t("stop.label", { id, name: short }), onclick: () => end(false) }, t("stop")),
    h("button", { class: "quiet", "aria-label": t("restart.label", { id, name: short }), onclick: () => end(true) }, t("restart")),
  );
}
