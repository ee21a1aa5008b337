// Starts the page: takes the token out of the address, listens, and shows one view at a time.

import { attribute, fill, h, select, text } from "./dom.js";
import { Gateway } from "./gateway.js";
import { choose, language, t } from "./i18n.js";
import { Store } from "./store.js";
import { deliveries } from "./view_deliveries.js";
import { life } from "./view_life.js";
import { metrics } from "./view_metrics.js";
import { timeline } from "./view_timeline.js";
import { truth } from "./view_truth.js";
import { trying } from "./view_try.js";

const VIEWS = { truth, timeline, deliveries, metrics, try: trying };
// How often the page is drawn at most, and how long a number stays before it is read out.
const DRAW_MS = 250;
const CALM_MS = 1500;

const store = new Store();
const gateway = new Gateway(takeToken());
let status = "loading";
let current = null;
let drawn = { version: -1, at: 0 };

const context = { store, gateway, say, act, go };

function takeToken() {
  const token = location.hash.startsWith("#/") ? "" : location.hash.slice(1);
  // Neither the history nor the address bar keeps it.
  if (token) history.replaceState(null, "", `${location.pathname}#/truth`);
  return token;
}

function go(path) {
  location.hash = `#/${path}`;
}

/** Carries out an action, says what came of it, and returns the result or undefined. */
async function act(name, body, done) {
  try {
    const result = await gateway.act(name, body);
    if (done) say(done(result));
    return result ?? null;
  } catch (error) {
    say(t("failed.action", { problem: error.message }), true);
    return undefined;
  }
}

let hiding = 0;

function say(message, bad = false) {
  text(parts.toast, message);
  parts.toast.dataset.bad = bad;
  parts.toast.dataset.shown = true;
  clearTimeout(hiding);
  hiding = setTimeout(() => (parts.toast.dataset.shown = false), bad ? 9000 : 4000);
}

const parts = {
  toast: h("p", { class: "toast", role: "status" }),
  counter: h("p", { class: "unseen", role: "status" }),
  main: h("main", { id: "main", tabindex: "-1" }),
  status: h("p", { class: "live" }),
  badge: h("span", { class: "badge" }),
};

function shell() {
  const languages = select(
    [
      ["en", "English"],
      ["ko", "한국어"],
    ],
    { "aria-label": t("language"), class: "language", onchange: (event) => changeLanguage(event.target.value) },
  );
  languages.value = language();
  const links = Object.keys(VIEWS).map((name) =>
    h("a", { href: `#/${name}`, "data-view": name }, t(`view.${name}`), name === "truth" ? parts.badge : null),
  );
  fill(
    document.body,
    h("a", { class: "skip", href: "#main", onclick: skip }, t("skip")),
    h(
      "header",
      { class: "top" },
      h("p", { class: "brand" }, h("img", { src: "icon.svg", alt: "", width: "24", height: "24" }), h("span", { class: "app" })),
      h("nav", { "aria-label": t("nav") }, links),
      h("div", { class: "corner" }, parts.status, languages),
    ),
    parts.main,
    parts.toast,
    parts.counter,
  );
}

function skip(event) {
  event.preventDefault();
  parts.main.focus();
}

function changeLanguage(tag) {
  choose(tag);
  start();
  document.querySelector(".language").focus();
}

function route() {
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/");
  return { name: name in VIEWS || name === "connection" ? name : "truth", argument: decodeURIComponent(rest.join("/")) };
}

function show() {
  const { name, argument } = route();
  current?.destroy?.();
  current = null;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === (name === "connection" ? "truth" : name);
    attribute(link, "aria-current", here ? "page" : null);
  }
  if (status === "refused") {
    fill(parts.main, refused());
    return;
  }
  if (!store.state) {
    fill(parts.main, h("p", { class: "loading" }, t("loading")));
    return;
  }
  current = name === "connection" ? life(context, argument) : VIEWS[name](context);
  parts.main.dataset.view = name;
  fill(parts.main, current.root);
  drawn.version = -1;
  draw();
}

function refused() {
  return h(
    "section",
    { class: "empty" },
    h("h1", {}, t("refused.title")),
    h("p", {}, t("refused.text")),
    h("p", {}, t("refused.command")),
    h("pre", { tabindex: "0" }, "python -m localgateway.client console"),
  );
}

function draw() {
  if (document.hidden) return;
  const state = store.state;
  if (state) {
    text(document.querySelector(".app"), `${state.app} · ${state.stage}`);
    const title = t("title", { app: state.app });
    if (document.title !== title) document.title = title;
  }
  const counts = store.counts();
  const number = counts.no_socket + counts.no_row + counts.expired;
  text(parts.badge, number || "");
  parts.badge.hidden = number === 0;
  text(parts.status, t(status));
  parts.status.dataset.status = status;
  announce(number);
  current?.draw(store.version !== drawn.version);
  drawn = { version: store.version, at: performance.now() };
}

let announced = 0;
let waiting = { number: 0, since: 0 };

// A number is read out once it has stayed the same, so that a busy run does not chatter.
function announce(number) {
  if (number !== waiting.number) waiting = { number, since: performance.now() };
  if (number === announced || performance.now() - waiting.since < CALM_MS) return;
  announced = number;
  text(parts.counter, `${number} ${t(number === 1 ? "disagreements.one" : "disagreements")}`);
}

function changeStatus(wanted) {
  status = wanted;
  if (wanted === "refused") show();
}

function start() {
  document.documentElement.lang = language();
  shell();
  show();
}

addEventListener("hashchange", () => {
  show();
  parts.main.focus({ preventScroll: true });
  scrollTo(0, 0);
});
start();
setInterval(() => requestAnimationFrame(draw), DRAW_MS);
gateway.listen((message) => {
  const first = !store.state && message.state;
  store.take(message);
  if (first) show();
}, changeStatus);
