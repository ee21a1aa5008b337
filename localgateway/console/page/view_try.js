// What one can do: clients, notifications, invocations, faults and execution environments.

import { field, fill, h, select } from "./dom.js";
import { pretty } from "./format.js";
import { t } from "./i18n.js";
import { clients } from "./try_clients.js";
import { environments, faults } from "./try_faults.js";
import { sweeps } from "./view_truth.js";

/** Returns the view with everything that one can do. */
export function trying(context) {
  const sections = [clients(context), faults(context), environments(context)];
  const root = h(
    "div",
    { class: "page" },
    h("h1", {}, t("view.try")),
    h(
      "div",
      { class: "tries" },
      sections[0].root,
      h("div", { class: "column" }, publishing(context), sections[2].root),
      invoking(context),
      sections[1].root,
    ),
  );
  return { root, draw: (changed) => changed && sections.forEach((each) => each.draw()) };
}

function publishing({ store, act }) {
  const { topics } = store.state;
  if (topics.length === 0) return h("section", { class: "panel" }, h("h2", {}, t("publish")), h("p", { class: "note" }, t("no.topic")));
  const topic = select(topics.map((arn) => [arn, arn.split(":").pop()]));
  const subject = h("input", { maxlength: "100", value: "Console" });
  const message = h("textarea", { rows: 2 }, "Hello");
  const recipient = h("input", { autocomplete: "off" });
  const publish = (event) => {
    event.preventDefault();
    const attributes = recipient.value.trim() ? { clientId: recipient.value.trim() } : {};
    act("publish", { topic: topic.value, subject: subject.value, message: message.value || " ", attributes }, (result) => t("published", { id: result.messageId }));
  };
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, t("publish")),
    h("p", { class: "note" }, t("publish.text")),
    h(
      "form",
      { onsubmit: publish, class: "fields" },
      field(t("topic"), topic),
      field(t("subject"), subject),
      field(t("message"), message),
      field(t("to.client"), recipient, t("to.client.hint")),
      h("p", { class: "buttons" }, h("button", { class: "primary", type: "submit", id: "publish" }, t("publish"))),
    ),
  );
}

function invoking({ store, act, say }) {
  const { functions } = store.state;
  const name = select(functions.map((each) => [each.name, each.short]));
  const direct = functions.find((each) => each.routes.length === 0 && each.topics.length === 0);
  if (direct) name.value = direct.name;
  const event = h("textarea", { rows: 5, spellcheck: "false", class: "mono" }, "{}");
  const result = h("pre", { tabindex: "0", "aria-label": t("result"), hidden: true });
  const invoke = async (submitted) => {
    submitted.preventDefault();
    let given;
    try {
      given = JSON.parse(event.value || "{}");
    } catch (error) {
      say(t("event.bad", { error: error.message }), true);
      return;
    }
    const short = store.shortName(name.value);
    const answer = await act("invoke", { function: name.value, event: given }, (each) => t(each.failed ? "invoked.not" : "invoked", { name: short }));
    if (!answer) return;
    result.hidden = false;
    result.dataset.bad = answer.failed;
    fill(result, pretty(answer.payload));
  };
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, t("invoke")),
    h("p", { class: "note" }, t("invoke.text")),
    h("p", { class: "buttons" }, sweeps(store.state, act)),
    h(
      "form",
      { onsubmit: invoke, class: "fields" },
      field(t("function"), name),
      field(t("event"), event, t("event.hint")),
      h("p", { class: "buttons" }, h("button", { class: "primary", type: "submit", id: "invoke" }, t("invoke"))),
    ),
    result,
  );
}
