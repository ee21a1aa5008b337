// Cases of Node's `ws` client against the sample app: `node cases.js WEBSOCKET_URL HTTP_URL`.
// Each case prints a line of JSON: its name, and an error if it failed.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";

import WebSocket from "ws";

const [url, http] = process.argv.slice(2);
const PATIENCE_MS = 30_000;
// The form of a signature; the gateway does not check its value.
const SIGNED = {
  Authorization:
    "AWS4-HMAC-SHA256 Credential=ANYKEY/20261125/us-east-1/execute-api/aws4_request, " +
    `SignedHeaders=host;x-amz-date, Signature=${"0".repeat(64)}`,
};

function open(query = "", protocols = [], options = {}) {
  const socket = new WebSocket(url + query, protocols, options);
  socket.inbox = [];
  socket.on("message", (data, isBinary) => socket.inbox.push({ text: data.toString(), isBinary }));
  socket.on("error", () => {});
  return socket;
}

async function opened(query, protocols, options) {
  const socket = open(query, protocols, options);
  await once(socket, "open");
  return socket;
}

async function received(socket) {
  while (socket.inbox.length === 0) await once(socket, "message");
  return socket.inbox.shift().text;
}

async function ask(socket, asked) {
  socket.send(JSON.stringify(asked));
  return received(socket);
}

async function refused(query, protocols, options) {
  const socket = open(query, protocols, options);
  const [, response] = await once(socket, "unexpected-response");
  let body = "";
  for await (const part of response) body += part;
  return { status: response.statusCode, headers: response.headers, body };
}

async function closed(socket) {
  const [code, reason] = await once(socket, "close");
  return [code, reason.toString()];
}

async function context(socket) {
  socket.send(JSON.stringify({ do: "raise" }));
  return JSON.parse(await received(socket)).connectionId;
}

function api(id, method, body, headers = SIGNED) {
  return fetch(`${http}/@connections/${encodeURIComponent(id)}`, { method, body, headers });
}

function answer(value) {
  return `?answer=${encodeURIComponent(JSON.stringify(value))}`;
}

