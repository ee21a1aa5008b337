/**
 * Clients of the package `ws` as a process, which connect, leave and are cut by command. The
 * argument is the address. Commands: open NUMBER CLIENT, leave NUMBER CODE, cut NUMBER. It prints what
 * each is sent: {number, opened, got, closed}; times are epoch ms.
 */

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { WebSocket } = createRequire(new URL("../../clients/js/package.json", import.meta.url))("ws");
const address = process.argv[2];
const sockets = new Map();
const print = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const commands = {
  open: (number, client) => {
    const socket = new WebSocket(`${address}?clientId=${client}`, { perMessageDeflate: false });
    sockets.set(number, socket);
    socket.on("open", () => print({ number, opened: Date.now() }));
    socket.on("message", (data) => {
      const message = JSON.parse(data);
      if (message.type === "notification") print({ number, got: message.id });
    });
    socket.on("error", () => {});
    socket.on("close", (code) => {
      sockets.delete(number);
      print({ number, closed: code });
    });
  },
  leave: (number, code) => sockets.get(number)?.close(Number(code)),
  cut: (number) => sockets.get(number)?.terminate(),
};
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const [command, number, argument] = line.split(" ");
  commands[command](Number(number), argument);
});
lines.on("close", () => process.exit(0));
