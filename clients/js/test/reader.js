/**
 * Clients as a process, for tests in another language. The argument is JSON: {address, options, ids}.
 * With the option `tokenUrl` they fetch their tokens from there, by `?sub=`.
 * It prints what each client is told, and reads commands: cut, hold, release, end.
 */

import { createInterface } from "node:readline";

import { WebSocket } from "ws";

import { IncidentClient } from "../incident-websocket.js";

const { address, options: { tokenUrl, ...options }, ids } = JSON.parse(process.argv[2]);
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const sockets = new Map(ids.map((id) => [id, new Set()]));
let isHeld = false;

/** A WebSocket that a command can cut or hold back. */
const cuttable = (id) => class extends WebSocket {
  constructor(url, protocols) {
    super(isHeld ? "ws://127.0.0.1:1" : url, protocols);
    sockets.get(id).add(this);
    this.on("close", () => sockets.get(id).delete(this));
  }
};

/** Return the option `token` of a client. */
const tokenOf = (id) => tokenUrl && {
  token: async () => (await fetch(`${tokenUrl}?sub=${encodeURIComponent(id)}`)).text(),
};

const clients = ids.map((id) => {
  const client = new IncidentClient(address, {
    ...options,
    ...tokenOf(id),
    clientId: id,
    storage: null,
    WebSocket: cuttable(id),
  });
  for (const name of ["notification", "gap", "state", "goodbye"]) {
    client.on(name, (news) => print({ client: id, [name]: news }));
  }
  client.on("error", (error) => print({ client: id, error: String(error) }));
  client.connect();
  return client;
});

const commands = {
  cut: (id) => {
    for (const each of id ? [id] : ids) for (const socket of sockets.get(each)) socket.terminate();
  },
  hold: () => { isHeld = true; },
  release: () => { isHeld = false; },
  end: () => {
    for (const client of clients) client.close();
  },
};
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const [command, id] = line.split(" ");
  commands[command](id);
  if (command === "end") lines.close();
});
lines.on("close", () => commands.end());
