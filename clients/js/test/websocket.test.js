/** The client over real sockets, with the package `ws` on both ends. */

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";

import { WebSocket, WebSocketServer } from "ws";

import { IncidentClient } from "../incident-websocket.js";
import { CHAIN, recovered } from "./world.js";

const options = { WebSocket, storage: null, random: () => 0 };
const PATIENCE = { timeout: 60_000 };

async function serving() {
  const server = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    handleProtocols: (offered) => (offered.has("bearer") ? "bearer" : false),
  });
  await once(server, "listening");
  return [server, `ws://127.0.0.1:${server.address().port}/prod`];
}

async function heard(socket, action) {
  const [data] = await once(socket, "message");
  const request = JSON.parse(data);
  assert.equal(request.action, action);
  return request;
}

test("a cut connection comes back, each notification is given once", PATIENCE, async () => {
  const [server, address] = await serving();
  const token = () => "secret";
  const client = new IncidentClient(address, { ...options, position: { all: 3 }, token });
  const items = client[Symbol.asyncIterator]();
  client.connect();

  const [first, request] = await once(server, "connection");
  const { n } = await heard(first, "recover");
  first.send(JSON.stringify(recovered(n, [CHAIN[3]], { all: 4 })));
  first.send(JSON.stringify(CHAIN[4]));
  const early = [await items.next(), await items.next()];
  first.terminate();
  const [second] = await once(server, "connection");
  const again = await heard(second, "recover");
  second.send(JSON.stringify(CHAIN[6]));
  second.send(JSON.stringify(recovered(again.n, CHAIN.slice(5, 7), { all: 7 })));
  const late = [await items.next(), await items.next()];
  client.close();
  const [code] = await once(second, "close");
  server.close();

  assert.equal(request.headers["sec-websocket-protocol"], "bearer,secret");
  assert.deepEqual(again.after, { all: 5 });
  assert.deepEqual([...early, ...late].map(({ value }) => value.seq), [4, 5, 6, 7]);
  assert.equal(code, 1000);
});

test("a refused handshake is tried again", PATIENCE, async () => {
  const refusing = net.createServer((socket) => socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n"));
  await once(refusing.listen(0, "127.0.0.1"), "listening");
  const client = new IncidentClient(`ws://127.0.0.1:${refusing.address().port}`, options);
  const failed = new Promise((resolve) => {
    const errors = [];
    client.on("error", (error) => errors.push(error) === 3 && resolve());
  });

  client.connect();
  await failed;
  client.close();
  refusing.close();

  assert.equal(client.state, "closed");
});

test("closing ends a handshake that is not answered", PATIENCE, async () => {
  const silent = net.createServer(() => {});
  await once(silent.listen(0, "127.0.0.1"), "listening");
  const client = new IncidentClient(`ws://127.0.0.1:${silent.address().port}`, options);
  client.connect();
  const [socket] = await once(silent, "connection");
  socket.resume();

  client.close();
  await once(socket, "close");
  silent.close();
});
