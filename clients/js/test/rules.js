/** The rules of the client, each by the failure that it prevents: tests for Node and browsers. */

import { share } from "../backoff.js";
import { IncidentClient } from "../incident-websocket.js";
import { Merge } from "../merge.js";
import { parsePosition } from "../messages.js";
import { CHAIN, World, equal, generator, notification, ok, recovered, settle } from "./world.js";

const GOODBYE = { type: "goodbye", reason: "kicked", message: null, reconnect: false };
const close = (a, b, by) => ok(Math.abs(a - b) <= by, `${a} is not ${b} ± ${by}`);

/** Run a test with a client, and close the client. */
const within = (options, test, how) => async () => {
  const world = new World(options, how);
  try {
    await test(world);
  } finally {
    world.client.close();
  }
  equal(world.client.state, "closed");
  await settle();
  equal(world.clock.timers.size, 0); // nothing keeps a process alive
};

const AT_3 = { position: { all: 3 } };

export const rules = {
  "it recovers, then lives": within({ ...AT_3, clientId: "ada/1" }, async (world) => {
    const peer = await world.accept();
    const request = await peer.answer(5, CHAIN.slice(3, 5));
    await world.reached("live");
    peer.say(CHAIN[5]);

    equal(request, { action: "recover", after: { all: 3 }, n: 1 });
    equal(await world.has(3), ["all-4", "all-5", "all-6"]);
    equal(world.attempts[0].url, "wss://example/prod?clientId=ada%2F1");
    equal(world.attempts[0].protocols, []);
    equal(world.states, ["connecting", "recovering", "live"]);
    equal(world.client.position, { all: 6 });
    world.client.close();
    equal(peer.closed, 1000);
  }),

  "without a position it asks for the last ones, and has a position from then on": within(
    { last: 5 },
    async (world) => {
      const first = await world.accept();
      const request = await first.answer(7);
      await world.reached("live");
      equal([request.after, request.last, world.client.position], [null, 5, { all: 7 }]);
      first.end();
      const second = await world.accept();
      equal((await second.answer(8, [CHAIN[7]])).after, { all: 7 });
      equal(await world.has(1), ["all-8"]);
    },
  ),

  // Rule 1: one recovery in flight; stale answers; failures

  "an answer with another number is ignored": within(AT_3, async (world) => {
    const peer = await world.accept();
    const { n } = await peer.heard("recover");
    peer.say(recovered(n + 7, [CHAIN[8]], { all: 9 }));
    peer.say(recovered(n, [CHAIN[3]], { all: 4 }));
    equal(await world.has(1), ["all-4"]);
  }),

  "a client that is closed as its connection opens leaves nothing open": async () => {
    for (let later = 0; later < 12; later++) {
      const opened = within({}, async (world) => {
        const peer = (await world.attempt()).accept();
        for (let i = 0; i < later; i++) await null;
        world.client.close();
        await settle();
        equal(peer.closed, 1000);
      });
      await opened();
    }
  },

  "an unanswered recovery is repeated on a connection that answers pings": within(
    AT_3,
    async (world) => {
      const peer = await world.accept();
      await peer.heard("recover");
      await peer.heard("ping");
      close(world.clock.time, 10_000, 1);
      peer.say({ type: "pong", at: 1 });
      const { n } = await peer.heardNext("recover");
      peer.say(recovered(n, [CHAIN[3]], { all: 4 }));
      equal(await world.has(1), ["all-4"]);
      equal(world.attempts.length, 1);
    },
  ),

  "pages that come late are taken": within(AT_3, async (world) => {
    const peer = await world.accept(); // on a slow network, where the pong is behind the page
    for (const number of [3, 4]) {
      const { n, after } = await peer.heardNext("recover");
      equal(after, { all: number });
      const ping = await peer.heard("ping");
      await world.clock.sleep(2_000);
      peer.say(recovered(n, [CHAIN[number]], { all: number + 1 }, { more: number === 3 }));
      peer.say({ type: "pong", at: 1, n: ping.n });
    }
    equal(await world.has(2), ["all-4", "all-5"]);
    await world.reached("live");
    equal(world.attempts.length, 1);
  }),

  "an unanswered recovery drops a connection that is dead": within(AT_3, async (world) => {
    const dead = await world.accept();
    const peer = await world.accept();
    close(peer.at, 15_500, 501);
    dead.say(recovered(1, [CHAIN[8]], { all: 9 }));
    await peer.answer(4, [CHAIN[3]]);
    equal(await world.has(1), ["all-4"]);
    equal(dead.closed, 1000);
  }),

  ...Object.fromEntries(
    [
      { type: "error", code: "try_again", message: "busy", n: true },
      { type: "error", code: "try_again", message: "busy" },
      { message: "Too Many Requests", connectionId: "a", requestId: "b" },
    ].map((failure, i) => [
      `a recovery that fails is tried again, ever more rarely (${i})`,
      within(AT_3, async (world) => {
        const times = [];
        const peer = await world.accept();
        while (world.clock.time < 3_600_000) {
          const { action, n } = await peer.request();
          if (action === "ping") {
            peer.say({ type: "pong", at: 1, n });
            continue;
          }
          times.push(world.clock.time);
          if (times.length === 9) peer.say(CHAIN[3]); // posts go on
          peer.say({ ...failure, ...(failure.n && { n }) });
        }
        ok(times[2] < 5_000, `the third at ${times[2]} ms`);
        ok(times.length > 50 && times.length < 240, `${times.length} times`);
        const { n } = await peer.heardNext("recover");
        peer.say(recovered(n, [], { all: 4 }));
        await world.reached("live");
        equal([world.items, world.attempts.length], [["all-4"], 1]);
      }),
    ]),
  ),

  ...Object.fromEntries(
    [{}, { code: "bad_request" }].map((code, i) => [
      `a server without a history still notifies (${i})`,
      within(AT_3, async (world) => {
        const peer = await world.accept();
        await peer.heard("recover");
        peer.say({ type: "error", message: "unknown message", ...code });
        const { stream, seq, prev, recordedAt, ...unrecorded } = CHAIN[0];
        peer.say(unrecorded);
        peer.say(unrecorded);
        await peer.heard("ping");
        peer.say({ type: "pong", at: 1 }); // an old one knows no heads
        await peer.heard("ping");
        equal(world.items, ["all-1"]);
        equal([world.client.state, world.client.position], ["live", { all: 3 }]);
      }),
    ]),
  ),

  "what is held is given when the history is switched off": within(AT_3, async (world) => {
    const peer = await world.live(3);
    for (const entry of [CHAIN[5], CHAIN[8]]) peer.say(entry);
    await peer.heard("recover");
    peer.say({ type: "error", code: "bad_request", message: "unknown message" });
    equal(await world.has(4), [[3, 5], "all-6", [6, 8], "all-9"]);
    for (let i = 0; i < 3; i++) {
      const { n } = await peer.heard("ping");
      peer.say({ type: "pong", at: 1, n });
    }
  }),

  "what is held of its own stream is given when that is switched off": within(
    AT_3,
    async (world) => {
      const peer = await world.accept();
      peer.say(notification("own", 7, 6));
      await peer.answer(3);
      equal(await world.has(1), ["own-7"]);
      for (let i = 0; i < 3; i++) {
        const { n } = await peer.heard("ping");
        peer.say({ type: "pong", at: 1, n, heads: { all: 3 } });
      }
    },
  ),

  "a position that the server refuses is a gap": within(AT_3, async (world) => {
    const peer = await world.accept();
    const { n } = await peer.heard("recover");
    peer.say({ type: "error", code: "bad_request", message: "after is wrong", n });
    equal((await peer.answer(7)).after, null);
    equal(await world.has(1), [[3, 7]]);
  }),

  // Rule 2: tokens and handshakes

  "a token that fails or hangs is a failed attempt": async () => {
    let calls = 0;
    const token = () => {
      calls += 1;
      if (calls === 1) throw new Error("the login has expired");
      if (calls === 2) return Promise.reject(new Error("still"));
      return calls === 3 ? new Promise(() => {}) : "secret";
    };
    await within({ token }, async (world) => {
      await world.live();
      equal(world.attempts.map(({ protocols }) => protocols), [["bearer", "secret"]]);
      equal(world.errors.map(String).slice(0, 2), ["Error: the login has expired", "Error: still"]);
      ok(world.attempts[0].at >= 10_000);
    })();
  },

  "a handshake that is never answered is given up": within({}, async (world) => {
    const hanging = await world.attempt();
    await world.live();
    close(world.attempts[1].at, 10_250, 251);
    equal(hanging.closed, 1000);
    hanging.accept(); // too late: nobody listens
    equal(hanging.requests.items, []);
  }),

  // Rule 3: back-off

  "delays grow to a minute, with full jitter": async () => {
    const bounds = [];
    for (let seed = 1; seed <= 30; seed++) {
      await within({ random: generator(seed) }, async (world) => {
        let before = 0;
        for (let i = 0; i < 12; i++) {
          const attempt = await world.attempt();
          (bounds[i] ??= []).push(attempt.at - before);
          before = attempt.at;
          attempt.refuse();
        }
      })();
    }
    equal(bounds[0], Array(30).fill(0));
    for (let i = 1; i < 12; i++) {
      const bound = Math.min(60_000, 500 * 2 ** (i - 1));
      ok(Math.max(...bounds[i]) <= bound, `attempt ${i} waits ${Math.max(...bounds[i])}`);
      ok(Math.max(...bounds[i]) > 0.8 * bound && Math.min(...bounds[i]) < 0.2 * bound);
    }
  },

  "a long life resets the delay and spreads the return": async () => {
    const delays = [];
    for (let seed = 1; seed <= 30; seed++) {
      await within({ random: generator(seed), spreadSeconds: 600 }, async (world) => {
        for (let i = 0; i < 12; i++) (await world.attempt()).refuse();
        const peer = await world.live();
        const { n } = await peer.heard("ping");
        peer.say({ type: "pong", at: 1, n });
        await world.clock.sleep(30_000);
        peer.end();
        const ended = world.clock.time;
        const next = await world.attempt();
        delays.push(next.at - ended);
        next.refuse();
        ok((await world.attempt()).at - next.at <= 500);
      })();
    }
    ok(Math.max(...delays) <= 600_000 && Math.max(...delays) > 400_000);
    ok(Math.min(...delays) < 100_000);
  },

  "it never gives up": within({}, async (world) => {
    for (let i = 0; i < 300; i++) (await world.attempt()).refuse();
    await world.live();
    await world.reached("live");
  }),

  // Rule 4: sleep (browsers' events are tested in a browser)

  "a machine that wakes up while waiting connects at once": within(
    { spreadSeconds: 36_000 },
    async (world) => {
      const peer = await world.live();
      const { n } = await peer.heard("ping");
      peer.say({ type: "pong", at: 1, n });
      await world.clock.sleep(40_000);
      peer.end();
      await world.reached("waiting");
      world.clock.skew += 3_600_000;
      const woke = world.clock.time;
      ok((await world.attempt()).at - woke <= 20_000);
    },
  ),

  "a machine that wakes up checks its connection": within({}, async (world) => {
    const dead = await world.live();
    const { n } = await dead.heard("ping");
    dead.say({ type: "pong", at: 1, n });
    await world.clock.sleep(20_000);
    world.clock.skew += 3_600_000;
    const woke = world.clock.time;
    equal((await dead.heard("ping")).heads, undefined);
    ok((await world.attempt()).at - woke <= 20_000 + 5_000 + 5_000);
  }),

  // Rule 5: keep-alive

  "keep-alive notices what was never posted": within({ keepAliveSeconds: 300 }, async (world) => {
    const peer = await world.live(7);
    const times = [];
    for (const all of [7, 7, 8]) {
      const { n, heads } = await peer.heard("ping");
      equal(heads, true);
      times.push(world.clock.time);
      peer.say({ type: "pong", at: 1, n, heads: { all, own: 0 } });
    }
    await peer.answer(8, [CHAIN[7]]);
    equal(await world.has(1), ["all-8"]);
    close(times[0], 10_000, 1);
    close(times[1] - times[0], 300_000, 30_001);
  }),

  "two missed pongs end a connection": within({}, async (world) => {
    const dead = await world.live();
    await dead.heard("ping");
    await dead.heard("ping");
    await world.live();
    equal(dead.closed, 1000);
  }),

  "the server advises intervals": within({}, async (world) => {
    const peer = await world.live(0, { advice: { keepAliveSeconds: 60, spreadSeconds: 600 } });
    const { n } = await peer.heard("ping");
    peer.say({ type: "pong", at: 1, n, heads: { all: 0 } });
    const first = world.clock.time;
    await peer.heard("ping");
    close(world.clock.time - first, 60_000, 6_001);
  }),

  // What is missing

  "a hole that stays is recovered": within({ ...AT_3, spreadSeconds: 0 }, async (world) => {
    const peer = await world.live(3);
    await world.reached("live");
    const said = world.clock.time;
    peer.say(CHAIN[4]);
    equal((await peer.answer(5, CHAIN.slice(3, 5))).after, { all: 3 });
    close(world.clock.time - said, 1000, 5);
    equal(await world.has(2), ["all-4", "all-5"]);
  }),

  "a hole that fills itself is not recovered": within(AT_3, async (world) => {
    const peer = await world.live(3);
    peer.say(CHAIN[4]);
    peer.say(CHAIN[3]);
    equal(await world.has(2), ["all-4", "all-5"]);
    equal((await peer.request()).action, "ping");
  }),

  "pages are read one after the other": within(AT_3, async (world) => {
    const peer = await world.accept();
    await peer.answer(5, CHAIN.slice(3, 5), { more: true });
    equal((await peer.answer(6, [CHAIN[5]])).after, { all: 5 });
    equal(await world.has(3), ["all-4", "all-5", "all-6"]);
  }),

  "a page that gets nowhere is not asked for again at once": within(AT_3, async (world) => {
    const peer = await world.accept();
    for (let i = 0; i < 4; i++) await peer.answer(3, [], { more: true });
    await peer.answer(3);
    await world.reached("live");
    ok(world.clock.time > 0 && world.clock.time < 10_000);
    equal(world.attempts.length, 1);
  }),

  "what has expired is told as a gap": within(AT_3, async (world) => {
    const peer = await world.accept();
    await peer.answer(9, [CHAIN[5]]);
    equal(await world.has(3), [[3, 5], "all-6", [6, 9]]);
  }),

  "a foreign position is told as a gap": within({ position: { all: 99 } }, async (world) => {
    const peer = await world.live(4);
    equal(await world.has(1), [[99, 4]]);
    peer.say(CHAIN[4]);
    equal(await world.has(2), [[99, 4], "all-5"]);
  }),

  "without order, each is given as it comes": within({ ...AT_3, order: false }, async (world) => {
    const peer = await world.live(3);
    peer.say(CHAIN[4]);
    equal(await world.has(1), ["all-5"]);
    equal(world.client.position, { all: 3 });
    peer.say(CHAIN[3]);
    equal(await world.has(2), ["all-5", "all-4"]);
    equal(world.client.position, { all: 5 });
  }),

  "slow handlers do not fill the memory": async () => {
    let go;
    const slow = new Promise((resolve) => { go = resolve; });
    await within({ position: { all: 0 }, spreadSeconds: 0 }, async (world) => {
      world.client.on("notification", async (item) => {
        await slow;
        world.items.push(item.id);
      });
      const peer = await world.live(0);
      await world.reached("live");
      for (const entry of CHAIN.slice(0, 1500)) peer.say(entry);
      await world.clock.sleep(5_000);
      equal(peer.requests.items, []);
      go();
      const request = await peer.heard("recover");
      equal(request.after, { all: 1000 });
      peer.say(recovered(request.n, CHAIN.slice(1000, 1500), { all: 1500 }));
      equal(await world.has(1500), CHAIN.slice(0, 1500).map(({ id }) => id));
    }, { consume: false })();
  },

  // Rule 6: replacing a connection

  "a connection is replaced without a break": within(
    { ...AT_3, renewalMinutes: [0.7, 0.8] },
    async (world) => {
      const old = await world.live(3);
      const { n } = await old.heard("ping");
      old.say({ type: "pong", at: 1, n, heads: { all: 3 } });
      const next = await world.accept();
      close(next.at, 45_000, 3_001);
      old.say(CHAIN[3]);
      next.say(CHAIN[3]);
      await world.has(1);
      equal(old.closed, null);
      await next.answer(5, [CHAIN[4]]);
      next.say(CHAIN[5]);
      equal(await world.has(3), ["all-4", "all-5", "all-6"]);
      equal(old.closed, 1000);
      equal(world.states.slice(2), ["live", "renewing", "live"]);
    },
  ),

  "all connections of a named client are replaced at the same age, the oldest one first": async () => {
    const ages = async (client) => {
      const found = [];
      for (const seed of [1, 2, 3]) {
        await within({ random: generator(seed), renewalMinutes: [0.1, 0.15] }, async (world) => {
          await world.live(0, { client });
          found.push(Math.round((await world.attempt()).at / 10));
        })();
      }
      return found;
    };
    const [first, ...others] = await ages("ada");
    equal(others, [first, first]);
    equal(first, Math.round(600 + 300 * share("ada")));
    equal(new Set(await ages(null)).size, 3);
    equal(["ada", "bob", "ü☃"].map((name) => share(name).toFixed(6)), [
      "0.219621", "0.526468", "0.218258", // as in Python
    ]);
  },

  "a replacement that fails leaves the old connection": within(
    { ...AT_3, renewalMinutes: [0.1, 0.1] },
    async (world) => {
      const old = await world.live(3);
      (await world.attempt()).refuse();
      await world.reached("live");
      old.say(CHAIN[3]);
      equal(await world.has(1), ["all-4"]);
      await world.live(4);
      await world.when(() => old.closed === 1000);
      await world.clock.sleep(5_000);
      equal(world.attempts.length, 3);
    },
  ),

  ...Object.fromEntries(
    [true, false].map((succeeds) => [
      `our own replacement is no reason to leave, if it ${succeeds ? "succeeds" : "fails"}`,
      within({ ...AT_3, renewalMinutes: [0.1, 0.1] }, async (world) => {
        const old = await world.live(3);
        let next = await world.attempt();
        old.say({ ...GOODBYE, reason: "replaced" });
        await world.clock.sleep(1000);
        if (succeeds) {
          next.accept();
        } else {
          next.refuse();
          next = await world.accept();
        }
        await next.answer(4, [CHAIN[3]]);
        equal(await world.has(1), ["all-4"]);
        equal(world.goodbyes, []);
      }),
    ]),
  ),

  ...Object.fromEntries(
    ["replaced", "kicked"].map((reason) => [
      `a replacement whose answer was lost is no reason to leave, being kicked is (${reason})`,
      within({ ...AT_3, renewalMinutes: [0.1, 0.1] }, async (world) => {
        const old = await world.live(3);
        await world.attempt(); // the server accepts it; the client gives it up
        const { n } = await old.heard("ping");
        old.say({ type: "pong", at: 1, n });
        await world.clock.sleep(5_000);
        equal(world.client.state, "renewing");
        await world.reached("live");
        old.say({ ...GOODBYE, reason });
        if (reason === "kicked") {
          await world.reached("closed");
        } else {
          await (await world.accept()).answer(4, [CHAIN[3]]);
          equal(await world.has(1), ["all-4"]);
        }
        equal(world.goodbyes.map((goodbye) => goodbye.reason), reason === "kicked" ? [reason] : []);
      }),
    ]),
  ),

  "a replacement that failed before a renewal excuses nothing": within(
    { renewalMinutes: [0.1, 0.1] },
    async (world) => {
      await world.live();
      (await world.attempt()).refuse();
      const next = await world.live();
      await world.reached("live");
      next.say({ ...GOODBYE, reason: "replaced" });
      await world.reached("closed");
      equal(world.goodbyes.map(({ reason }) => reason), ["replaced"]);
      equal(world.attempts.length, 3);
    },
  ),

  "two tabs never fight": within({}, async (world) => {
    const peer = await world.live();
    await world.reached("live");
    peer.say({ ...GOODBYE, reason: "replaced" });
    await world.reached("closed");
    equal(world.goodbyes.map(({ reason }) => reason), ["replaced"]);
    equal(world.attempts.length, 1);
  }),

  "being kicked ends a client that replaces its connection": within(
    { renewalMinutes: [0.1, 0.1] },
    async (world) => {
      const old = await world.live();
      const next = await world.accept();
      old.say(GOODBYE);
      await next.answer(0);
      await world.reached("closed");
      equal(next.closed, 1000);
      equal(world.goodbyes.map(({ reason }) => reason), ["kicked"]);
    },
  ),

  "a goodbye to the new connection is final": within(
    { renewalMinutes: [0.1, 0.1] },
    async (world) => {
      const old = await world.live();
      (await world.accept()).say({ ...GOODBYE, reason: "replaced" });
      await world.reached("closed");
      equal([old.closed, world.attempts.length], [1000, 2]);
    },
  ),

  "a goodbye with a return is obeyed": within({}, async (world) => {
    const peer = await world.live();
    const { n } = await peer.heard("ping");
    peer.say({ type: "pong", at: 1, n });
    await world.clock.sleep(31_000);
    peer.say({ ...GOODBYE, reconnect: true, afterSeconds: 90 });
    const said = world.clock.time;
    equal(peer.closed, 1000); // the server may leave that to the sweep
    await world.reached("waiting");
    world.clock.skew += 3_600_000; // waking up does not shorten what the server asks for
    close((await world.attempt()).at - said, 92_500, 2_510);
    equal(world.goodbyes.length, 1);
  }),

  "what came before the last goodbye is given": within(AT_3, async (world) => {
    const peer = await world.live(3);
    for (const entry of CHAIN.slice(3, 6)) peer.say(entry);
    peer.say(GOODBYE);
    equal(await world.has(3), ["all-4", "all-5", "all-6"]);
  }),

  // Rule 7: tokens expire

  ...Object.fromEntries(
    [[3600, 3540], [300, 240], [100, 80], [20, 16]].map(([life, after]) => [
      `a token of ${life} s is renewed in place after ${after} s`,
      renews(life, async (world, peer) => {
        close(world.clock.time, after * 1000, 50);
        peer.say({ type: "authenticated", expiresAt: 2 * life });
        await peer.heardNext("authenticate");
        equal(world.attempts.length, 1);
      }),
    ]),
  ),

  ...Object.fromEntries(
    [
      { type: "error", code: "other_client", message: "no" },
      { type: "error", message: "unknown message" },
      null,
    ].map((outcome, i) => [
      `a refused renewal takes a fresh connection (${i})`,
      renews(100, async (world, peer) => {
        if (outcome) peer.say(outcome);
        await world.live();
        await world.when(() => peer.closed === 1000);
      }),
    ]),
  ),

  "a token that stays the same is not sent for ever": async () => {
    const token = () => `h.${btoa('{"exp":100}')}.s`;
    await within({ token, renewalMinutes: [1e6, 1e6] }, async (world) => {
      const peer = await world.live();
      for (const at of [80, 96]) {
        await peer.heardNext("authenticate");
        equal(Math.round(world.clock.time / 1000), at);
        peer.say({ type: "authenticated", expiresAt: 100 });
      }
      equal((await peer.request()).action, "ping");
    })();
  },

  // Rule 8: what is finished

  "the position is what the handlers have finished": async () => {
    const seen = [];
    const stored = new Map();
    const storage = {
      getItem: (key) => stored.get(key) ?? null,
      setItem: (key, value) => stored.set(key, value),
    };
    const key = "incident-websocket wss://example/prod ada";
    stored.set(key, '{"all":3}');
    const options = { storage, clientId: "ada" };
    await within(options, async (world) => {
      const look = () => seen.push([world.client.position.all, JSON.parse(stored.get(key)).all]);
      world.client.on("notification", async () => {
        look();
        await Promise.resolve();
        look();
      });
      world.client.on("gap", look);
      const peer = await world.accept();
      equal((await peer.answer(7, CHAIN.slice(3, 5))).after, { all: 3 });
      await world.when(() => world.client.position.all === 7);
    })();
    equal(seen, [[3, 3], [3, 3], [4, 4], [4, 4], [5, 5]]);
    equal(stored.get(key), '{"all":7}');
  },

  "an iteration that stops leaves its item unfinished": within(AT_3, async (world) => {
    const peer = await world.accept();
    await peer.answer(5, CHAIN.slice(3, 5));
    await world.clock.until((async () => {
      for await (const item of world.client) if (item.seq === 5) break;
    })());
    equal(world.client.position, { all: 4 });
  }, { consume: false }),

  "an iteration finishes the item of the one before it": within({}, async (world) => {
    const next = async () => {
      for await (const item of world.client) return item.id;
    };
    const peer = await world.live(0, { client: "ada" });
    for (const seq of [1, 2]) peer.say(notification("own", seq, seq - 1, { receipt: true }));
    equal(await world.clock.until(next()), "own-1");
    equal(await world.clock.until(next()), "own-2");
    equal((await peer.heard("received")).seq, 1);
    equal(world.client.position.own.seq, 1);
  }, { consume: false }),

  "handlers run one at a time, and their errors are told": async () => {
    const log = [];
    await within(AT_3, async (world) => {
      world.client.on("notification", async ({ seq }) => {
        log.push(`begin ${seq}`);
        await Promise.resolve();
        log.push(`end ${seq}`);
        if (seq === 4) throw new Error("cannot");
      });
      const peer = await world.live(3);
      for (const entry of CHAIN.slice(3, 5)) peer.say(entry);
      await world.when(() => log.length === 4);
      equal(log, ["begin 4", "end 4", "begin 5", "end 5"]);
      equal(world.errors.map(String), ["Error: cannot"]);
    }, { consume: false })();
  },

  "a listener that fails does not stop the client": within({}, async (world) => {
    world.client.on("state", () => { throw new Error("cannot"); });
    world.client.on("state", async () => { throw new Error("cannot later"); });
    await world.live();
    await world.reached("live");
    await settle();
    const told = ["Error: cannot", "Error: cannot later"];
    equal(world.errors.map(String), [...told, ...told]); // of recovering and live
  }),

  // Rule 9: whose position

  "a position of another client is dropped": within(
    { position: { all: 3, own: { seq: 900, of: "bob" } } },
    async (world) => {
      const peer = await world.accept();
      peer.say(notification("own", 1, 0));
      await peer.answer(3, [], { client: "ada" });
      peer.say(notification("own", 1, 0));
      equal(await world.has(1), ["own-1"]);
      equal(world.client.position, { all: 3, own: { seq: 1, of: "ada" } });
      equal(world.client.clientId, "ada");
    },
  ),

  "what comes before the first answer counts for another client, too": within(
    { position: { all: 3, own: { seq: 900, of: "bob" } } },
    async (world) => {
      const first = await world.accept();
      first.say(notification("own", 901, 900));
      first.end();
      const peer = await world.accept();
      for (const seq of [21, 22]) peer.say(notification("own", seq, seq - 1));
      const { n } = await peer.heard("recover");
      const position = { all: 3, own: { seq: 22, of: "ada" } };
      peer.say(recovered(n, [], position, { client: "ada" }));
      equal(await world.has(2), ["own-21", "own-22"]);
    },
  ),

  "a stored position that makes no sense is not used": async () => {
    for (const stored of ["{", "7", '{"all":-1}', '{"own":{"seq":1}}', '{"all":"1"}', "{}"]) {
      const storage = { getItem: () => stored, setItem: () => { throw new Error("full"); } };
      await within({ storage }, async (world) => {
        equal((await (await world.accept()).answer(7)).after, null);
        await world.when(() => world.errors.length === 1);
      })();
    }
  },

  "positions are numbers": async () => {
    for (const good of [{ all: 0 }, { all: 2 ** 53 - 1 }, { own: { seq: 7, of: "ada" } }]) {
      equal(parsePosition(good), good);
    }
    for (const bad of [null, 7, {}, { all: 2 ** 53 }, { all: 1.5 }, { all: 1, own: { seq: 1 } }]) {
      equal(parsePosition(bad), null);
    }
  },

  // Rule 10: receipts

  "a receipt is sent once the handler has returned, until it is answered": within(
    {},
    async (world) => {
      const first = await world.live(0, { client: "ada" });
      first.say(notification("own", 1, 0, { receipt: true }));
      equal((await first.heard("received")).seq, 1);
      first.end();
      const second = await world.live(0, { client: "ada" });
      const { seq, n } = await second.heard("received");
      equal(seq, 1);
      second.say({ type: "pong", at: 1, n });
      equal((await second.request()).action, "ping");
    },
  ),

  ...Object.fromEntries(
    [
      { type: "error", code: "try_again", message: "busy", n: true },
      { type: "error", code: "try_again", message: "busy" },
      { message: "Too Many Requests", connectionId: "a", requestId: "b" },
      null,
    ].map((failure, i) => [
      `a receipt that the server cannot take now is sent again, ever more rarely (${i})`,
      within({}, async (world) => {
        let peer = await world.live(0, { client: "ada" });
        peer.say(notification("own", 1, 0, { receipt: true }));
        let tries = 0;
        while (world.clock.time < 900_000) {
          const { action, n } = await peer.request();
          if (action === "ping") {
            peer.say({ type: "pong", at: 1, n });
            continue;
          }
          tries++;
          if (failure) peer.say({ ...failure, ...(failure.n && { n }) });
        }
        ok(tries > 10 && tries < 60, `${tries} tries`);
        peer.end();
        peer = await world.live(0, { client: "ada" });
        const { seq, n } = await peer.heard("received");
        equal([seq, world.attempts.length], [1, 2]);
        peer.say({ type: "pong", at: 1, n });
        equal((await peer.request()).action, "ping");
      }),
    ]),
  ),

  "a receipt that the server refuses is given up, and one that it cannot take lets others by": within(
    {},
    async (world) => {
      const peer = await world.live(0, { client: "ada" });
      for (const seq of [1, 2, 3]) peer.say(notification("own", seq, seq - 1, { receipt: true }));
      const heard = [];
      for (const code of ["bad_request", "try_again", "bad_request", "bad_request"]) {
        const { seq, n } = await peer.heard("received");
        heard.push(seq);
        peer.say({ type: "error", code, message: "no", n });
      }
      equal(heard, [1, 2, 3, 2]);
      equal((await peer.request()).action, "ping");
    },
  ),

  "of a thousand receipts the oldest are given up": within({}, async (world) => {
    const peer = await world.live(0, { client: "ada" });
    for (let seq = 1; seq <= 1002; seq++) {
      peer.say(notification("own", seq, seq - 1, { receipt: true }));
      await world.has(seq);
    }
    const { seq, n } = await peer.heard("received"); // on its way already
    peer.say({ type: "pong", at: 1, n });
    equal([seq, (await peer.heard("received")).seq], [1, 3]);
  }),

  "no receipt is sent as another client": within({}, async (world) => {
    const first = await world.live(0, { client: "ada" });
    first.say(notification("own", 1, 0, { receipt: true }));
    await first.heard("received");
    first.end();
    const second = await world.live(0, { client: "bob" });
    equal((await second.request()).action, "ping");
  }),

  "no receipt is sent as another client for what waited for the handlers": async () => {
    let go;
    const slow = new Promise((resolve) => { go = resolve; });
    await within({}, async (world) => {
      world.client.on("notification", () => slow);
      const first = await world.live(0, { client: "ada" });
      first.say(notification("own", 1, 0, { receipt: true }));
      first.end();
      const second = await world.live(0, { client: "bob" });
      go();
      equal((await second.request()).action, "ping");
    }, { consume: false })();
  },

  "a receipt does not wait until the handlers have caught up": within(
    { position: { all: 0 } },
    async (world) => {
      const handled = [];
      world.client.on("notification", ({ id }) => {
        handled.push(id);
        return handled.length === 2 ? new Promise(() => {}) : undefined;
      });
      const peer = await world.accept();
      const { n } = await peer.heard("recover");
      const entries = [notification("own", 1, 0, { receipt: true }), ...CHAIN.slice(0, 1100)];
      const position = { own: { seq: 1, of: "ada" }, all: 1100 };
      peer.say(recovered(n, entries, position, { more: true, client: "ada" }));
      equal((await peer.heard("received")).seq, 1);
      equal(handled, ["own-1", "all-1"]);
    },
    { consume: false },
  ),

  "what was posted before it was recorded is acknowledged by its number": within(
    {},
    async (world) => {
      const peer = await world.live(0, { client: "ada" });
      const asked = notification("own", 1, 0, { receipt: true });
      const { stream, seq, prev, recordedAt, ...unrecorded } = asked;
      peer.say(unrecorded);
      peer.say(asked);
      const request = await peer.heard("received");
      peer.say({ type: "pong", at: 1, n: request.n });
      equal((await peer.request()).action, "ping");
      equal([request.seq, world.items], [1, ["own-1"]]);
    },
  ),

  "without order a receipt is sent once": within({ order: false }, async (world) => {
    const peer = await world.live(0, { client: "ada" });
    for (const seq of [2, 1]) {
      peer.say(notification("own", seq, seq - 1, { receipt: true }));
      const { n } = await peer.heard("received");
      peer.say({ type: "pong", at: 1, n });
    }
    equal((await peer.request()).action, "ping");
    equal(world.client.position.own.seq, 2);
  }),

  "a handler that fails sends no receipt": async () => {
    await within({}, async (world) => {
      world.client.on("notification", ({ message }) => {
        if (message === 1) throw new Error("cannot");
      });
      const peer = await world.live(0, { client: "ada" });
      const { stream, seq, prev, recordedAt, ...unrecorded } = notification("own", 1, 0);
      peer.say({ ...unrecorded, receipt: true });
      for (const seq of [1, 2, 3]) peer.say(notification("own", seq, seq - 1, { receipt: true }));
      for (const expected of [2, 3]) {
        const { seq, n } = await peer.heard("received");
        equal(seq, expected);
        peer.say({ type: "pong", at: 1, n });
      }
    }, { consume: false })();
  },

  "messages that make no sense are told": within(AT_3, async (world) => {
    const peer = await world.live(3);
    for (const text of ["{", "null", '{"type":"notification"}', '{"type":"from the future"}']) {
      peer.sayText(text);
    }
    peer.say(notification("some", 4, 3));
    peer.say(CHAIN[3]);
    equal(await world.has(1), ["all-4"]);
    equal(world.errors.length, 4);
  }),

  "invalid arguments are refused": async () => {
    const refusal = (...given) => {
      try {
        return new IncidentClient(...given);
      } catch (error) {
        return error.message;
      }
    };
    equal(refusal("https://example"), "address is 'https://example'; expected wss://…");
    for (const last of [51, -1, 2.5, "5"]) {
      equal(refusal("wss://example", { last }), `last is ${last}; expected an integer from 0 to 50`);
    }
  },
};

function renews(life, test) {
  return async () => {
    let clock = null;
    const token = () => {
      const claims = btoa(JSON.stringify({ exp: (clock?.time ?? 0) / 1000 + life, of: "ü>?" }));
      return `h.${claims.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}.s`;
    };
    await within({ token, renewalMinutes: [1e6, 1e6] }, async (world) => {
      clock = world.clock;
      const peer = await world.live();
      const request = await peer.heardNext("authenticate");
      equal([request.token, typeof request.n], [token(), "number"]);
      await test(world, peer);
    })();
  };
}

/** Check that the merge rule does what it does in Python. */
export function checkMerge({ start, order, operations, steps }) {
  const merge = new Merge(start, order);
  const plain = ({ item, stream, seq, of }) => {
    const { type, ...gap } = item ?? {};
    return { item: item && (type === "gap" ? gap : item.id), stream, seq, of };
  };
  operations.forEach((operation, i) => {
    const given = "live" in operation
      ? merge.live(operation.live, operation.knownClient)
      : merge.recovered(operation.page, operation.asked);
    equal([...given].map(plain), steps[i]);
  });
}
