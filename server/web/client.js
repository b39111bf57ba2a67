/**
 * The chat's client: one connection that comes back by itself.
 *
 * What must live here: the connection and its status, commands and their answers, reconnecting,
 * entering the rooms again, and the messages that still wait to be confirmed. What this file does
 * not know: any page. It touches neither the document nor storage and imports nothing, so that it
 * runs wherever `WebSocket`, `EventTarget` and `CustomEvent` exist, and in tests with a fake
 * socket, a fake clock and fixed random numbers.
 *
 *     const client = new ChatClient("wss://chat.example/ws");
 *     client.addEventListener("message", ({ detail }) => show(detail.from, detail.text));
 *     await client.connect("Ada");
 *     await client.join("lobby");
 *     client.send("lobby", "Good morning");
 *
 * Events carry their data in `event.detail`:
 *
 * | event                                        | detail                                         |
 * | -------------------------------------------- | ---------------------------------------------- |
 * | `status`                                     | a {@link Status}                               |
 * | `welcome`                                    | what the server says first, with its limits    |
 * | `rooms`                                      | `{rooms: [{room, members}]}`, the whole list   |
 * | `entered`                                    | an {@link Entered}: after a join, and after    |
 * |                                              | each reconnection                              |
 * | `expelled`                                   | `{room, error}`: a room could not be re-entered |
 * | `message`, `private`                         | the server's event; `delivery` is set when it  |
 * |                                              | is one of our own                              |
 * | `delivery`                                   | a {@link Delivery} whose state has changed     |
 * | `joined`, `left`, `typing`                   | the server's event                             |
 * | `room_created`, `room_removed`, `room_count` | the server's event                             |
 * | `fault`                                      | a {@link ChatError} that answers no command    |
 *
 * @module
 */

/**
 * @typedef {object} Status
 * @property {"idle" | "connecting" | "online" | "waiting"} status
 * @property {number} attempt    failed attempts since the connection last worked
 * @property {number | null} retryAt    when the next attempt starts, in the clock's milliseconds
 * @property {string} code    why there is no connection: an error's code, or ""
 * @property {string} reason    the same in words
 */

/**
 * @typedef {object} Entered
 * @property {string} room
 * @property {string[]} members
 * @property {object[]} messages    those of the history that were not seen yet, oldest first
 * @property {boolean} again    true when a lost connection came back
 * @property {boolean} complete    false when messages may be missing before `messages`
 */

/**
 * @typedef {object} Clock
 * @property {() => number} now    milliseconds
 * @property {(callback: () => void, delay: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 */

/** The server's refusal of a command, or this client's own (`not_connected`, `connection_lost`). */
export class ChatError extends Error {
  /**
   * @param {string} code    the protocol's error code
   * @param {string} message    the same in words
   */
  constructor(code, message) {
    super(message);
    this.name = "ChatError";
    this.code = code;
  }
}

/**
 * Growing delays between attempts to connect, with jitter, so that the clients of a restarted
 * server do not come back all at once.
 */
export class Backoff {
  /**
   * @param {object} [options]
   * @param {number} [options.first]    upper bound of the first delay, milliseconds
   * @param {number} [options.factor]    growth from one attempt to the next
   * @param {number} [options.cap]    upper bound of every delay, milliseconds
   * @param {() => number} [options.random]    uniform in [0, 1)
   */
  constructor({ first = 1000, factor = 2, cap = 60_000, random = Math.random } = {}) {
    this.first = first;
    this.factor = factor;
    this.cap = cap;
    this.random = random;
    this.attempts = 0;
  }

  /** The next delay: the first lies in [0, first), later ones in the upper half of their range. */
  next() {
    const ceiling = Math.min(this.cap, this.first * this.factor ** this.attempts);
    const floor = this.attempts === 0 ? 0 : ceiling / 2;
    this.attempts += 1;
    return floor + this.random() * (ceiling - floor);
  }

  reset() {
    this.attempts = 0;
  }
}

