/**
 * Two clients in Node that talk over the server of the first argument, one of them without
 * WebSocket.
 *
 * What must live here: what a program sees of the real thing; what depends on time is in
 * `client.test.js`. The program ends with an error when something is not as it should be.
 */

import assert from "node:assert/strict";
import { createRequire } from "node:module";

import { ChatClient } from "../../server/web/client.js";
import { EventSocket } from "../../server/web/fallback.js";

const { WebSocket } = createRequire(import.meta.url)("../../.node/node_modules/ws");
const url = process.argv[2];

/** The next event of a type for which something holds. */
const heard = (client, type, holds = () => true) =>
  new Promise((resolve) => {
    client.addEventListener(type, function listener({ detail }) {
      if (!holds(detail)) return;
      client.removeEventListener(type, listener);
      resolve(detail);
    });
  });

const ada = new ChatClient(url, { WebSocket });
const grace = new ChatClient(url, { WebSocket: EventSocket });
await ada.connect("Ada");
await grace.connect("Grace");
assert.deepEqual(ada.feeds, ["prices"]);
await ada.join("lobby");
await grace.join("lobby");

// Said in order, and delivered when the server has it.
const messages = [];
grace.addEventListener("message", ({ detail }) => messages.push(detail.text));
const lines = Array.from({ length: 50 }, (_, number) => `line ${number}`);
const last = heard(grace, "message", ({ text }) => text === lines.at(-1));
const deliveries = lines.map((line) => ada.send("lobby", line));
await Promise.all(deliveries.map(({ settled }) => settled));
assert.ok(deliveries.every(({ state }) => state === "delivered"));
await last;
assert.deepEqual(messages, lines);

// Changed, found, marked as read, and nothing lost on the way to another connection.
const edited = heard(grace, "edited");
await ada.edit("lobby", deliveries[0].offset, "a line of its own");
assert.equal((await edited).text, "a line of its own");
const { found, before } = await grace.search("lobby", "OWN line");
assert.deepEqual([found.map(({ offset }) => offset), before], [[deliveries[0].offset], null]);
const read = heard(ada, "read", ({ user }) => user === "Grace");
await grace.markRead("lobby", deliveries.at(-1).offset);
assert.equal((await read).offset, deliveries.at(-1).offset);
const again = heard(grace, "entered");
grace.reconnect();
ada.send("lobby", "meanwhile");
const { messages: missed } = await again;
if (missed.length === 0) await heard(grace, "message", ({ text }) => text === "meanwhile");
else
  assert.deepEqual(
    missed.map(({ text }) => text),
    ["meanwhile"],
  );

// Privately, whoever is there.
const told = heard(grace, "private");
const secret = ada.sendPrivate("Grace", "psst");
await secret.settled;
assert.equal((await told).text, "psst");
const changed = heard(grace, "private_edited");
await ada.editPrivate(secret.offset, "pssst");
assert.equal((await changed).text, "pssst");
assert.deepEqual((await grace.privateHistory()).history.at(-2)?.text, "pssst");

await assert.rejects(ada.join("no such room"), { code: "invalid_room" });
for (const client of [ada, grace]) {
  client.close();
  assert.equal(client.status.status, "idle");
}
