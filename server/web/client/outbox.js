/**
 * Messages on their way to the server: kept until they are confirmed, one after the other.
 *
 * What must live here: the states of a message, the order of those to one room or person, and what
 * becomes of them when the connection is lost. What this file does not know: how a connection comes
 * back, and what else travels on it.
 *
 * @module
 */

import { ChatError, RETRYABLE } from "./errors.js";

const RETRY_DELAY = 1000;

/**
 * Who a message is from, when that has to be the one whom the server knows us as.
 *
 * @typedef {object} Author
 * @property {string} user    the id
 * @property {string} name
 */

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
  /** The connection on which it is on its way. @internal @type {any} */
  socket = null;
  /** @type {(delivery: Delivery) => void} */
  #settle = () => {};

  /**
   * @param {"room" | "person"} kind
   * @param {string} target    the room, or the person's name
   * @param {string} text
   * @param {string} key    tells it apart from all others of ours
   * @param {number} [at]    when it was written, in milliseconds since 1970
   * @param {Author | null} [author]    null: whoever we are
   */
  constructor(kind, target, text, key, at = Date.now(), author = null) {
    this.kind = kind;
    this.target = target;
    this.text = text;
    this.key = key;
    this.at = at;
    this.author = author;
    /** Fulfilled with this delivery once it is delivered or has failed; never rejected. */
    this.settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /**
   * @internal
   * @param {"queued" | "sent" | "delivered" | "failed"} state
   * @param {ChatError | null} [error]
   */
  become(state, error = null) {
    this.state = state;
    this.error = error;
    if (state === "delivered" || state === "failed") this.#settle(this);
  }
}

/** Makes up what nobody else has thought of. @returns {string} */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** All messages that are not confirmed yet. */
export class Outbox {
  #line;
  #clock;
  #maxQueued;
  #isEntered;
  #changed;
  /** Deliveries that are not confirmed, oldest first. @type {Delivery[]} */
  #queue = [];
  /** Deliveries whose own event has not come back, by key. @type {Map<string, Delivery>} */
  #unechoed = new Map();

  /**
   * @param {import("./line.js").Line} line
   * @param {object} options
   * @param {import("./backoff.js").Clock} options.clock
   * @param {number} options.maxQueued    messages kept until they are confirmed
   * @param {(room: string) => boolean} options.isEntered    whether a room takes messages by now
   * @param {(delivery: Delivery) => void} options.changed    hears of each new state
   */
  constructor(line, { clock, maxQueued, isEntered, changed }) {
    this.#line = line;
    this.#clock = clock;
    this.#maxQueued = maxQueued;
    this.#isEntered = isEntered;
    this.#changed = changed;
  }

  /** What is not confirmed, oldest first. */
  get waiting() {
    return [...this.#queue];
  }

  /** @param {Delivery} delivery */
  put(delivery) {
    if (this.#queue.length >= this.#maxQueued) {
      delivery.become("failed", new ChatError("queue_full", "Too many messages wait already."));
      return delivery;
    }
    this.#queue.push(delivery);
    this.#unechoed.set(delivery.key, delivery);
    this.transmitNext(delivery.kind, delivery.target);
    return delivery;
  }

  /** Go on with the messages to people, on a new connection. */
  transmitToPeople() {
    for (const target of new Set(this.#queue.map(({ target }) => target))) {
      this.transmitNext("person", target);
    }
  }

  /** Send the oldest message to a room or person, unless one is on its way: their order stays. */
  transmitNext(kind, target) {
    const ready = this.#line.online && (kind === "person" || this.#isEntered(target));
    const delivery = this.#queue.find(goesTo(kind, target));
    if (ready && delivery && delivery.socket !== this.#line.socket) this.#transmit(delivery);
  }

  async #transmit(delivery) {
    const { kind, target, text, key } = delivery;
    delivery.socket = this.#line.socket;
    this.#become(delivery, "sent");
    try {
      const answer =
        kind === "room"
          ? await this.#line.command("send", { room: target, text, key })
          : await this.#line.command("private", { to: target, text, key });
      this.#confirm(delivery, answer);
    } catch (error) {
      // After a lost connection it stays the oldest, and is sent again on the next one.
      if (delivery.state !== "sent" || error.code === "connection_lost") return;
      if (RETRYABLE.has(error.code)) return this.#transmitLater(delivery, error);
      this.#remove(delivery);
      this.#become(delivery, "failed", error);
    }
    this.transmitNext(kind, target);
  }

  #transmitLater(delivery, { retryAfter }) {
    const { socket } = delivery;
    this.#clock.setTimeout(() => {
      if (delivery.socket !== socket) return;
      delivery.socket = null;
      this.transmitNext(delivery.kind, delivery.target);
    }, retryAfter ?? RETRY_DELAY);
  }

  /** Returns the event, with its delivery where it is one of our own messages that comes back. */
  recognize(event, own) {
    const delivery = event.key && this.#unechoed.get(event.key);
    if (!delivery || event.from !== own) return event;
    this.#unechoed.delete(event.key);
    this.#confirm(delivery, event);
    return { ...event, delivery };
  }

  /** Give up what waits for a room. */
  fail(room, error) {
    for (const delivery of this.#queue.filter(goesTo("room", room))) {
      this.#remove(delivery);
      this.#become(delivery, "failed", error);
    }
  }

  /** Give up what somebody else has written. @param {Author} us */
  failOthers({ user, name }) {
    const error = new ChatError("another_user", "It was written under another name or login.");
    const isOurs = ({ author }) => !author || (author.user === user && author.name === name);
    for (const delivery of this.waiting.filter((delivery) => !isOurs(delivery))) {
      this.#remove(delivery);
      this.#become(delivery, "failed", error);
    }
  }

  /** Give up everything. */
  failAll(error) {
    this.#unechoed.clear();
    for (const delivery of this.#queue.splice(0)) this.#become(delivery, "failed", error);
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

  /**
   * @param {Delivery} delivery
   * @param {"queued" | "sent" | "delivered" | "failed"} state
   * @param {ChatError | null} [error]
   */
  #become(delivery, state, error = null) {
    delivery.become(state, error);
    this.#changed(delivery);
  }
}

const goesTo = (kind, target) => (delivery) => delivery.kind === kind && delivery.target === target;

function remove(list, item) {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}
