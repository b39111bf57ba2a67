/**
 * The chat's client: one connection that comes back by itself.
 *
 * What must live here: the connection and its status, commands and their answers, reconnecting,
 * going on in each log where it was, and the messages that still wait to be confirmed. What this
 * file does not know: any page. It touches neither the document nor storage and imports nothing, so
 * that it runs wherever `WebSocket`, `EventTarget` and `CustomEvent` exist, and in tests with a fake
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
 * | `inbox`                                      | `{messages, again, complete}`: private messages |
 * |                                              | from before the connection, each with its      |
 * |                                              | `delivery` if it is one of our own             |
 * | `edited`, `deleted`                          | the server's event, also for `target`s that    |
 * |                                              | stand in an earlier history                    |
 * | `notification`                               | the server's event, also of what was missed    |
 * | `delivery`                                   | a {@link Delivery} whose state has changed     |
 * | `joined`, `left`, `typing`, `read`, `feed`   | the server's event                             |
 * | `room_created`, `room_described`,            | the server's event                             |
 * | `room_removed`, `room_count`, `room_access`  |                                                |
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
 * @property {string[]} members    up to 256 of those who are here
 * @property {number} count    how many are
 * @property {string} topic    what the room is about
 * @property {number} read    how far we have read, an offset
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
 * - `queued`: waits for the connection, for the room to be entered again, or for its turn.
 * - `sent`: written to the connection, not confirmed yet. After a lost connection it is sent again,
 *   with the same key, of which the server takes one.
 * - `delivered`: confirmed by the server.
 * - `failed`: refused; see `error`.
 */
export class Delivery {
  /** @type {"queued" | "sent" | "delivered" | "failed"} */
  state = "queued";
  /** @type {number | null} */
  offset = null;
  /** @type {ChatError | null} */
  error = null;
  /** The connection on which it is on its way. @internal */
  socket = null;
  /** @type {(delivery: Delivery) => void} */
  #settle = () => {};

