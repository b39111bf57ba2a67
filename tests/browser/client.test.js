/**
 * The page's client module without a browser: a fake socket, a fake clock, fixed random numbers.
 *
 * What must live here: reconnecting, entering rooms again, and what becomes of unconfirmed
 * messages. What this file does not know: the document. Run it with `node --test`.
 */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, ChatClient } from "../../server/web/client.js";

/** Let everything run that waits for promises only. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

class FakeClock {
  time = 0;
  timers = new Map();
  #next = 1;

  now = () => this.time;

  setTimeout = (callback, delay) => {
    const timer = this.#next++;
    this.timers.set(timer, { at: this.time + delay, callback });
    return timer;
  };

  clearTimeout = (timer) => this.timers.delete(timer);

  async advance(milliseconds) {
    const end = this.time + milliseconds;
    for (;;) {
      const due = [...this.timers].filter(([, { at }]) => at <= end);
      if (due.length === 0) break;
      const [timer, { at, callback }] = due.sort(([, a], [, b]) => a.at - b.at)[0];
      this.timers.delete(timer);
      this.time = at;
      callback();
      await settle();
    }
    this.time = end;
  }
}

/** A client, and the server's side of its connections. */
class Harness {
  clock = new FakeClock();
  sockets = [];
  events = [];
  keys = 0;

  constructor(options = {}) {
    const { sockets } = this;
    class FakeSocket {
      sent = [];
      closed = false;

      constructor(url) {
        this.url = url;
        sockets.push(this);
      }

      send(data) {
        this.sent.push({ ...JSON.parse(data), answered: false });
      }

      close(code) {
        this.closed = true;
        this.code = code;
      }
    }
    this.client = new ChatClient("ws://chat.example/ws", {
      WebSocket: FakeSocket,
      clock: this.clock,
      backoff: new Backoff({ random: () => 0.5 }),
      newKey: () => `key ${(this.keys += 1)}`,
      ...options,
    });
    for (const type of [
      ...["status", "entered", "expelled", "message", "private", "inbox", "edited", "deleted"],
      ...["notification", "fault", "room_joined"],
    ]) {
      this.client.addEventListener(type, ({ detail }) => this.events.push({ type, detail }));
    }
  }

  get socket() {
    return this.sockets.at(-1);
  }

  /** The details of one type of event, and forget them. */
  take(type) {
    const taken = this.events.filter((event) => event.type === type);
    this.events = this.events.filter((event) => event.type !== type);
    return taken.map(({ detail }) => detail);
  }

  /** Commands of a type on the newest connection. */
  sent(type) {
    return this.socket.sent.filter((command) => command.type === type);
  }

  async open() {
    this.socket.onopen({});
    await settle();
  }

  async drop() {
    this.socket.onclose({ code: 1006, reason: "" });
    await settle();
  }

  async receive(event) {
    this.socket.onmessage({ data: JSON.stringify(event) });
    await settle();
  }

