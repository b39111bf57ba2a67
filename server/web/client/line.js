/**
 * One connection that comes back by itself, with commands and their answers.
 *
 * What must live here: connecting, which kind of connection to try, when to try again, saying
 * hello, tokens that end, and which answer belongs to which command. What this file does not know:
 * rooms, messages, or what is to be done with an event.
 *
 * @module
 */

import { Backoff, systemClock } from "./backoff.js";
import { ChatError, RETRYABLE } from "./errors.js";

/**
 * @typedef {object} Status
 * @property {"idle" | "connecting" | "online" | "waiting"} status
 * @property {number} attempt    failed attempts since the connection last worked
 * @property {number | null} retryAt    when the next attempt starts, in the clock's milliseconds
 * @property {string} code    why there is no connection: an error's code, or ""
 * @property {string} reason    the same in words
 */

/**
 * What the line tells its owner, and asks of it.
 *
 * @typedef {object} Owner
 * @property {() => any} introduction    the fields of `hello`, but for the token
 * @property {(answer: any) => void} named    the answer to `hello`, before `status` is online
 * @property {(answer: any, again: boolean) => void} entered    the same, after; `again` on every
 *     connection but the first
 * @property {(event: any) => void} received    an event that answers no command
 * @property {() => void} lost    the connection is gone; whether another follows, `status` tells
 * @property {(error: ChatError) => void} ended    there will be no further connection
 * @property {(status: Status) => void} changed
 * @property {(error: ChatError) => void} fault
 */

/** The close code of a server that does not want us back. */
const FORBIDDEN = 4403;
/** Close code of a connection that we give up, and come back from. */
const COMING_BACK = 4000;
/** Milliseconds that a server may make us wait before we come back. */
const MAX_HINT = 60_000;

export class Line {
  #owner;
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

  /**
   * @param {string} url    a ws: or wss: URL
   * @param {Owner} owner
   * @param {import("../client.js").Options} options    those that are about the connection
   */
  constructor(
    url,
    owner,
    {
      WebSocket = globalThis.WebSocket,
      fallback = null,
      clock = systemClock,
      backoff = new Backoff(),
      openTimeout = 10_000,
      answerTimeout = 10_000,
      steadyAfter = 5_000,
      token = async () => null,
    },
  ) {
    this.#url = url;
    this.#owner = owner;
    this.#WebSocket = this.#preferred = WebSocket;
    this.#fallback = fallback;
    this.#clock = clock;
    this.#backoff = backoff;
    this.#openTimeout = openTimeout;
    this.#answerTimeout = answerTimeout;
    this.#steadyAfter = steadyAfter;
    this.#token = token;
  }

  get status() {
    return this.#status;
  }

  get online() {
    return this.#status.status === "online";
  }

  /** Tells one connection from the next. */
  get socket() {
    return this.#socket;
  }

  /** Whether the connection is of the kind that does for a WebSocket. */
  get isFallback() {
    return this.#fallback !== null && this.#socket?.constructor === this.#fallback;
  }

