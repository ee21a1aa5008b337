// Test clients: opened and closed here, with what each received.

import { field, fill, h, select, text } from "./dom.js";
import { integer, shortClock, utc } from "./format.js";
import { t } from "./i18n.js";
import { openedText } from "./view_truth.js";

const SHOWN = 30;

/** Returns the section about test clients. */
export function clients({ store, act, go }) {
  const inputs = {
    count: h("input", { type: "number", min: "1", max: "3000", value: "1" }),
    client_id: h("input", { value: "ada", autocomplete: "off" }),
    token: h("input", { type: "password", autocomplete: "off" }),
    carrier: select(["query", "header", "subprotocol"].map((each) => [each, t(`carrier.${each}`)])),
    subprotocols: h("input", { autocomplete: "off" }),
    origin: h("input", { autocomplete: "off", placeholder: "https://" }),
    user_agent: h("input", { autocomplete: "off" }),
    query: h("input", { autocomplete: "off" }),
  };
  const list = h("ul", { class: "clients" });
  const none = h("p", { class: "note" }, t("clients.none"));
  const more = h("p", { class: "note" });
  const closeAll = h("button", { class: "quiet", onclick: () => act("close", { client: null }) }, t("close.all"));
  const lines = new Map();

  const open = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()]));
    const subprotocols = given.subprotocols.split(",").map((each) => each.trim()).filter(Boolean);
    act("open", { ...given, count: Number(given.count) || 1, subprotocols }, openedText);
  };

  function draw() {
    const open = store.state.clients;
    const shown = open.slice(-SHOWN).reverse();
    none.hidden = open.length > 0;
    closeAll.hidden = open.length === 0;
    const rest = store.state.clientCount - shown.length;
    more.hidden = rest === 0;
    text(more, rest > 0 ? t("clients.more", { n: integer(rest) }) : "");
    const wanted = new Set(shown.map((each) => each.client));
    for (const [number, each] of lines) {
      if (!wanted.has(number)) {
        each.root.remove();
        lines.delete(number);
      }
    }
    for (const client of shown) {
      if (!lines.has(client.client)) {
        const each = line(client, act, go);
        lines.set(client.client, each);
        list.prepend(each.root);
      }
      lines.get(client.client).draw(store.inboxes.get(client.client));
    }
  }

  const root = h(
    "section",
    { class: "panel wide" },
    h("h2", {}, t("clients")),
    h("p", { class: "note" }, t("clients.text")),
    h(
      "form",
      { onsubmit: open, class: "fields many" },
      field(t("count"), inputs.count),
      field(t("client.id"), inputs.client_id),
      field(t("token"), inputs.token),
      field(t("carrier"), inputs.carrier),
      field(t("subprotocols"), inputs.subprotocols),
      field(t("origin"), inputs.origin),
      field(t("user.agent"), inputs.user_agent),
      field(t("query"), inputs.query),
      h("p", { class: "buttons" }, h("button", { class: "primary", type: "submit", id: "open" }, t("open")), closeAll),
    ),
    none,
    list,
    more,
  );
  return { root, draw };
}

function line(client, act, go) {
  const inbox = h("ol", { class: "inbox" });
  const message = h("input", { value: '{"action": "ping"}', "aria-label": `${t("message")} ${client.client}`, class: "mono" });
  const send = (event) => {
    event.preventDefault();
    act("send", { client: client.client, text: message.value });
  };
  const name = client.connectionId
    ? h("button", { class: "link", onclick: () => go(`connection/${encodeURIComponent(client.connectionId)}`) }, client.connectionId)
    : h("span", { class: "mono" }, `${client.client}`);
  const root = h(
    "li",
    {},
    h("div", { class: "client-head" }, h("b", {}, client.clientId || t("client")), name),
    h(
      "form",
      { class: "inline", onsubmit: send },
      message,
      h("button", { type: "submit", "aria-label": `${t("send")} ${client.client}` }, t("send")),
      h("button", { class: "quiet", "aria-label": `${t("close")} ${client.client}`, onclick: () => act("close", { client: client.client }) }, t("close")),
    ),
    inbox,
  );
  let known = "";
  return {
    root,
    draw: (news = []) => {
      const received = news.filter((each) => each.what === "received").slice(-3).reverse();
      const mark = received.map((each) => each.at).join();
      if (mark === known && inbox.children.length) return;
      known = mark;
      const none = h("li", { class: "note" }, t("nothing.received"));
      fill(inbox, received.length ? received.map((each) => h("li", {}, h("time", { title: utc(each.at) }, shortClock(each.at)), " ", h("code", {}, each.text))) : none);
    },
  };
}