  #oldest(type) {
    const command = this.sent(type).find(({ answered }) => !answered);
    assert.ok(command, `no ${type} waits for an answer`);
    command.answered = true;
    return command;
  }

  async answer(type, fields = {}) {
    await this.receive({ type: "ack", id: this.#oldest(type).id, ...fields });
  }

  async refuse(type, code, fields = {}) {
    const { id } = this.#oldest(type);
    await this.receive({ type: "error", id, code, message: code, ...fields });
  }

  async welcome(fields = {}) {
    const name = this.sent("hello").at(-1).name;
    const welcome = { name, user: "guest-1", secret: "guest-1.x", rooms: [], inbox: log([]) };
    await this.answer("hello", { ...welcome, notifications: log([], 7), ...fields });
  }

  async online(name = "Ada") {
    const connected = this.client.connect(name);
    await this.open();
    await this.welcome();
    return connected;
  }

  async join(room, history = []) {
    const joined = this.client.join(room);
    await this.admit(room, history, { recovered: false });
    return joined;
  }

  /** Answer a join, by default of somebody who missed nothing else. */
  async admit(room, history = [], fields = {}) {
    const { since } = this.sent("join").find((command) => command.room === room && !command.answered);
    const people = { members: ["Ada"], count: 1, topic: "", read: 0 };
    await this.answer("join", { room, ...people, ...log(history, since?.offset), ...fields });
  }

  /** Lose the connection and get as far as the new one's answer to `hello`. */
  async reconnect(fields = {}) {
    await this.drop();
    await this.clock.advance(this.client.status.retryAt - this.clock.time);
    await this.open();
    await this.welcome(fields);
  }
}

/** What an answer says of a log. */
const log = (history, offset = 0, epoch = "e") => ({
  epoch,
  offset: history.at(-1)?.offset ?? offset,
  head: history.at(-1)?.offset ?? offset,
  recovered: true,
  more: false,
  history,
});

const message = (offset, text, from = "Grace", room = "lobby", key = undefined) => ({
  type: "message",
  room,
  offset,
  from,
  text,
  key,
  time: `2026-01-01T00:00:${String(offset).padStart(2, "0")}.000Z`,
});

const texts = (messages) => messages.map(({ text }) => text);

test("delays start anywhere below the first bound, then double up to the cap", () => {
  const shortest = new Backoff({ random: () => 0 });
  const longest = new Backoff({ random: () => 1 });
  const series = (backoff) => Array.from({ length: 8 }, () => backoff.next());
  assert.deepEqual(series(shortest), [0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  assert.deepEqual(series(longest), [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  longest.reset();
  assert.equal(longest.next(), 1000);
});

test("connect says hello and gives the name as the server spells it", async () => {
  const harness = new Harness();
  const connected = harness.client.connect("Zoe\u0308");
  assert.equal(harness.socket.url, "ws://chat.example/ws");
  await harness.open();
  assert.equal(harness.sent("hello")[0].name, "Zoe\u0308");
  const known = {
    name: "Zo\u00eb",
    rooms: [{ room: "lobby", members: 1 }],
    memberships: [{ room: "lobby", epoch: "e", head: 3, read: 2 }],
  };
  await harness.welcome({ ...known, role: "user", feeds: ["ticker"], patterns: ["a.#"] });
  assert.deepEqual(await connected, known);
  assert.equal(harness.client.role, "user");
  assert.deepEqual(harness.client.feeds, ["ticker"]);
  assert.deepEqual([...harness.client.patterns], ["a.#"]);
  assert.equal(harness.client.name, "Zo\u00eb");
  assert.ok(harness.client.online);
});

test("a refused name rejects and is not tried again", async () => {
  const harness = new Harness();
  const connected = harness.client.connect("Ada");
  await harness.open();
  const refusal = assert.rejects(connected, { name: "ChatError", code: "name_taken" });
  await harness.refuse("hello", "name_taken");
  await refusal;
  assert.ok(harness.socket.closed);
  assert.equal(harness.clock.timers.size, 0);
  assert.equal(harness.client.status.status, "idle");
});

test("an unreachable server is tried again with growing delays", async () => {
  const harness = new Harness();
  const connected = harness.client.connect("Ada");
  const delays = [];
  for (let attempt = 0; attempt < 4; attempt += 1) {
    await harness.drop();
    const { status, retryAt } = harness.client.status;
    assert.equal(status, "waiting");
    delays.push(retryAt - harness.clock.time);
    await harness.clock.advance(retryAt - harness.clock.time);
  }
  assert.deepEqual(delays, [500, 1500, 3000, 6000]);
  assert.equal(harness.sockets.length, 5);
  await harness.open();
  await harness.welcome();
  await connected;
});

test("delays start over only after a connection that lasted", async () => {
  const harness = new Harness({ steadyAfter: 5000 });
  await harness.online();
  const delayAfter = async (lasted) => {
    await harness.clock.advance(lasted);
    await harness.drop();
    const { retryAt } = harness.client.status;
    const delay = retryAt - harness.clock.time;
    await harness.clock.advance(delay);
    await harness.open();
    await harness.welcome();
    return delay;
  };
  assert.equal(await delayAfter(0), 500);
  assert.equal(await delayAfter(4999), 1500);
  assert.equal(await delayAfter(0), 3000);
  assert.equal(await delayAfter(5000), 500);
});

test("retryNow does not wait for the next attempt", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.drop();
  harness.client.retryNow();
  assert.equal(harness.sockets.length, 2);
  await harness.clock.advance(9_999);
  assert.equal(harness.sockets.length, 2, "the planned attempt was not called off");
});

test("a suspended connection is closed and comes back when asked to", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  const [first] = harness.sockets;
  harness.client.suspend();
  // A code that says that we may be back: without one a guest would be forgotten.
  assert.equal(first.code, 4000);
  assert.equal(harness.clock.timers.size, 0);
  harness.client.retryNow();
  await harness.open();
  await harness.welcome();
  assert.equal(harness.sent("join").length, 1);
});

test("an attempt that nobody answers is given up", async () => {
  const harness = new Harness({ openTimeout: 10_000 });
  harness.client.connect("Ada").catch(() => {});
  await harness.clock.advance(10_000);
  assert.equal(harness.client.status.code, "no_answer");
  assert.ok(harness.socket.closed);
});

test("a command without an answer proves the connection dead", async () => {
  const harness = new Harness({ answerTimeout: 10_000 });
  await harness.online();
  const asked = assert.rejects(harness.client.members("lobby"), { code: "connection_lost" });
  await harness.clock.advance(10_000);
  await asked;
  assert.equal(harness.client.status.status, "waiting");
  assert.equal(harness.client.status.code, "no_answer");
});

test("what a replaced connection still says is not heard", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  const [old] = harness.sockets;
  await harness.drop();
  await harness.clock.advance(500);
  assert.equal(harness.sockets.length, 2);
  old.onopen({});
  old.onmessage({ data: "unreadable" });
  old.onclose({ code: 1006, reason: "" });
  assert.deepEqual(harness.sent("hello"), []);
  assert.deepEqual(harness.take("fault"), []);
  assert.equal(harness.client.status.status, "connecting");
});

test("commands without a connection are refused at once", async () => {
  const { client } = new Harness();
  await assert.rejects(client.join("lobby"), { code: "not_connected" });
  await assert.rejects(client.createRoom("lobby"), { code: "not_connected" });
});

test("a reconnection says hello again and enters the rooms again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  await harness.join("kitchen");
  await harness.reconnect();
  assert.deepEqual(harness.sent("join").map(({ room }) => room), ["lobby", "kitchen"]);
  harness.take("entered");
  await harness.admit("lobby", [], { members: ["Ada", "Grace"] });
  const [entered] = harness.take("entered");
  assert.equal(entered.again, true);
  assert.deepEqual(entered.members, ["Ada", "Grace"]);
});

test("a name still taken after a reconnection is tried again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.drop();
  await harness.clock.advance(500);
  await harness.open();
  await harness.refuse("hello", "name_taken");
  assert.equal(harness.client.status.status, "waiting");
  assert.equal(harness.client.status.code, "name_taken");
  await harness.clock.advance(1500);
  await harness.open();
  await harness.welcome();
  assert.ok(harness.client.online);
});