/**
 * One message on its way to the server. It settles once: `delivered` or `failed`.
 *
 * - `queued`: waits for the connection, or for the room to be entered again.
 * - `sent`: written to the connection, not confirmed yet.
 * - `delivered`: confirmed by the server.
 * - `failed`: refused, or lost in a way that cannot be told apart from delivered; see `error`.
 */
export class Delivery {
  /** @type {"queued" | "sent" | "delivered" | "failed"} */
  state = "queued";
  /** @type {number | null} */
  offset = null;
  /** @type {ChatError | null} */
  error = null;
  /** @type {(delivery: Delivery) => void} */
  #settle = () => {};

  /**
   * @param {"room" | "person"} kind
   * @param {string} target    the room, or the person's name
   * @param {string} text
   */
  constructor(kind, target, text) {
    this.kind = kind;
    this.target = target;
    this.text = text;
    /** Fulfilled with this delivery once it is delivered or has failed; never rejected. */
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** @internal */
  become(state, error = null) {
    this.state = state;
    this.error = error;
    if (state === "delivered" || state === "failed") this.#settle(this);
  }
}

/** A room that we want to be in, across connections. */
class Membership {
  /** True while the server counts us in on this connection. */
  entered = false;
  /** The newest message seen. */
  last = null;

  /**
   * Choose what is new in a history, and remember its end.
   *
   * Offsets count from 1 in each life of the room. The last message seen, found again in its
   * place, proves that the room still lives and that nothing lies between.
   */
  take(history) {
    const last = this.last;
    const first = history[0];
    this.last = history.at(-1) ?? last;
    if (last === null) return { messages: history, complete: !first || first.offset === 1 };
    const index = history.findIndex((message) => sameMessage(message, last));
    if (index >= 0) return { messages: history.slice(index + 1), complete: true };
    return { messages: history, complete: first?.offset === last.offset + 1 };
  }
}

const sameMessage = (a, b) =>
  a.offset === b.offset && a.time === b.time && a.from === b.from && a.text === b.text;

/** @type {Clock} */
const systemClock = {
  now: () => Date.now(),
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** The close code of a server that does not want us back. */
const FORBIDDEN = 4403;

/** Events that are handed on as they come. */
const PASSED_ON = new Set(["joined", "left", "typing", "room_created", "room_removed", "room_count"]);

export class ChatClient extends EventTarget {
  /** The name that the server knows us by; "" before the first connection. */
  name = "";
  /** What the server allows, from its `welcome`. @type {Record<string, number>} */
  limits = {};

  #url;
  #WebSocket;
  #clock;
  #backoff;
  #openTimeout;
  #answerTimeout;
  #steadyAfter;
  #maxQueued;
  #token;

  /** @type {any} */
  #socket = null;
  /** @type {Status} */
  #status = { status: "idle", attempt: 0, retryAt: null, code: "", reason: "" };
  #onlineSince = 0;
  #wasOnline = false;
  #timer = null;
  /** Asks for the next token before this one ends. */
  #refreshTimer = null;
  /** Settles the promise of `connect`. @type {{resolve: Function, reject: Function} | null} */
  #connecting = null;
  #nextId = 1;
  /** Commands without an answer yet. @type {Map<number, {resolve, reject, timer}>} */
  #commands = new Map();
  /** @type {Map<string, Membership>} */
  #memberships = new Map();
  /** Deliveries that wait for a connection, oldest first. @type {Delivery[]} */
  #queue = [];
  /** Deliveries written to this connection whose own event has not come back. @type {Delivery[]} */
  #unechoed = [];

  /**
   * @param {string} url    a ws: or wss: URL
   * @param {object} [options]
   * @param {any} [options.WebSocket]    the class to connect with
   * @param {Clock} [options.clock]
   * @param {Backoff} [options.backoff]    the delays between attempts
   * @param {number} [options.openTimeout]    milliseconds until an attempt to connect is given up
   * @param {number} [options.answerTimeout]    milliseconds until a command without an answer
   *     proves that the connection is dead
   * @param {number} [options.steadyAfter]    milliseconds online after which delays start over
   * @param {number} [options.maxQueued]    messages kept while there is no connection
   * @param {() => Promise<string | null>} [options.token]    gives a token that holds for a while
   *     yet, or null for a guest; asked at each connection and before the last one ends
   */
  constructor(
    url,
    {
      WebSocket = globalThis.WebSocket,
      clock = systemClock,
      backoff = new Backoff(),
      openTimeout = 10_000,
      answerTimeout = 10_000,
      steadyAfter = 5_000,
      maxQueued = 200,
      token = async () => null,
    } = {},
  ) {
    super();
    this.#url = url;
    this.#WebSocket = WebSocket;
    this.#clock = clock;
    this.#backoff = backoff;
    this.#openTimeout = openTimeout;
    this.#answerTimeout = answerTimeout;
    this.#steadyAfter = steadyAfter;
    this.#maxQueued = maxQueued;
    this.#token = token;
  }

  /** The state of the connection. */
  get status() {
    return this.#status;
  }

  get online() {
    return this.#status.status === "online";
  }

  /** The rooms that this client is in, or enters again after a reconnection. */
  get rooms() {
    return [...this.#memberships.keys()];
  }

  // -- The connection -------------------------------------------------------------------------

  /**
   * Connect under a name, and from then on stay connected until `close`.
   *
   * An unreachable server is tried again with growing delays; only a refusal of the name, or
   * `close`, rejects. A later reconnection whose name is still taken (often by our own lost
   * connection, which the server has not noticed yet) is tried again too; `status.code` tells.
   *
   * @param {string} name
   * @returns {Promise<{name: string, rooms: {room: string, members: number}[]}>}
   * @throws {ChatError} when the server refuses the name
   */
  connect(name) {
    if (this.#status.status !== "idle") throw new Error("already connected or connecting");
    this.name = name;
    this.#wasOnline = false;
    this.#backoff.reset();
    return new Promise((resolve, reject) => {
      this.#connecting = { resolve, reject };
      this.#open();
    });
  }

  /** Leave the server for good. Messages that were not confirmed fail. */
  close() {
    this.#end(new ChatError("closed", "The connection was closed."));
  }

  /**
   * Give the connection up for now, as when a browser puts the page into its back/forward cache
   * (`pagehide`); `retryNow` comes back.
   */
  suspend() {
    if (this.#status.status === "idle") return;
    this.#release();
    this.#setStatus("waiting", { code: "suspended", reason: "The connection was suspended." });
  }

  /** While waiting for the next attempt: make it now. */
  retryNow() {
    if (this.#status.status === "waiting") this.#open();
  }

  /**
   * Find out whether the connection still works, after a sleep or a change of network: it is
   * asked for the list of rooms (see the `rooms` event), and replaced when no answer comes.
   */
  check() {
    if (!this.online) return this.retryNow();
    this.listRooms().catch(() => {});
  }

  #open() {
    this.#clearTimer();
    this.#setStatus("connecting", { code: this.#status.code, reason: this.#status.reason });
    const socket = new this.#WebSocket(this.#url);
    this.#socket = socket;
    const live = (handler) => (event) => this.#socket === socket && handler(event);
    socket.onopen = live(() => this.#hello(socket));
    socket.onmessage = live((event) => this.#receive(event.data));
    socket.onclose = live(({ code, reason }) => {
      if (code === FORBIDDEN) this.#end(new ChatError("forbidden", reason || "You were put out."));
      else this.#lost("connection_lost", reason);
    });
    this.#timer = this.#clock.setTimeout(
      () => this.#lost("no_answer", "The server does not answer."),
      this.#openTimeout,
    );
  }

  async #hello(socket) {
    let answer;
    try {
      const token = await this.#token();
      if (this.#socket !== socket) return;
      answer = await this.#command("hello", token ? { token } : { name: this.name });
    } catch (error) {
      if (this.#socket !== socket) return;
      const passes =
        !(error instanceof ChatError) ||
        error.code === "rate_limited" ||
        error.code === "unavailable" ||
        (this.#wasOnline && error.code === "name_taken");
      if (passes) this.#lost(error.code ?? "no_token", error.message);
      else this.#end(error);
      return;
    }
    this.#clearTimer();
    this.#refreshBefore(answer.expires_in);
    this.#wasOnline = true;
    this.#onlineSince = this.#clock.now();
    this.name = answer.name;
    this.#setStatus("online");
    this.#emit("rooms", { rooms: answer.rooms });
    this.#connecting?.resolve({ name: answer.name, rooms: answer.rooms });
    this.#connecting = null;
    this.#flush("person");
    for (const room of this.rooms) this.#reenter(room);
  }

  /** Stay, with another token in the place of one that ends. */
  #refreshBefore(seconds) {
    if (seconds === undefined) return;
    const delay = Math.max(seconds - 60, seconds / 2) * 1000;
    this.#refreshTimer = this.#clock.setTimeout(async () => {
      const socket = this.#socket;
      try {
        const token = await this.#token();
        if (token === null || this.#socket !== socket) return;
        this.#refreshBefore((await this.#request("refresh", { token })).expires_in);
      } catch {
        // The server closes the connection when the token ends, and the next one asks again.
      }
    }, delay);
  }

  /** The connection is gone: plan the next attempt. */
  #lost(code, reason) {
    if (this.online && this.#clock.now() - this.#onlineSince >= this.#steadyAfter) {
      this.#backoff.reset();
    }
    this.#release();
    const delay = this.#backoff.next();
    this.#timer = this.#clock.setTimeout(() => this.#open(), delay);
    this.#setStatus("waiting", { retryAt: this.#clock.now() + delay, code, reason: reason || "" });
  }

  /** Let the connection go, and settle what cannot be known any more. */
  #release() {
    this.#disconnect(new ChatError("connection_lost", "The connection was lost."));
    for (const delivery of [...this.#unechoed]) {
      if (delivery.kind === "person") this.#lostPrivate(delivery);
    }
  }

  /** No further attempt: closed by us, or the name was refused. */
  #end(error) {
    this.#disconnect(error);
    this.#memberships.clear();
    for (const delivery of [...this.#unechoed, ...this.#queue]) {
      if (delivery.state !== "delivered") this.#become(delivery, "failed", error);
    }
    this.#unechoed = [];
    this.#queue = [];
    this.#setStatus("idle", { code: error.code, reason: error.message });
    this.#connecting?.reject(error);
    this.#connecting = null;
  }

  #disconnect(error) {
    this.#clearTimer();
    this.#clock.clearTimeout(this.#refreshTimer);
    const socket = this.#socket;
    this.#socket = null;
    // A dead connection may take minutes to finish its closing handshake: nobody waits for it.
    socket?.close();
    for (const membership of this.#memberships.values()) membership.entered = false;
    const commands = [...this.#commands.values()];
    this.#commands.clear();
    for (const command of commands) {
      this.#clock.clearTimeout(command.timer);
      command.reject(error);
    }
  }

  #setStatus(status, { retryAt = null, code = "", reason = "" } = {}) {
    this.#status = { status, attempt: this.#backoff.attempts, retryAt, code, reason };
    this.#emit("status", this.#status);
  }

  #clearTimer() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  // -- Commands -------------------------------------------------------------------------------

  /**
   * Ask for the list of all rooms.
   * @returns {Promise<{room: string, members: number}[]>}
   */
  async listRooms() {
    const { rooms } = await this.#request("list_rooms");
    this.#emit("rooms", { rooms });
    return rooms;
  }

  /** Create a room; it lives while somebody is in it, so join it next. @param {string} room */
  async createRoom(room) {
    await this.#request("create_room", { room });
  }

  /**
   * Join a room; it is entered again after each reconnection.
   * @param {string} room
   * @returns {Promise<Entered>}
   */
  async join(room) {
    return this.#enter(room, false);
  }

  /** Leave a room. @param {string} room */
  async leave(room) {
    // While the server does not count us in, not entering again is all that leaving takes.
    if (this.#memberships.get(room)?.entered) await this.#request("leave", { room });
    this.#forget(room, new ChatError("not_in_room", "You left the room."));
  }

  /** @param {string} room @returns {Promise<string[]>} the names of those in the room */
  async members(room) {
    return (await this.#request("members", { room })).members;
  }

  /**
   * Tell a room that we started or stopped typing. Worth nothing later, so it is never queued.
   * @param {string} room
   * @param {boolean} active
   */
  typing(room, active) {
    if (!this.online || !this.#memberships.get(room)?.entered) return;
    this.#request("typing", { room, active }).catch(() => {});
  }

  /**
   * Send a message to a room. It is never lost silently: without a connection it waits, and after
   * a reconnection the room's history decides whether an unconfirmed one has to be sent again.
   * @param {string} room
   * @param {string} text
   * @returns {Delivery}
   */
  send(room, text) {
    return this.#deliver(new Delivery("room", room, text));
  }

  /**
   * Send a private message. One that was on its way when the connection broke fails (`unconfirmed`)
   * instead of being sent twice.
   * @param {string} to
   * @param {string} text
   * @returns {Delivery}
   */
  sendPrivate(to, text) {
    return this.#deliver(new Delivery("person", to, text));
  }

  #request(type, fields = {}) {
    if (!this.online) {
      return Promise.reject(new ChatError("not_connected", "There is no connection."));
    }
    return this.#command(type, fields);
  }

  #command(type, fields) {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimeout(
        () => this.#lost("no_answer", "The server does not answer."),
        this.#answerTimeout,
      );
      this.#commands.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type, id, ...fields }));
    });
  }

  // -- Rooms ----------------------------------------------------------------------------------

  async #enter(room, again) {
    const answer = await this.#request("join", { room });
    if (again && !this.#memberships.has(room)) return this.#request("leave", { room });
    const membership = this.#memberships.get(room) ?? new Membership();
    this.#memberships.set(room, membership);
    membership.entered = true;
    // The answer's history ends where the room's messages begin to arrive.
    const news = membership.take(answer.history);
    const messages = this.#reconcile(room, news.messages);
    const detail = { room, members: answer.members, messages, again, complete: news.complete };
    this.#emit("entered", detail);
    this.#flush("room", room);
    return detail;
  }

  async #reenter(room) {
    try {
      await this.#enter(room, true).catch(async (error) => {
        // A restarted server knows the lobby alone: whoever comes back first makes the room again.
        if (error.code !== "no_such_room") throw error;
        await this.createRoom(room).catch((refusal) => {
          if (refusal.code !== "room_exists") throw refusal;
        });
        await this.#enter(room, true);
      });
    } catch (error) {
      // With the connection lost once more, the next one tries again.
      if (error.code === "connection_lost" || !this.online) return;
      this.#forget(room, error);
      this.#emit("expelled", { room, error });
    }
  }

