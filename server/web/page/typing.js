/**
 * Who types: the others, as we see it, and we, as they do.
 *
 * @module
 */

import { chat, me, on, onClient, onRender, render } from "./chat.js";
import { findPerson, findRoom } from "./conversation.js";
import { $, isolated } from "./dom.js";

/** Typing is told again this often while it lasts, and ends after a pause this long. */
const EVERY = 3_000;
const PAUSE = 5_000;
/** Somebody's typing that is not told again ends by itself. */
const EXPIRES = 10_000;

// -- The others -------------------------------------------------------------------------------

export function endTyping(target, user) {
  clearTimeout(target.typists.get(user));
  target.typists.delete(user);
}

function endAll(target) {
  for (const timer of target.typists.values()) clearTimeout(timer);
  target.typists.clear();
}

onClient({
  typing({ room, user, active }) {
    const target = room === null ? findPerson(user) : findRoom(room);
    if (!target || user === me()) return;
    endTyping(target, user);
    if (active) {
      const expire = () => {
        endTyping(target, user);
        render();
      };
      target.typists.set(user, setTimeout(expire, EXPIRES));
    }
    render();
  },

  entered({ room }) {
    const target = findRoom(room);
    if (target) endAll(target);
  },
});

on("forget", endAll);

function words([first, second, ...others]) {
  if (!first) return [];
  if (!second) return [isolated(first), " is typing"];
  if (others.length > 0) return ["Several people are typing"];
  return [isolated(first), " and ", isolated(second), " are typing"];
}

onRender(() => {
  const names = [...(chat.active?.typists.keys() ?? [])];
  $("typing").dataset.active = String(names.length > 0);
  $("typing-text").replaceChildren(...words(names));
});

// -- We -----------------------------------------------------------------------------------------

/** @type {{target: import("./conversation.js").Conversation | null, since: number, timer: number}} */
const ours = { target: null, since: 0, timer: 0 };

function tell({ kind, name }, active) {
  if (kind === "room") chat.client?.typing(name, active);
  else chat.client?.typingTo(name, active);
}

/** Tell those whom we write to that we type, now and then while we do. */
export function noteTyping() {
  const { active } = chat;
  if (!active) return;
  if ($("composer-text").value.trim() === "") return stopTyping();
  const now = Date.now();
  if (ours.target !== active || now - ours.since >= EVERY) {
    ours.target = active;
    ours.since = now;
    tell(active, true);
  }
  clearTimeout(ours.timer);
  ours.timer = setTimeout(stopTyping, PAUSE);
}

export function stopTyping() {
  if (ours.target) tell(ours.target, false);
  ours.target = null;
  clearTimeout(ours.timer);
}

on("leave", stopTyping);
