/**
 * Notifications of other services by topic, and what else is worth one on the desktop.
 *
 * @module
 */

import { addCount } from "./badge.js";
import { chat, on, onClient, onRender, render } from "./chat.js";
import { activate } from "./conversation.js";
import { notifyDesktop, renderDesktop } from "./desktop.js";
import { $, announce, clone, linked, reconcile } from "./dom.js";
import { addTool, isOpen, openTool } from "./tools.js";
import { clockTime, explain, fullTime } from "./words.js";

/** Notifications that are kept to be looked at. */
const MAX_NOTICES = 100;

let unread = 0;
/** The offset of the latest one, and up to which we have read. */
let latest = 0;
let marked = 0;

function noticeItem({ topic, title, text = "", time }) {
  const item = clone("notice-template");
  item.querySelector(".notice-topic").textContent = topic;
  item.querySelector(".notice-title").textContent = title;
  item.querySelector(".result-text").append(...linked(text));
  const at = new Date(time);
  const place = item.querySelector("time");
  place.dateTime = at.toISOString();
  place.textContent = clockTime.format(at);
  place.title = fullTime.format(at);
  return item;
}

function add(event) {
  $("notices").prepend(noticeItem(event));
  while ($("notices").children.length > MAX_NOTICES) $("notices").lastElementChild.remove();
  latest = event.offset;
  if (event.offset > marked) unread += 1;
}

/** What is in view is read. */
function see() {
  if (!isOpen("notifications") || document.visibilityState !== "visible") return;
  unread = 0;
  if (latest <= marked) return;
  marked = latest;
  chat.client?.markNotificationsRead(latest).catch(() => {});
}

function received(event) {
  add(event);
  announce(`Notification: ${event.title}`);
  notifyDesktop(event.title, {
    body: event.text ?? "",
    tag: `notice-${event.offset}`,
    pressed: () => openTool("notifications"),
  });
  render();
}

onClient({
  notification: received,

  notices({ notifications, read }) {
    marked = read;
    for (const event of notifications) add(event);
    render();
  },
});

/** Somebody wrote to us alone, or mentioned us. */
on("news", ({ target, message, isMention }) => {
  if (target.kind !== "person" && !isMention) return;
  const where = target.kind === "person" ? message.from : `${message.from} in ${target.title}`;
  notifyDesktop(where, {
    body: message.text,
    tag: target.key,
    pressed: () => activate(target),
  });
});

// -- Subscriptions ------------------------------------------------------------------------------

async function change(action) {
  try {
    await action();
    $("subscribe-message").textContent = "";
    return true;
  } catch (error) {
    $("subscribe-message").textContent = explain(error);
    return false;
  } finally {
    render();
  }
}

function patternItem(pattern) {
  const item = clone("pattern-template");
  item.querySelector("code").textContent = pattern;
  const button = item.querySelector("button");
  button.setAttribute("aria-label", `Unsubscribe from ${pattern}`);
  button.addEventListener("click", async () => {
    if (await change(() => chat.client.unsubscribe(pattern))) $("subscribe-pattern").focus();
  });
  return item;
}

$("subscribe-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = $("subscribe-pattern");
  const accepted = await change(() => chat.client.subscribe(field.value.trim()));
  field.setAttribute("aria-invalid", String(!accepted));
  if (accepted) field.value = "";
  field.focus();
});

addTool("notifications", { title: "Notifications", opened: renderDesktop });
addCount(() => unread);

onRender(() => {
  see();
  $("notices-badge").hidden = unread === 0;
  $("notices-badge").textContent = unread > 99 ? "99+" : String(unread);
  $("notices-empty").hidden = $("notices").children.length > 0;
  const patterns = [...(chat.client?.patterns ?? [])].sort();
  reconcile(
    $("patterns"),
    patterns,
    patternItem,
    (pattern) => ({ pattern }),
    () => {},
  );
});

on("tool", render);
on("sign-out", () => {
  unread = latest = marked = 0;
  $("notices").replaceChildren();
});
