/**
 * What all parts of the page share: the client, what is open, and how the parts hear of changes.
 *
 * What must live here: the state that more than one part needs. What this file does not know: the
 * document, and the parts. Each part hears for itself (`on`), hears what the client tells
 * (`onClient`), and brings what it shows up to date when asked (`onRender`).
 *
 * @module
 */

/** Everything that changes while the page is open. */
export const chat = {
  /** @type {import("../client.js").ChatClient | null} */
  client: null,
  /** All rooms that exist, with the number of people in them. @type {Map<string, number>} */
  directory: new Map(),
  /** @type {Map<string, import("./conversation.js").Conversation>} */
  conversations: new Map(),
  /** @type {import("./conversation.js").Conversation | null} */
  active: null,
};

/** The name that we go by; "" while there is no client. */
export const me = () => chat.client?.name ?? "";

// -- What happens on the page -------------------------------------------------------------------

const happenings = new EventTarget();

/**
 * Hear of something:
 *
 * - `leave`, `enter`: a conversation is about to be left, or was opened;
 * - `activate`: somebody chose a conversation, perhaps the one that is open;
 * - `forget`: a conversation is gone;
 * - `earlier`: messages from before those that were here have come; `{target, messages}`;
 * - `news`: somebody else said something, just now; `{target, message, isMention}`;
 * - `tool`: a tool at the right was opened;
 * - `message-deleted`: the item of a message that was taken back;
 * - `sign-in`, `sign-out`: there is a client whose connection works; there is none any more.
 *
 * @param {string} type
 * @param {(detail: any) => void} handler
 */
export function on(type, handler) {
  happenings.addEventListener(type, ({ detail }) => handler(detail));
}

export function tell(type, detail = null) {
  happenings.dispatchEvent(new CustomEvent(type, { detail }));
}

// -- What the client tells ----------------------------------------------------------------------

/** @type {[string, (detail: any) => void][]} */
const clientHandlers = [];
/** Ends the listeners of the client before. @type {AbortController | null} */
let listening = null;

/**
 * Hear events of whatever client there will be.
 * @param {Record<string, (detail: any) => void>} handlers
 */
export function onClient(handlers) {
  clientHandlers.push(...Object.entries(handlers));
}

/** @param {import("../client.js").ChatClient} client */
export function attach(client) {
  chat.client = client;
  listening = new AbortController();
  for (const [type, handler] of clientHandlers) {
    const { signal } = listening;
    client.addEventListener(type, ({ detail }) => handler(detail), { signal });
  }
}

/** Hear no more of the client, and close it. */
export function detach() {
  listening?.abort();
  chat.client?.close();
  chat.client = null;
}

// -- What is shown ------------------------------------------------------------------------------

/** @type {(() => void)[]} */
const renderers = [];
let isStale = false;

/** Have something shown again whenever the state may have changed. @param {() => void} renderer */
export function onRender(renderer) {
  renderers.push(renderer);
}

/** Show what there is by now, with the next picture: once for all that happens until then. */
export function render() {
  if (isStale) return;
  isStale = true;
  // Nobody draws a page that is not seen; but its title tells what is new.
  if (document.visibilityState === "visible") requestAnimationFrame(renderStale);
  else setTimeout(renderStale);
}

function renderStale() {
  if (isStale) renderNow();
}

export function renderNow() {
  isStale = false;
  for (const renderer of renderers) renderer();
}
