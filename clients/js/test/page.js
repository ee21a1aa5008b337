/** Runs the rules in a browser, and what only a browser has. Reports to the server of the page. */

import { checkMerge, rules } from "./rules.js";
import { CHAIN, World, equal } from "./world.js";

const NO_RANDOM = { random: () => 0.5, spreadSeconds: 36_000 };

/** Wait in back-off, let something happen, and check that the client connects at once. */
async function returnsAt(happen, returns = true) {
  const world = new World(NO_RANDOM);
  const peer = await world.live();
  const { n } = await peer.heard("ping");
  peer.say({ type: "pong", at: 1, n });
  await world.clock.sleep(40_000);
  peer.end();
  await world.reached("waiting");
  const time = world.clock.time;
  happen();
  equal((await world.attempt()).at - time < 10, returns);
  world.client.close();
}

/** Let something happen to a half-open connection, and check that it is dropped soon. */
async function dropsAt(happen) {
  const world = new World({ random: () => 0 });
  const dead = await world.live();
  const { n } = await dead.heard("ping");
  dead.say({ type: "pong", at: 1, n });
  await world.reached("live");
  const time = world.clock.time;
  happen();
  equal((await dead.heard("ping")).heads, undefined);
  equal((await world.attempt()).at - time <= 5_000, true);
  world.client.close();
}

const dispatch = (target, name) => () => target.dispatchEvent(new Event(name));
const hide = (hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
};

const inBrowsers = {
  "coming online ends the wait": () => returnsAt(dispatch(window, "online")),
  "being shown again ends the wait": () => returnsAt(dispatch(window, "pageshow")),
  "the focus ends the wait": () => returnsAt(dispatch(window, "focus")),
  "becoming visible ends the wait": () => returnsAt(() => hide(false)),
  "becoming hidden does not": () => returnsAt(() => hide(true), false).finally(() => hide(false)),
  "coming online checks a connection": () => dropsAt(dispatch(window, "online")),
  "becoming visible checks a connection": () => dropsAt(() => hide(false)),

  "a closed client hears no events": async () => {
    const world = new World();
    await world.attempt();
    world.client.close();
    dispatch(window, "online")();
    equal(world.attempts.length, 1);
  },

  "the tab's storage keeps the position": async () => {
    const first = new World({ storage: undefined, position: { all: 3 } });
    await (await first.accept()).answer(4, [CHAIN[3]]);
    await first.has(1);
    await first.when(() => first.client.position.all === 4);
    first.client.close();
    const second = new World({ storage: undefined });
    equal((await (await second.accept()).answer(4)).after, { all: 4 });
    second.client.close();
  },
};

const failures = {};
const tests = { ...rules, ...inBrowsers };
for (const [name, test] of Object.entries(tests)) {
  sessionStorage.clear();
  try {
    await test();
  } catch (error) {
    failures[name] = `${error}\n${error.stack}`;
  }
}
const cases = await (await fetch("merge-cases.json")).json();
for (const [i, life] of cases.entries()) {
  try {
    checkMerge(life);
  } catch (error) {
    failures[`merge case ${i}`] = `${error}`;
  }
}
const passed = Object.keys(tests).length + cases.length - Object.keys(failures).length;
await fetch("/report", { method: "POST", body: JSON.stringify({ passed, failures }) });
