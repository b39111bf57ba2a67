/**
 * The chat's client: one connection that comes back by itself.
 *
 * What must live here: what a program sees, and going on in each log where it was. The connection
 * is in `client/line.js`, what waits to be confirmed in `client/outbox.js`, and the commands that
 * are no more than that in `client/commands.js`. What none of them knows: any page. They touch
 * neither the document nor storage and need nothing, so that they run wherever `WebSocket`,
 * `EventTarget` and `CustomEvent` exist, in browsers and in Node, and in tests with a fake socket,
 * a fake clock and fixed random numbers.
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
 * | `unread`                                     | `{memberships, people, head, again}`: what is  |
 * |                                              | new to us, counted when the connection came:   |
 * |                                              | `{room, head, read, unread}` of each room that |
 * |                                              | we are a member of, up to its `head`; `{with,  |
 * |                                              | read, unread}` of people, up to the inbox's    |
 * | `entered`                                    | an {@link Entered}: after a join, and after    |
 * |                                              | each reconnection                              |
 * | `expelled`                                   | `{room, error}`: we are no longer in a room    |
 * | `message`, `private`                         | the server's event; `delivery` is set when it  |
 * |                                              | is one of our own                              |
 * | `inbox`                                      | `{messages, read, again, complete}`: private   |
 * |                                              | messages from before the connection, each with |
 * |                                              | its `delivery` if it is one of our own; `read` |
 * |                                              | is the offset up to which we have read         |
 * | `notices`                                    | `{notifications, read}`: the latest of those   |
 * |                                              | from before the first connection, and the      |
 * |                                              | offset up to which we have read                |
 * | `edited`, `deleted`                          | the server's event, also for `target`s that    |
 * |                                              | stand in an earlier history                    |
 * | `private_edited`, `private_deleted`          | likewise, of private messages                  |
 * | `notification`                               | the server's event, also of what was missed    |
 * | `delivery`                                   | a {@link Delivery} whose state has changed     |
 * | `joined`, `left`, `typing`, `read`, `feed`   | the server's event                             |
 * | `room_created`, `room_described`,            | the server's event                             |
 * | `room_removed`, `room_count`, `room_access`, |                                                |
 * | `appointed`, `frames`                        |                                                |
 * | `room_joined`                                | `{room}`: we became a member of a room on      |
 * |                                              | another connection, and may `join` it here     |
 * | `fault`                                      | a {@link ChatError} that answers no command    |
 *
 * @module
 */

import { systemClock } from "./client/backoff.js";
import { Commands } from "./client/commands.js";
import { ChatError } from "./client/errors.js";
import { Line } from "./client/line.js";
import { Log, Membership } from "./client/log.js";
import { Delivery, Outbox, randomKey } from "./client/outbox.js";

export { Backoff } from "./client/backoff.js";
export { ChatError } from "./client/errors.js";
export { Delivery } from "./client/outbox.js";

/** @typedef {import("./client/line.js").Status} Status */
/** @typedef {import("./client/backoff.js").Clock} Clock */

/**
 * @typedef {object} Options
 * @property {any} [WebSocket]    the class to connect with
 * @property {any} [fallback]    a class that does for it where proxies block WebSocket, such as the
 *     `EventSocket` of `fallback.js`
 * @property {Clock} [clock]
 * @property {import("./client/backoff.js").Backoff} [backoff]    the delays between attempts
 * @property {number} [openTimeout]    milliseconds until an attempt to connect is given up
 * @property {number} [answerTimeout]    milliseconds until a command without an answer proves that
 *     the connection is dead
 * @property {number} [steadyAfter]    milliseconds online after which delays start over
 * @property {number} [maxQueued]    messages kept until they are confirmed
 * @property {() => string} [newKey]    makes the keys of messages
 * @property {() => Promise<string | null>} [token]    gives a token that holds for a while yet, or
 *     null for a guest; asked at each connection and before the last one ends
 * @property {string | null} [secret]    of a guest who was here before
 */

