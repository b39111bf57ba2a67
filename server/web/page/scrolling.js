/**
 * Which part of a conversation is in view, and the earlier messages that scrolling back brings.
 *
 * @module
 */

import { chat, on, onRender, render, renderNow, tell } from "./chat.js";
import { focusConversation, partner } from "./conversation.js";
import { $ } from "./dom.js";
import { dividerItem, loggedItem, regroup, written } from "./items.js";
import { dayName } from "./words.js";

/** Distance from the beginning, in pixels, within which earlier messages are fetched. */
const NEAR_BEGINNING = 300;
/** Distance from the end, in pixels, within which the newest message stays in view. */
const NEAR_END = 48;

/** The offset of our earliest private message here; 1 when there is none before. */
let inboxFirst = 1;

/** Keep the newest message in view, unless somebody reads back. */
export function keepInView() {
  const scroller = $("scroller");
  if (chat.active?.pinned) scroller.scrollTop = scroller.scrollHeight;
}

function fromEnd() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  return scrollHeight - scrollTop - clientHeight;
}

export function isAtEnd() {
  return fromEnd() < NEAR_END;
}

/** Where the scroller was when it was last looked at. */
let lastTop = 0;

function onScroll() {
  if (!chat.active) return;
  const { scrollTop } = $("scroller");
  const wentBack = scrollTop < lastTop;
  lastTop = scrollTop;
  const wasPinned = chat.active.pinned;
  // Browsers scroll in many small steps: what is written meanwhile must not pull down who has begun
  // to go back. Not at the end may also mean that there is more by now than when it began.
  if (wentBack && fromEnd() > 1) chat.active.pinned = false;
  else if (isAtEnd()) chat.active.pinned = true;
  if (chat.active.pinned && !wasPinned) render();
  renderWay();
  fetchWhereNeeded();
}

/** Fetch what was said earlier when somebody comes near the beginning of what is here. */
async function fetchWhereNeeded() {
  const { active } = chat;
  const isNear = () => active?.isActive && $("scroller").scrollTop < NEAR_BEGINNING;
  while (isNear() && hasEarlier(active) && !active.fetching) {
    if (!(await fetchEarlier(active))) return;
  }
}

const hasEarlier = ({ kind, first }) => (kind === "room" ? first : inboxFirst) > 1;

/** Messages from before those that are here; what is in view stays where it is. */
async function fetchEarlier(target) {
  const { client } = chat;
  target.fetching = true;
  try {
    const page =
      target.kind === "room"
        ? await client.history(target.name, target.first)
        : await client.privateHistory(inboxFirst);
    if (chat.client !== client || !chat.conversations.has(target.key)) return false;
    if (target.kind === "room") takeHistory(target, page);
    else takeInbox(page);
    return true;
  } catch {
    return false;
  } finally {
    target.fetching = false;
  }
}

const firstOf = ({ more, history }) => (more ? history[0].offset : 1);

function takeHistory(target, page) {
  target.first = firstOf(page);
  prepend(
    target,
    page.history.filter(({ type }) => type === "message"),
  );
}

/** Private messages with everybody stand in one log, so each page may have some of each. */
function takeInbox(page) {
  inboxFirst = firstOf(page);
  const messages = page.history.filter(({ type }) => type === "private");
  for (const target of new Set(messages.map(partner))) {
    prepend(
      target,
      messages.filter((message) => partner(message) === target),
    );
  }
  render();
}

/** We know the private messages from an offset on. */
export function beginInbox(first) {
  inboxFirst = first;
}

/** Bring a message into view, however long ago it was said; false when it is not there. */
export async function reveal(target, offset) {
  while (!target.items.has(offset) && hasEarlier(target) && target.isActive) {
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
  const below = scroller.scrollHeight - scroller.scrollTop;
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
  tell("earlier", { target, messages });
  if (target.isActive) scroller.scrollTop = scroller.scrollHeight - below;
}

/** Whether something new came where nobody looks. */
let hasNews = false;

/** Say that there is something new where nobody looks. */
export function offerNewest() {
  hasNews = true;
  renderWay();
}

/** The way to the newest message, for who is a page away from it, or does not know of it. */
function renderWay() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  const reads = chat.active !== null && !chat.active.pinned;
  if (!reads) hasNews = false;
  const isFar = scrollHeight - scrollTop > 2 * clientHeight;
  $("to-newest").hidden = !reads || !(hasNews || isFar);
  $("to-newest-text").textContent = hasNews ? "New messages" : "Latest messages";
}

onRender(() => {
  renderWay();
  keepInView();
});

on("enter", () => {
  lastTop = $("scroller").scrollTop;
  hasNews = false;
  renderWay();
  fetchWhereNeeded();
});
on("sign-out", () => beginInbox(1));

$("scroller").addEventListener("scroll", onScroll, { passive: true });
new ResizeObserver(keepInView).observe($("scroller"));
$("to-newest").addEventListener("click", () => {
  if (chat.active) chat.active.pinned = true;
  renderNow();
  focusConversation();
});
