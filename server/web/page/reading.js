/**
 * How far we have read, and how far the others have.
 *
 * What must live here: what is new to us, the line above it, what we tell the server of it, and who
 * has seen the latest thing that we said. All private messages stand in one log, so there is one
 * mark for all of them: it stops before the first one that was not read.
 *
 * @module
 */

import { chat, me, on, onClient, onRender, render } from "./chat.js";
import { conversationsOf, findRoom } from "./conversation.js";
import { $, element } from "./dom.js";
import { dividerItem, insert, written } from "./items.js";
import { isAtEnd } from "./scrolling.js";

/** Milliseconds that a mark may wait, so that reading on does not make one for each message. */
const PATIENCE = 500;
/** Names in the line that says who has seen something. */
const MAX_NAMES = 3;

/** Rooms, and "" for the private messages, whose marks wait to be told. @type {Set<string>} */
const untold = new Set();
let timer = 0;

// -- What is new to us --------------------------------------------------------------------------

/** Somebody else said something. */
export function noteNews(target, { offset }, isMention) {
  target.latest = offset;
  if (offset <= target.read) return;
  if (target.unread.size === 0 && !target.isWatched) {
    target.unreadDivider?.remove();
    target.unreadDivider = dividerItem("New messages", "unread");
    insert(target, target.unreadDivider);
  }
  target.unread.add(offset);
  if (isMention) target.mentions.add(offset);
}

/** We have joined a room, and hear how far we have read there. */
export function beginReading(target, { room, read, messages, again }) {
  if (read || again) return learnRead(target, read);
  // To who comes for the first time nothing is new.
  const latest = messages.at(-1)?.offset ?? 0;
  learnRead(target, latest);
  if (latest) chat.client.markRead(room, latest).catch(() => {});
}

/** We hear how far we have read: here before, or elsewhere now. */
export function learnRead(target, offset) {
  target.read = Math.max(target.read ?? 0, offset);
  for (const news of [target.unread, target.mentions]) {
    for (const unread of news) if (unread <= offset) news.delete(unread);
  }
}

/** What is in view is read. */
function see() {
  const { active } = chat;
  if (!active?.isWatched) return;
  const wasNew = active.unread.size > 0;
  active.unread.clear();
  active.mentions.clear();
  if (wasNew) render();
  if (active.latest > (active.read ?? 0)) tellSoon(active.kind === "room" ? active.name : "");
}

// -- What we tell -------------------------------------------------------------------------------

function tellSoon(log) {
  untold.add(log);
  timer ||= setTimeout(tellAll, PATIENCE);
}

function tellAll() {
  clearTimeout(timer);
  timer = 0;
  for (const log of untold) tellRead(log);
  untold.clear();
}

async function tellRead(log) {
  const targets = log ? [findRoom(log)] : conversationsOf("person");
  if (!targets[0] || !chat.client) return;
  const first = Math.min(...targets.flatMap(({ unread }) => [...unread]));
  const latest = Math.max(...targets.map((target) => target.latest));
  const offset = Math.min(latest, first - 1);
  if (!targets.some(({ read }) => offset > (read ?? 0))) return;
  try {
    await chat.client.markRead(log || null, offset);
    for (const target of targets) learnRead(target, offset);
  } catch {
    // It is told with the next one, or after the next connection.
  }
}

// -- Who has seen it ----------------------------------------------------------------------------

const seenBy = element("p", "seen");

/** The latest message of ours in the open room. */
function latestOwn() {
  const { active, client } = chat;
  if (active?.kind !== "room") return null;
  for (let item = active.list.lastElementChild; item; item = item.previousElementSibling) {
    const { user, deleted } = written.get(item) ?? {};
    if (user === client?.user && user && !deleted) return item;
  }
  return null;
}

function renderSeen() {
  const item = latestOwn();
  const offset = item && written.get(item).offset;
  const names = !item
    ? []
    : [...chat.active.seen].filter(([, read]) => read >= offset).map(([name]) => name);
  const others = names.length - MAX_NAMES;
  const shown = names.slice(0, MAX_NAMES).join(", ") + (others > 0 ? ` and ${others} more` : "");
  seenBy.textContent = shown && `Seen by ${shown}`;
  if (!shown) seenBy.remove();
  else if (seenBy.parentNode !== item) item.append(seenBy);
}

/** Somebody has read so far. */
export function learnSeen(target, name, offset) {
  if (name !== me()) target.seen.set(name, Math.max(target.seen.get(name) ?? 0, offset));
}

onClient({
  read({ room, user, offset }) {
    const targets = room === null ? conversationsOf("person") : [findRoom(room)];
    for (const target of targets) {
      if (!target) continue;
      if (user === me()) learnRead(target, offset);
      else learnSeen(target, user, offset);
    }
    render();
  },
});

// Before the connection is given up.
window.addEventListener("pagehide", tellAll);

on("sign-out", () => {
  clearTimeout(timer);
  timer = 0;
  untold.clear();
});

onRender(see);
onRender(renderSeen);

on("enter", (target) => {
  const divider = target?.unreadDivider;
  if (!divider) return;
  // Whoever comes back to more than fits begins to read where it begins.
  const scroller = $("scroller");
  if (divider.getBoundingClientRect().top >= scroller.getBoundingClientRect().top) return;
  divider.scrollIntoView({ block: "start" });
  target.pinned = isAtEnd();
});
