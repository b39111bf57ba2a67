/**
 * The items of a conversation: messages, days, and what happened in between.
 *
 * What must live here: how they look and where they stand. What this file does not know: how
 * messages travel.
 *
 * @module
 */

import { me } from "./chat.js";
import { clone, element, isolated, linked, marked, setAvatar } from "./dom.js";
import { clockTime, fullTime } from "./words.js";

/** Messages of one author closer than this stand under one heading (milliseconds). */
const GROUP_WITHIN = 5 * 60_000;
/** List items kept per conversation; older ones go. */
const MAX_ITEMS = 500;
/** Notes that share a line. */
const MAX_NOTES = 6;

/**
 * What an item says: who wrote it and when, and of messages from a log where it stands there, whose
 * it is, and what it says by now.
 *
 * @type {WeakMap<Element, {from: string, at: Date, offset?: number, user?: string, text?: string,
 *     deleted?: boolean}>}
 */
export const written = new WeakMap();

/** Whether a text calls us by our name. */
export function mentionsMe(text) {
  const name = `@${me()}`.toLocaleLowerCase();
  const at = text.toLocaleLowerCase().indexOf(name);
  return at >= 0 && !/^[\p{L}\p{N}_]/u.test(text.slice(at + name.length));
}

/** What is shown of a text: its addresses as links, and our own name marked. */
function content(text) {
  if (!mentionsMe(text)) return linked(text);
  return linked(text).flatMap((node) =>
    typeof node === "string" ? marked(node, [`@${me()}`]) : [node],
  );
}

export function messageItem(from, text, at) {
  const item = clone("message-template");
  written.set(item, { from, at });
  setAvatar(item.querySelector(".avatar"), from);
  item.querySelector(".author").textContent = from;
  const time = item.querySelector("time");
  time.dateTime = at.toISOString();
  time.textContent = clockTime.format(at);
  time.title = fullTime.format(at);
  item.querySelector(".text").append(...content(text));
  return item;
}

export function dividerItem(text, className = "") {
  const item = element("li", `divider ${className}`);
  item.append(element("span", "", text));
  return item;
}

/** The item of a message from a log. */
export function loggedItem(target, message) {
  const { from, user, text, time, offset, edited = false, deleted = false } = message;
  const item = messageItem(from, text, new Date(time));
  Object.assign(written.get(item), { offset, user, text, deleted });
  if (edited || deleted) changeText(item, deleted ? null : text);
  target.items.set(offset, item);
  return item;
}

/** What its author made of a message later; null when it was taken back. */
export function changeText(item, text) {
  Object.assign(written.get(item), { text: text ?? "", deleted: text === null });
  const place = item.querySelector(".text");
  if (text === null) place.replaceChildren(element("em", "", "This message was deleted."));
  else place.replaceChildren(...content(text), element("small", "edited", " (edited)"));
}

/** Put an item before our pending ones, which stay at the end. */
export function insert(target, item) {
  const [firstPending = null] = target.pending.values();
  target.list.insertBefore(item, firstPending);
  if (firstPending) regroup(firstPending);
  // Who reads back keeps what is there.
  while (target.pinned && target.list.childElementCount > MAX_ITEMS) {
    const offset = written.get(target.list.firstElementChild)?.offset;
    if (offset !== undefined) {
      target.first = offset + 1;
      target.items.delete(offset);
    }
    target.list.firstElementChild.remove();
  }
}

/** Messages that follow each other closely stand under one heading. */
export function regroup(item) {
  const own = written.get(item);
  const previous = written.get(item.previousElementSibling ?? item);
  const follows =
    item.previousElementSibling !== null &&
    previous !== undefined &&
    previous.from === own.from &&
    own.at - previous.at < GROUP_WITHIN;
  item.classList.toggle("continued", follows);
}

/** What somebody did in a room; neighbours share a line. */
export function addNote(target, name, did) {
  const [firstPending = null] = target.pending.values();
  const previous = firstPending
    ? firstPending.previousElementSibling
    : target.list.lastElementChild;
  const words = [isolated(name), ` ${did}`];
  const isNote = previous?.classList.contains("note");
  if (isNote && previous.children.length < MAX_NOTES) return previous.append(" · ", ...words);
  const item = element("li", "note");
  item.append(...words);
  insert(target, item);
}
