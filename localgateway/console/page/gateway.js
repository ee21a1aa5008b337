// The gateway as the page sees it: requests with the token, and the stream of news.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

/** A request that the gateway refused; `message` says why. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Talks to the gateway; the token stays in this object. */
export class Gateway {
  #token;

  constructor(token) {
    this.#token = token;
  }

  /** Returns what a path under `api/` answers. */
  async get(path) {
    return (await this.#fetch(path)).json();
  }

  /** Carries out an action and returns its result. */
  async act(name, body) {
    const response = await this.#fetch(`actions/${name}`, { method: "POST", body: JSON.stringify(body) });
    return (await response.json()).result;
  }

  /**
   * Calls `take` with each message of the stream, and `tell` with `live`, `waiting` or `refused`.
   * It connects again until the token is refused.
   */
  async listen(take, tell) {
    let after = 0;
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      try {
        const response = await this.#fetch(`stream?after=${after}`);
        tell("live");
        pause = FIRST_PAUSE_MS;
        for await (const message of lines(response.body)) {
          for (const event of message.events ?? []) after = event.seq;
          take(message);
        }
      } catch (error) {
        if (error instanceof Refusal && error.status === 401) {
          tell("refused");
          return;
        }
      }
      tell("waiting");
      await new Promise((done) => setTimeout(done, pause));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }

  async #fetch(path, options = {}) {
    const headers = { Authorization: `Bearer ${this.#token}` };
    const response = await fetch(`api/${path}`, { ...options, headers, cache: "no-store" });
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    throw new Refusal(response.status, body.message ?? `${response.status}`);
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) {
      yield JSON.parse(part);
      // Parsing goes on after the page has had its turn.
      await new Promise((next) => setTimeout(next, 0));
    }
  }
}