test("a room that the restarted server does not know is made again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("kitchen");
  await harness.reconnect();
  await harness.refuse("join", "no_such_room");
  await harness.answer("create_room", { room: "kitchen" });
  await harness.admit("kitchen");
  assert.equal(harness.take("entered").length, 2);
  assert.deepEqual(harness.client.rooms, ["kitchen"]);
});

test("somebody else may have made the room again first", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("kitchen");
  await harness.reconnect();
  await harness.refuse("join", "no_such_room");
  await harness.refuse("create_room", "room_exists");
  await harness.admit("kitchen");
  assert.deepEqual(harness.client.rooms, ["kitchen"]);
});

test("a room that cannot be entered again is given up", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("kitchen");
  const delivery = harness.client.send("kitchen", "hello");
  await harness.reconnect();
  await harness.refuse("join", "too_many_rooms");
  const [{ room, error }] = harness.take("expelled");
  assert.deepEqual([room, error.code], ["kitchen", "too_many_rooms"]);
  assert.deepEqual(harness.client.rooms, []);
  assert.equal((await delivery.settled).error.code, "too_many_rooms");
});

test("a room left without a connection is not entered again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  await harness.drop();
  await harness.client.leave("lobby");
  await harness.clock.advance(500);
  await harness.open();
  await harness.welcome();
  assert.deepEqual(harness.sent("join"), []);
});

