// What the page knows: connections with their verdicts, the timeline, lives and deliveries.
// Everything is bounded, so that the page can stay open.

const ITEMS = 4000;
const LIVES = 4000;
const DELIVERIES = 40;
const INBOX = 30;
const ORDER = { no_socket: 0, no_row: 1, expired: 2, closing: 3, settling: 4, match: 5 };
const CLIENT_NAMES = ["clientId", "client_id", "userId", "user_id", "username", "user", "principalId", "sub"];

/** The verdicts that count as disagreements. */
export const DISAGREEMENTS = ["no_socket", "no_row", "expired"];

export class Store {
  state = null;
  version = 0;
  pairs = new Map();
  items = [];
  lives = new Map();
  deliveries = new Map();
  inboxes = new Map();
  dropped = 0;
  #invocations = new Map();
  #sorted = null;

  /** Takes over one message of the stream. */
  take(message) {
    if (message.state) this.state = message.state;
    for (const pair of message.pairs ?? []) this.#pair(pair);
    for (const event of message.events ?? []) this.#event(event);
    if (this.items.length > ITEMS * 1.1) this.#trim();
    this.version += 1;
  }

  /** Returns how many connections have each verdict. */
  counts() {
    const counts = { no_socket: 0, no_row: 0, expired: 0, closing: 0, settling: 0, match: 0 };
    for (const pair of this.pairs.values()) counts[pair.verdict] += 1;
    return counts;
  }

  /** Returns all connections, those that disagree first, then the newest first. */
  sorted() {
    this.#sorted ??= [...this.pairs.values()].sort(
      (one, other) => ORDER[one.verdict] - ORDER[other.verdict] || bornAt(other) - bornAt(one),
    );
    return this.#sorted;
  }

  /** Returns the client's name of a connection, or an empty text. */
  clientOf(id) {
    const row = this.pairs.get(id)?.row ?? this.lives.get(id)?.row;
    const name = row && CLIENT_NAMES.find((each) => typeof row[each] === "string");
    if (name) return row[name];
    const query = this.lives.get(id)?.handshake?.query ?? this.pairs.get(id)?.socket?.query;
    return query?.clientId ?? "";
  }

  /** Returns whether a connection was open at a time in epoch ms. */
  wasOpen(id, at) {
    const life = this.lives.get(id);
    const socket = this.pairs.get(id)?.socket;
    const from = life?.opened?.at ?? (socket?.phase === "open" ? socket.since : Infinity);
    return from <= at && (life?.closed?.at ?? Infinity) >= at;
  }

  /** Returns the ids of the connections that were open at a time in epoch ms. */
  openAt(at) {
    return [...new Set([...this.pairs.keys(), ...this.lives.keys()])].filter((id) => this.wasOpen(id, at));
  }

  /** Empties the timeline; what is known of connections stays. */
  clear() {
    this.items = [];
    this.#invocations.clear();
    this.version += 1;
  }

  /** Returns the name of a function without its application's. */
  shortName(name) {
    return this.state?.functions.find((each) => each.name === name)?.short ?? name;
  }

  #pair(pair) {
    if (pair.verdict === null) this.pairs.delete(pair.id);
    else this.pairs.set(pair.id, pair);
    if (pair.row) this.#life(pair.id).row = pair.row;
    this.#sorted = null;
  }

  #life(id) {
    let life = this.lives.get(id);
    if (!life) {
      life = { id, items: [], row: null, handshake: null, opened: null, refused: null, closed: null, ended: null };
      this.lives.set(id, life);
      if (this.lives.size > LIVES) this.lives.delete(this.lives.keys().next().value);
    }
    return life;
  }

  #event(event) {
    const life = event.connectionId ? this.#life(event.connectionId) : null;
    switch (event.kind) {
      case "started":
        this.#add({ ...event, kind: "invocation", running: true, logs: 0, level: "", bad: false }, life);
        if (event.messageId) this.#delivery(event.messageId, event.at).invocations += 1;
        return;
      case "finished":
        this.#finished(event);
        return;
      case "logged":
        this.#logged(event);
        return;
      case "reported":
        this.#reported(event);
        return;
      case "call":
        this.#posted(event);
        this.#add({ ...event, bad: event.status >= 400 || event.lost }, life);
        return;
      case "replied":
        this.#recovered(event);
        this.#add({ ...event, bad: false }, life);
        return;
      case "environment":
        this.#add({ ...event, bad: false }, null);
        return;
      default:
        life[event.kind] = event;
        this.#add({ ...event, bad: isBad(event) }, life);
    }
  }

  #add(item, life) {
    this.items.push(item);
    if (item.kind === "invocation") this.#invocations.set(item.invocation, item);
    if (life) {
      life.items.push(item);
      if (life.items.length > 120) life.items.shift();
    }
  }

  #finished(event) {
    const item = this.#invocations.get(event.invocation);
    if (!item) return;
    const { status, ms, cold, environment, code, error } = event;
    Object.assign(item, { status, ms, cold, environment, code, error, running: false });
    item.bad ||= status !== "ok" || code >= 400;
  }

  #logged(event) {
    const item = this.#invocations.get(event.invocation);
    if (!item) return;
    item.logs += 1;
    if (event.level === "ERROR" || event.level === "CRITICAL") {
      item.level = "ERROR";
      item.bad = true;
    } else if (event.level === "WARNING" && item.level === "") item.level = "WARNING";
  }

  #reported(event) {
    const { what, fields } = event;
    if (what === "client") {
      this.#inbox(event);
      return;
    }
    if (what === "published" && fields.id) {
      const { subject, message, topic, attributes } = fields;
      Object.assign(this.#delivery(fields.id, event.at), { subject, message, topic, attributes });
    }
    this.#add({ ...event, bad: false }, null);
  }

  #inbox({ at, fields }) {
    const inbox = this.inboxes.get(fields.client) ?? [];
    inbox.push({ at, ...fields });
    if (inbox.length > INBOX) inbox.shift();
    this.inboxes.set(fields.client, inbox);
    if (this.inboxes.size > LIVES) this.inboxes.delete(this.inboxes.keys().next().value);
  }

  #delivery(id, at) {
    let delivery = this.deliveries.get(id);
    if (!delivery) {
      delivery = {
        id,
        at,
        invocations: 0,
        posts: new Map(),
        recovered: new Set(),
      };
      this.deliveries.set(id, delivery);
      if (this.deliveries.size > DELIVERIES) this.deliveries.delete(this.deliveries.keys().next().value);
    }
    return delivery;
  }

  #posted(event) {
    for (const id of event.ids) {
      const delivery = this.deliveries.get(id);
      if (!delivery || event.method !== "POST") continue;
      const known = delivery.posts.get(event.connectionId);
      if (known && known.outcome === "taken") continue;
      const outcome = event.lost ? "lost" : event.status === 410 ? "gone" : event.status < 300 ? "taken" : "failed";
      delivery.posts.set(event.connectionId, { outcome, status: event.status, after: event.at - delivery.at });
    }
  }

  #recovered(event) {
    for (const id of event.ids) this.deliveries.get(id)?.recovered.add(event.connectionId);
  }

  #trim() {
    const gone = this.items.splice(0, this.items.length - ITEMS);
    this.dropped += gone.length;
    for (const item of gone) if (item.kind === "invocation") this.#invocations.delete(item.invocation);
  }
}

function bornAt(pair) {
  return pair.socket?.connectedAt ?? pair.row?.connectedAt ?? pair.row?.createdAt ?? 0;
}

function isBad(event) {
  return event.kind === "refused" || (event.kind === "ended" && ["dropped", "failed"].includes(event.disconnect));
}
