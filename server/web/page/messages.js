/**
 * Messages that come: what was said, and what became of it later.
 *
 * What must live here: where a message goes, and what is said about it to those who
 * cannot see. What this file does not
 * know: what we write ourselves, until it comes back.
 *
 * @module
 */

import { chat, me, onClient, render, tell } from "./chat.js";
import { conversation, findRoom, forget, partner } from "./conversation.js";
import { announce, toast } from "./dom.js";
import { changeText, dividerItem, insert, loggedItem, mentionsMe, regroup } from "./items.js";
import {
  beginInboxReading,
  beginReading,
  learnRead,
  noteDeleted,
  noteNews,
} from "./reading.js";
import { beginInbox, offerNewest } from "./scrolling.js";
import { endTyping } from "./typing.js";
import { dayName, explain } from "./words.js";

/** A confirmed message, ours or somebody else's. */
function addMessage(target, message, { live }) {
  const { from, text, time, delivery } = message;
  const at = new Date(time);
  if (delivery) {
    target.pending.get(delivery)?.remove();
    target.pending.delete(delivery);
  }
  const day = at.toDateString();
  if (target.day !== day) {
    target.day = day;
    insert(target, dividerItem(dayName(at)));
  }
  const isMention = from !== me() && mentionsMe(text);
  if (from !== me()) noteNews(target, message, isMention);
  const item = loggedItem(target, message);
  item.classList.toggle("mentions-me", isMention);
  insert(target, item);
  regroup(item);
  endTyping(target, from);
  if (live && from !== me()) {
    tell("news", { target, message, isMention });
    announce(target.isActive ? `${from}: ${text}` : `New message in ${target.title}`);
  }
}

function received(target, event) {
  addMessage(target, event, { live: true });
  if (target.isActive && !target.pinned && event.from !== me()) offerNewest();
  render();
}

function edited(target, { from, target: offset, text }) {
  const item = target?.items.get(offset);
  if (!item) return;
  changeText(item, text);
  if (target.isActive && from !== me()) announce(`${from} edited a message: ${text}`);
}

function deleted(target, event) {
  const { from, target: offset } = event;
  if (target) noteDeleted(target, event);
  const item = target?.items.get(offset);
  render();
  if (!item) return;
  changeText(item, null);
  tell("message-deleted", item);
  if (target.isActive && from !== me()) announce(`${from} deleted a message`);
}

onClient({
  entered(event) {
    const { room, messages, again, complete } = event;
    const target = conversation("room", room);
    beginReading(target, event);
    if (again && !complete && !target.empty) {
      insert(target, dividerItem("Messages may be missing here"));
    }
    if (target.empty || !complete) target.first = messages[0]?.offset ?? 1;
    for (const message of messages) addMessage(target, message, { live: again });
    render();
  },

  expelled({ room, error }) {
    const target = findRoom(room);
    if (target) forget(target);
    toast(`You are no longer in #${room}. ${explain(error)}`);
  },

  message(event) {
    const target = findRoom(event.room);
    if (target) received(target, event);
  },

  private(event) {
    received(partner(event), event);
  },

  inbox({ messages, read, again, complete }) {
    beginInboxReading({ again, complete });
    if (!again) beginInbox(messages[0]?.offset ?? 1);
    for (const message of messages) {
      const target = partner(message);
      learnRead(target, read);
      if (!complete && !target.empty) insert(target, dividerItem("Messages may be missing here"));
      complete = true;
      addMessage(target, message, { live: again });
    }
    render();
  },

  edited(event) {
    edited(findRoom(event.room), event);
  },

  deleted(event) {
    deleted(findRoom(event.room), event);
  },

  private_edited(event) {
    edited(partner(event), event);
  },

  private_deleted(event) {
    deleted(partner(event), event);
  },
});

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  chat.client?.check();
  render();
});