test("a room left while it is being entered again is left for good", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  await harness.reconnect();
  await harness.client.leave("lobby");
  await harness.admit("lobby");
  assert.equal(harness.sent("leave").length, 1);
  assert.deepEqual(harness.client.rooms, []);
});

test("messages wait for the connection, and each for the one before it", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  await harness.drop();
  const deliveries = ["one", "two"].map((text) => harness.client.send("lobby", text));
  assert.deepEqual(deliveries.map(({ state }) => state), ["queued", "queued"]);
  await harness.clock.advance(500);
  await harness.open();
  await harness.welcome();
  assert.deepEqual(harness.sent("send"), []);
  await harness.admit("lobby");
  assert.deepEqual(texts(harness.sent("send")), ["one"]);
  await harness.answer("send", { room: "lobby", offset: 1 });
  assert.deepEqual(deliveries.map(({ state }) => state), ["delivered", "sent"]);
  assert.deepEqual(texts(harness.sent("send")), ["one", "two"]);
});

test("an unconfirmed message is sent again with the same key", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby", [message(1, "hello")]);
  const kept = harness.client.send("lobby", "kept");
  const lost = harness.client.send("lobby", "lost");
  await harness.reconnect();
  assert.equal(kept.state, "sent");
  harness.take("entered");
  // It had arrived: the history tells before the answer to the second attempt does.
  await harness.admit("lobby", [message(2, "kept", "Ada", "lobby", "key 1"), message(3, "lost")]);
  const [{ messages, complete }] = harness.take("entered");
  assert.deepEqual(texts(messages), ["kept", "lost"]);
  assert.equal(messages[0].delivery, kept);
  assert.equal(messages[1].delivery, undefined, "Grace's message is not ours");
  assert.ok(complete);
  assert.equal(kept.state, "delivered");
  assert.deepEqual(texts(harness.sent("send")), ["lost"]);
  assert.equal(harness.sent("send")[0].key, "key 2");
  await harness.reconnect();
  await harness.admit("lobby");
  assert.deepEqual(
    harness.sent("send").map(({ text, key }) => [text, key]),
    [["lost", "key 2"]],
  );
  await harness.receive(message(4, "lost", "Ada", "lobby", "key 2"));
  assert.equal(harness.take("message")[0].delivery, lost);
  assert.equal((await lost.settled).offset, 4);
});

const UNSENT = [
  { kind: "room", target: "lobby", text: "one", key: "old 1", at: 5 },
  { kind: "room", target: "lobby", text: "two", key: "old 2", at: 6 },
  { kind: "person", target: "Grace", text: "psst", key: "old 3", at: 7 },
];

test("what another client of ours could not confirm is sent under its old keys", async () => {
  const harness = new Harness();
  const deliveries = harness.client.resume(UNSENT, { user: "guest-1", name: "Ada" });
  assert.deepEqual(
    harness.client.unconfirmed.map(({ kind, target, text, key, at }) => ({ kind, target, text, key, at })),
    UNSENT,
  );
  await harness.online();
  assert.deepEqual(harness.sent("private").map(({ key }) => key), ["old 3"]);
  const later = harness.client.send("lobby", "three");
  // The first had arrived, as the history tells.
  await harness.join("lobby", [message(1, "one", "Ada", "lobby", "old 1")]);
  assert.equal(harness.take("entered")[0].messages[0].delivery, deliveries[0]);
  assert.deepEqual(harness.sent("send").map(({ key }) => key), ["old 2"]);
  await harness.answer("send", { offset: 2 });
  assert.deepEqual(harness.sent("send").map(({ key }) => key), ["old 2", "key 1"]);
  assert.deepEqual(harness.client.unconfirmed, [deliveries[2], later]);
});

