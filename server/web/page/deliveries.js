/**
 * Our own messages, until they come back from where they were sent to.
 *
 * What must live here: what is shown of them meanwhile, and what can be done when one has failed.
 *
 * @module
 */

import { chat, me, onClient, renderNow } from "./chat.js";
import { $, announce } from "./dom.js";
import { messageItem, regroup } from "./items.js";
import { explain } from "./words.js";

export function sendText(target, text) {
  const delivery =
    target.kind === "room"
      ? chat.client.send(target.name, text)
      : chat.client.sendPrivate(target.name, text);
  const item = messageItem(me(), text, new Date());
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
  target.pinned = true;
  renderNow();
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

onClient({
  delivery(delivery) {
    for (const { pending } of chat.conversations.values()) {
      const item = pending.get(delivery);
      if (item) show(delivery, item);
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
