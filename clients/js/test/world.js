/** A client, a server that a test plays, and a clock that jumps, for Node and browsers. */

import { IncidentClient } from "../incident-websocket.js";

/** Throw unless two plain values are equal. */
export function equal(actual, expected) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`is ${a}\nexpected ${b}`);
}

export function ok(value, message = "expected a true value") {
  if (!value) throw new Error(message);
}

/** Let everything run that waits for no timer. */
export const settle = () => new Promise((resolve) => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    resolve();
  };
  port2.postMessage(null);
});

/** Time passes only while a test waits, and then at once: it jumps from timer to timer. */
export class Clock {
  time = 0;
  skew = 0; // ms that the machine has slept
  timers = new Map();
  #number = 0;

  now = () => this.time + this.skew;

  setTimeout = (act, ms) => {
    this.timers.set(++this.#number, { at: this.time + ms, act });
    return this.#number;
  };

  clearTimeout = (number) => this.timers.delete(number);

  /** Wait for a promise. */
  async until(promise) {
    let outcome = null;
    promise.then((value) => { outcome = { value }; }, (error) => { outcome = { error }; });
    for (let jumps = 0; ; jumps++) {
      await settle();
      if (outcome !== null) break;
      if (this.timers.size === 0) throw new Error("everything waits, and no timer is set");
      if (jumps > 20_000) throw new Error("this does not happen");
      const [number, { at, act }] = [...this.timers].reduce((a, b) => (b[1].at < a[1].at ? b : a));
      this.timers.delete(number);
      this.time = Math.max(this.time, at);
      act();
    }
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  sleep(ms) {
    return this.until(new Promise((resolve) => this.setTimeout(resolve, ms)));
  }
}

/** A queue whose reader waits. */
class Queue {
  items = [];
  #readers = [];

  put(item) {
    if (this.#readers.length) this.#readers.shift()(item);
    else this.items.push(item);
  }

  get() {
    if (this.items.length) return Promise.resolve(this.items.shift());
    return new Promise((resolve) => this.#readers.push(resolve));
  }
}

/** Both ends of a connection: the client uses it as its WebSocket. */
class Peer {
  readyState = 0;
  closed = null; // the code that the client closed it with
  requests = new Queue();

  constructor(world, url, protocols) {
    Object.assign(this, { world, url, protocols, at: world.clock.time });
    world.attempts.push(this);
    world.arrivals.put(this);
  }

  send(text) {
    this.requests.put(JSON.parse(text));
  }

  close(code) {
    if (this.readyState < 2) this.closed = code;
    this.readyState = 3;
  }

  accept() {
    this.readyState = 1;
    this.onopen?.({});
    return this;
  }

  refuse() {
    this.readyState = 3;
    this.onerror?.({});
    this.onclose?.({});
  }

  end() {
    this.readyState = 3;
    this.onclose?.({});
  }

  say(message) {
    this.sayText(JSON.stringify(message));
  }

  sayText(data) {
    this.onmessage?.({ data });
  }

  request() {
    return this.world.clock.until(this.requests.get());
  }

  /** Wait for the next request and check its action. */
  async heard(action) {
    const request = await this.request();
    equal(request.action, action);
    return request;
  }

  /** The same, but answer pings meanwhile. */
  async heardNext(action) {
    for (;;) {
      const request = await this.request();
      if (request.action === action) return request;
      equal(request.action, "ping");
      this.say({ type: "pong", at: 1, n: request.n });
    }
  }

  /** Answer the next recovery, and return the request. */
  async answer(position, entries = [], { more = false, client = null, advice } = {}) {
    const request = await this.heard("recover");
    const own = client === null ? {} : { own: { seq: 0, of: client } };
    this.say(recovered(request.n, entries, { all: position, ...own }, { more, client, advice }));
    return request;
  }
}

export function recovered(n, notifications, position, { more = false, client = null, advice } = {}) {
  const fields = { at: 1, advice: advice ?? { keepAliveSeconds: 300, spreadSeconds: 5 } };
  return { type: "recovered", n, notifications, position, more, clientId: client, ...fields };
}

export function notification(stream, seq, prev, more = {}) {
  const id = `${stream}-${seq}`;
  const body = { sentAt: 1, subject: null, message: seq };
  return { type: "notification", id, ...body, stream, seq, prev, recordedAt: 1, ...more };
}

export const CHAIN = Array.from({ length: 2000 }, (_, i) => notification("all", i + 1, i));

export function generator(seed) {
  let state = seed;
  return () => { // https://gist.github.com/tommyettinger/46a874533244883189143505d203312c
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class World {
  clock = new Clock();
  attempts = [];
  arrivals = new Queue();
  items = [];
  states = [];
  goodbyes = [];
  errors = [];

  constructor(options = {}, { consume = true } = {}) {
    const world = this;
    this.client = new IncidentClient("wss://example/prod", {
      storage: null,
      clock: this.clock,
      random: generator(1),
      WebSocket: class {
        constructor(url, protocols) {
          return new Peer(world, url, protocols);
        }
      },
      ...options,
    });
    this.client.on("state", (state) => this.states.push(state));
    this.client.on("goodbye", (goodbye) => this.goodbyes.push(goodbye));
    this.client.on("error", (error) => this.errors.push(error));
    if (consume) {
      this.client.on("notification", (item) => this.items.push(item.id));
      this.client.on("gap", (gap) => this.items.push([gap.after, gap.to]));
    }
    this.client.connect();
  }

  attempt() {
    return this.clock.until(this.arrivals.get());
  }

  async accept() {
    return (await this.attempt()).accept();
  }

  /** Accept the next attempt and answer its recovery with nothing new. */
  async live(position = 0, options = {}) {
    const peer = await this.accept();
    await peer.answer(position, [], options);
    return peer;
  }

  /** Wait until something is true. */
  async when(happened) {
    for (let i = 0; !happened(); i++) {
      if (i > 5000) throw new Error(`this does not happen: ${happened}`);
      await this.clock.sleep(1);
    }
  }

  async has(number) {
    await this.when(() => this.items.length >= number);
    return this.items;
  }

  reached(state) {
    return this.when(() => this.client.state === state);
  }
}