/**
 * @typedef {object} Entered
 * @property {string} room
 * @property {string[]} members    up to 256 of those who are here
 * @property {number} count    how many are
 * @property {string} topic    what the room is about
 * @property {number} read    how far we have read, an offset
 * @property {"public" | "members" | "read_only"} access    to whom it is open
 * @property {boolean} moderator    whether we look after it
 * @property {Message[]} messages    those of the history that were not seen yet, oldest first
 * @property {boolean} again    true when a lost connection came back
 * @property {boolean} complete    false when messages may be missing before `messages`
 */

/**
 * Something that was said, in a room or in private.
 *
 * @typedef {object} Message
 * @property {string} from    the name of who said it
 * @property {string} user    and the id
 * @property {string} text
 * @property {string} time    ISO 8601
 * @property {number} offset    where it stands in its log
 * @property {string} [room]
 * @property {string} [to]    of a private message, the name
 * @property {boolean} [edited]
 * @property {boolean} [deleted]
 * @property {Delivery} [delivery]    when it is one of our own
 */

/**
 * An event of the server, with the fields that the protocol gives it.
 * @typedef {Record<string, any>} ServerEvent
 */

/**
 * What `event.detail` is, by the type of the event.
 *
 * @typedef {object} Events
 * @property {Status} status
 * @property {ServerEvent} welcome
 * @property {{rooms: {room: string, members: number}[]}} rooms
 * @property {Entered} entered
 * @property {{room: string, error: ChatError}} expelled
 * @property {Message} message
 * @property {Message} private
 * @property {{messages: Message[], read: any, again: boolean, complete: boolean}} inbox
 * @property {ServerEvent} edited
 * @property {ServerEvent} deleted
 * @property {ServerEvent} private_edited
 * @property {ServerEvent} private_deleted
 * @property {ServerEvent} notification
 * @property {Delivery} delivery
 * @property {ServerEvent} joined
 * @property {ServerEvent} left
 * @property {ServerEvent} typing
 * @property {ServerEvent} read
 * @property {ServerEvent} feed
 * @property {ServerEvent} room_created
 * @property {ServerEvent} room_described
 * @property {ServerEvent} room_removed
 * @property {ServerEvent} room_count
 * @property {ServerEvent} room_access
 * @property {ServerEvent} room_joined
 * @property {ServerEvent} appointed
 * @property {ServerEvent} frames
 * @property {ChatError} fault
 */

/** Events that are handed on as they come. */
const PASSED_ON = new Set(
  (
    "joined left typing read feed room_created room_described room_removed room_count room_access" +
    " room_joined appointed frames"
  ).split(" "),
);

/** What stands in the log of private messages. */
const PRIVATE = new Set(["private", "private_edited", "private_deleted"]);

export class ChatClient extends Commands {
  /** The name that the server knows us by; "" before the first connection. */
  name = "";
  /** Our id; names may change hands, ids do not. */
  user = "";
  /** What makes a guest the same one when coming back; null for others. @type {string | null} */
  secret = null;
  /** What we may do everywhere: "guest", "user", "moderator" or "admin". */
  role = "";
  /** The live feeds that there are. @type {string[]} */
  feeds = [];
  /** What the server allows, from its `welcome`. @type {Record<string, number>} */
  limits = {};

  #line;
  #outbox;
  #newKey;
  /** @type {Map<string, Membership>} */
  #memberships = new Map();
  /** What we have of our private messages, and of the notifications. */
  #inbox = new Log();
  #notices = new Log();

