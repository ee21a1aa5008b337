// One event whole: what went in, what came out, and the lines of the function's log.

import { fill, h } from "./dom.js";
import { clock, duration, pretty, utc } from "./format.js";
import { t } from "./i18n.js";
import { outcome, title } from "./view_timeline.js";

/** Returns the details of a timeline's item; `shut` closes them. */
export function details({ store, gateway, say, go }, item, shut) {
  const body = h("div", { class: "body" }, h("p", { class: "loading" }, "…"));
  const life = item.connectionId
    ? h("button", { onclick: () => go(`connection/${encodeURIComponent(item.connectionId)}`) }, t("show.life"))
    : null;
  const facts = [clock(item.at), item.ms === undefined ? null : duration(item.ms), outcome(item)];
  gateway
    .get(`events/${item.seq}`)
    .then((whole) => fill(body, shown(whole, item, store, say)))
    .catch((error) => fill(body, h("p", { class: "warning" }, error.status === 404 ? t("details.gone") : error.message)));
  return [
    h(
      "div",
      { class: "details-head" },
      h("h2", { tabindex: "-1" }, title(item, store)),
      h("button", { class: "quiet", "aria-label": t("details.close"), onclick: shut }, "✕"),
    ),
    h("p", { class: "note", title: utc(item.at) }, facts.filter(Boolean).join(" · ")),
    item.connectionId ? h("p", { class: "note mono" }, item.connectionId) : null,
    life ? h("p", { class: "buttons" }, life) : null,
    body,
  ];
}

function shown(whole, item, store, say) {
  if (whole.fields) {
    const content = JSON.stringify(whole.fields, null, 2);
    return [block(t("details.event"), content, [copier(t("copy.json"), content, say)])];
  }
  const event = pretty(whole.event);
  const copies = [copier(t("copy.json"), event, say), copier(t("copy.test"), asTest(item, event, store), say)];
  const parts = [block(t("details.event"), event, copies)];
  if (whole.result) parts.push(block(t("details.result"), pretty(whole.result), []));
  const lines = whole.lines.map((line) => pretty(line.text));
  parts.push(lines.length ? block(t("details.log"), lines.join("\n"), []) : h("p", { class: "note" }, t("details.no.log")));
  return parts;
}

function block(name, content, buttons) {
  return h(
    "section",
    { class: "block" },
    h("div", { class: "block-head" }, h("h3", {}, name), h("p", { class: "buttons" }, buttons)),
    h("pre", { tabindex: "0", "aria-label": name }, content),
  );
}

function copier(name, content, say) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(content);
      say(t("copied"));
    } catch {
      say(t("not.copied"), true);
    }
  };
  return h("button", { class: "quiet", onclick: copy }, name);
}

function asTest(item, event, store) {
  const { functions, stage } = store.state;
  const name = functions.find((each) => each.name === item.function)?.testName ?? item.function;
  return [
    "import json",
    "",
    "from chalice.test import Client",
    "",
    "from app import app",
    "",
    `EVENT = json.loads(r"""${event.replaceAll('"""', '\\u0022\\u0022\\u0022')}""")`,
    "",
    "",
    `def test_${name.replace(/\W/g, "_")}() -> None:`,
    `    with Client(app, stage_name=${JSON.stringify(stage)}) as client:`,
    `        answer = client.lambda_.invoke(${JSON.stringify(name)}, EVENT).payload`,
    "",
    "    assert answer",
    "",
  ].join("\n");
}