// A frame of a client, with a mask of zeros.
function frame(first, payload) {
  const length = payload.length;
  const head =
    length < 126 ? [first, 0x80 | length] : [first, 0x80 | 126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

function sendRaw(socket, ...frames) {
  socket._socket.write(Buffer.concat(frames));
}

const cases = {
  // What the tests of serverless-offline's WebSockets look at.
  "opens a connection": async () => {
    assert.equal((await opened()).readyState, WebSocket.OPEN);
  },
  "opens many connections at once": async () => {
    const sockets = await Promise.all(Array.from({ length: 12 }, () => opened()));
    assert.deepEqual([...new Set(sockets.map((each) => each.readyState))], [WebSocket.OPEN]);
  },
  "gives each connection an id of its own": async () => {
    const sockets = [await opened(), await opened()];
    const [first, second] = [await context(sockets[0]), await context(sockets[1])];
    assert.notEqual(first, second);
    assert.match(first, /^[\w-]+=*$/);
  },
  "runs the default route for an unknown action": async () => {
    const socket = await opened();
    assert.equal(await ask(socket, { action: "unknown", do: "echo", text: "a" }), "a");
  },
  "runs the default route without an action": async () => {
    assert.equal(await ask(await opened(), { do: "echo", text: "b" }), "b");
  },
  "runs the default route for what is not JSON": async () => {
    const socket = await opened();
    socket.send("plain");
    assert.equal(await received(socket), "not JSON: plain");
  },
  "runs the default route for an empty message": async () => {
    const socket = await opened();
    socket.send("");
    assert.equal(await received(socket), "not JSON: ");
  },
  "runs the default route for an action that is no text": async () => {
    assert.equal(await ask(await opened(), { action: 7, do: "echo", text: "c" }), "c");
  },
  "does not let a client run $disconnect": async () => {
    assert.equal(await ask(await opened(), { action: "$disconnect", do: "echo", text: "d" }), "d");
  },
  "sends what a function returns to its client only": async () => {
    const [asking, other] = [await opened(), await opened()];
    await ask(asking, { do: "echo", text: "mine" });
    assert.deepEqual(other.inbox, []);
  },
  "reports a function that raises": async () => {
    const told = JSON.parse(await ask(await opened(), { do: "raise" }));
    assert.equal(told.message, "Internal server error");
    assert.deepEqual(Object.keys(told).sort(), ["connectionId", "message", "requestId"]);
  },
  "reports a function that exits and serves the next message": async () => {
    const socket = await opened();
    assert.equal(JSON.parse(await ask(socket, { do: "exit" })).message, "Internal server error");
    assert.equal(await ask(socket, { do: "echo", text: "e" }), "e");
  },
  "refuses with the status that $connect returns": async () => {
    for (const statusCode of [401, 403, 500]) {
      assert.equal((await refused(answer({ statusCode }))).status, statusCode);
    }
  },
  "refuses with 502 when $connect raises": async () => {
    const { status, body } = await refused("?raise=yes");
    assert.deepEqual([status, JSON.parse(body).message], [502, "Internal server error"]);
  },
  "refuses with 502 when $connect returns a status that is none": async () => {
    assert.equal((await refused(answer({ statusCode: 7 }))).status, 502);
  },
  "refuses a wrong stage with 403": async () => {
    const socket = new WebSocket(url.replace("/live", "/other"));
    socket.on("error", () => {});
    const [, response] = await once(socket, "unexpected-response");
    assert.equal(response.statusCode, 403);
  },
  "posts to a connection": async () => {
    const socket = await opened();
    const answered = await api(await context(socket), "POST", "from the server");
    assert.deepEqual([answered.status, await received(socket)], [200, "from the server"]);
  },
  "posts from a function to another connection": async () => {
    const [from, to] = [await opened(), await opened()];
    from.send(JSON.stringify({ do: "send", to: await context(to), text: "x" }));
    assert.deepEqual([await received(to), await received(to)], ["x by Chalice", "x by boto3"]);
  },
  "answers 410 for a connection that has ended": async () => {
    const socket = await opened();
    const id = await context(socket);
    socket.close();
    await closed(socket);
    for (const method of ["POST", "GET", "DELETE"]) {
      const { status } = await api(id, method, method === "POST" ? "late" : undefined);
      assert.equal(status, 410);
    }
  },
  "answers 410 for a connection that never was": async () => {
    assert.equal((await api("nonsense=", "POST", "x")).status, 410);
  },
  "answers 403 to an unsigned post": async () => {
    assert.equal((await api("nonsense=", "POST", "x", {})).status, 403);
  },
  "tells about a connection": async () => {
    const told = await (await api(await context(await opened()), "GET")).json();
    assert.deepEqual(Object.keys(told).sort(), ["connectedAt", "identity", "lastActiveAt"]);
    assert.equal(told.identity.sourceIp, "127.0.0.1");
  },
  "closes a connection with 1000 for the server": async () => {
    const socket = await opened();
    const ended = closed(socket);
    assert.equal((await api(await context(socket), "DELETE")).status, 204);
    assert.equal((await ended)[0], 1000);
  },
  "keeps a connection open between messages": async () => {
    const socket = await opened();
    for (const text of ["f", "g", "h"]) assert.equal(await ask(socket, { do: "echo", text }), text);
    assert.equal(socket.readyState, WebSocket.OPEN);
  },
  "passes the query string to $connect and its body to the client": async () => {
    const told = { statusCode: 418, body: "seen" };
    const { status, body } = await refused(`${answer(told)}&a=1&a=2`);
    assert.deepEqual([status, body], [418, "seen"]);
  },
  "refuses plain HTTP with 426": async () => {
    assert.equal((await fetch(http)).status, 426);
  },

  // What the `ws` client offers beside that.
  "selects the subprotocol of $connect": async () => {
    const headers = { "Sec-WebSocket-Protocol": "chat" };
    const socket = await opened(answer({ statusCode: 200, headers }), ["chat", "other"]);
    assert.equal(socket.protocol, "chat");
  },
  "fails without a subprotocol when it offered some": async () => {
    const socket = open("", ["chat"]);
    assert.match((await once(socket, "error"))[0].message, /no subprotocol/);
  },
  "agrees on no compression": async () => {
    const socket = await opened("", [], { perMessageDeflate: true });
    assert.equal(socket.extensions, "");
    assert.equal(await ask(socket, { do: "echo", text: "z".repeat(2000) }), "z".repeat(2000));
  },
  "answers pings with their data": async () => {
    const socket = await opened();
    const pong = once(socket, "pong");
    socket.ping("data");
    assert.equal((await pong)[0].toString(), "data");
  },
  "ignores a pong that nobody asked for": async () => {
    const socket = await opened();
    socket.pong("unasked");
    assert.equal(await ask(socket, { do: "echo", text: "i" }), "i");
  },
  "receives text as text": async () => {
    const socket = await opened();
    socket.send(JSON.stringify({ do: "echo", text: "ü☃𝄞" }));
    await once(socket, "message");
    assert.deepEqual(socket.inbox, [{ text: "ü☃𝄞", isBinary: false }]);
  },
  "closes with its own code and reason": async () => {
    const socket = await opened();
    socket.close(4321, "done");
    assert.deepEqual(await closed(socket), [4321, "done"]);
  },
  "closes without a code": async () => {
    const socket = await opened();
    socket.close();
    assert.equal((await closed(socket))[0], 1005);
  },
  "goes without a close frame": async () => {
    const socket = await opened();
    socket.terminate();
    assert.equal((await closed(socket))[0], 1006);
  },
  "is closed with 1003 for a binary message": async () => {
    const socket = await opened();
    socket.send(Buffer.from([1, 2, 3]));
    assert.equal((await closed(socket))[0], 1003);
  },
  "is closed with 1009 for a frame over 32 KB": async () => {
    const socket = await opened();
    socket.send("x".repeat(33 * 1024));
    assert.equal((await closed(socket))[0], 1009);
  },
  "sends a message of many frames": async () => {
    const socket = await opened();
    const text = "y".repeat(100_000);
    const message = JSON.stringify({ do: "echo", text });
    for (let at = 0; at < message.length; at += 30_000) {
      socket.send(message.slice(at, at + 30_000), { fin: at + 30_000 >= message.length });
    }
    assert.equal(await received(socket), text);
  },
  "is closed with 1009 for a message over 128 KB": async () => {
    const socket = await opened();
    const ended = closed(socket);
    for (let part = 0; part < 5; part += 1) socket.send("x".repeat(30_000), { fin: false });
    assert.equal((await ended)[0], 1009);
  },
  "may ping between the frames of a message": async () => {
    const socket = await opened();
    const pong = once(socket, "pong");
    sendRaw(
      socket,
      frame(0x01, Buffer.from('{"do": "echo", ')),
      frame(0x89, Buffer.from("between")),
      frame(0x80, Buffer.from('"text": "j"}')),
    );
    assert.equal((await pong)[0].toString(), "between");
    assert.equal(await received(socket), "j");
  },
  "is closed with 1007 for text that is not UTF-8": async () => {
    const socket = await opened();
    const ended = closed(socket);
    sendRaw(socket, frame(0x81, Buffer.from([0xff, 0xfe])));
    assert.equal((await ended)[0], 1007);
  },
  "is closed with 1002 for a frame without a mask": async () => {
    const socket = await opened();
    const ended = closed(socket);
    sendRaw(socket, Buffer.from([0x81, 0x01, 0x61]));
    assert.equal((await ended)[0], 1002);
  },
  "is closed with 1002 for reserved bits and opcodes": async () => {
    for (const first of [0xc1, 0x83, 0x8b]) {
      const socket = await opened();
      const ended = closed(socket);
      sendRaw(socket, frame(first, Buffer.from("a")));
      assert.equal((await ended)[0], 1002);
    }
  },
  "sends header fields": async () => {
    const headers = { "X-Custom": "v", Origin: "https://elsewhere.example" };
    assert.equal((await opened("", [], { headers })).readyState, WebSocket.OPEN);
  },
  "is refused with the version of the protocol that is spoken": async () => {
    const { hostname, port } = new URL(url);
    const socket = net.connect(port, hostname);
    const key = "dGhlIHNhbXBsZSBub25jZQ==";
    socket.write(
      `GET /live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 12\r\n\r\n`,
    );
    let head = "";
    for await (const part of socket) head += part;
    assert.match(head, /^HTTP\/1.1 4\d\d /);
    assert.match(head, /Sec-WebSocket-Version: 13/i);
  },
  "sends messages in order": async () => {
    const socket = await opened();
    for (let number = 0; number < 20; number += 1) {
      assert.equal(await ask(socket, { do: "echo", text: `${number}` }), `${number}`);
    }
  },
  "serves the events of browsers, too": async () => {
    const socket = new WebSocket(url);
    await new Promise((resolve) => socket.addEventListener("open", resolve));
    const got = new Promise((resolve) => socket.addEventListener("message", resolve));
    socket.send(JSON.stringify({ do: "echo", text: "k" }));
    assert.equal((await got).data, "k");
    socket.close();
  },
};

for (const [name, run] of Object.entries(cases)) {
  let error;
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("nothing happened")), PATIENCE_MS);
  });
  try {
    await Promise.race([run(), late]);
  } catch (failure) {
    error = failure.message;
  }
  clearTimeout(timer);
  console.log(JSON.stringify({ name, error }));
}
process.exit(0);
