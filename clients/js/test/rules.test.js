import { readFileSync } from "node:fs";
import { test } from "node:test";

import { checkMerge, rules } from "./rules.js";

for (const [name, rule] of Object.entries(rules)) test(name, { timeout: 60_000 }, rule);

test("the merge rule does the same as in Python", () => {
  const url = new URL("merge-cases.json", import.meta.url);
  for (const life of JSON.parse(readFileSync(url, "utf8"))) checkMerge(life);
});
