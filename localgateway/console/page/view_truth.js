// Sockets beside rows: what is open at the gateway, and what the table says about it.

import { fill, h, text } from "./dom.js";
import { duration, integer, shortClock, utc } from "./format.js";
import { glyph } from "./glyphs.js";
import { t } from "./i18n.js";
import { DISAGREEMENTS } from "./store.js";
import { Windowed } from "./windowed.js";

const FILTERS = ["no_socket", "no_row", "expired", "closing", "settling", "match"];

let chosen = null;

/** Returns the view of all connections. */
export function truth({ store, act, go }) {
  const number = h("span", { class: "number" });
  const word = h("span", { class: "word" });
  const sentence = h("p", { class: "sentence" });
  const figures = Object.fromEntries(
    ["sockets", "rows", "settling", "other.rows"].map((name) => [name, h("dd", {})]),
  );
  const chips = new Map(FILTERS.map((verdict) => [verdict, chip(verdict)]));
  const warning = h("p", { class: "warning", hidden: true });
  const empty = h("section", { class: "empty", hidden: true });
  const socketHead = h("span", { role: "columnheader" }, t("socket"));
  const rowHead = h("span", { role: "columnheader" });
  const list = new Windowed({
    label: t("connections.list"),
    key: (pair) => pair.id,
    create: () => line(go),
    update: (row, pair) => draw(row, pair, store),
    head: h(
      "div",
      { role: "rowgroup", class: "head" },
      h("div", { role: "row" }, socketHead, h("span", { role: "columnheader" }, t("verdict")), rowHead),
    ),
  });

  function chip(verdict) {
    const count = h("b", {});
    const button = h(
      "button",
      { class: "chip", "data-verdict": verdict, "aria-pressed": "false", onclick: () => choose(verdict) },
      glyph(verdict),
      h("span", {}, t(`verdict.${verdict}`)),
      count,
    );
    return { button, count };
  }

  function choose(verdict) {
    chosen = chosen === verdict ? null : verdict;
    update();
  }

  function update() {
    const counts = store.counts();
    const wrong = DISAGREEMENTS.reduce((sum, verdict) => sum + counts[verdict], 0);
    const total = store.pairs.size;
    const { state } = store;
    text(number, integer(wrong));
    text(word, t(wrong === 1 ? "disagreements.one" : "disagreements"));
    hero.dataset.calm = wrong === 0;
    text(sentence, said(state, wrong, total));
    const open = [...store.pairs.values()].filter((pair) => pair.socket?.phase === "open").length;
    text(figures.sockets, integer(open));
    text(figures.rows, integer([...store.pairs.values()].filter((pair) => pair.row).length));
    text(figures.settling, integer(counts.settling));
    text(figures["other.rows"], integer(state.otherRows));
    for (const [verdict, { button, count }] of chips) {
      text(count, integer(counts[verdict]));
      button.setAttribute("aria-pressed", chosen === verdict);
      button.dataset.none = counts[verdict] === 0;
    }
    text(rowHead, state.table ? t("row", { table: state.table.name }) : t("row.plain"));
    warning.hidden = !state.tableError;
    if (state.tableError) text(warning, t("table.error", { error: state.tableError }));
    const shown = chosen ? store.sorted().filter((pair) => pair.verdict === chosen) : store.sorted();
    list.scroller.hidden = shown.length === 0;
    empty.hidden = shown.length > 0;
    if (shown.length === 0) none(total);
    list.show(shown.length, (index) => shown[index]);
  }

  let emptied = null;

  function none(total) {
    const wanted = `${total > 0} ${store.state.url}`;
    if (emptied === wanted) return;
    emptied = wanted;
    if (total > 0) {
      fill(empty, h("p", {}, t("connections.none.filtered")));
      return;
    }
    const openOne = (count) => act("open", { count, client_id: "ada" }, openedText);
    fill(
      empty,
      h("h2", {}, t("connections.empty")),
      h("p", {}, t("connections.empty.text")),
      h("pre", { tabindex: "0" }, `python -m websockets ${store.state.url}`),
      h(
        "p",
        { class: "buttons" },
        h("button", { class: "primary", onclick: () => openOne(1) }, t("open.client")),
        h("button", { onclick: () => openOne(3) }, t("open.three")),
      ),
    );
  }

  const hero = h(
    "section",
    { class: "hero", "aria-labelledby": "disagreements" },
    h("h1", { id: "disagreements", class: "count" }, number, " ", word),
    h(
      "div",
      { class: "beside" },
      sentence,
      h("dl", { class: "figures" }, Object.entries(figures).map(([name, value]) => h("div", {}, h("dt", {}, t(name)), value))),
      h("p", { class: "buttons" }, sweeps(store.state, act)),
    ),
  );
  const root = h(
    "div",
    { class: "truth" },
    hero,
    warning,
    h("div", { class: "chips", role: "group", "aria-label": t("filter.verdict") }, [...chips.values()].map((each) => each.button)),
    list.scroller,
    empty,
  );
  return { root, draw: update, destroy: () => list.destroy() };
}

