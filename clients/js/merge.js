/**
 * The merge rule: live and recovered notifications become one sequence, each once and in order.
 *
 * A stream is a chain: each entry names the number of the one before it (`prev`). An entry is given
 * when it joins the position; otherwise it is held until a recovery brings what is missing or tells
 * that it is gone. Nothing here does I/O or knows the time.
 *
 * A step is {item, stream, seq, of}: an item for the handlers, or null, and the position `seq` of
 * `stream` once the item is finished. `of` is the client whose stream `own` is. A notification also
 * has `receipt`, the number to acknowledge then, or null, and `given`, which its repeats share.
 */

const REMEMBERED_IDS = 4096;
const MOST_HELD = 1000; // entries; a recovery brings the rest again

/** The ids of the last notifications given, and the number of each, if it has one. */
class GivenIds {
  #known = new Map();

  /**
   * Return the entry as `item`, if its id is new, and the number to acknowledge. A repeat under
   * another number is not given, but acknowledged: the first may have come before it was recorded.
   */
  take(entry) {
    const { id, seq = null } = entry;
    const isNew = !this.#known.has(id);
    if (isNew) this.#known.set(id, { seq: null, hasFailed: false });
    if (this.#known.size > REMEMBERED_IDS) this.#known.delete(this.#known.keys().next().value);
    const given = this.#known.get(id);
    const isAsked = entry.receipt === true && seq !== null && seq !== given.seq;
    given.seq = seq ?? given.seq;
    return { item: isNew ? entry : null, receipt: isAsked ? seq : null, given };
  }
}

class StreamMerge {
  held = new Map();
  #ids;
  #forgotten = null;

  constructor(name, pos, ids, of = null) {
    Object.assign(this, { name, pos, of }); // pos is null before the first answer
    this.#ids = ids;
  }

  /** Start anew, because the server refuses the position. The next answer tells the gap. */
  forget() {
    [this.#forgotten, this.pos] = [this.pos, null];
  }

  hold(entry) {
    if (this.pos !== null && entry.seq <= this.pos) return;
    this.held.set(entry.seq, entry);
    if (this.held.size > MOST_HELD) this.held.delete(Math.max(...this.held.keys()));
  }

  /** Give the held entries that join the position. */
  *joining() {
    while (this.held.size && this.pos !== null) {
      const entry = this.held.get(Math.min(...this.held.keys()));
      if (entry.seq > this.pos && !this.#joins(entry)) return;
      yield* this.#take(entry);
    }
  }

  /** Give all held entries: no history tells what is missing before them. */
  *release() {
    for (const entry of [...this.held.values()].sort((a, b) => a.seq - b.seq)) {
      this.pos ??= entry.prev;
      const isNext = entry.seq <= this.pos || this.#joins(entry);
      if (!isNext) yield this.#move(entry.prev || entry.seq - 1);
      yield* this.#take(entry);
    }
  }

  /** Give a page that answers a recovery of what is after `asked`. */
  *page(entries, asked, position, more) {
    const starting = this.pos === null;
    const end = more ? Math.max(0, ...entries.map((entry) => entry.seq)) : position;
    const known = [...[...this.held.values()].filter((entry) => entry.seq <= end), ...entries];
    known.sort((a, b) => a.seq - b.seq);
    if (starting) { // go on from here; entries that came live before the answer count
      const before = this.#forgotten;
      this.#forgotten = null;
      this.pos = known.length ? Math.min(...known.map((entry) => entry.prev)) : position;
      yield this.#step(before === null ? null : this.#gap(before, this.pos));
    }
    for (const entry of known) {
      if (entry.seq > this.pos && !this.#joins(entry)) {
        if (starting) return; // another recovery brings what is missing
        yield this.#move(entry.prev || entry.seq - 1);
      }
      yield* this.#take(entry);
    }
    if (!more && asked !== null && (position > this.pos || position < asked)) {
      yield this.#move(position); // all of them have expired, or the position is a foreign one
    }
    yield* this.joining();
  }

  /** Nothing is missing before an entry; `prev` is 0 in the first one ever. */
  #joins({ prev }) {
    return (0 < prev && prev <= this.pos) || (prev === 0 && this.pos === 0);
  }

  *#take(entry) {
    this.held.delete(entry.seq);
    if (entry.seq <= this.pos) return;
    this.pos = entry.seq;
    yield { ...this.#step(null), ...this.#ids.take(entry) };
  }

  #move(to) {
    const gap = this.#gap(this.pos, to);
    this.pos = to;
    return this.#step(gap);
  }

  #gap(after, to) {
    return { type: "gap", stream: this.name, after, to };
  }

  #step(item) {
    return { item, stream: this.name, seq: this.pos, of: this.of };
  }
}

/** Both streams of a reader. Without `order`, live entries are given as they come. */
export class Merge {
  #ids = new GivenIds();
  #early = []; // entries of `own`, before it is known whose that is

  constructor(position, order = true) {
    this.order = order;
    this.all = new StreamMerge("all", position?.all ?? null, this.#ids);
    const own = position?.own;
    this.own = new StreamMerge("own", own?.seq ?? null, this.#ids, own?.of ?? null);
  }

  /** The position to recover from, null before the first answer. */
  get position() {
    const { all, own } = this;
    if (all.pos === null && own.pos === null) return null;
    const position = all.pos === null ? {} : { all: all.pos };
    if (own.pos !== null) position.own = { seq: own.pos, of: own.of };
    return position;
  }

  get holding() {
    return this.all.held.size + this.own.held.size > 0;
  }

  /** Begin with a new connection, which may be another client's. */
  opened() {
    this.#early = [];
  }

  forget() {
    this.all.forget();
    this.own.forget();
  }

  /** A stream has gone on without this reader. */
  behind({ all = 0, own = 0 }) {
    return all > (this.all.pos ?? 0) || own > (this.own.pos ?? 0);
  }

  /** Until the first answer on a connection it is not known whose the stream `own` is. */
  *live(entry, knownClient = true) {
    if (entry.seq === undefined) {
      yield* this.#atOnce(entry);
      return;
    }
    const stream = this[entry.stream];
    stream.hold(entry);
    if (!this.order && stream.held.has(entry.seq)) yield* this.#atOnce(entry);
    if (knownClient || stream === this.all) yield* stream.joining();
    else if (this.#early.length < MOST_HELD) this.#early.push(entry);
  }

  *#atOnce(entry) {
    const step = { ...this.#ids.take(entry), stream: null, seq: null, of: null };
    if (step.item !== null || step.receipt !== null) yield step;
  }

  /** Give all that is held: without a history, what is missing never comes. */
  *release() {
    yield* this.own.release();
    yield* this.all.release();
  }

  *recovered({ notifications, position, more, clientId = null }, asked) {
    const of = (name) => notifications.filter((entry) => entry.stream === name);
    if (this.own.of !== null && this.own.of !== clientId) {
      this.own = new StreamMerge("own", null, this.#ids);
      for (const entry of this.#early) this.own.hold(entry);
    }
    this.#early = [];
    this.own.of = clientId;
    if (position.own === undefined) yield* this.own.release(); // it is not in the history
    if (position.own !== undefined && position.own.of === clientId) {
      const from = asked?.own?.of === clientId ? asked.own.seq : null;
      yield* this.own.page(of("own"), from, position.own.seq, more);
    }
    if (position.all !== undefined) {
      yield* this.all.page(of("all"), asked?.all ?? null, position.all, more);
    }
  }
}
