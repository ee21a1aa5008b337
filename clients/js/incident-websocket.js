/**
 * Notifications of incident-websocket: each once and in order, also those published while the
 * connection was down. README.md shows how to use it; incident-websocket.d.ts has the types.
 */

import { Backoff, share } from "./backoff.js";
import { Connection, discard } from "./connection.js";
import { Merge } from "./merge.js";
import { parsePosition } from "./messages.js";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const PATIENCE = 10 * SECOND; // for a token, and for a handshake
const TICK = 20 * SECOND;
const LATE = 30 * SECOND; // a timer later than this means that the machine has slept
const MOST_LAST = 50;
const ROOM = 1000; // items; further ones stay in the history until the handlers have caught up
const MOST_RECEIPTS = 1000; // the oldest are given up: their senders have waited longest
const LONGEST = 2 ** 31 - 1; // a longer timer would fire at once

const CLOCK = {
  now: () => Date.now(),
  setTimeout: (act, ms) => globalThis.setTimeout(act, Math.min(ms, LONGEST)),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
};

export class IncidentClient {
  #options;
  #url;
  #session; // what the connections share
  #backoff;
  #state = "idle";
  #position;
  #listeners = { notification: [], gap: [], state: [], goodbye: [], error: [] };
  #connections = new Set();
  #steps = []; // that wait for the consumer
  #current = null; // the step that the consumer has
  #arrived = () => {};
  #full = null; // {room, resolve} while the consumer is far behind
  #unhandled = null; // the item whose handler failed
  #consuming = false;
  #closed = false;
  #pauses = new Set(); // how to end them
  #hurry = () => {};
  #unwatch = () => {};

  constructor(address, options = {}) {
    if (!/^wss?:/.test(address)) throw new TypeError(`address is '${address}'; expected wss://…`);
    const { clientId, last = 0, order = true, clock = CLOCK, random = Math.random } = options;
    if (!(Number.isInteger(last) && last >= 0 && last <= MOST_LAST)) {
      throw new TypeError(`last is ${last}; expected an integer from 0 to ${MOST_LAST}`);
    }
    const query = clientId === undefined ? "" : `?clientId=${encodeURIComponent(clientId)}`;
    this.#url = address + query;
    const { WebSocket = globalThis.WebSocket, renewalMinutes = [105, 115] } = options;
    if (!WebSocket) throw new TypeError("no global WebSocket; pass that of the package ws");
    const { storage = tabStorage(), token } = options;
    const storageKey = `incident-websocket ${address} ${clientId ?? ""}`;
    this.#options = { WebSocket, renewalMinutes, storage, storageKey, token };
    const position = parsePosition(options.position ?? this.#load());
    this.#position = structuredClone(position ?? {});
    const { keepAliveSeconds, spreadSeconds } = options;
    const advised = (name) => this.#session.advice?.[name];
    this.#session = {
      clock, random, last,
      merge: new Merge(position, order),
      receipts: new Set(),
      clientId: null,
      advice: null,
      emit: (name, news) => this.#emit(name, news),
      put: (steps) => this.#put(steps),
      room: () => this.#full?.room,
      isFull: () => this.#full !== null,
      token: () => this.#token(),
      keepAlive: () => SECOND * (keepAliveSeconds ?? advised("keepAliveSeconds") ?? 300),
      spread: () => SECOND * (spreadSeconds ?? advised("spreadSeconds") ?? 5),
    };
    this.#backoff = new Backoff(this.#session);
  }

