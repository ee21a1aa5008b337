/** One connection: it recovers, keeps itself alive, and renews its token, until it ends. */

import { Backoff } from "./backoff.js";
import { parse } from "./messages.js";

const SECOND = 1000;
const ANSWER = 10 * SECOND;
const PROBE = 5 * SECOND; // for the pong of a connection that may be dead
const FIRST_PING = 10 * SECOND; // by then a new row is in the index that deliveries read
const SETTLING = SECOND; // posts may overtake each other
const EARLY = 60 * SECOND; // to renew a token
const SHORTEST_LIFE = 5 * SECOND;

/**
 * Everything waits for `#ask` or `#sleep`. After the end neither returns, so that late answers and
 * timers of an old connection cannot do anything.
 */
export class Connection {
  goodbye = null;
  isEnded = false;
  #session;
  #socket;
  #timers = new Set();
  #waiting = new Map(); // action → {n, promise, resolve}
  #recovery = null; // the last request, until its page comes
  #number = 0;
  #recovering = false;
  #wanted = false;
  #settling = false;
  #sending = false;
  #knownClient = false;

  constructor(session, socket, token) {
    this.#session = session;
    this.#socket = socket;
    this.openedAt = session.clock.now();
    this.ended = new Promise((resolve) => { this.resolveEnded = resolve; });
    this.caughtUp = new Promise((resolve) => { this.resolveCaughtUp = resolve; });
    this.stale = new Promise((resolve) => { this.resolveStale = resolve; });
    session.merge.opened();
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = () => this.end();
    this.recover();
    this.#keepAlive();
    if (token !== undefined) this.#renewToken(expiry(token));
  }

