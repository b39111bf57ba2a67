/**
 * A connection where WebSocket is blocked: Server-Sent Events one way, requests the other.
 *
 * What must live here: an object that is used like a `WebSocket` and speaks to `/events`. What
 * this file does not know: what travels. It touches no document and imports nothing, so that it
 * runs wherever `fetch` gives its answers as streams.
 *
 * @module
 */

/** Commands that go together in one request. */
const BATCH = 32;
/** How often a request is made again whose answer was lost, and how long to wait before. */
const TRIES = 5;
const PAUSE = 1000;

const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export class EventSocket {
  /** @type {(event: object) => void} */
  onopen = () => {};
  /** @type {(event: {data: string}) => void} */
  onmessage = () => {};
  /** @type {(event: {code: number, reason: string}) => void} */
  onclose = () => {};

  #url;
  #abort = new AbortController();
  #connection = "";
  #number = 0;
  /** Commands that wait for a request of their own. @type {string[]} */
  #queue = [];
  #posting = false;
  #closed = false;

  /** @param {string} url    of the WebSocket, for which this one stands */
  constructor(url) {
    this.#url = new URL("/events", url.replace(/^ws/, "http")).href;
    this.#listen();
  }

  /** @param {string} data */
  send(data) {
    this.#queue.push(data);
    this.#post();
  }

  /** @param {number} [code]    from 3000 to 4999 */
  close(code) {
    if (this.#closed) return;
    this.#closed = true;
    const end = () => this.#abort.abort();
    if (this.#connection) {
      const body = { connection: this.#connection, number: this.#number + 1, close: true, code };
      // The end of the answer would tell the server only that we are lost.
      this.#request(body, { keepalive: true }).then(end, end);
    } else end();
    this.#queue = [];
    queueMicrotask(() => this.onclose({ code: code ?? 1000, reason: "" }));
  }

  async #listen() {
    try {
      const response = await fetch(this.#url, {
        headers: { Accept: "text/event-stream" },
        cache: "no-store",
        signal: this.#abort.signal,
      });
      if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) this.#take(block);
      }
    } catch {
      // However the answer ended, nothing more will come.
    }
    this.#end(1006, "");
  }

  #take(block) {
    let kind = "message";
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) kind = line.slice(7);
      else if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (!data || this.#closed) return;
    if (kind === "message") this.onmessage({ data });
    else if (kind === "open") {
      this.#connection = JSON.parse(data).connection;
      this.onopen({});
      this.#post();
    } else if (kind === "close") {
      const { code, reason } = JSON.parse(data);
      this.#end(code, reason);
    }
  }

  /** Send what waits, one request after the other: so its order stays. */
  async #post() {
    if (this.#posting || !this.#connection) return;
    this.#posting = true;
    while (this.#queue.length > 0 && !this.#closed) {
      const messages = this.#queue.splice(0, BATCH);
      this.#number += 1;
      const body = { connection: this.#connection, number: this.#number, messages };
      if (!(await this.#deliver(body))) this.#end(1006, "");
    }
    this.#posting = false;
  }

  async #deliver(body) {
    for (let attempt = 0; attempt < TRIES && !this.#closed; attempt += 1) {
      if (attempt > 0) await wait(PAUSE);
      const status = await this.#request(body).catch(() => 0);
      if (status === 202) return true;
      // The network, a proxy or a server that is busy: it passes. All else does not.
      if (status !== 0 && status !== 429 && status < 500) return false;
    }
    return false;
  }

  async #request(body, options = {}) {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      ...options,
    });
    return response.status;
  }

  #end(code, reason) {
    if (this.#closed) return;
    this.#closed = true;
    this.#abort.abort();
    this.#queue = [];
    this.onclose({ code, reason });
  }
}
