const SECOND = 1000;
const BASE = 0.5 * SECOND;
const CAP = 60 * SECOND;
const LONG_LIFE = 30 * SECOND;

/** Exponential back-off with full jitter. Clients that lost a server together return spread out. */
export class Backoff {
  #session;
  #failures = 0;

  constructor(session) {
    this.#session = session;
  }

  failed() {
    const cap = Math.max(CAP, this.#session.spread());
    return this.#session.random() * Math.min(cap, BASE * 2 ** this.#failures++);
  }

  ended(lived) {
    if (lived < LONG_LIFE) return this.failed();
    this.#failures = 0;
    return this.#session.random() * this.#session.spread();
  }
}

/** Return a number from 0 to 1 that is the same for a name in the client of each language. */
export function share(name) {
  let number = 2166136261; // FNV-1a, RFC 9923
  for (const byte of new TextEncoder().encode(name)) {
    number = Math.imul(number ^ byte, 16777619) >>> 0;
  }
  return number / 2 ** 32;
}
