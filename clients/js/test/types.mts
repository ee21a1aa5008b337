// Compiled, not run: `npm run types`.
import { IncidentClient, type Gap, type Position } from "../incident-websocket.js";

const client = new IncidentClient("wss://example.com/prod", {
  token: async () => "token",
  storage: null,
  renewalMinutes: [1, 2],
});
client.on("notification", (notification) => notification.subject?.length);
client.on("gap", async (gap: Gap) => gap.after + gap.to);
client.on("state", (state) => state === "live");
// @ts-expect-error: there is no such event
client.on("nonsense", () => {});
const position: Position = client.position;
for await (const item of client) {
  if (item.type === "gap") console.log(item.to, position.all);
  else console.log(item.message, item.recovered);
}