/** Returns what to say about opened clients. */
export function openedText({ opened, problem }) {
  return problem ? t("opened.not", { n: opened, problem }) : t("opened.n", { n: opened });
}

/** Returns the buttons that run the scheduled functions. */
export function sweeps(state, act) {
  return state.functions
    .filter((each) => each.schedules.length > 0)
    .flatMap(({ name, short }) => {
      const run = (event) => () =>
        act("invoke", { function: name, event }, (result) => `${t(result.failed ? "invoked.not" : "invoked", { name: short })}: ${result.payload.slice(0, 200)}`);
      const sweeping = short === "sweep";
      return [
        h("button", { onclick: run(sweeping ? {} : { source: "aws.events", "detail-type": "Scheduled Event" }) }, sweeping ? t("sweep") : t("run.function", { name: short })),
        sweeping ? h("button", { class: "quiet", onclick: run({ dryRun: true }) }, t("sweep.dry")) : null,
      ];
    });
}

function said(state, wrong, total) {
  if (!state.table && state.read === false && !state.tables.length) return t("no.table");
  if (!state.read) return state.tableError ? "" : t("reading");
  if (!state.table) return t("no.table");
  if (wrong > 0) return t("not.calm");
  return t(total > 0 ? "calm" : "calm.none");
}

function line(go) {
  const parts = {
    socket: h("span", { class: "main" }),
    socketNote: h("span", { class: "note" }),
    shape: h("span", { class: "shape" }),
    verdict: h("span", { class: "verdict-word" }),
    client: h("span", { class: "main" }),
    rowNote: h("span", { class: "note" }),
  };
  const row = h("div", { class: "pair" });
  parts.button = h("button", { class: "link", onclick: () => go(`connection/${encodeURIComponent(row.pair.id)}`) });
  row.append(
    h("span", { role: "cell", class: "socket-cell" }, parts.button, parts.socket, parts.socketNote),
    h("span", { role: "cell", class: "verdict-cell" }, parts.shape, parts.verdict),
    h("span", { role: "cell", class: "row-cell" }, parts.client, parts.rowNote),
  );
  row.parts = parts;
  return row;
}

function draw(row, pair, store) {
  const { parts } = row;
  row.pair = pair;
  if (row.dataset.verdict !== pair.verdict) {
    row.dataset.verdict = pair.verdict;
    fill(parts.shape, glyph(pair.verdict));
    text(parts.verdict, t(`verdict.${pair.verdict}`));
  }
  text(parts.button, pair.id);
  const { socket, row: stored } = pair;
  text(parts.socket, socket ? t(`phase.${socket.phase}`) : t("empty.socket"));
  text(parts.socketNote, socket ? `${socket.sourceIp} · ${duration(Date.now() - socket.connectedAt)}` : "");
  parts.socketNote.title = socket ? utc(socket.connectedAt) : "";
  text(parts.client, stored ? store.clientOf(pair.id) || "–" : t("empty.row"));
  const written = stored?.createdAt ?? stored?.connectedAt;
  text(parts.rowNote, stored ? [typeof written === "number" ? shortClock(written) : "", stored.closing].filter(Boolean).join(" · ") : "");
  parts.rowNote.title = typeof written === "number" ? utc(written) : "";
}
