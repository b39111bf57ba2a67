/**
 * What travels on this very connection, frame by frame, for people who learn.
 *
 * What must live here: where frames are learned of, and how one is explained. A browser lets a page
 * see whole messages and nothing else. A server with `--frames` tells of its own record, if it is
 * asked when the connection is opened: so this panel opens another one, and the client goes on with
 * it.
 *
 * @module
 */

import { chat, on, onClient } from "./chat.js";
import { $, clone, element } from "./dom.js";
import { addTool, isOpen } from "./tools.js";

/** Frames that are kept to be looked at. */
const MAX_FRAMES = 300;
/** Opcodes of RFC 6455 §5.2. */
const OPCODES = { CONTINUATION: 0x0, TEXT: 0x1, BINARY: 0x2, CLOSE: 0x8, PING: 0x9, PONG: 0xa };

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
});

/** Whether the server tells of frames, and whether we ask it to. */
let isOffered = false;
let isAsking = false;
let isPaused = false;

/** A WebSocket that this panel looks on with. */
export class WatchedSocket extends WebSocket {
  constructor(url) {
    super(isAsking ? `${url}?frames` : url);
    this.addEventListener("message", ({ data }) => seen(data, true));
  }

  send(data) {
    super.send(data);
    seen(data, false);
  }
}

/** What the browser lets us see: a message, whole. */
function seen(data, sent) {
  if (isAsking || !isOpen("wire")) return;
  const length = new TextEncoder().encode(data).length;
  add({ time: new Date().toISOString(), sent, opcode: "TEXT", fin: true, length, text: data });
}

// -- A frame, explained -------------------------------------------------------------------------

/** Without what proves who somebody is: others may look at the screen. */
const discreet = (text) => text.replace(/("(?:token|secret)": ?)"[^"]*("|$)/g, '$1"…"');

/** JSON with its structure shown, if it is one and whole. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/**
 * The fields of a header (RFC 6455 §5.2), as far as they are known.
 * @returns {[string, string][]}
 */
function fields({ head, fin, compressed, opcode, key, length, code }) {
  const known = head !== undefined;
  const bit = (value) => (value ? "1" : "0");
  return [
    ...(known ? [["Header", head.replace(/../g, "$& ").trim()]] : []),
    ["FIN", fin ? "1: the message ends here" : "0: there is more to come"],
    ...(known
      ? [["RSV1", `${bit(compressed)}: ${compressed ? "compressed" : "not compressed"}`]]
      : []),
    ["Opcode", opcode in OPCODES ? `0x${OPCODES[opcode].toString(16)}: ${opcode}` : opcode],
    ...(known
      ? [["MASK", key ? "1: every client masks" : "0: no server masks"]]
      : [["MASK", "not told by the browser"]]),
    ["Length", known ? `${length} bytes on the wire` : `${length} bytes before compression`],
    ...(key ? [["Masking key", key.replace(/../g, "$& ").trim()]] : []),
    ...(code !== undefined ? [["Close code", String(code)]] : []),
  ];
}

function frameItem(frame) {
  const { time, sent, opcode, length, fin, compressed } = frame;
  const text = discreet(frame.text ?? "");
  const item = clone("frame-template");
  item.dataset.direction = sent ? "down" : "up";
  item.querySelector(".frame-arrow").textContent = sent ? "↓" : "↑";
  item.querySelector(".frame-way").textContent = sent ? "from the server" : "to the server";
  item.querySelector(".frame-opcode").textContent = opcode + (fin ? "" : " …");
  item.querySelector(".frame-length").textContent =
    `${length} B${compressed ? ", compressed" : ""}`;
  item.querySelector("time").textContent = clock.format(new Date(time));
  item.querySelector(".frame-text").textContent = text.slice(0, 200);
  const list = item.querySelector("dl");
  for (const [name, value] of fields(frame)) {
    list.append(element("dt", "", name), element("dd", "", value));
  }
  item.querySelector("pre").textContent = pretty(text);
  return item;
}

// -- The list -----------------------------------------------------------------------------------

function add(frame) {
  if (isPaused) return;
  const list = $("wire-frames");
  const view = $("tool-wire");
  const isAtEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 48;
  list.append(frameItem(frame));
  while (list.children.length > MAX_FRAMES) list.firstElementChild.remove();
  if (isAtEnd) view.scrollTop = view.scrollHeight;
}

const SOURCES = {
  server:
    "The server's record of this connection: each frame with its header, with Pings and Pongs, " +
    "which the browser keeps to itself. Only the frames that bring this list are left out.",
  browser:
    "What this browser lets a page see: whole messages. Masking keys, compression, Pings and " +
    "Pongs, and how a message is cut into frames, it keeps to itself, and this server does not " +
    "tell of them (it would with --frames).",
  none:
    "There are no frames: WebSocket does not get through here, and Server-Sent Events and " +
    "requests do for it.",
};

function renderSource() {
  const source = chat.client?.isFallback ? "none" : isOffered ? "server" : "browser";
  $("wire-source").textContent = SOURCES[source];
}

function ask(asking) {
  if (isAsking === asking) return;
  isAsking = asking;
  chat.client?.reconnect();
}

onClient({
  welcome({ frames = false }) {
    isOffered = frames;
    renderSource();
  },

  frames({ frames, missing = 0 }) {
    if (!isOpen("wire")) return;
    if (missing > 0 && !isPaused) {
      $("wire-frames").append(element("li", "hint", `${missing} frames were left out here.`));
    }
    frames.forEach(add);
  },
});

addTool("wire", {
  title: "The wire",
  opened() {
    renderSource();
    ask(isOffered);
  },
  closed() {
    ask(false);
  },
});

on("sign-out", () => {
  isAsking = false;
  $("wire-frames").replaceChildren();
});

$("wire-pause").addEventListener("click", () => {
  isPaused = !isPaused;
  $("wire-pause").setAttribute("aria-pressed", String(isPaused));
});
$("wire-clear").addEventListener("click", () => $("wire-frames").replaceChildren());
