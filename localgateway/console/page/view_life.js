// The life of one connection, from its handshake to its end.

import { fill, h, text } from "./dom.js";
import { clock, duration, moment, shortClock, timeOf, utc } from "./format.js";
import { glyph } from "./glyphs.js";
import { t } from "./i18n.js";
import { outcome, title } from "./view_timeline.js";

/** Returns the view of one connection. */
export function life({ store, act, go }, id) {
  const now = h("p", { class: "now" });
  const socket = h("dl", { class: "facts" });
  const row = h("dl", { class: "facts" });
  const events = h("ol", { class: "events" });
  const notifications = h("div", {});
  const why = h("p", { class: "why", hidden: true });
  const kick = h("button", { onclick: () => act("disconnect", { connection_id: id }, () => t("kicked", { id })) }, t("kick"));
  const unknown = h(
    "section",
    { class: "empty", hidden: true },
    h("h2", {}, t("life.unknown")),
    h("p", {}, t("life.unknown.text")),
  );
  const known = h(
    "div",
    { class: "columns" },
    h("div", {}, panel(t("life.socket"), socket), panel(t("life.row"), row)),
    h("div", {}, why, panel(t("life.events"), events)),
    h("div", {}, panel(t("life.notifications"), notifications)),
  );

  function update() {
    const pair = store.pairs.get(id);
    const past = store.lives.get(id);
    unknown.hidden = Boolean(pair || past);
    known.hidden = !unknown.hidden;
    kick.hidden = pair?.socket?.phase !== "open";
    if (!unknown.hidden) return;
    const verdict = pair?.verdict;
    now.dataset.verdict = verdict ?? "over";
    fill(now, verdict ? glyph(verdict) : null, h("span", {}, verdict ? t(`verdict.${verdict}`) : t("life.gone")));
    const shake = past?.handshake ?? pair?.socket;
    fill(socket, facts(shakeFacts(store, id, shake, past)));
    const stored = pair?.row ?? past?.row;
    fill(row, stored ? facts(Object.entries(stored)) : [h("dt", {}, "–"), h("dd", {}, t("empty.row"))]);
    const { closed, ended, refused } = past ?? {};
    why.hidden = !(closed || refused);
    if (closed) text(why, `${t("life.why")}: ${t("code", { code: closed.code })} ${closed.reason} · ${duration(1000 * closed.seconds)}${ended ? ` · ${t(`disconnect.${ended.disconnect}`)}` : ""}`);
    if (refused) text(why, `${t("item.refused")}: ${refused.status} ${refused.cause}`);
    fill(events, (past?.items ?? []).slice(-120).map((item) => step(item, store)));
    fill(notifications, received(store, id));
  }

  const root = h(
    "div",
    { class: "life" },
    h("p", {}, h("a", { href: "#/truth", class: "back" }, `← ${t("life.back")}`)),
    h("div", { class: "life-head" }, h("h1", { class: "mono" }, t("life", { id })), now, kick),
    unknown,
    known,
  );
  void go;
  return { root, draw: (changed) => changed && update() };
}

function panel(name, content) {
  return h("section", { class: "panel" }, h("h2", {}, name), content);
}

function facts(pairs) {
  return pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .flatMap(([name, value]) => [h("dt", {}, name), fact(value)]);
}

function fact(value) {
  const at = timeOf(value);
  if (at !== null) return h("dd", { title: `${utc(at)} (${value})` }, moment(at));
  return h("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value));
}

function shakeFacts(store, id, shake, past) {
  const query = Object.entries(shake?.query ?? {}).map(([name, value]) => `${name}=${value}`);
  return [
    [t("client"), store.clientOf(id)],
    [t("since"), shake?.connectedAt],
    [t("source.ip"), shake?.sourceIp],
    [t("user.agent"), shake?.userAgent],
    [t("origin"), shake?.origin],
    [t("subprotocols"), shake?.subprotocols],
    [t("subprotocol"), past?.opened?.subprotocol],
    [t("query"), query.join("&")],
  ];
}

function step(item, store) {
  const took = item.ms === undefined ? null : h("span", { class: "took" }, duration(item.ms));
  return h(
    "li",
    { "data-bad": String(Boolean(item.bad)) },
    h("time", { title: utc(item.at) }, clock(item.at)),
    h("span", { class: "what" }, title(item, store)),
    h("span", { class: "outcome" }, outcome(item), item.text && item.kind !== "replied" ? ` ${item.text}` : ""),
    took,
  );
}

function received(store, id) {
  const during = [...store.deliveries.values()].filter(
    (each) => each.posts.has(id) || each.recovered.has(id) || store.wasOpen(id, each.at),
  );
  if (during.length === 0) return h("p", { class: "note" }, t("life.none"));
  return h(
    "ul",
    { class: "taken" },
    during.reverse().map((each) => {
      const what = fate(each, id);
      return h(
        "li",
        { "data-fate": what },
        h("time", { title: utc(each.at) }, shortClock(each.at)),
        h("span", {}, each.subject || each.message || each.id),
        h("b", {}, t(`life.${what}`)),
      );
    }),
  );
}

/** Returns what became of a notification for one connection. */
export function fate(delivery, id) {
  if (delivery.recovered.has(id)) return "recovered";
  const post = delivery.posts.get(id);
  if (post) return post.outcome === "gone" ? "gone.post" : post.outcome;
  return delivery.attributes && delivery.attributes !== "{}" ? "not.addressed" : "missed";
}