  get state() { return this.#state; }

  get clientId() { return this.#session.clientId; }

  /** What the handlers have finished: plain data. */
  get position() { return structuredClone(this.#position); }

  on(name, listener) {
    this.#listeners[name].push(listener);
    if (name === "notification" && !this.#consuming) this.#consume();
    return this;
  }

  connect() {
    if (this.#state !== "idle") return;
    this.#watch();
    this.#run();
  }

  close() {
    this.#steps.length = 0;
    this.#shut();
  }

  /** Notifications and gaps. An item is finished when the next one is asked for. */
  async *[Symbol.asyncIterator]() {
    for (let step; (step = await this.#take());) yield step.item;
  }

  async #run() {
    while (!this.#closed) {
      this.#enter("connecting");
      const connection = await this.#attempt();
      if (connection === null) {
        await this.#wait(this.#backoff.failed());
        continue;
      }
      this.#enter("recovering");
      const { goodbye, openedAt } = await this.#serve(connection);
      if (this.#closed) break;
      if (goodbye) this.#emit("goodbye", goodbye);
      if (goodbye?.reconnect === false) break;
      const delay = this.#backoff.ended(this.#session.clock.now() - openedAt);
      await this.#wait(delay, SECOND * (goodbye?.afterSeconds ?? 0));
    }
    this.#shut();
  }

  /** Open a connection; return null if that fails. */
  async #attempt() {
    try {
      const token = await this.#token();
      const connection = await this.#dial(token);
      this.#connections.add(connection);
      connection.ended.then(() => this.#connections.delete(connection));
      if (this.#closed) connection.end(); // just now
      return connection;
    } catch (error) {
      if (!this.#closed) this.#emit("error", error);
      return null;
    }
  }

  async #token() {
    const { token } = this.#options;
    return token && this.#within(PATIENCE, "token()", Promise.resolve(token()));
  }

  async #dial(token) {
    const { WebSocket } = this.#options;
    const socket = new WebSocket(this.#url, token === undefined ? [] : ["bearer", token]);
    const opened = new Promise((resolve, reject) => {
      socket.onopen = () => resolve(new Connection(this.#session, socket, token));
      socket.onclose = socket.onerror = () => reject(new Error("the handshake failed"));
    });
    try {
      return await this.#within(PATIENCE, "the handshake", opened);
    } catch (error) {
      opened.then((connection) => connection.end(), () => {}); // it may have opened just now
      discard(socket);
      throw error;
    }
  }

  /** Serve until a connection has ended that was not replaced, and return it. */
  async #serve(current) {
    const isReplaced = () => current.goodbye?.reason === "replaced";
    let retrying = null; // ms, after a replacement that failed
    await Promise.race([current.ended, current.caughtUp]);
    while (!current.isEnded) {
      this.#enter("live");
      const left = current.openedAt + this.#life() - this.#session.clock.now();
      const due = retrying === null ? [current.ended, current.stale] : [current.ended];
      await this.#pause(retrying ?? left, ...due);
      if (current.isEnded || this.#closed) break;
      this.#enter("renewing");
      const successor = await this.#attempt();
      if (successor) await Promise.race([successor.ended, successor.caughtUp]);
      if (isReplaced()) current.goodbye = null; // it is we who replace it
      const isFinal = (connection) => connection.goodbye?.reconnect === false;
      if (!successor || (successor.isEnded && !isFinal(successor))) {
        retrying = this.#backoff.failed();
      } else if (isFinal(current)) {
        successor.end();
      } else {
        current.end();
        [current, retrying] = [successor, null];
      }
    }
    // the server may have accepted a replacement that failed here
    if (retrying !== null && isReplaced()) current.goodbye = null;
    return current;
  }

  /**
   * Return the age at which a connection is replaced. It is the same for all connections of a named
   * client, so that the oldest one is replaced first: the server closes the oldest one if that makes
   * one too many.
   */
  #life() {
    const [from, to] = this.#options.renewalMinutes;
    const { clientId, random } = this.#session;
    return MINUTE * (from + (to - from) * (clientId === null ? random() : share(clientId)));
  }

  /** Wait before the next attempt. Waking up ends the delay, but not the minimum. */
  async #wait(delay, atLeast = 0) {
    if (this.#closed) return;
    this.#enter("waiting");
    await this.#pause(atLeast);
    await this.#pause(delay, new Promise((resolve) => { this.#hurry = resolve; }));
  }

  /** Wait for the first of several things, at most some ms, and not after the client's end. */
  #pause(ms, ...others) {
    if (this.#closed) return undefined;
    const { clock } = this.#session;
    return new Promise((resolve) => {
      const end = () => {
        clock.clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = clock.setTimeout(end, Math.max(0, ms));
      this.#pauses.add(end);
      for (const other of others) other.then(end);
    });
  }

  async #within(ms, what, promise) {
    const done = promise.then((value) => ({ value }), (error) => ({ error }));
    let outcome = { error: new Error(`${what} took over ${ms / SECOND} s`) };
    await this.#pause(ms, done.then((settled) => { outcome = settled; }));
    if ("error" in outcome) throw outcome.error;
    return outcome.value;
  }

  /** Notice that the network is back or the machine has woken up. */
  #watch() {
    const { document } = globalThis;
    const wake = () => {
      this.#hurry();
      for (const connection of this.#connections) connection.probe();
    };
    const shown = () => document.hidden || wake();
    const events = ["online", "focus", "pageshow"];
    for (const name of events) globalThis.addEventListener?.(name, wake);
    document?.addEventListener("visibilitychange", shown);
    const { clock } = this.#session;
    let due, timer;
    const tick = () => {
      if (clock.now() - due > LATE && !document?.hidden) wake(); // hidden pages have slow timers
      due = clock.now() + TICK;
      timer = clock.setTimeout(tick, TICK);
    };
    tick();
    this.#unwatch = () => {
      for (const name of events) globalThis.removeEventListener?.(name, wake);
      document?.removeEventListener("visibilitychange", shown);
      clock.clearTimeout(timer);
    };
  }

  #shut() {
    if (this.#closed && this.#state === "closed") return;
    this.#closed = true;
    for (const connection of this.#connections) connection.end();
    for (const end of this.#pauses) end();
    this.#unwatch();
    this.#arrived();
    this.#enter("closed");
  }

  #enter(state) {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.#emit("state", state);
  }

  #emit(name, news) {
    const tell = (error) => (name === "error" ? console.error(error) : this.#emit("error", error));
    for (const listener of this.#listeners[name]) {
      new Promise((resolve) => { resolve(listener(news)); }).catch(tell); // it may be asynchronous
    }
  }

  #put(steps) {
    this.#steps.push(...steps);
    if (this.#steps.length >= ROOM && this.#full === null) {
      this.#full = {};
      this.#full.room = new Promise((resolve) => { this.#full.resolve = resolve; });
    }
    this.#arrived();
  }

  async #take() {
    if (this.#current) this.#finish(this.#current); // also that of an iteration that has stopped
    this.#current = null;
    for (;;) {
      const step = this.#steps.shift();
      if (step?.item) return (this.#current = step);
      if (step) {
        this.#finish(step);
        continue;
      }
      this.#full?.resolve();
      this.#full = null;
      if (this.#closed) return undefined;
      await new Promise((resolve) => { this.#arrived = resolve; });
    }
  }

  #finish({ item, stream, seq, of, receipt = null, given }) {
    if (stream !== null) {
      this.#position[stream] = stream === "all" ? seq : { seq, of };
      this.#save();
    }
    if (given && item !== null && item === this.#unhandled) given.hasFailed = true;
    const { receipts, clientId } = this.#session;
    if (receipt !== null && !given.hasFailed && (of ?? clientId) === clientId) {
      receipts.add(receipt);
      if (receipts.size > MOST_RECEIPTS) receipts.delete(Math.min(...receipts));
      for (const connection of this.#connections) connection.sendReceipts();
    }
  }

  /** Call the handlers, one item after the other. */
  async #consume() {
    this.#consuming = true;
    for await (const item of this) {
      try {
        for (const listener of this.#listeners[item.type]) await listener(item);
      } catch (error) {
        this.#unhandled = item;
        this.#emit("error", error);
      }
    }
  }

  #load() {
    try {
      return JSON.parse(this.#options.storage?.getItem(this.#options.storageKey) ?? "null");
    } catch {
      return null;
    }
  }

  #save() {
    try {
      this.#options.storage?.setItem(this.#options.storageKey, JSON.stringify(this.#position));
    } catch (error) {
      this.#emit("error", error);
    }
  }
}

/** Return the tab's own storage, null where there is none or the page may not use it. */
function tabStorage() {
  try {
    return globalThis.document ? globalThis.sessionStorage : null;
  } catch {
    return null;
  }
}
