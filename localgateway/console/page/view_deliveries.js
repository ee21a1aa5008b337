// Notifications: to whom each went, what came of it, and how long the posts took.

import { bars, histogram } from "./charts.js";
import { fill, h } from "./dom.js";
import { duration, integer, shortClock, utc } from "./format.js";
import { t } from "./i18n.js";
import { fate } from "./view_life.js";

const COLUMNS = 24;
const NAMED = 40;

/** Returns the view of the last notifications. */
export function deliveries({ store, act, go }) {
  const list = h("ol", { class: "deliveries", "aria-label": t("deliveries.list") });
  const empty = h("section", { class: "empty" });
  const cards = new Map();
  const topic = store.state.topics[0];
  const publish = () =>
    act("publish", { topic, message: "Hello", subject: "Console", attributes: {} }, (result) => t("published", { id: result.messageId }));
  fill(
    empty,
    h("h2", {}, t("deliveries.empty")),
    h("p", {}, topic ? t("deliveries.empty.text") : t("no.topic")),
    topic ? h("p", { class: "buttons" }, h("button", { class: "primary", onclick: publish }, t("publish")), h("button", { onclick: () => go("try") }, t("to.try"))) : null,
  );

  function update() {
    const all = [...store.deliveries.values()].reverse();
    empty.hidden = all.length > 0;
    list.hidden = all.length === 0;
    for (const [id, each] of cards) {
      if (!store.deliveries.has(id)) {
        each.element.remove();
        cards.delete(id);
      }
    }
    all.forEach((delivery, index) => {
      let each = cards.get(delivery.id);
      if (!each) {
        each = { element: h("li", { class: "panel" }), mark: "" };
        cards.set(delivery.id, each);
      }
      const mark = `${delivery.posts.size} ${delivery.recovered.size} ${delivery.invocations} ${delivery.message}`;
      if (each.mark !== mark) {
        each.mark = mark;
        const open = each.element.querySelector("details")?.open ?? false;
        fill(each.element, card(delivery, store, open));
      }
      if (list.children[index] !== each.element) list.insertBefore(each.element, list.children[index] ?? null);
    });
  }

  const root = h("div", { class: "page" }, h("h1", {}, t("view.deliveries")), empty, list);
  return { root, draw: (changed) => changed && update() };
}

function card(delivery, store, open) {
  const outcomes = { taken: 0, gone: 0, lost: 0, failed: 0 };
  const times = [];
  for (const post of delivery.posts.values()) {
    outcomes[post.outcome] += 1;
    times.push(Math.max(0, post.after));
  }
  times.sort((one, other) => one - other);
  const everybody = !delivery.attributes || delivery.attributes === "{}";
  const opened = store.openAt(delivery.at);
  const not = [...new Set([...opened, ...delivery.posts.keys()])].filter(
    (id) => !["taken", "not.addressed"].includes(fate(delivery, id)),
  );
  const missed = not.filter((id) => fate(delivery, id) === "missed").length;
  const counts = [
    ["reached", outcomes.taken, t("of.open", { n: integer(opened.length) })],
    ["gone", outcomes.gone],
    ["lost", outcomes.lost],
    ["failed", outcomes.failed],
    ["missed", missed],
    ["recovered", delivery.recovered.size],
  ].filter(([name, count]) => name === "reached" || count > 0);
  return [
    h(
      "div",
      { class: "delivery-head" },
      h("div", {}, h("h2", {}, delivery.subject || t("no.subject")), h("p", { class: "message" }, delivery.message ?? "")),
      h("p", { class: "note" }, h("time", { title: utc(delivery.at) }, shortClock(delivery.at)), " · ", everybody ? t("to.everybody") : t("to.some", { attributes: delivery.attributes })),
    ),
    h("div", { class: "delivery-body" }, h("dl", { class: "figures" }, counts.map(figure)), spread(times)),
    h("p", { class: "note mono" }, delivery.id),
    not.length === 0 ? (delivery.posts.size > 0 && everybody ? h("p", { class: "note" }, t("everybody.took")) : null) : missing(delivery, not, store, open),
  ];
}

function figure([name, count, note]) {
  return h("div", { "data-outcome": name }, h("dt", {}, t(name)), h("dd", {}, integer(count), note ? h("small", {}, ` ${note}`) : null));
}

function spread(times) {
  if (times.length === 0) return h("p", { class: "note" }, t("spread.none"));
  const label = t("spread", {
    from: duration(times[0]),
    to: duration(times.at(-1)),
    half: duration(times[Math.floor((times.length - 1) / 2)]),
  });
  const columns = histogram(times, COLUMNS).map((count) => [count]);
  return h("figure", { class: "spread" }, bars(columns, { height: 56, label }), h("figcaption", { class: "note" }, label));
}

function missing(delivery, ids, store, open) {
  const rows = ids.slice(0, NAMED).map((id) =>
    h("li", {}, h("a", { href: `#/connection/${encodeURIComponent(id)}`, class: "mono" }, id), " ", store.clientOf(id), " ", h("b", {}, t(`life.${fate(delivery, id)}`))),
  );
  const rest = ids.length > NAMED ? h("p", { class: "note" }, t("clients.more", { n: integer(ids.length - NAMED) })) : null;
  return h("details", { open }, h("summary", {}, `${t("who")} (${integer(ids.length)})`), h("ul", { class: "taken" }, rows), rest);
}