  #forget(room, error) {
    this.#memberships.delete(room);
    const concerns = (delivery) => delivery.kind === "room" && delivery.target === room;
    const pending = [...this.#unechoed, ...this.#queue].filter(concerns);
    this.#unechoed = this.#unechoed.filter((delivery) => !concerns(delivery));
    this.#queue = this.#queue.filter((delivery) => !concerns(delivery));
    for (const delivery of pending) {
      if (delivery.state !== "delivered") this.#become(delivery, "failed", error);
    }
  }

  // -- Deliveries -----------------------------------------------------------------------------

  #deliver(delivery) {
    if (this.#ready(delivery)) this.#transmit(delivery);
    else if (this.#queue.length < this.#maxQueued) this.#queue.push(delivery);
    else {
      delivery.become("failed", new ChatError("queue_full", "Too many messages wait already."));
    }
    return delivery;
  }

  #ready({ kind, target }) {
    return this.online && (kind === "person" || this.#memberships.get(target)?.entered === true);
  }

  async #transmit(delivery) {
    const { kind, target, text } = delivery;
    this.#unechoed.push(delivery);
    this.#become(delivery, "sent");
    try {
      const answer =
        kind === "room"
          ? await this.#command("send", { room: target, text })
          : await this.#command("private", { to: target, text });
      delivery.offset = answer.offset ?? null;
      if (delivery.state === "sent") this.#become(delivery, "delivered");
    } catch (error) {
      // What a lost connection means for it is decided when the connection is back.
      if (delivery.state !== "sent" || error.code === "connection_lost") return;
      remove(this.#unechoed, delivery);
      this.#become(delivery, "failed", error);
    }
  }

  #flush(kind, target = null) {
    const due = (delivery) => delivery.kind === kind && (target ?? delivery.target) === delivery.target;
    const batch = this.#queue.filter(due);
    this.#queue = this.#queue.filter((delivery) => !due(delivery));
    for (const delivery of batch) this.#transmit(delivery);
  }

