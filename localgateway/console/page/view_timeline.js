// Every event that goes into a function and every answer, with calls, messages and schedules.

import { field, fill, h, select, text } from "./dom.js";
import { details } from "./event_details.js";
import { clock, duration, integer, utc } from "./format.js";
import { t } from "./i18n.js";
import { Windowed } from "./windowed.js";

const GROUPS = {
  invocation: ["invocation"],
  connection: ["handshake", "opened", "refused", "closed", "ended"],
  call: ["call", "replied"],
  other: ["environment", "reported"],
};

const chosen = { search: "", function: "", kind: "", errors: false };

/** Returns the timeline. */
export function timeline(context) {
  const { store, go } = context;
  let frozen = null;
  let opened = null;

  const search = h("input", { type: "search", value: chosen.search, autocomplete: "off", oninput: (event) => change("search", event.target.value) });
  const functions = select(
    [["", t("all.functions")], ...store.state.functions.map(({ name, short }) => [name, short])],
    { onchange: (event) => change("function", event.target.value) },
  );
  functions.value = chosen.function;
  const kinds = select(
    [["", t("all.kinds")], ...Object.keys(GROUPS).map((name) => [name, t(`kind.${name}`)])],
    { onchange: (event) => change("kind", event.target.value) },
  );
  kinds.value = chosen.kind;
  const errors = h("input", { type: "checkbox", id: "errors-only", checked: chosen.errors, onchange: (event) => change("errors", event.target.checked) });
  const pause = h("button", { "aria-pressed": "false", onclick: togglePause }, t("pause"));
  const clear = h("button", { class: "quiet", onclick: empty }, t("clear"));
  const shownText = h("p", { class: "shown" });
  const side = h("aside", { class: "details", "aria-label": t("details"), hidden: true });
  const none = h("section", { class: "empty", hidden: true });
  const list = new Windowed({
    label: t("timeline.list"),
    key: (item) => item.seq,
    create: () => line(open),
    update: (row, item) => draw(row, item, store, opened),
  });

  function change(name, value) {
    chosen[name] = value;
    update();
  }

  function togglePause() {
    frozen = frozen ? null : [...store.items];
    text(pause, t(frozen ? "resume" : "pause"));
    pause.setAttribute("aria-pressed", frozen !== null);
    update();
  }

  function empty() {
    store.clear();
    if (frozen) togglePause();
    shut();
    update();
  }

  function open(item) {
    opened = item.seq;
    side.hidden = false;
    fill(side, details(context, item, shut));
    update();
    side.querySelector("h2").focus();
  }

  function shut() {
    if (opened === null) return;
    opened = null;
    side.hidden = true;
    fill(side);
    update();
    list.scroller.querySelector('button[tabindex="0"]')?.focus();
  }

  function update() {
    const items = frozen ?? store.items;
    const wanted = items.filter(matcher(store)).reverse();
    const text_ = t("shown", { shown: integer(wanted.length), all: integer(items.length) });
    text(shownText, store.dropped ? `${text_} · ${t("dropped", { n: integer(store.dropped) })}` : text_);
    list.scroller.hidden = wanted.length === 0;
    none.hidden = wanted.length > 0;
    if (wanted.length === 0) fill(none, emptyText(items.length > 0, go));
    list.show(wanted.length, (index) => wanted[index]);
  }

  const root = h(
    "div",
    { class: "timeline" },
    h(
      "form",
      { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      field(t("search"), search, t("search.hint")),
      field(t("function"), functions),
      field(t("kind"), kinds),
      h("div", { class: "check" }, errors, h("label", { for: "errors-only" }, t("errors.only"))),
      h("div", { class: "buttons" }, pause, clear),
    ),
    shownText,
    h("h1", { class: "unseen" }, t("view.timeline")),
    h("div", { class: "split" }, h("div", { class: "side-a" }, list.scroller, none), side),
  );
  root.addEventListener("keydown", (event) => event.key === "Escape" && shut());
  return {
    root,
    draw: (changed) => {
      if (changed && !frozen) update();
    },
    destroy: () => list.destroy(),
  };
}

function emptyText(filtered, go) {
  if (filtered) return [h("p", {}, t("timeline.filtered"))];
  return [
    h("h2", {}, t("timeline.empty")),
    h("p", {}, t("timeline.empty.text")),
    h("p", { class: "buttons" }, h("button", { class: "primary", onclick: () => go("try") }, t("to.try"))),
  ];
}

function matcher(store) {
  const words = chosen.search.trim().toLowerCase();
  const kinds = GROUPS[chosen.kind];
  return (item) => {
    if (chosen.errors && !item.bad) return false;
    if (kinds && !kinds.includes(item.kind)) return false;
    if (chosen.function && item.function !== chosen.function) return false;
    return !words || searchable(item, store).includes(words);
  };
}

function searchable(item, store) {
  const client = item.connectionId ? store.clientOf(item.connectionId) : "";
  return [item.connectionId, client, item.function, item.route, item.text, item.error, item.cause, item.status, item.code, item.messageId, title(item, store), item.fields?.message]
    .filter((each) => each !== undefined && each !== null)
    .join(" ")
    .toLowerCase();
}

/** Returns what an item is, in words. */
export function title(item, store) {
  switch (item.kind) {
    case "invocation":
      return `${store.shortName(item.function)} · ${item.route ?? t(`source.${item.source}`)}`;
    case "environment":
      return `${store.shortName(item.function)} · ${t(`item.environment.${item.change}`, { id: item.environment })}`;
    case "call":
      return t("item.call", { method: item.method });
    case "reported":
      return t(`item.${item.what}`, { topic: lastPart(item.fields.topic), table: item.fields.table ?? "" });
    case "ended":
      return `${t("item.ended")} · ${t(`disconnect.${item.disconnect}`)}`;
    default:
      return t(`item.${item.kind}`);
  }
}

function lastPart(arn) {
  return String(arn ?? "").split(":").pop();
}

/** Returns how an item went, in words. */
export function outcome(item) {
  switch (item.kind) {
    case "invocation":
      if (item.running) return t("running");
      return item.error ? `${item.status}: ${item.error}` : String(item.code ?? item.status);
    case "opened":
      return "101";
    case "refused":
      return `${item.status} ${item.cause}`;
    case "closed":
      return `${item.code} ${item.reason}`;
    case "call":
      return item.lost ? `${item.status} ${t("item.lost")}` : String(item.status);
    case "replied":
      return item.text;
    case "reported":
      return item.fields.message ?? item.fields.key ?? "";
    case "handshake":
      return item.userAgent ?? "";
    default:
      return "";
  }
}

function line(open) {
  const parts = {
    time: h("time", {}),
    what: h("button", { class: "link", onclick: () => open(row.item) }),
    outcome: h("span", { class: "outcome" }),
    who: h("span", { class: "note" }),
    took: h("span", { class: "took" }),
    heat: h("span", { class: "heat" }),
  };
  const row = h("div", { class: "item" });
  row.append(
    h("span", { role: "cell", class: "at" }, parts.time),
    h("span", { role: "cell", class: "what" }, parts.what, parts.who),
    h("span", { role: "cell", class: "how" }, parts.outcome),
    h("span", { role: "cell", class: "ms" }, parts.took, parts.heat),
  );
  row.parts = parts;
  return row;
}

function draw(row, item, store, opened) {
  const { parts } = row;
  row.item = item;
  row.dataset.bad = item.bad;
  row.dataset.kind = item.kind;
  row.dataset.warn = item.level === "WARNING";
  row.dataset.opened = item.seq === opened;
  text(parts.time, clock(item.at));
  parts.time.title = utc(item.at);
  text(parts.what, title(item, store));
  text(parts.outcome, outcome(item));
  const client = item.connectionId ? store.clientOf(item.connectionId) : "";
  text(parts.who, [client, item.connectionId].filter(Boolean).join(" · "));
  text(parts.took, item.ms === undefined ? "" : duration(item.ms));
  text(parts.heat, item.cold === undefined ? "" : t(item.cold ? "cold" : "warm"));
  parts.heat.dataset.cold = item.cold === true;
}