test("what somebody else could not confirm is not sent", async () => {
  for (const author of [{ user: "guest-2", name: "Ada" }, { user: "guest-1", name: "Eve" }]) {
    const harness = new Harness();
    const deliveries = harness.client.resume(UNSENT, author);
    await harness.online();
    await harness.join("lobby");
    assert.deepEqual(deliveries.map(({ error }) => error?.code), Array(3).fill("another_user"));
    assert.deepEqual([...harness.sent("send"), ...harness.sent("private")], []);
    assert.deepEqual(harness.client.unconfirmed, []);
  }
});

test("a message of somebody else with our key is not ours", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  const delivery = harness.client.send("lobby", "hello");
  await harness.receive(message(1, "hello", "Grace", "lobby", "key 1"));
  assert.equal(delivery.state, "sent");
});

test("a private message is sent again, too, and needs no receiver who is there", async () => {
  const harness = new Harness();
  await harness.online();
  const onItsWay = harness.client.sendPrivate("Grace", "now");
  await harness.drop();
  const waiting = harness.client.sendPrivate("Grace", "later");
  await harness.clock.advance(500);
  await harness.open();
  const missed = { ...message(1, "now", "Ada", "lobby", "key 1"), type: "private", to: "Grace" };
  await harness.welcome({ inbox: log([missed]) });
  assert.deepEqual(harness.sent("hello")[0].inbox, { epoch: "e", offset: 0 });
  const [{ messages, again, complete }] = harness.take("inbox");
  assert.equal(messages[0].delivery, onItsWay);
  assert.deepEqual([again, complete], [true, true]);
  assert.deepEqual(texts(harness.sent("private")), ["later"]);
  await harness.answer("private", { to: "Grace", offset: 2 });
  assert.equal((await waiting.settled).state, "delivered");
  await harness.receive({ ...missed, offset: 2, key: "key 2" });
  await harness.receive({ ...missed, offset: 2, key: "key 2" });
  assert.equal(harness.take("private").length, 1);
});

test("what the server cannot do now is asked for again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  const delivery = harness.client.send("lobby", "hello");
  await harness.refuse("send", "unavailable");
  assert.equal(delivery.state, "sent");
  await harness.clock.advance(1000);
  await harness.refuse("send", "rate_limited", { retry_after: 3 });
  await harness.clock.advance(2999);
  assert.equal(harness.sent("send").length, 2);
  await harness.clock.advance(1);
  await harness.answer("send", { room: "lobby", offset: 1 });
  assert.equal(delivery.state, "delivered");
  assert.deepEqual(new Set(harness.sent("send").map(({ key }) => key)), new Set(["key 1"]));
});

test("a refused message fails and the next one is sent", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  const refused = harness.client.send("lobby", "too long");
  const accepted = harness.client.send("lobby", "short");
  await harness.refuse("send", "too_long");
  assert.equal((await refused.settled).error.code, "too_long");
  await harness.receive(message(1, "short", "Ada", "lobby", "key 2"));
  assert.equal((await accepted.settled).state, "delivered");
  assert.equal(harness.take("message")[0].delivery, accepted);
});

test("the queue is bounded", async () => {
  const harness = new Harness({ maxQueued: 1 });
  await harness.online();
  await harness.join("lobby");
  await harness.drop();
  assert.equal(harness.client.send("lobby", "one").state, "queued");
  assert.equal((await harness.client.send("lobby", "two").settled).error.code, "queue_full");
});

test("messages of rooms that we are not in are not ours to show", async () => {
  const harness = new Harness();
  await harness.online();
  const joined = harness.client.join("lobby");
  await harness.receive(message(1, "too early"));
  await harness.admit("lobby", [message(1, "told")]);
  await harness.receive(message(2, "in time"));
  await harness.receive(message(1, "elsewhere", "Grace", "kitchen"));
  assert.deepEqual(texts((await joined).messages), ["told"]);
  assert.deepEqual(texts(harness.take("message")), ["in time"]);
});

