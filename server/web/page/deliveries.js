/**
 * Our own messages, until they come back from where they were sent to.
 *
 * What must live here: what is shown of them meanwhile, also after the page was loaded again, and
 * what can be done when one has failed.
 *
 * @module
 */

import { forgetUnsent, keepUnsent, keptUnsent } from "../unsent.js";
import { chat, me, on, onClient, renderNow } from "./chat.js";
import { conversation } from "./conversation.js";
import { $, announce } from "./dom.js";
import { messageItem, regroup } from "./items.js";
import { explain } from "./words.js";

export function sendText(target, text) {
  const delivery =
    target.kind === "room"
      ? chat.client.send(target.name, text)
      : chat.client.sendPrivate(target.name, text);
  keepUnsent(chat.client);
  addPending(target, delivery);
  target.pinned = true;
  renderNow();
}

function addPending(target, delivery) {
  const { text, at } = delivery;
  const item = messageItem(me(), text, new Date(at));
  item.querySelector(".retry").addEventListener("click", () => {
    discard(target, delivery);
    sendText(target, text);
    $("composer-text").focus();
  });
  item.querySelector(".discard").addEventListener("click", () => {
    discard(target, delivery);
    $("composer-text").focus();
  });
  target.pending.set(delivery, item);
  target.list.append(item);
  regroup(item);
  show(delivery, item);
}

function discard(target, delivery) {
  target.pending.get(delivery)?.remove();
  target.pending.delete(delivery);
  for (const item of target.pending.values()) regroup(item);
}

function words({ state, error }) {
  if (state === "queued" && !chat.client.online) return "Will be sent when the connection is back";
  if (state === "sent" && !chat.client.online) return "Not confirmed yet";
  if (state !== "failed") return "";
  return `Not sent. ${explain(error)}`;
}

function show(delivery, item) {
  const text = words(delivery);
  item.dataset.state = delivery.state;
  item.querySelector(".delivery").hidden = text === "";
  item.querySelector(".delivery-text").textContent = text;
  item.querySelector(".retry").hidden = delivery.state !== "failed";
  item.querySelector(".discard").hidden = delivery.state !== "failed";
  if (delivery.state === "failed") announce(text);
}

// -- After the page was loaded again ------------------------------------------------------------

/** What was not confirmed then, and is not yet. @type {Set<import("../client.js").Delivery>} */
const resumed = new Set();

/** Have a client that is about to connect go on with it. @param {import("../client.js").ChatClient} client */
export function resumeUnsent(client) {
  resumed.clear();
  const kept = keptUnsent();
  if (!kept) return;
  for (const delivery of client.resume(kept.messages, kept.author)) resumed.add(delivery);
}

/** Show what is on its way to a room that we have entered, or to people. */
function showResumed(kind, name = null) {
  for (const delivery of resumed) {
    if (delivery.kind !== kind || (name !== null && delivery.target !== name)) continue;
    const target = conversation(kind, delivery.target);
    if (!target.pending.has(delivery)) addPending(target, delivery);
  }
}

on("sign-in", () => {
  keepUnsent(chat.client);
  showResumed("person");
});
on("sign-out", () => {
  resumed.clear();
  forgetUnsent();
});

onClient({
  unread({ memberships, again }) {
    if (again) return;
    // A room that we are no member of any more takes nothing.
    const rooms = new Set(memberships.map(({ room }) => room));
    for (const { kind, target } of resumed) {
      if (kind === "room" && !rooms.has(target)) chat.client.leave(target);
    }
  },

  entered: ({ room }) => showResumed("room", room),

  delivery(delivery) {
    keepUnsent(chat.client);
    const wasResumed = ["delivered", "failed"].includes(delivery.state) && resumed.delete(delivery);
    for (const target of chat.conversations.values()) {
      const item = target.pending.get(delivery);
      if (!item) continue;
      show(delivery, item);
      // It had arrived, and what comes back of it stands where it belongs, perhaps long ago.
      if (wasResumed && delivery.state === "delivered") discard(target, delivery);
    }
  },

  status() {
    for (const { pending } of chat.conversations.values()) {
      for (const [delivery, item] of pending) {
        if (delivery.state !== "failed") show(delivery, item);
      }
    }
  },
});
