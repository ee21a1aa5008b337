/** A stream: broadcasts, or the notifications of one client. */
export type Stream = "all" | "own";

/** How far a reader has come: plain data. */
export interface Position {
  all?: number;
  own?: { seq: number; of: string };
}

export interface Notification {
  type: "notification";
  id: string;
  /** Epoch ms. */
  sentAt: number;
  subject: string | null;
  message: unknown;
  /** Absent if the notification is not in the history. */
  stream?: Stream;
  seq?: number;
  prev?: number;
  /** Epoch ms. */
  recordedAt?: number;
  /** Whether the sender waits for a receipt. The client sends it. */
  receipt?: boolean;
  /** Whether it was read from the history. */
  recovered: boolean;
}

/**
 * Notifications of `stream` are lost: those numbered over `after`, up to `to`. If `to` is under
 * `after`, the position was one of another history.
 */
export interface Gap {
  type: "gap";
  stream: Stream;
  after: number;
  to: number;
}

export interface Goodbye {
  reason: "kicked" | "replaced" | "expired" | "unknown" | (string & {});
  message: string | null;
  reconnect: boolean;
  afterSeconds?: number;
}

export type State =
  | "idle"
  | "connecting"
  | "recovering"
  | "live"
  | "renewing"
  | "waiting"
  | "closed";

export interface Options {
  /** Called before every attempt, and before the token expires. */
  token?: () => string | Promise<string>;
  clientId?: string;
  /** Without a position, begin with so many past notifications, 0 to 50. */
  last?: number;
  /** False: give notifications as they come, each once. */
  order?: boolean;
  /** Where the position is kept; by default the tab's sessionStorage. Tabs cannot share it. */
  storage?: Pick<Storage, "getItem" | "setItem"> | null;
  /** Where to go on, instead of what is stored. */
  position?: Position | null;
  /** The class to use where there is no global one: that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => unknown;
  /** Instead of what the server advises. */
  keepAliveSeconds?: number;
  /** Instead of what the server advises. */
  spreadSeconds?: number;
  /** Replace a connection at an age in this range, the same for all tabs; by default [105, 115]. */
  renewalMinutes?: [number, number];
}

export interface Events {
  /** May be asynchronous: the next item waits, and this one is finished when it returns. */
  notification: (notification: Notification) => unknown;
  gap: (gap: Gap) => unknown;
  state: (state: State) => void;
  goodbye: (goodbye: Goodbye) => void;
  error: (error: unknown) => void;
}

export class IncidentClient implements AsyncIterable<Notification | Gap> {
  constructor(address: string, options?: Options);
  readonly state: State;
  /** What the handlers have finished. */
  readonly position: Position;
  /** The client's name, as the server knows it; null if it is anonymous or not known yet. */
  readonly clientId: string | null;
  on<Name extends keyof Events>(name: Name, listener: Events[Name]): this;
  connect(): void;
  close(): void;
  [Symbol.asyncIterator](): AsyncIterableIterator<Notification | Gap>;
}
