/**
 * The guest of this tab: who it was before the page was loaded again, and what was open then.
 *
 * What must live here: where that is kept. It is this tab's storage, which other tabs do not see: the
 * secret is what makes a guest the same one, and ends with the tab or when one signs out. What this
 * file does not know: the chat.
 *
 * @module
 */

const KEY = "rfc6455-chat-guest";
const OPEN_KEY = "rfc6455-chat-open";

/** @returns {{name: string, secret: string} | null} */
export function keptGuest() {
  try {
    const guest = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return typeof guest?.name === "string" && typeof guest.secret === "string" ? guest : null;
  } catch {
    return null;
  }
}

/** @param {{name: string, secret: string | null}} client    who has no secret is no guest */
export function keepGuest({ name, secret }) {
  if (secret) store(KEY, JSON.stringify({ name, secret }));
}

/** @returns {string} the key of the conversation that was open; "" for none */
export function keptConversation() {
  try {
    return sessionStorage.getItem(OPEN_KEY) ?? "";
  } catch {
    return "";
  }
}

/** @param {string} key */
export const keepConversation = (key) => store(OPEN_KEY, key);

export function forgetGuest() {
  try {
    sessionStorage.removeItem(KEY);
    sessionStorage.removeItem(OPEN_KEY);
  } catch {
    // There is nothing kept where nothing may be.
  }
}

function store(key, value) {
  try {
    sessionStorage.setItem(key, value);
  } catch {
    // A browser that keeps nothing makes somebody new of who loads the page again.
  }
}
