/**
 * Conversations: rooms that we are in, and private messages with one person.
 *
 * What must live here: what is known of each, which one is open, and how another one is opened.
 * What this file does not know: how a message looks.
 *
 * @module
 */

import { chat, me, on, onRender, renderNow, tell } from "./chat.js";
import { $, element } from "./dom.js";
import { ago, collator, plural } from "./words.js";

export class Conversation {
  /**
   * @param {"room" | "person"} kind
   * @param {string} name
   */
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
    /** The names of those who are here. @type {Set<string>} */
    this.members = new Set();
    /**
     * Members, also those who are away, by name, as far as we asked for them.
     * @type {Map<string, {name: string, role: string, lastSeen: Date | null}>}
     */
    this.people = new Map();
    /** Where the list of members goes on, if it does. @type {string | null} */
    this.morePeople = null;
    /** What a room is about, to whom it is open, and whether we look after it. */
    this.topic = "";
    this.access = "public";
    this.isModerated = false;
    /** Whether the person is here, and when they were last; null where that is not told.
     * @type {{isHere: boolean, lastSeen: Date | null} | null} */
    this.presence = null;
    /** Who types, with the timer that ends it. @type {Map<string, number>} */
    this.typists = new Map();
    /** Offsets of what others said and we have not seen. @type {Set<number>} */
    this.unread = new Set();
    /** Those of them that mention us. @type {Set<number>} */
    this.mentions = new Set();
    /** How many there are that are not here yet, all up to the offset that was counted to. */
    this.unreadBefore = 0;
    this.countedTo = 0;
    /** How far the server knows that we have read; null while we do not know that. */
    this.read = null;
    /** The offset of the latest that somebody else said. */
    this.latest = 0;
    /** How far the others have read, by name. @type {Map<string, number>} */
    this.seen = new Map();
    this.draft = "";
    this.scrollTop = 0;
    /** Whether the newest message stays in view. */
    this.pinned = true;
    /** Items of our messages that the room has not shown us yet; they stand at the end. */
    this.pending = new Map();
    this.unreadDivider = null;
    /** The offset of a room's earliest message here; 1 when there is nothing before. */
    this.first = 1;
    this.fetching = false;
    /** Items of a room's messages by their offsets, for what is changed later. */
    this.items = new Map();
    this.list = element("ol", "messages");
    this.list.hidden = true;
    this.list.setAttribute("aria-label", `Messages in ${this.title}`);
    $("scroller").append(this.list);
  }

  static key(kind, name) {
    return `${kind}:${name}`;
  }

  get key() {
    return Conversation.key(this.kind, this.name);
  }

  get title() {
    return this.kind === "room" ? `#${this.name}` : this.name;
  }

  get empty() {
    return this.list.childElementCount === 0;
  }

  get unreadCount() {
    return this.unread.size + this.unreadBefore;
  }

  get isActive() {
    return this === chat.active;
  }

  /** Whether we may say something. */
  get isOpen() {
    return this.access !== "read_only" || this.isModerated;
  }

  /** Whether somebody sees what comes. */
  get isWatched() {
    return this.isActive && this.pinned && document.visibilityState === "visible";
  }
}

/** Returns a conversation, a new one if need be. */
export function conversation(kind, name) {
  const key = Conversation.key(kind, name);
  const existing = chat.conversations.get(key);
  if (existing) return existing;
  const created = new Conversation(kind, name);
  chat.conversations.set(key, created);
  return created;
}

export const findRoom = (room) => chat.conversations.get(Conversation.key("room", room));

export const findPerson = (name) => chat.conversations.get(Conversation.key("person", name));

/** The conversation that a private message belongs to. */
export const partner = ({ from, to }) => conversation("person", from === me() ? to : from);

export const conversationsOf = (kind) =>
  [...chat.conversations.values()]
    .filter((candidate) => candidate.kind === kind)
    .sort((a, b) => collator.compare(a.name, b.name));

/** Open a conversation, or none. @param {Conversation | null} next */
export function activate(next, { focus = true } = {}) {
  const before = chat.active;
  if (before && before !== next) {
    tell("leave", before);
    before.unreadDivider?.remove();
    before.unreadDivider = null;
    before.list.hidden = true;
  }
  chat.active = next;
  if (next) next.list.hidden = false;
  if (before !== next) {
    if (next) $("scroller").scrollTop = next.pinned ? $("scroller").scrollHeight : next.scrollTop;
    tell("enter", next);
  }
  tell("activate", next);
  renderNow();
  if (focus) focusConversation();
}

export const openPerson = (name) => activate(conversation("person", name));

export function focusConversation() {
  // On a touch screen the message box would bring the keyboard up.
  const touch = matchMedia("(pointer: coarse)").matches;
  if (!chat.active || touch) $("title").focus();
  else $("composer-text").focus();
}

/** Take a conversation off the page. @param {Conversation} gone */
export function forget(gone) {
  tell("forget", gone);
  gone.list.remove();
  chat.conversations.delete(gone.key);
  if (chat.active !== gone) return renderNow();
  chat.active = null;
  activate(conversationsOf("room")[0] ?? conversationsOf("person")[0] ?? null);
}

on("sign-out", () => {
  for (const gone of chat.conversations.values()) {
    tell("forget", gone);
    gone.list.remove();
  }
  chat.conversations.clear();
  chat.directory.clear();
  chat.active = null;
});

on("leave", (left) => {
  left.scrollTop = $("scroller").scrollTop;
});

/** Whether a person is here, in words. */
function here(presence) {
  if (!presence) return "";
  const { isHere, lastSeen } = presence;
  if (isHere) return " · online";
  return lastSeen ? ` · was here ${ago(lastSeen)}` : "";
}

onRender(() => {
  const { active } = chat;
  $("app").dataset.kind = active?.kind ?? "none";
  $("title").textContent = active?.title ?? "Chat";
  $("title").title = active?.title ?? "";
  const count = plural(active?.members.size ?? 0, "member", "members");
  $("subtitle").textContent = !active
    ? "No room is open"
    : active.kind === "room"
      ? count + (active.topic && ` · ${active.topic}`)
      : `Private messages${here(active.presence)}`;
  $("leave").hidden = !active;
  $("leave").textContent = active?.kind === "room" ? "Leave" : "Close";
  $("leave").setAttribute(
    "aria-label",
    active?.kind === "room" ? `Leave ${active.title}` : "Close this conversation",
  );
  $("empty").hidden = active !== null && !active.empty;
  const [title, text] = !active
    ? ["No conversation is open", "Choose a room from the list, or create a new one."]
    : active.kind === "room"
      ? [`This is the beginning of ${active.title}`, "Say something to whoever is here."]
      : [`You and ${active.name}`, "Only the two of you see what is written here."];
  $("empty").querySelector(".empty-title").textContent = title;
  $("empty").querySelector(".empty-text").textContent = text;
});
