/**
 * Which part of a conversation is in view, and the earlier messages that scrolling back brings.
 *
 * @module
 */

import { chat, on, onRender, render, renderNow } from "./chat.js";
import { focusConversation } from "./conversation.js";
import { $ } from "./dom.js";
import { dividerItem, loggedItem, regroup, written } from "./items.js";
import { dayName } from "./words.js";

/** Distance from the beginning, in pixels, within which earlier messages are fetched. */
const NEAR_BEGINNING = 300;
/** Distance from the end, in pixels, within which the newest message stays in view. */
const NEAR_END = 48;

/** Keep the newest message in view, unless somebody reads back. */
export function keepInView() {
  const scroller = $("scroller");
  if (chat.active?.pinned) scroller.scrollTop = scroller.scrollHeight;
}

export function isAtEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  return scrollHeight - scrollTop - clientHeight < NEAR_END;
}

function onScroll() {
  const { scrollTop } = $("scroller");
  if (!chat.active) return;
  const wasPinned = chat.active.pinned;
  chat.active.pinned = isAtEnd();
  if (chat.active.pinned && !wasPinned) render();
  const { kind, first, fetching } = chat.active;
  if (scrollTop < NEAR_BEGINNING && kind === "room" && first > 1 && !fetching) {
    fetchEarlier(chat.active);
  }
}

/** Messages from before those that are here; what is in view stays where it is. */
async function fetchEarlier(target) {
  const { client } = chat;
  target.fetching = true;
  let page;
  try {
    page = await client.history(target.name, target.first);
  } catch {
    return false;
  } finally {
    target.fetching = false;
  }
  if (chat.client !== client || !chat.conversations.has(target.key)) return false;
  target.first = page.more ? page.history[0].offset : 1;
  prepend(
    target,
    page.history.filter(({ type }) => type === "message"),
  );
  return true;
}

/** Bring a message into view, however long ago it was said; false when it is not there. */
export async function reveal(target, offset) {
  while (!target.items.has(offset) && target.first > 1 && target.isActive) {
    if (target.fetching || !(await fetchEarlier(target))) return false;
  }
  const item = target.items.get(offset);
  if (!item || !target.isActive) return false;
  for (const found of target.list.querySelectorAll(".found")) found.classList.remove("found");
  item.classList.add("found");
  item.tabIndex = -1;
  target.pinned = false;
  item.scrollIntoView({ block: "center" });
  item.focus({ preventScroll: true });
  return true;
}

function prepend(target, messages) {
  const scroller = $("scroller");
  const fromEnd = scroller.scrollHeight - scroller.scrollTop;
  const oldest = target.list.firstElementChild;
  let day = "";
  for (const message of messages) {
    const at = new Date(message.time);
    if (day !== at.toDateString()) target.list.insertBefore(dividerItem(dayName(at)), oldest);
    day = at.toDateString();
    const item = loggedItem(target, message);
    target.list.insertBefore(item, oldest);
    regroup(item);
  }
  const follower = oldest?.nextElementSibling;
  if (day && follower && day === written.get(follower)?.at.toDateString()) {
    oldest.remove();
    regroup(follower);
  }
  if (target.isActive) scroller.scrollTop = scroller.scrollHeight - fromEnd;
}

/** Say that there is something new where nobody looks. */
export function offerNewest() {
  $("to-newest").hidden = false;
}

onRender(() => {
  if (!chat.active || chat.active.pinned) $("to-newest").hidden = true;
  keepInView();
});

on("enter", () => {
  $("to-newest").hidden = true;
});

$("scroller").addEventListener("scroll", onScroll, { passive: true });
new ResizeObserver(keepInView).observe($("scroller"));
$("to-newest").addEventListener("click", () => {
  if (chat.active) chat.active.pinned = true;
  renderNow();
  focusConversation();
});