  /**
   * @param {string} url    a ws: or wss: URL
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super();
    const { clock = systemClock, maxQueued = 200, newKey = randomKey, secret = null } = options;
    this.secret = secret;
    this.#newKey = newKey;
    this.#line = new Line(url, this.#owner(), options);
    this.#outbox = new Outbox(this.#line, {
      clock,
      maxQueued,
      isEntered: (room) => this.#memberships.get(room)?.entered === true,
      changed: (delivery) => this.#emit("delivery", delivery),
    });
  }

  /**
   * Hear events of a type; {@link Events} has them all.
   * @template {keyof Events} Type
   * @param {Type} type
   * @param {((event: CustomEvent<Events[Type]>) => void) | EventListenerObject | null} listener
   * @param {boolean | AddEventListenerOptions} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener | null} */ (listener), options);
  }

  /** The state of the connection. @returns {Status} */
  get status() {
    return this.#line.status;
  }

  get online() {
    return this.#line.online;
  }

  /** Whether the connection is not a WebSocket, but what does for one. */
  get isFallback() {
    return this.#line.isFallback;
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
   * @returns {Promise<{name: string, rooms: {room: string, members: number}[],
   *     memberships: {room: string, epoch: string, head: number, read: number, unread: number}[]}>}
   *     the name as the server spells it, all rooms, and those that we are a member of from before
   * @throws {ChatError} when the server refuses the name
   */
  async connect(name) {
    if (this.status.status === "idle") this.name = name;
    const { name: spelled, rooms, memberships = [] } = await this.#line.connect();
    return { name: spelled, rooms, memberships };
  }

  /** Leave the server for good. Messages that were not confirmed fail. */
  close() {
    this.#line.end(new ChatError("closed", "The connection was closed."));
  }

  /**
   * Give the connection up for now, as when a browser puts the page into its back/forward cache or
   * loads it again (`pagehide`); `retryNow` comes back, or another client with our `secret`. The
   * others hear of it when that takes more than a moment.
   */
  suspend() {
    this.#line.suspend();
  }

  /** While waiting for the next attempt: make it now. */
  retryNow() {
    this.#line.retryNow();
  }

  /** Go on over another connection; nothing is lost between the two. */
  reconnect() {
    this.#line.reconnect();
  }

  /**
   * Find out whether the connection still works, after a sleep or a change of network: it is
   * asked for the list of rooms (see the `rooms` event), and replaced when no answer comes.
   */
  check() {
    if (!this.online) return this.retryNow();
    this.listRooms().catch(() => {});
  }

  /** What the line tells us and asks of us. @returns {import("./client/line.js").Owner} */
  #owner() {
    return {
      introduction: () => this.#introduction(),
      named: (/** @type {any} */ { name, user, secret, role, feeds = [], patterns = [] }) => {
        Object.assign(this, { name, user, secret, role, feeds, patterns: new Set(patterns) });
        this.#outbox.failOthers({ user, name });
      },
      entered: (answer, again) => this.#entered(answer, again),
      received: (event) => this.#receive(event),
      lost: () => {
        for (const membership of this.#memberships.values()) membership.entered = false;
      },
      ended: (error) => {
        this.#memberships.clear();
        this.#inbox.position = this.#notices.position = null;
        this.#outbox.failAll(error);
      },
      changed: (status) => this.#emit("status", status),
      fault: (error) => this.#emit("fault", error),
    };
  }

  /** Who we are, and what we have already. */
  #introduction() {
    const fields = { name: this.name, batch: true };
    if (this.secret) fields.secret = this.secret;
    if (this.#inbox.position) fields.inbox = this.#inbox.position;
    if (this.#notices.position) fields.notifications = this.#notices.position;
    return fields;
  }

  #entered(answer, again) {
    this.#emit("rooms", { rooms: answer.rooms });
    const { memberships = [], private: people = [], inbox } = answer;
    if (inbox.epoch === this.#inbox.position?.epoch) this.#giveUpOthers(answer.memberships);
    this.#emit("unread", { memberships, people, head: inbox.head, again });
    this.#takeInbox(answer.inbox, answer.inbox_read, again);
    this.#takeNotices(answer.notifications, answer.notifications_read);
    this.#outbox.transmitToPeople();
    for (const room of this.rooms) this.#reenter(room);
  }

  // -- Commands: those that only ask are in `client/commands.js` --------------------------------

  /**
   * @param {string} type
   * @param {object} [fields]
   */
  request(type, fields = {}) {
    return this.#line.request(type, fields);
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
    if (this.#memberships.get(room)?.entered) await this.#line.request("leave", { room });
    this.#forget(room, new ChatError("not_in_room", "You left the room."));
  }

  /**
   * Change one of our messages.
   * @param {string} room
   * @param {number} offset
   * @param {string} text
   */
  async edit(room, offset, text) {
    await this.#line.request("edit", { room, offset, text, key: this.#newKey() });
  }

  /** Take one of our messages back. @param {string} room @param {number} offset */
  async delete(room, offset) {
    await this.#line.request("delete", { room, offset, key: this.#newKey() });
  }

  /** Change one of our private messages. @param {number} offset @param {string} text */
  async editPrivate(offset, text) {
    await this.#line.request("private_edit", { offset, text, key: this.#newKey() });
  }

  /** Take one of our private messages back, from both. @param {number} offset */
  async deletePrivate(offset) {
    await this.#line.request("private_delete", { offset, key: this.#newKey() });
  }

  /**
   * Tell a room that we started or stopped typing. Worth nothing later, so it is never queued.
   * @param {string} room
   * @param {boolean} active
   */
  typing(room, active) {
    if (!this.online || !this.#memberships.get(room)?.entered) return;
    this.#line.request("typing", { room, active }).catch(() => {});
  }

  /** Tell the person that we write to. @param {string} person @param {boolean} active */
  typingTo(person, active) {
    if (this.online) this.#line.request("typing", { with: person, active }).catch(() => {});
  }

  /**
   * Send a message to a room. It is never lost silently: without a connection it waits, and after
   * a reconnection an unconfirmed one is sent again, which makes no second one of it.
   * @param {string} room
   * @param {string} text
   * @returns {Delivery}
   */
  send(room, text) {
    return this.#outbox.put(new Delivery("room", room, text, this.#newKey()));
  }

  /**
   * Send a private message, in the same way. The receiver need not be connected.
   * @param {string} to
   * @param {string} text
   * @returns {Delivery}
   */
  sendPrivate(to, text) {
    return this.#outbox.put(new Delivery("person", to, text, this.#newKey()));
  }

  /** The messages that are not confirmed yet, oldest first. @returns {Delivery[]} */
  get unconfirmed() {
    return this.#outbox.waiting;
  }

  /**
   * Go on with what another client of ours could not confirm, such as that of a page which was
   * loaded again: under its old keys, so that what has arrived is not said twice. To be called before
   * `connect`; what comes from anybody else than the server then knows us as fails and is not sent.
   *
   * @param {{kind: "room" | "person", target: string, text: string, key: string, at: number}[]}
   *     messages    the `unconfirmed` of then, or copies
   * @param {import("./client/outbox.js").Author} author    the `user` and `name` of then
   * @returns {Delivery[]}
   */
  resume(messages, author) {
    return messages.map(({ kind, target, text, key, at }) =>
      this.#outbox.put(new Delivery(kind, target, text, key, at, author)),
    );
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
      answer = await this.#line.request("join", { room, ...since });
      if (again && !this.#memberships.has(room)) return this.#line.request("leave", { room });
      recovered &&= answer.recovered;
      if (!answer.recovered) history.length = 0;
      history.push(...answer.history);
      known.moveTo(answer);
    } while (answer.more);
    this.#memberships.set(room, known);
    known.entered = true;
    const { members, count, topic, read, access, moderator } = answer;
    const messages = this.#recognizeAll(history.filter(({ type }) => type === "message"));
    const complete = first ? !history.length || history[0].offset === 1 : recovered;
    const about = { room, members, count, topic, read, access, moderator };
    const detail = { ...about, messages, again, complete };
    this.#emit("entered", detail);
    for (const event of history) if (event.type !== "message") this.#emit(event.type, event);
    this.#outbox.transmitNext("room", room);
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
    this.#outbox.fail(room, error);
  }

  /** Put out by somebody else, or left on another connection: nothing is entered again. */
  #expelled({ room, by, reason }) {
    const theirs = reason ? `${by} removed you: ${reason}` : `${by} removed you.`;
    this.#giveUp(room, by === this.name ? "You left it in another window." : theirs);
  }

  #giveUp(room, why) {
    const error = new ChatError("expelled", why);
    this.#forget(room, error);
    this.#emit("expelled", { room, error });
  }

  /**
   * The server, which remembers us, has us in other rooms by now: those that we left elsewhere while
   * there was no connection, or were put out of, are not entered again.
   */
  #giveUpOthers(memberships) {
    const kept = new Set(memberships?.map(({ room }) => room) ?? this.rooms);
    for (const room of this.rooms) {
      if (!kept.has(room)) this.#giveUp(room, "You left it in another window, or were removed.");
    }
  }

  /** A log that began anew while we were connected: what we have of it does not go on. */
  #reset({ log }) {
    const room = log.startsWith("room:") ? log.slice("room:".length) : null;
    if (room !== null && this.#memberships.has(room)) this.#reenter(room);
  }

  // -- Private messages and notifications -------------------------------------------------------

  async #takeInbox(log, read, again) {
    const first = this.#inbox.position === null;
    const history = [...log.history];
    let recovered = log.recovered;
    this.#inbox.moveTo(log);
    while (log.more) {
      ({ log } = await this.#line.request("inbox", { since: this.#inbox.position }));
      recovered &&= log.recovered;
      history.push(...log.history);
      this.#inbox.moveTo(log);
    }
    const messages = this.#recognizeAll(history.filter(({ type }) => type === "private"));
    if (messages.length > 0 || !(first || recovered)) {
      this.#emit("inbox", { messages, read, again, complete: first || recovered });
    }
    for (const event of history) if (event.type !== "private") this.#emit(event.type, event);
  }

  async #takeNotices(log, read) {
    if (this.#notices.position === null) {
      this.#notices.moveTo(log);
      return this.#emit("notices", { notifications: log.history, read });
    }
    for (;;) {
      for (const event of log.history) this.#emit("notification", event);
      this.#notices.moveTo(log);
      if (!log.more) return;
      ({ log } = await this.#line.request("notifications", { since: this.#notices.position }));
    }
  }

  // -- Events ---------------------------------------------------------------------------------

  #receive(event) {
    const { type } = event;
    if (type === "message" || type === "edited" || type === "deleted") this.#roomEvent(event);
    else if (PRIVATE.has(type)) this.#private(event);
    else if (type === "notification") this.#notification(event);
    else if (type === "expelled") this.#expelled(event);
    else if (type === "reset") this.#reset(event);
    else if (type === "welcome") {
      this.limits = event.limits;
      this.#emit("welcome", event);
    } else if (PASSED_ON.has(type)) this.#emit(type, event);
  }

  #roomEvent(event) {
    const membership = this.#memberships.get(event.room);
    if (!membership?.entered) return;
    const isNews = membership.take(event);
    // The server leaves nothing out; should it ever, we go back to where we were.
    if (isNews === null) this.#reenter(event.room);
    if (isNews) this.#emit(event.type, this.#outbox.recognize(event, this.name));
  }

  #private(event) {
    if (this.#inbox.take(event)) this.#emit(event.type, this.#outbox.recognize(event, this.name));
  }

  /** Their offsets have gaps: events of topics that we did not subscribe to. */
  #notification(event) {
    if (this.#notices.skipTo(event)) this.#emit("notification", event);
  }

  /** Mark those of our own messages that come back. */
  #recognizeAll(events) {
    return events.map((event) => this.#outbox.recognize(event, this.name));
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