test("a reconnection goes on where each log was", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby", [message(1, "one"), message(2, "two")]);
  await harness.receive(message(3, "three"));
  await harness.receive({ type: "notification", offset: 9, topic: "a", title: "news" });
  await harness.reconnect();
  const [hello] = harness.sent("hello");
  assert.deepEqual([hello.name, hello.secret], ["Ada", "guest-1.x"]);
  assert.deepEqual(hello.notifications, { epoch: "e", offset: 9 });
  assert.deepEqual(harness.sent("join")[0].since, { epoch: "e", offset: 3 });
  harness.take("entered");
  await harness.admit("lobby", [message(4, "four")], { more: true });
  assert.deepEqual(harness.take("entered"), []);
  assert.deepEqual(harness.sent("join")[1].since, { epoch: "e", offset: 4 });
  await harness.admit("lobby", [message(5, "five")]);
  const [{ messages, complete }] = harness.take("entered");
  assert.deepEqual([texts(messages), complete], [["four", "five"], true]);
  await harness.receive(message(5, "five"));
  await harness.receive(message(6, "six"));
  assert.deepEqual(texts(harness.take("message")), ["three", "six"]);
});

test("a history that does not go on where we were says so", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby", [message(1, "one")]);
  await harness.reconnect();
  harness.take("entered");
  const another = log([message(8, "eight")], 8, "another");
  await harness.admit("lobby", [], { ...another, recovered: false });
  const [{ messages, complete }] = harness.take("entered");
  assert.deepEqual([texts(messages), complete], [["eight"], false]);
  await harness.reconnect();
  assert.deepEqual(harness.sent("join")[0].since, { epoch: "another", offset: 8 });
});

test("a gap between events is filled, and a log that begins anew is entered anew", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby", [message(1, "one")]);
  harness.take("entered");
  await harness.receive(message(3, "three"));
  assert.deepEqual(harness.take("message"), []);
  await harness.admit("lobby", [message(2, "two"), message(3, "three")]);
  assert.deepEqual(texts(harness.take("entered")[0].messages), ["two", "three"]);
  await harness.receive({ type: "reset", log: "room:lobby", epoch: "new", offset: 9 });
  assert.deepEqual(harness.sent("join").at(-1).since, { epoch: "e", offset: 3 });
});

test("changes of messages are told, also those in a history", async () => {
  const harness = new Harness();
  await harness.online();
  const edited = { type: "edited", room: "lobby", offset: 2, from: "Grace", target: 1, text: "won" };
  await harness.join("lobby", [message(1, "won"), edited]);
  assert.deepEqual(texts(harness.take("entered")[0].messages), ["won"]);
  await harness.receive({ type: "deleted", room: "lobby", offset: 3, from: "Grace", target: 1 });
  assert.deepEqual(harness.take("edited").map(({ target }) => target), [1]);
  assert.deepEqual(harness.take("deleted").map(({ target }) => target), [1]);
});

test("who is put out of a room does not go in again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  await harness.receive({ type: "expelled", room: "lobby", by: "Grace", reason: "", banned: false });
  assert.equal(harness.take("expelled")[0].error.code, "expelled");
  await harness.reconnect();
  assert.deepEqual(harness.sent("join"), []);
});

test("a room that was left elsewhere meanwhile is not entered again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  await harness.join("kitchen");
  const delivery = harness.client.send("kitchen", "hello");
  await harness.reconnect({ memberships: [{ room: "lobby" }] });
  assert.deepEqual(harness.take("expelled").map(({ room }) => room), ["kitchen"]);
  assert.deepEqual(harness.sent("join").map(({ room }) => room), ["lobby"]);
  assert.equal((await delivery.settled).error.code, "expelled");
});

test("a server that has begun anew knows no rooms, and all are entered again", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("kitchen");
  await harness.reconnect({ memberships: [], inbox: log([], 0, "new") });
  assert.deepEqual(harness.take("expelled"), []);
  assert.deepEqual(harness.sent("join").map(({ room }) => room), ["kitchen"]);
});

test("a room that was joined elsewhere is told of, and no more", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.receive({ type: "room_joined", room: "kitchen" });
  assert.deepEqual(harness.take("room_joined"), [{ type: "room_joined", room: "kitchen" }]);
  assert.deepEqual(harness.sent("join"), []);
});

