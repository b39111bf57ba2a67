/**
 * What this tab has sent and the server has not confirmed, for when the page is loaded again.
 *
 * What must live here: where that is kept, within which bounds, and of whom it is. What this file
 * does not know: when it is sent.
 *
 * @module
 */

const KEY = "rfc6455-chat-unsent";
/** Messages that are kept, and what they take, in bytes of the browser's storage. */
export const MAX_MESSAGES = 100;
export const MAX_SIZE = 512 * 1024;
/** Milliseconds. The server knows keys again for a day, so that nothing is said twice. */
export const MAX_AGE = 12 * 3600 * 1000;

/**
 * @typedef {object} Unsent
 * @property {import("./client/outbox.js").Author} author
 * @property {{kind: "room" | "person", target: string, text: string, key: string, at: number}[]}
 *     messages    oldest first
 */

/** Keep what a client has not confirmed by now. @param {import("./client.js").ChatClient} client */
export function keepUnsent({ user, name, unconfirmed }) {
  // Before the first answer nobody knows whose they are: what was kept stays so.
  if (!user) return;
  const messages = [];
  let size = 0;
  for (const { kind, target, text, key, at } of unconfirmed.slice(0, MAX_MESSAGES)) {
    const message = { kind, target, text, key, at };
    // Two bytes for each UTF-16 code unit.
    size += 2 * JSON.stringify(message).length;
    if (size > MAX_SIZE) break;
    messages.push(message);
  }
  if (messages.length === 0) return forgetUnsent();
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ author: { user, name }, messages }));
  } catch {
    // Where nothing may be kept, a message that is not confirmed ends with the page.
  }
}

/** @returns {Unsent | null} what was kept, but for what is too old */
export function keptUnsent() {
  try {
    const { author, messages } = JSON.parse(sessionStorage.getItem(KEY) ?? "");
    const age = ({ at }) => Math.abs(Date.now() - at);
    return { author, messages: messages.filter((message) => age(message) < MAX_AGE) };
  } catch {
    return null;
  }
}

export function forgetUnsent() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There is nothing kept where nothing may be.
  }
}
