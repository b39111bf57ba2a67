/**
 * Entries of the lists at the sides: rooms and people.
 *
 * What this file does not know: which lists there are.
 *
 * @module
 */

import { clone, setAvatar } from "./dom.js";

export function entry(mark, onPress) {
  const item = clone("entry-template");
  mark(item.querySelector(".entry-mark"));
  item.querySelector(".entry").addEventListener("click", onPress);
  return item;
}

export function updateEntry(
  item,
  { name, label, note, unread = 0, mentions = 0, current = false },
) {
  const button = item.querySelector(".entry");
  const news = unread ? `, ${unread} unread` : "";
  button.setAttribute("aria-label", label + news + (mentions ? ", you were mentioned" : ""));
  button.setAttribute("aria-current", String(current));
  button.dataset.unread = String(unread > 0);
  button.title = name;
  item.querySelector(".entry-name").textContent = name;
  item.querySelector(".entry-note").textContent = unread ? "" : note;
  const badge = item.querySelector(".badge");
  badge.hidden = unread === 0;
  badge.textContent = (mentions ? "@" : "") + (unread > 99 ? "99+" : unread);
}

export const roomMark = (node) => {
  node.textContent = "#";
};

export const personMark = (name) => (node) => {
  node.classList.add("avatar");
  setAvatar(node, name);
};