test("close ends everything and fails what was not confirmed", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  const deliveries = [harness.client.send("lobby", "sent")];
  await harness.drop();
  deliveries.push(harness.client.send("lobby", "queued"));
  harness.client.close();
  for (const delivery of deliveries) {
    assert.equal((await delivery.settled).error.code, "closed");
  }
  assert.equal(harness.clock.timers.size, 0);
  await harness.online("Grace");
  assert.deepEqual(harness.sent("join"), []);
});

test("close while connecting rejects once", async () => {
  const harness = new Harness();
  const connected = assert.rejects(harness.client.connect("Ada"), { code: "closed" });
  await harness.open();
  harness.client.close();
  await connected;
  await settle();
  assert.deepEqual(
    harness.take("status").map(({ status }) => status),
    ["connecting", "idle"],
  );
});

test("check asks the server, and replaces a connection that does not answer", async () => {
  const harness = new Harness({ answerTimeout: 10_000 });
  await harness.online();
  harness.client.check();
  await harness.answer("list_rooms", { rooms: [] });
  assert.ok(harness.client.online);
  harness.client.check();
  await harness.clock.advance(10_000);
  assert.equal(harness.client.status.status, "waiting");
  harness.client.check();
  assert.equal(harness.client.status.status, "connecting");
});

test("typing is told in rooms that we are in, and never kept for later", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  harness.client.typing("lobby", true);
  harness.client.typing("kitchen", true);
  assert.deepEqual(harness.sent("typing").map(({ room }) => room), ["lobby"]);
  await harness.drop();
  harness.client.typing("lobby", false);
  await harness.clock.advance(500);
  await harness.open();
  await harness.welcome();
  await harness.admit("lobby");
  assert.deepEqual(harness.sent("typing"), []);
});

test("what cannot be read, or answers nothing, is a fault and not an end", async () => {
  const harness = new Harness();
  await harness.online();
  harness.socket.onmessage({ data: "{" });
  await harness.receive({ type: "error", id: null, code: "binary", message: "text, please" });
  await harness.receive({ type: "ack", id: 99 });
  await harness.receive({ type: "a_later_version_s_event" });
  assert.deepEqual(harness.take("fault").map(({ code }) => code), ["bad_json", "binary"]);
  assert.ok(harness.client.online);
});

test("a token stands in the hello, and another is sent before it ends", async () => {
  const tokens = ["first", "second", "third"];
  const harness = new Harness({ token: async () => tokens.shift() ?? null });
  const connected = harness.client.connect("");
  await harness.open();
  assert.deepEqual(harness.sent("hello").map(({ token, name }) => [token, name]), [
    ["first", undefined],
  ]);
  await harness.welcome({ name: "Ada", expires_in: 900 });
  assert.equal((await connected).name, "Ada");
  await harness.clock.advance(839_000);
  assert.equal(harness.sent("refresh").length, 0);
  await harness.clock.advance(1_000);
  assert.deepEqual(harness.sent("refresh").map(({ token }) => token), ["second"]);
  await harness.answer("refresh", { expires_in: 60 });
  await harness.clock.advance(30_000);
  assert.deepEqual(harness.sent("refresh").map(({ token }) => token), ["second", "third"]);
  await harness.refuse("refresh", "unauthenticated");
  assert.equal(harness.client.status.status, "online");
});

test("a token that cannot be had now is asked for again", async () => {
  let fails = true;
  const token = async () => {
    if (fails) throw new TypeError("no network");
    return "good";
  };
  const harness = new Harness({ token });
  harness.client.connect("Ada").catch(() => {});
  await harness.open();
  assert.equal(harness.client.status.status, "waiting");
  fails = false;
  await harness.clock.advance(harness.client.status.retryAt - harness.clock.time);
  await harness.open();
  assert.equal(harness.sent("hello")[0].token, "good");
  harness.client.close();
});

test("who is refused or put out does not come back", async () => {
  const refused = new Harness();
  const connected = refused.client.connect("Ada");
  await refused.open();
  const refusal = assert.rejects(connected, { code: "unauthenticated" });
  await refused.refuse("hello", "unauthenticated");
  await refusal;
  assert.equal(refused.client.status.status, "idle");

  const kicked = new Harness();
  await kicked.online();
  kicked.socket.onclose({ code: 4403, reason: "spam" });
  assert.deepEqual(
    [kicked.client.status.status, kicked.client.status.code, kicked.client.status.reason],
    ["idle", "forbidden", "spam"],
  );
});