  /**
   * Match our own messages in what a room's history brought with those that were never confirmed.
   * The name is ours again, so the server has ended the old connection and nothing of it can still
   * arrive: what the history does not hold is sent again.
   */
  #reconcile(room, messages) {
    const waiting = this.#unechoed.filter(({ kind, target }) => kind === "room" && target === room);
    this.#unechoed = this.#unechoed.filter((delivery) => !waiting.includes(delivery));
    const matched = messages.map((message) => {
      if (message.from !== this.name) return message;
      const delivery = waiting.find(({ offset, text }) =>
        offset === null ? text === message.text : offset === message.offset,
      );
      if (!delivery) return message;
      remove(waiting, delivery);
      this.#confirm(delivery, message);
      return { ...message, delivery };
    });
    const unsent = waiting.filter(({ state }) => state === "sent");
    this.#queue.unshift(...unsent);
    for (const delivery of unsent) this.#become(delivery, "queued");
    return matched;
  }

  #lostPrivate(delivery) {
    remove(this.#unechoed, delivery);
    if (delivery.state !== "sent") return;
    const message = "The connection was lost before the server confirmed the message.";
    this.#become(delivery, "failed", new ChatError("unconfirmed", message));
  }

  #confirm(delivery, message) {
    delivery.offset = message.offset ?? null;
    if (delivery.state !== "delivered") this.#become(delivery, "delivered");
  }

  #become(delivery, state, error = null) {
    delivery.become(state, error);
    this.#emit("delivery", delivery);
  }

  // -- Events ---------------------------------------------------------------------------------

  #receive(data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      this.#emit("fault", new ChatError("bad_json", "The server sent something unreadable."));
      return;
    }
    if (event.type === "ack" || event.type === "error") this.#answered(event);
    else if (event.type === "message") this.#message(event);
    else if (event.type === "private") this.#emit("private", this.#withDelivery(event, "person"));
    else if (event.type === "welcome") {
      this.limits = event.limits;
      this.#emit("welcome", event);
    } else if (PASSED_ON.has(event.type)) this.#emit(event.type, event);
  }

  #answered(event) {
    const command = this.#commands.get(event.id);
    const failure = event.type === "error" ? new ChatError(event.code, event.message) : null;
    if (!command) {
      if (failure) this.#emit("fault", failure);
      return;
    }
    this.#commands.delete(event.id);
    this.#clock.clearTimeout(command.timer);
    if (failure) command.reject(failure);
    else command.resolve(event);
  }

  #message(event) {
    const membership = this.#memberships.get(event.room);
    if (!membership?.entered) return;
    membership.last = event;
    this.#emit("message", this.#withDelivery(event, "room"));
  }

  /** The server keeps the order of one connection, so our events come back in the order sent. */
  #withDelivery(event, kind) {
    if (event.from !== this.name) return event;
    const delivery = this.#unechoed.find(
      (sent) => sent.kind === kind && (kind === "person" || sent.target === event.room),
    );
    if (!delivery) return event;
    remove(this.#unechoed, delivery);
    this.#confirm(delivery, event);
    return { ...event, delivery };
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function remove(list, item) {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