  /**
   * @param {"room" | "person"} kind
   * @param {string} target    the room, or the person's name
   * @param {string} text
   * @param {string} key    tells it apart from all others of ours
   */
  constructor(kind, target, text, key) {
    this.kind = kind;
    this.target = target;
    this.text = text;
    this.key = key;
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

/** What we have of a log: everything up to a position. */
class Log {
  /** @type {{epoch: string, offset: number} | null} */
  position = null;

  /** Move on to an event of this log; false if it is there already, null if some are missing. */
  take({ offset }) {
    if (offset <= this.position.offset) return false;
    if (offset > this.position.offset + 1) return null;
    this.position = { ...this.position, offset };
    return true;
  }

  /** Move on to the end of what an answer brought. */
  moveTo({ epoch, offset }) {
    this.position = { epoch, offset };
  }
}

/** A room that we want to be in, across connections. */
class Membership extends Log {
  /** True while the server counts us in on this connection. */
  entered = false;
}

/** @type {Clock} */
const systemClock = {
  now: () => Date.now(),
  setTimeout: (callback, delay) => setTimeout(callback, delay),
  clearTimeout: (timer) => clearTimeout(timer),
};

/** The close code of a server that does not want us back. */
const FORBIDDEN = 4403;
/** Milliseconds that a server may make us wait before we come back. */
const MAX_HINT = 60_000;

/** Events that are handed on as they come. */
const PASSED_ON = new Set(
  (
    "joined left typing read feed room_created room_described room_removed room_count room_access"
  ).split(" "),
);
/** Refusals after which the same may be asked for again. */
const RETRYABLE = new Set(["unavailable", "rate_limited", "connection_lost"]);
const RETRY_DELAY = 1000;
/** Close code of a connection that we give up, and come back from. */
const COMING_BACK = 4000;

/** @returns {string} what nobody else has thought of */
function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class ChatClient extends EventTarget {
  /** The name that the server knows us by; "" before the first connection. */
  name = "";
  /** Our id; names may change hands, ids do not. */
  user = "";
  /** What makes a guest the same one when coming back; null for others. @type {string | null} */
  secret = null;
  /** What the server allows, from its `welcome`. @type {Record<string, number>} */
  limits = {};

  #url;
  #WebSocket;
  /** What is tried where WebSocket does not get through. */
  #fallback;
  /** Attempts in a row in which the server said nothing. */
  #silent = 0;
  /** The kind of connection that worked last. */
  #preferred;
  #clock;
  #backoff;
  #openTimeout;
  #answerTimeout;
  #steadyAfter;
  #maxQueued;
  #newKey;
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
  /** What we have of our private messages, and of the notifications. */
  #inbox = new Log();
  #notices = new Log();
  /** Deliveries that are not confirmed, oldest first. @type {Delivery[]} */
  #queue = [];
  /** Deliveries whose own event has not come back, by key. @type {Map<string, Delivery>} */
  #unechoed = new Map();

  /**
   * @param {string} url    a ws: or wss: URL
   * @param {object} [options]
   * @param {any} [options.WebSocket]    the class to connect with
   * @param {any} [options.fallback]    a class that does for it where proxies block WebSocket, such
   *     as the `EventSocket` of `fallback.js`
   * @param {Clock} [options.clock]
   * @param {Backoff} [options.backoff]    the delays between attempts
   * @param {number} [options.openTimeout]    milliseconds until an attempt to connect is given up
   * @param {number} [options.answerTimeout]    milliseconds until a command without an answer
   *     proves that the connection is dead
   * @param {number} [options.steadyAfter]    milliseconds online after which delays start over
   * @param {number} [options.maxQueued]    messages kept until they are confirmed
   * @param {() => string} [options.newKey]    makes the keys of messages
   * @param {() => Promise<string | null>} [options.token]    gives a token that holds for a while
   *     yet, or null for a guest; asked at each connection and before the last one ends
   * @param {string | null} [options.secret]    of a guest who was here before
   */
  constructor(
    url,
    {
      WebSocket = globalThis.WebSocket,
      fallback = null,
      clock = systemClock,
      backoff = new Backoff(),
      openTimeout = 10_000,
      answerTimeout = 10_000,
      steadyAfter = 5_000,
      maxQueued = 200,
      newKey = randomKey,
      token = async () => null,
      secret = null,
    } = {},
  ) {
    super();
    this.#url = url;
    this.#WebSocket = this.#preferred = WebSocket;
    this.#fallback = fallback;
    this.#clock = clock;
    this.#backoff = backoff;
    this.#openTimeout = openTimeout;
    this.#answerTimeout = answerTimeout;
    this.#steadyAfter = steadyAfter;
    this.#maxQueued = maxQueued;
    this.#newKey = newKey;
    this.#token = token;
    this.secret = secret;
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
    const socket = new (this.#choose())(this.#url);
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

  /**
   * The kind of connection to try. What worked last is tried first, and after two attempts in which
   * the server said nothing, each kind in turn: it may be that the server is away, or that the way
   * to it has changed.
   */
  #choose() {
    if (!this.#fallback) return this.#WebSocket;
    this.#silent += 1;
    if (this.#silent <= 2) return this.#preferred;
    const kinds = [this.#WebSocket, this.#fallback];
    if (this.#preferred !== this.#WebSocket) kinds.reverse();
    return kinds[this.#silent % 2];
  }

  async #hello(socket) {
    let answer;
    try {
      const introduction = await this.#introduction();
      if (this.#socket !== socket) return;
      answer = await this.#command("hello", introduction);
    } catch (error) {
      if (this.#socket !== socket) return;
      const passes =
        !(error instanceof ChatError) ||
        RETRYABLE.has(error.code) ||
        (this.#wasOnline && error.code === "name_taken");
      if (passes) this.#lost(error.code ?? "no_token", error.message);
      else this.#end(error);
      return;
    }
    const again = this.#wasOnline;
    this.#clearTimer();
    this.#refreshBefore(answer.expires_in);
    this.#wasOnline = true;
    this.#onlineSince = this.#clock.now();
    this.name = answer.name;
    this.user = answer.user;
    this.secret = answer.secret;
    this.#setStatus("online");
    this.#emit("rooms", { rooms: answer.rooms });
    this.#connecting?.resolve({ name: answer.name, rooms: answer.rooms });
    this.#connecting = null;
    this.#takeInbox(answer.inbox, again);
    this.#takeNotices(answer.notifications);
    for (const target of new Set(this.#queue.map(({ target }) => target))) {
      this.#transmitNext("person", target);
    }
    for (const room of this.rooms) this.#reenter(room);
  }

  /** Who we are, and what we have already. */
  async #introduction() {
    const token = await this.#token();
    const fields = token ? { token } : { name: this.name };
    if (this.secret) fields.secret = this.secret;
    if (this.#inbox.position) fields.inbox = this.#inbox.position;
    if (this.#notices.position) fields.notifications = this.#notices.position;
    return fields;
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
  #lost(code, reason = "") {
    if (this.online && this.#clock.now() - this.#onlineSince >= this.#steadyAfter) {
      this.#backoff.reset();
    }
    this.#release(COMING_BACK);
    // A server that restarts gives each client a time of its own.
    const hint = /retry-after=(\d+(?:\.\d+)?)$/.exec(reason);
    const backoff = this.#backoff.next();
    const delay = hint ? Math.min(Number(hint[1]) * 1000, MAX_HINT) : backoff;
    this.#timer = this.#clock.setTimeout(() => this.#open(), delay);
    this.#setStatus("waiting", { retryAt: this.#clock.now() + delay, code, reason });
  }

  /** Let the connection go; messages that were on their way are sent again on the next one. */
  #release(code) {
    this.#disconnect(new ChatError("connection_lost", "The connection was lost."), code);
  }

  /** No further attempt: closed by us, or the name was refused. */
  #end(error) {
    this.#disconnect(error);
    this.#memberships.clear();
    this.#inbox.position = null;
    this.#notices.position = null;
    this.#unechoed.clear();
    for (const delivery of this.#queue.splice(0)) this.#become(delivery, "failed", error);
    this.#setStatus("idle", { code: error.code, reason: error.message });
    this.#connecting?.reject(error);
    this.#connecting = null;
  }

  /** @param {number} [code]    without one, the server takes it that we do not come back */
  #disconnect(error, code) {
    this.#clearTimer();
    this.#clock.clearTimeout(this.#refreshTimer);
    const socket = this.#socket;
    this.#socket = null;
    // A dead connection may take minutes to finish its closing handshake: nobody waits for it.
    if (code) socket?.close(code);
    else socket?.close();
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

  /**
   * @param {string} room
   * @param {string} [after]    the `after` of the page before
   * @returns {Promise<{members: {user: string, name: string, online: boolean,
   *     last_seen: string | null}[], after: string | null, online: number, count: number}>}
   */
  members(room, after = "") {
    return this.#request("members", { room, after });
  }

  /**
   * Read what was said before an offset, or last.
   * @param {string} room
   * @param {number | null} [before]
   * @returns {Promise<{history: object[], more: boolean}>}
   */
  history(room, before = null) {
    return this.#request("history", { room, before });
  }

  /** Change one of our messages. @param {string} room @param {number} offset @param {string} text */
  async edit(room, offset, text) {
    await this.#request("edit", { room, offset, text, key: this.#newKey() });
  }

  /** Take one of our messages back. @param {string} room @param {number} offset */
  async delete(room, offset) {
    await this.#request("delete", { room, offset, key: this.#newKey() });
  }

  /** Tell how far we have read. @param {string | null} room    null: the private messages */
  async markRead(room, offset) {
    await this.#request("mark_read", { room, offset });
  }

  /** Hear the notifications of topics, until `unsubscribe`. @param {string} pattern */
  async subscribe(pattern) {
    await this.#request("subscribe", { pattern });
  }

  /** @param {string} pattern */
  async unsubscribe(pattern) {
    await this.#request("unsubscribe", { pattern });
  }

  /**
   * Hear a live feed, on this connection.
   * @param {string} feed
   * @returns {Promise<{interval: number, values: Record<string, any>}>}
   */
  watch(feed) {
    return this.#request("watch", { feed });
  }

  /** @param {string} feed */
  async unwatch(feed) {
    await this.#request("unwatch", { feed });
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
   * a reconnection an unconfirmed one is sent again, which makes no second one of it.
   * @param {string} room
   * @param {string} text
   * @returns {Delivery}
   */
  send(room, text) {
    return this.#deliver(new Delivery("room", room, text, this.#newKey()));
  }

  /**
   * Send a private message, in the same way. The receiver need not be connected.
   * @param {string} to
   * @param {string} text
   * @returns {Delivery}
   */
  sendPrivate(to, text) {
    return this.#deliver(new Delivery("person", to, text, this.#newKey()));
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
    const known = this.#memberships.get(room) ?? new Membership();
    const first = known.position === null;
    const history = [];
    let recovered = true;
    let answer;
    do {
      const since = known.position ? { since: known.position } : {};
      answer = await this.#request("join", { room, ...since });
      if (again && !this.#memberships.has(room)) return this.#request("leave", { room });
      recovered &&= answer.recovered;
      if (!answer.recovered) history.length = 0;
      history.push(...answer.history);
      known.moveTo(answer);
    } while (answer.more);
    this.#memberships.set(room, known);
    known.entered = true;
    const { members, count, topic, read } = answer;
    const messages = this.#withDeliveries(history.filter(({ type }) => type === "message"));
    const complete = first ? !history.length || history[0].offset === 1 : recovered;
    const detail = { room, members, count, topic, read, messages, again, complete };
    this.#emit("entered", detail);
    for (const event of history) if (event.type !== "message") this.#emit(event.type, event);
    this.#transmitNext("room", room);
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
    for (const delivery of this.#queue.filter(goesTo("room", room))) {
      this.#remove(delivery);
      this.#become(delivery, "failed", error);
    }
  }

  /** Put out by somebody else: nothing is entered again. */
  #expelled({ room, by, reason }) {
    const why = reason ? `${by} has put you out: ${reason}` : `${by} has put you out.`;
    const error = new ChatError("expelled", why);
    this.#forget(room, error);
    this.#emit("expelled", { room, error });
  }

  /** A log that began anew while we were connected: what we have of it does not go on. */
  #reset({ log }) {
    const room = log.startsWith("room:") ? log.slice("room:".length) : null;
    if (room !== null && this.#memberships.has(room)) this.#reenter(room);
  }

  // -- Private messages and notifications -------------------------------------------------------

  async #takeInbox(log, again) {
    const first = this.#inbox.position === null;
    const history = [...log.history];
    let recovered = log.recovered;
    this.#inbox.moveTo(log);
    while (log.more) {
      ({ log } = await this.#request("inbox", { since: this.#inbox.position }));
      recovered &&= log.recovered;
      history.push(...log.history);
      this.#inbox.moveTo(log);
    }
    const messages = this.#withDeliveries(history);
    if (messages.length > 0 || !(first || recovered)) {
      this.#emit("inbox", { messages, again, complete: first || recovered });
    }
  }

  async #takeNotices(log) {
    for (;;) {
      for (const event of log.history) this.#emit("notification", event);
      this.#notices.moveTo(log);
      if (!log.more) return;
      ({ log } = await this.#request("notifications", { since: this.#notices.position }));
    }
  }

  // -- Deliveries -----------------------------------------------------------------------------

  #deliver(delivery) {
    if (this.#queue.length >= this.#maxQueued) {
      delivery.become("failed", new ChatError("queue_full", "Too many messages wait already."));
      return delivery;
    }
    this.#queue.push(delivery);
    this.#unechoed.set(delivery.key, delivery);
    this.#transmitNext(delivery.kind, delivery.target);
    return delivery;
  }

  /** Send the oldest message to a room or person, unless one is on its way: their order stays. */
  #transmitNext(kind, target) {
    const ready =
      this.online && (kind === "person" || this.#memberships.get(target)?.entered === true);
    const delivery = this.#queue.find(goesTo(kind, target));
    if (ready && delivery && delivery.socket !== this.#socket) this.#transmit(delivery);
  }

  async #transmit(delivery) {
    const { kind, target, text, key } = delivery;
    delivery.socket = this.#socket;
    this.#become(delivery, "sent");
    try {
      const answer =
        kind === "room"
          ? await this.#command("send", { room: target, text, key })
          : await this.#command("private", { to: target, text, key });
      this.#confirm(delivery, answer);
    } catch (error) {
      // After a lost connection it stays the oldest, and is sent again on the next one.
      if (delivery.state !== "sent" || error.code === "connection_lost") return;
      if (RETRYABLE.has(error.code)) return this.#transmitLater(delivery, error);
      this.#remove(delivery);
      this.#become(delivery, "failed", error);
    }
    this.#transmitNext(kind, target);
  }

  #transmitLater(delivery, { retryAfter }) {
    const { socket } = delivery;
    this.#clock.setTimeout(() => {
      if (delivery.socket !== socket) return;
      delivery.socket = null;
      this.#transmitNext(delivery.kind, delivery.target);
    }, retryAfter ?? RETRY_DELAY);
  }

  /** Mark those of our own messages that come back. */
  #withDeliveries(events) {
    return events.map((event) => this.#withDelivery(event));
  }

  #withDelivery(event) {
    const delivery = event.key && this.#unechoed.get(event.key);
    if (!delivery || event.from !== this.name) return event;
    this.#unechoed.delete(event.key);
    this.#confirm(delivery, event);
    return { ...event, delivery };
  }

  #confirm(delivery, { offset }) {
    delivery.offset = offset ?? null;
    if (delivery.state === "delivered") return;
    remove(this.#queue, delivery);
    this.#become(delivery, "delivered");
  }

  #remove(delivery) {
    remove(this.#queue, delivery);
    this.#unechoed.delete(delivery.key);
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
    const { type } = event;
    if (type === "ack" || type === "error") this.#answered(event);
    else if (type === "message" || type === "edited" || type === "deleted") this.#roomEvent(event);
    else if (type === "private") this.#private(event);
    else if (type === "notification") this.#notification(event);
    else if (type === "expelled") this.#expelled(event);
    else if (type === "reset") this.#reset(event);
    else if (type === "welcome") {
      this.limits = event.limits;
      this.#silent = 0;
      this.#preferred = this.#socket.constructor;
      this.#emit("welcome", event);
    } else if (PASSED_ON.has(type)) this.#emit(type, event);
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
    if (!failure) return command.resolve(event);
    if (event.retry_after !== undefined) failure.retryAfter = event.retry_after * 1000;
    command.reject(failure);
  }

  #roomEvent(event) {
    const membership = this.#memberships.get(event.room);
    if (!membership?.entered) return;
    const isNews = membership.take(event);
    // The server leaves nothing out; should it ever, we go back to where we were.
    if (isNews === null) this.#reenter(event.room);
    if (isNews) this.#emit(event.type, this.#withDelivery(event));
  }

  #private(event) {
    if (this.#inbox.take(event)) this.#emit("private", this.#withDelivery(event));
  }

  /** Their offsets have gaps: events of topics that we did not subscribe to. */
  #notification(event) {
    if (event.offset <= this.#notices.position.offset) return;
    this.#notices.position = { ...this.#notices.position, offset: event.offset };
    this.#emit("notification", event);
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const goesTo = (kind, target) => (delivery) => delivery.kind === kind && delivery.target === target;

function remove(list, item) {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