  /** Connect, and stay connected; fulfilled with the first answer to `hello`. */
  connect() {
    if (this.#status.status !== "idle") throw new Error("already connected or connecting");
    this.#wasOnline = false;
    this.#backoff.reset();
    return new Promise((resolve, reject) => {
      this.#connecting = { resolve, reject };
      this.#open();
    });
  }

  suspend() {
    if (this.#status.status === "idle") return;
    this.#release(COMING_BACK);
    this.#setStatus("waiting", { code: "suspended", reason: "The connection was suspended." });
  }

  retryNow() {
    if (this.#status.status === "waiting") this.#open();
  }

  reconnect() {
    if (!this.online) return this.retryNow();
    this.#release(COMING_BACK);
    this.#open();
  }

  // -- Opening --------------------------------------------------------------------------------

  #open() {
    this.#clearTimer();
    this.#setStatus("connecting", { code: this.#status.code, reason: this.#status.reason });
    const socket = new (this.#choose())(this.#url);
    this.#socket = socket;
    const live = (handler) => (event) => this.#socket === socket && handler(event);
    socket.onopen = live(() => this.#hello(socket));
    socket.onmessage = live((event) => this.#receive(event.data));
    socket.onclose = live(({ code, reason }) => {
      if (code === FORBIDDEN) this.end(new ChatError("forbidden", reason || "You were removed."));
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
      const token = await this.#token();
      if (this.#socket !== socket) return;
      const { name, ...known } = this.#owner.introduction();
      const who = token ? { token } : { name };
      answer = await this.command("hello", { ...who, ...known });
    } catch (error) {
      if (this.#socket !== socket) return;
      const passes =
        !(error instanceof ChatError) ||
        RETRYABLE.has(error.code) ||
        (this.#wasOnline && error.code === "name_taken");
      if (passes) this.#lost(error.code ?? "no_token", error.message);
      else this.end(error);
      return;
    }
    const again = this.#wasOnline;
    this.#clearTimer();
    this.#refreshBefore(answer.expires_in);
    this.#wasOnline = true;
    this.#onlineSince = this.#clock.now();
    this.#owner.named(answer);
    this.#setStatus("online");
    this.#connecting?.resolve(answer);
    this.#connecting = null;
    this.#owner.entered(answer, again);
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
        this.#refreshBefore((await this.request("refresh", { token })).expires_in);
      } catch {
        // The server closes the connection when the token ends, and the next one asks again.
      }
    }, delay);
  }

  // -- Ending ---------------------------------------------------------------------------------

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

  /** No further attempt: closed by us, or refused. */
  end(error) {
    this.#disconnect(error);
    this.#owner.ended(error);
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
    this.#owner.lost();
    const commands = [...this.#commands.values()];
    this.#commands.clear();
    for (const command of commands) {
      this.#clock.clearTimeout(command.timer);
      command.reject(error);
    }
  }

  #setStatus(status, { retryAt = null, code = "", reason = "" } = {}) {
    this.#status = { status, attempt: this.#backoff.attempts, retryAt, code, reason };
    this.#owner.changed(this.#status);
  }

  #clearTimer() {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  // -- Commands and events --------------------------------------------------------------------

  /** Send a command if there is a connection. @returns {Promise<any>} its answer */
  request(type, fields = {}) {
    if (!this.online) {
      return Promise.reject(new ChatError("not_connected", "There is no connection."));
    }
    return this.command(type, fields);
  }

  /** Send a command on the connection that there is. @returns {Promise<any>} its answer */
  command(type, fields) {
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

  /** Take a message: an event, or several that waited together. */
  #receive(data) {
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      this.#owner.fault(new ChatError("bad_json", "The server sent something unreadable."));
      return;
    }
    if (Array.isArray(event)) this.#takeAll(event);
    else this.#take(event);
  }

  async #takeAll(events) {
    const socket = this.#socket;
    for (const event of events) {
      if (this.#socket !== socket) return;
      this.#take(event);
      // Who waits for an answer goes on before what follows the answer.
      await null;
    }
  }

  #take(event) {
    if (event.type === "ack" || event.type === "error") return this.#answered(event);
    if (event.type === "welcome") {
      this.#silent = 0;
      this.#preferred = this.#socket.constructor;
    }
    this.#owner.received(event);
  }

  #answered(event) {
    const command = this.#commands.get(event.id);
    const failure = event.type === "error" ? new ChatError(event.code, event.message) : null;
    if (!command) {
      if (failure) this.#owner.fault(failure);
      return;
    }
    this.#commands.delete(event.id);
    this.#clock.clearTimeout(command.timer);
    if (!failure) return command.resolve(event);
    if (event.retry_after !== undefined) failure.retryAfter = event.retry_after * 1000;
    command.reject(failure);
  }
}
