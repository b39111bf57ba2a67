/**
 * Who types: the others, as we see it, and we, as they do.
 *
 * @module
 */

import { chat, me, on, onClient, onRender, render } from "./chat.js";
import { findRoom } from "./conversation.js";
import { $ } from "./dom.js";

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
    const target = findRoom(room);
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

onRender(() => {
  const names = [...(chat.active?.typists.keys() ?? [])];
  $("typing").dataset.active = String(names.length > 0);
  $("typing-text").textContent =
    names.length === 0
      ? ""
      : names.length === 1
        ? `${names[0]} is typing`
        : names.length === 2
          ? `${names[0]} and ${names[1]} are typing`
          : "Several people are typing";
});

// -- We -----------------------------------------------------------------------------------------

const ours = { room: "", since: 0, timer: 0 };

/** Tell the open room that we type, now and then while we do. */
export function noteTyping() {
  const { active, client } = chat;
  if (active?.kind !== "room") return;
  if ($("composer-text").value.trim() === "") return stopTyping();
  const now = Date.now();
  if (ours.room !== active.name || now - ours.since >= EVERY) {
    ours.room = active.name;
    ours.since = now;
    client.typing(active.name, true);
  }
  clearTimeout(ours.timer);
  ours.timer = setTimeout(stopTyping, PAUSE);
}

export function stopTyping() {
  if (ours.room) chat.client?.typing(ours.room, false);
  ours.room = "";
  clearTimeout(ours.timer);
}

on("leave", stopTyping);