  /** End: the server has closed the connection, or it is dead, or nobody needs it any more. */
  end() {
    if (this.isEnded) return;
    this.isEnded = true;
    for (const timer of this.#timers) this.#session.clock.clearTimeout(timer);
    discard(this.#socket);
    this.resolveEnded();
  }

  /** Check whether the server answers: the machine may have slept. */
  async probe() {
    if (!(await this.#ask("ping", {}, PROBE))) this.end();
  }

  async recover() {
    this.#wanted = true;
    if (this.#recovering) return;
    this.#recovering = true;
    while (this.#wanted) {
      this.#wanted = false;
      await this.#catchUp();
      this.resolveCaughtUp();
    }
    this.#recovering = false;
    this.#settle();
  }

  /**
   * Acknowledge what was handled, each until the server has answered. This does not wait until the
   * handlers have caught up: the senders wait for seconds.
   */
  async sendReceipts() {
    const { receipts } = this.#session;
    if (this.#sending || !this.#knownClient) return;
    this.#sending = true;
    let backoff = new Backoff(this.#session);
    for (const seq of receipts) {
      const answer = await this.#ask("received", { seq });
      const isWaiting = receipts.delete(seq);
      if (answer !== null && answer.code !== "try_again") {
        backoff = new Backoff(this.#session);
      } else {
        if (isWaiting) receipts.add(seq); // after the others
        await this.#sleep(backoff.failed());
      }
    }
    this.#sending = false;
  }

  #after(ms, act) {
    const { clock } = this.#session;
    const timer = clock.setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.isEnded) act();
    }, ms);
    this.#timers.add(timer);
    return timer;
  }

  #sleep(ms) {
    return new Promise((resolve) => this.#after(ms, resolve));
  }

  /** Send a request. Return its answer, or null if there is none in time. */
  async #ask(action, fields = {}, ms = ANSWER) {
    if (!this.#waiting.has(action)) {
      const request = { n: ++this.#number, fields };
      request.answered = new Promise((resolve) => { request.resolve = resolve; });
      this.#waiting.set(action, request);
      if (action === "recover") this.#recovery = request;
      this.#send({ action, ...fields, n: request.n });
    }
    const request = this.#waiting.get(action); // a second caller gets the same answer
    let timer;
    const late = new Promise((resolve) => { timer = this.#after(ms, () => resolve(null)); });
    const answer = await Promise.race([request.answered, late]);
    this.#session.clock.clearTimeout(timer);
    this.#timers.delete(timer);
    if (this.#waiting.get(action) === request) this.#waiting.delete(action);
    return this.isEnded ? new Promise(() => {}) : answer;
  }

  #send(message) {
    if (!this.isEnded && this.#socket.readyState === 1) this.#socket.send(JSON.stringify(message));
  }

  #hear(data) {
    let message;
    try {
      message = parse(data);
    } catch (error) {
      return this.#session.emit("error", error);
    }
    if (message.type === "notification") return this.#takeLive(message);
    if (message.type === "goodbye") {
      this.goodbye = message;
      return this.end();
    }
    const action = this.#actionOf(message);
    const request = this.#waiting.get(action);
    this.#waiting.delete(action);
    // a page may come late: on a slow network each one does
    if (message.type === "recovered" && message.n === this.#recovery?.n) this.#takePage(message);
    return request?.resolve(message);
  }

  /** Find out which request a message answers. */
  #actionOf({ type, n, code }) {
    if (type === "authenticated") return "authenticate";
    if (n !== undefined) return [...this.#waiting.keys()].find((k) => this.#waiting.get(k).n === n);
    if (type === "pong") return "ping";
    if (type !== "error") return undefined;
    if (["bad_token", "other_client", "no_keys"].includes(code)) return "authenticate";
    return this.#waiting.keys().next().value; // the oldest request
  }

  #takeLive(entry) {
    const session = this.#session;
    if (session.isFull() && entry.seq !== undefined) return this.recover(); // waits for room
    session.put(session.merge.live({ ...entry, recovered: false }, this.#knownClient));
    this.#settle();
  }

  #takePage(page) {
    const session = this.#session;
    const asked = this.#recovery.fields.after;
    this.#recovery.page = page;
    this.#recovery = null;
    for (const entry of page.notifications) entry.recovered = true;
    const clientId = page.clientId ?? null;
    if (session.clientId !== null && session.clientId !== clientId) {
      session.receipts.clear(); // another client cannot acknowledge them
    }
    session.clientId = clientId;
    session.advice = page.advice;
    session.put(session.merge.recovered(page, asked));
    this.#knownClient = true;
    this.sendReceipts();
    const { all, own } = page.position;
    page.isComplete = !page.more && !session.merge.behind({ all, own: own?.seq });
    page.hasMoved = JSON.stringify(session.merge.position) !== JSON.stringify(asked);
  }

  /** Recover what is missing before the held entries, unless it comes by itself. */
  async #settle() {
    if (this.#settling || !this.#session.merge.holding) return;
    this.#settling = true;
    await this.#sleep(SETTLING + this.#session.random() * this.#session.spread());
    this.#settling = false;
    if (this.#session.merge.holding) this.recover();
  }

  /** Recover page by page. Ask again for one that fails, ever more rarely; posts go on. */
  async #catchUp() {
    for (let backoff = new Backoff(this.#session); ;) {
      await this.#session.room();
      const result = await this.#page();
      if (result === "complete") return;
      if (result === "failed") await this.#sleep(backoff.failed());
      else backoff = new Backoff(this.#session);
    }
  }

  async #page() {
    const { merge, last, emit, put } = this.#session;
    const asked = merge.position;
    const asking = this.#ask("recover", { after: asked, ...(asked ? {} : { last }) });
    const request = this.#recovery;
    let answer = await asking;
    if (answer === null) {
      await this.probe();
      if (this.isEnded) return new Promise(() => {});
      answer = request.page; // it may have come just before the pong
      if (answer === undefined) return "failed";
    }
    if (answer.isComplete) return "complete";
    if (answer.type === "recovered") return answer.hasMoved ? "more" : "failed";
    if (answer.code === "try_again") return "failed";
    emit("error", new Error(`recover: ${answer.message}`));
    const isRefused = asked !== null && answer.code === "bad_request" && answer.n !== undefined;
    if (!isRefused) {
      put(merge.release());
      return "complete"; // the server has no history
    }
    merge.forget();
    return "more";
  }

  async #keepAlive() {
    await this.#sleep(FIRST_PING);
    for (;;) {
      const ping = () => this.#ask("ping", { heads: true });
      const pong = (await ping()) ?? (await ping());
      if (pong === null) return this.end();
      if (this.#session.merge.behind(pong.heads ?? {})) this.recover();
      await this.#sleep(this.#session.keepAlive() * (0.9 + 0.2 * this.#session.random()));
    }
  }

  /** Authenticate anew before the token expires; if that fails, ask for a fresh connection. */
  async #renewToken(expiresAt) {
    const { clock, token, emit } = this.#session;
    for (let at = expiresAt; at !== null;) {
      const life = at * SECOND - clock.now();
      if (life < SHORTEST_LIFE) return;
      await this.#sleep(Math.max(life - EARLY, 0.8 * life));
      const fresh = await token().catch((error) => emit("error", error));
      const answer = fresh === undefined ? null : await this.#ask("authenticate", { token: fresh });
      if (answer?.type !== "authenticated") return this.resolveStale();
      at = answer.expiresAt ?? expiry(fresh);
    }
  }
}

/** Close a socket, and hear nothing of it any more. A dead one may take minutes to close. */
export function discard(socket) {
  socket.onopen = socket.onmessage = socket.onclose = socket.onerror = () => {};
  socket.close(1000);
}

/** Return when a JSON Web Token expires (s since the epoch), null for any other token. */
function expiry(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload));
    return typeof exp === "number" ? exp : null;
  } catch {
    return null;
  }
}
