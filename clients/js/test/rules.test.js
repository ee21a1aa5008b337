import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { checkMerge, rules } from "./rules.js";
import { World, ok } from "./world.js";

for (const [name, rule] of Object.entries(rules)) test(name, { timeout: 60_000 }, rule);

test("the merge rule does the same as in Python", () => {
  const url = new URL("merge-cases.json", import.meta.url);
  for (const life of JSON.parse(readFileSync(url, "utf8"))) checkMerge(life);
});

test("a client without a network does not grow", { timeout: 60_000 }, async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const world = new World({ token: () => "secret" });
  const bytesAfter = async (attempts) => {
    for (let i = 0; i < attempts; i++) (await world.attempt()).refuse();
    for (const list of [world.attempts, world.states, world.errors]) list.length = 0;
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = await bytesAfter(500);
  const grown = (await bytesAfter(2000)) - before;
  world.client.close();
  ok(grown < 4_000_000, `2,000 attempts took ${grown} bytes`);
});