test("a server that is too busy for a hello is asked again", async () => {
  const harness = new Harness();
  harness.client.connect("Ada").catch(() => {});
  await harness.open();
  await harness.refuse("hello", "rate_limited");
  assert.equal(harness.client.status.status, "waiting");
  harness.client.close();
});

test("where the server is not heard over WebSocket, the fallback takes turns with it", async () => {
  const opened = [];
  class Silent {
    constructor() {
      opened.push("websocket");
      sockets.push(this);
    }
    close() {}
  }
  class Works {
    sent = [];
    constructor() {
      opened.push("fallback");
      sockets.push(this);
    }
    send(data) {
      this.sent.push(JSON.parse(data));
    }
    close() {}
  }
  const sockets = [];
  const clock = new FakeClock();
  const backoff = new Backoff({ random: () => 0.5 });
  const client = new ChatClient("ws://chat.example/ws", {
    WebSocket: Silent,
    fallback: Works,
    clock,
    backoff,
  });
  const connected = client.connect("Ada");
  const fail = async () => {
    sockets.at(-1).onclose({ code: 1006, reason: "" });
    await settle();
    await clock.advance(client.status.retryAt - clock.time);
  };
  await fail();
  await fail();
  assert.deepEqual(opened, ["websocket", "websocket", "fallback"]);
  const tell = (event) => sockets.at(-1).onmessage({ data: JSON.stringify(event) });
  tell({ type: "welcome", limits: {} });
  sockets.at(-1).onopen({});
  await settle();
  const logs = { inbox: log([]), notifications: log([]) };
  tell({ type: "ack", id: sockets.at(-1).sent[0].id, name: "Ada", rooms: [], ...logs });
  await connected;
  // What works is what a lost connection comes back with; else the other kind gets its turn.
  await fail();
  await fail();
  await fail();
  await fail();
  assert.deepEqual(opened.slice(3), ["fallback", "fallback", "websocket", "fallback"]);
  client.close();
});

test("a server that restarts says when to come back", async () => {
  const harness = new Harness();
  await harness.online();
  harness.socket.onclose({ code: 1012, reason: "restarting retry-after=7.5" });
  assert.equal(harness.client.status.retryAt - harness.clock.time, 7500);
  await harness.clock.advance(7500);
  harness.socket.onclose({ code: 1012, reason: "restarting retry-after=86400" });
  assert.equal(harness.client.status.retryAt - harness.clock.time, 60_000);
  harness.client.close();
});

test("events that come together are heard one after the other, behind what they answer", async () => {
  const harness = new Harness();
  await harness.online();
  assert.equal(harness.sent("hello")[0].batch, true);
  const joined = harness.client.join("lobby");
  const { id } = harness.sent("join")[0];
  const people = { members: ["Ada"], count: 1, topic: "", read: 0 };
  await harness.receive([
    { type: "ack", id, room: "lobby", ...people, ...log([message(1, "one")]) },
    message(2, "two"),
    message(3, "three"),
  ]);
  assert.deepEqual(texts((await joined).messages), ["one"]);
  assert.deepEqual(texts(harness.take("message")), ["two", "three"]);
});

test("of events that come together, those of a connection that was closed are not heard", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby");
  harness.client.addEventListener("message", () => harness.client.close(), { once: true });
  await harness.receive([message(1, "one"), message(2, "two")]);
  assert.deepEqual(texts(harness.take("message")), ["one"]);
});

test("reconnect goes on over another connection at once", async () => {
  const harness = new Harness();
  await harness.online();
  await harness.join("lobby", [message(1, "one")]);
  const before = harness.socket;
  harness.client.reconnect();
  assert.ok(before.closed);
  assert.equal(before.code, 4000);
  await harness.open();
  await harness.welcome();
  await harness.admit("lobby", [message(2, "two")]);
  assert.deepEqual(texts(harness.take("entered").at(-1).messages), ["two"]);
});
