/**
 * How far we have read, and how far the others have.
 *
 * What must live here: what is new to us, the line above it, what we tell the server of it, and who
 * has seen the latest thing that we said. The server counts what is new when we come; what of that is
 * shown here is known by its offset, and the rest by its number.
 *
 * @module
 */

import { chat, me, on, onClient, onRender, render } from "./chat.js";
import { conversation, conversationsOf, findPerson, findRoom } from "./conversation.js";
import { $, element, isolated } from "./dom.js";
import { dividerItem, insert, written } from "./items.js";
import { isAtEnd } from "./scrolling.js";
import { collator } from "./words.js";

/** Milliseconds that a mark may wait, so that reading on does not make one for each message. */
const PATIENCE = 500;
/** Names in the line that says who has seen something. */
const MAX_NAMES = 3;

/** Conversations whose marks wait to be told, with these: more may come before they are. */
const untold = new Map();
/** What the server has counted: in rooms that we have not entered since, by name; of people. */
const counted = new Map();
let people = { list: [], head: 0 };
let timer = 0;

// -- What is new to us --------------------------------------------------------------------------

/** Somebody else said something. */
export function noteNews(target, { offset, deleted }, isMention) {
  target.latest = offset;
  if (offset <= target.read || deleted) return;
  if (target.unread.size === 0 && !target.isWatched) {
    target.unreadDivider?.remove();
    target.unreadDivider = dividerItem("New messages", "unread");
    insert(target, target.unreadDivider);
  }
  add(target, offset);
  if (isMention) target.mentions.add(offset);
}

/** Some of what was said before may be new, too. */
on("earlier", ({ target, messages }) => {
  const theirs = messages.filter(({ from }) => from !== me());
  target.latest = Math.max(target.latest, theirs.at(-1)?.offset ?? 0);
  if (target.unreadCount === 0) return;
  const news = theirs.filter(({ offset, deleted }) => offset > target.read && !deleted);
  for (const { offset } of news) add(target, offset);
  if (news.length === 0 || !target.unreadDivider) return;
  target.list.insertBefore(target.unreadDivider, target.items.get(news[0].offset));
});

function add(target, offset) {
  if (offset <= target.countedTo && target.unreadBefore > 0 && !target.unread.has(offset)) {
    target.unreadBefore -= 1;
  }
  target.unread.add(offset);
}

/** A message was taken back, which we may not even have here. */
export function noteDeleted(target, { user, target: offset }) {
  if (target.unread.delete(offset)) target.mentions.delete(offset);
  else if (!target.items.has(offset) && user !== chat.client?.user) {
    if (offset > target.read && offset <= target.countedTo && target.unreadBefore > 0) {
      target.unreadBefore -= 1;
    }
  }
}

/** We have entered a room, and hear how far we have read there. */
export function beginReading(target, { room, read, again, complete }) {
  learnRead(target, read);
  const found = counted.get(room);
  counted.delete(room);
  // What a lost connection has made us miss comes whole, unless it is said that it does not.
  if (found && !(again && complete)) begin(target, found.unread, found.head);
}

/** Private messages come that we have missed; where some do not, there is what was counted. */
export function beginInboxReading({ again, complete }) {
  if (again && !complete) beginWithPeople();
}

function beginWithPeople() {
  for (const { with: name, unread } of people.list) {
    begin(conversation("person", name), unread, people.head);
  }
}

function begin(target, count, head) {
  const here = [...target.unread].filter((offset) => offset <= head).length;
  target.unreadBefore = Math.max(0, count - here);
  target.countedTo = head;
}

/** We hear how far we have read: here before, or elsewhere now. */
export function learnRead(target, offset) {
  target.read = Math.max(target.read ?? 0, offset);
  // What is not here lies before what is.
  if (target.unreadBefore > 0 && offset >= Math.min(target.countedTo, ...target.items.keys())) {
    target.unreadBefore = 0;
  }
  for (const news of [target.unread, target.mentions]) {
    for (const unread of news) if (unread <= offset) news.delete(unread);
  }
}

/** What is in view is read. */
function see() {
  const { active } = chat;
  if (!active?.isWatched) return;
  const wasNew = active.unreadCount > 0;
  active.unread.clear();
  active.mentions.clear();
  active.unreadBefore = 0;
  if (wasNew) render();
  if (active.latest > (active.read ?? 0)) tellSoon(active);
}

// -- What we tell -------------------------------------------------------------------------------

function tellSoon(target) {
  untold.set(target, target.latest);
  timer ||= setTimeout(tellAll, PATIENCE);
}

function tellAll() {
  clearTimeout(timer);
  timer = 0;
  for (const [target, offset] of untold) tellRead(target, offset);
  untold.clear();
}

async function tellRead(target, offset) {
  const { kind, name, read } = target;
  if (!chat.client || offset <= (read ?? 0)) return;
  try {
    if (kind === "room") await chat.client.markRead(name, offset);
    else await chat.client.markPrivateRead(name, offset);
    learnRead(target, offset);
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
  names.sort(collator.compare);
  const shown = names.slice(0, MAX_NAMES).flatMap((name) => [", ", isolated(name)]);
  const others = names.length - MAX_NAMES;
  seenBy.replaceChildren("Seen by ", ...shown.slice(1), others > 0 ? ` and ${others} more` : "");
  if (names.length === 0) seenBy.remove();
  else if (seenBy.parentNode !== item) item.append(seenBy);
}

/** Somebody has read so far. */
export function learnSeen(target, name, offset) {
  if (name !== me()) target.seen.set(name, Math.max(target.seen.get(name) ?? 0, offset));
}

onClient({
  unread({ memberships, people: list, head, again }) {
    for (const { room, ...found } of memberships) counted.set(room, found);
    people = { list, head };
    for (const { with: name, read } of list) learnRead(conversation("person", name), read);
    if (!again) beginWithPeople();
    render();
  },

  read({ room, user, offset, with: name }) {
    const targets =
      room !== null ? [findRoom(room)] : name ? [findPerson(name)] : conversationsOf("person");
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
  counted.clear();
  people = { list: [], head: 0 };
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
