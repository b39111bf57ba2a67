/**
 * The page: what the people see and press.
 *
 * What must live here: the conversations, and everything that touches the document or storage.
 * What this file does not know: how messages travel and how a lost connection comes back; that is
 * `client.js`. Text that somebody wrote is only ever assigned to `textContent` and to attributes
 * that cannot run, so there is nothing to escape.
 */

import { ChatClient } from "./client.js";
import { EventSocket } from "./fallback.js";
import { currentLogin, freshToken } from "./session.js";

const DEFAULT_ROOM = "lobby";
const NAME_KEY = "chat.name";
/** Messages of one author closer than this stand under one heading (milliseconds). */
const GROUP_WITHIN = 5 * 60_000;
/** List items kept per conversation; older ones go. */
const MAX_ITEMS = 500;
/** Typing is told again this often while it lasts, and ends after a pause this long. */
const TYPING_EVERY = 3_000;
const TYPING_PAUSE = 5_000;
/** Somebody's typing that is not told again ends by itself. */
const TYPING_EXPIRES = 10_000;
const TOAST_LASTS = 8_000;
/** Distance from the beginning, in pixels, within which earlier messages are fetched. */
const NEAR_BEGINNING = 300;
/** Distance from the end, in pixels, within which the newest message stays in view. */
const NEAR_END = 48;

const $ = (id) => document.getElementById(id);
const clone = (id) => $(id).content.firstElementChild.cloneNode(true);

/** Everything that changes while the page is open. */
const chat = {
  /** @type {ChatClient | null} */
  client: null,
  /** Ends the listeners of the client before. @type {AbortController | null} */
  listeners: null,
  /** All rooms that exist, with the number of people in them. @type {Map<string, number>} */
  directory: new Map(),
  /** @type {Map<string, Conversation>} */
  conversations: new Map(),
  /** @type {Conversation | null} */
  active: null,
};

const me = () => chat.client?.name ?? "";

// -- Small helpers ----------------------------------------------------------------------------

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** Errors that the page can explain better than the server, which does not see it. */
const EXPLANATIONS = {
  name_taken: "Somebody here already has this name. Choose another one.",
  unauthenticated: "This server asks for a login.",
  invalid_room: "A name has 1 to 64 letters, digits, dots, hyphens and underscores, and no spaces.",
};

/** What an error says, as a sentence for people. */
function explain({ code, message }) {
  const sentence = message.charAt(0).toLocaleUpperCase() + message.slice(1).replace(/\.?$/, ".");
  return EXPLANATIONS[code] ?? sentence;
}

const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

const collator = new Intl.Collator();
const clockTime = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const longDay = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" });

function dayName(date) {
  const midnight = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate());
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  return days === 0 ? "Today" : days === 1 ? "Yesterday" : longDay.format(date);
}

function setAvatar(node, name) {
  const [first = ""] = name;
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  node.textContent = first.toLocaleUpperCase();
  node.dataset.hue = hash % 8;
}

/** Text with its http(s) addresses as links. No other scheme becomes a link. */
function linked(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(/\bhttps?:\/\/[^\s<>"]+/gi)) {
    const address = match[0].replace(/[.,;:!?)\]}']+$/, "");
    if (!URL.canParse(address)) continue;
    nodes.push(text.slice(end, match.index));
    const link = element("a", "", address);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    nodes.push(link);
    end = match.index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

/** Make a list's items match keys in order; items that stay are kept, and with them the focus. */
function reconcile(list, keys, create, update) {
  const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
  keys.forEach((key, index) => {
    let item = old.get(key);
    old.delete(key);
    if (!item) {
      item = create(key);
      item.dataset.key = key;
    }
    update(item, key);
    const place = list.children[index] ?? null;
    if (place !== item) list.insertBefore(item, place);
  });
  for (const item of old.values()) item.remove();
}

function remembered(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage can be forbidden; the page works without.
  }
}

/** Say something to people who listen to the page instead of seeing it. */
function announce(text) {
  const announcer = $("announcer");
  announcer.append(element("p", "", text.slice(0, 300)));
  while (announcer.children.length > 3) announcer.firstElementChild.remove();
}

function toast(text) {
  const item = clone("toast-template");
  item.querySelector(".toast-text").textContent = text;
  const timer = setTimeout(() => item.remove(), TOAST_LASTS);
  item.querySelector("button").addEventListener("click", () => {
    clearTimeout(timer);
    item.remove();
    $("composer-text").focus();
  });
  $("toasts").append(item);
}

// -- Conversations ----------------------------------------------------------------------------

/** A room that we are in, or the private messages with one person. */
class Conversation {
  /**
   * @param {"room" | "person"} kind
   * @param {string} name
   */
  constructor(kind, name) {
    this.kind = kind;
    this.name = name;
    this.members = new Set();
    /** Who types, with the timer that ends it. @type {Map<string, number>} */
    this.typists = new Map();
    this.unread = 0;
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
}

function conversation(kind, name) {
  const key = Conversation.key(kind, name);
  const existing = chat.conversations.get(key);
  if (existing) return existing;
  const created = new Conversation(kind, name);
  chat.conversations.set(key, created);
  return created;
}

const findRoom = (room) => chat.conversations.get(Conversation.key("room", room));

const conversationsOf = (kind) =>
  [...chat.conversations.values()]
    .filter((candidate) => candidate.kind === kind)
    .sort((a, b) => collator.compare(a.name, b.name));

const isWatched = (candidate) =>
  candidate === chat.active && document.visibilityState === "visible";

function activate(next, { focus = true } = {}) {
  const before = chat.active;
  if (before && before !== next) {
    stopTyping();
    before.draft = $("composer-text").value;
    before.scrollTop = $("scroller").scrollTop;
    before.unreadDivider?.remove();
    before.unreadDivider = null;
    before.list.hidden = true;
  }
  chat.active = next;
  if (next) {
    next.list.hidden = false;
    next.unread = 0;
    if (before !== next) {
      $("composer-text").value = next.draft;
      fitComposer();
    }
    $("scroller").scrollTop = next.pinned ? $("scroller").scrollHeight : next.scrollTop;
  }
  for (const drawer of drawers) drawer.close({ restoreFocus: false });
  renderAll();
  if (focus) focusConversation();
}

function focusConversation() {
  // On a touch screen the message box would bring the keyboard up.
  const touch = matchMedia("(pointer: coarse)").matches;
  if (!chat.active || touch) $("title").focus();
  else $("composer-text").focus();
}

function forget(gone) {
  for (const timer of gone.typists.values()) clearTimeout(timer);
  gone.list.remove();
  chat.conversations.delete(gone.key);
  if (chat.active !== gone) return renderAll();
  chat.active = null;
  $("composer-text").value = "";
  activate(conversationsOf("room")[0] ?? conversationsOf("person")[0] ?? null);
}

// -- Items of a conversation ------------------------------------------------------------------

/** Who wrote an item and when, for grouping. @type {WeakMap<Element, {from: string, at: Date}>} */
const written = new WeakMap();

/** Put an item before our pending ones, which stay at the end. */
function insert(target, item) {
  const [firstPending = null] = target.pending.values();
  target.list.insertBefore(item, firstPending);
  if (firstPending) regroup(firstPending);
  // Who reads back keeps what is there.
  while (target.pinned && target.list.childElementCount > MAX_ITEMS) {
    const offset = written.get(target.list.firstElementChild)?.offset;
    if (offset !== undefined) {
      target.first = offset + 1;
      target.items.delete(offset);
    }
    target.list.firstElementChild.remove();
  }
}

/** Messages that follow each other closely stand under one heading. */
function regroup(item) {
  const own = written.get(item);
  const previous = written.get(item.previousElementSibling ?? item);
  const follows =
    item.previousElementSibling !== null &&
    previous !== undefined &&
    previous.from === own.from &&
    own.at - previous.at < GROUP_WITHIN;
  item.classList.toggle("continued", follows);
}

function messageItem(from, text, at) {
  const item = clone("message-template");
  written.set(item, { from, at });
  setAvatar(item.querySelector(".avatar"), from);
  item.querySelector(".author").textContent = from;
  const time = item.querySelector("time");
  time.dateTime = at.toISOString();
  time.textContent = clockTime.format(at);
  time.title = fullTime.format(at);
  item.querySelector(".text").append(...linked(text));
  return item;
}

function dividerItem(text, className = "") {
  const item = element("li", `divider ${className}`);
  item.append(element("span", "", text));
  return item;
}

/** The item of a message from a log. */
function loggedItem(target, { from, text, time, offset, edited = false, deleted = false }) {
  const item = messageItem(from, text, new Date(time));
  written.get(item).offset = offset;
  if (edited || deleted) changeText(item, deleted ? null : text);
  target.items.set(offset, item);
  return item;
}

/** Messages from before those that are here; what is in view stays where it is. */
async function fetchEarlier(target) {
  const { client } = chat;
  target.fetching = true;
  let page;
  try {
    page = await client.history(target.name, target.first);
  } catch {
    return;
  } finally {
    target.fetching = false;
  }
  if (chat.client !== client || !chat.conversations.has(target.key)) return;
  target.first = page.more ? page.history[0].offset : 1;
  const scroller = $("scroller");
  const fromEnd = scroller.scrollHeight - scroller.scrollTop;
  const oldest = target.list.firstElementChild;
  let day = "";
  for (const message of page.history.filter(({ type }) => type === "message")) {
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
  if (target === chat.active) scroller.scrollTop = scroller.scrollHeight - fromEnd;
}

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
  const unread = live && from !== me() && !isWatched(target);
  if (unread) {
    if (target.unread === 0) {
      target.unreadDivider?.remove();
      target.unreadDivider = dividerItem("New messages", "unread");
      insert(target, target.unreadDivider);
    }
    target.unread += 1;
  }
  const item = loggedItem(target, message);
  insert(target, item);
  regroup(item);
  endTyping(target, from);
  if (live && from !== me()) {
    announce(target === chat.active ? `${from}: ${text}` : `New message in ${target.title}`);
  }
}

/** What its author made of a message later; null when it was taken back. */
function changeText(item, text) {
  const place = item.querySelector(".text");
  if (text === null) place.replaceChildren(element("em", "", "This message was taken back."));
  else place.replaceChildren(...linked(text), element("small", "edited", " (edited)"));
}

/** Something that happened in a room; neighbours share a line. */
function addNote(target, text) {
  const [firstPending = null] = target.pending.values();
  const previous = firstPending ? firstPending.previousElementSibling : target.list.lastElementChild;
  const parts = previous?.classList.contains("note") ? previous.textContent.split(" · ") : [];
  if (parts.length > 0 && parts.length < 6) previous.textContent = [...parts, text].join(" · ");
  else insert(target, element("li", "note", text));
  if (target === chat.active) keepInView();
}

function sendText(target, text) {
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
  renderDelivery(delivery, item);
  target.pinned = true;
  renderConversation();
  keepInView();
}

function discard(target, delivery) {
  target.pending.get(delivery)?.remove();
  target.pending.delete(delivery);
  for (const item of target.pending.values()) regroup(item);
}

function deliveryText({ state, error }) {
  if (state === "queued" && !chat.client.online) return "Will be sent when the connection is back";
  if (state === "sent" && !chat.client.online) return "Not confirmed yet";
  if (state !== "failed") return "";
  return `Not sent. ${explain(error)}`;
}

function renderDelivery(delivery, item) {
  const text = deliveryText(delivery);
  item.dataset.state = delivery.state;
  item.querySelector(".delivery").hidden = text === "";
  item.querySelector(".delivery-text").textContent = text;
  item.querySelector(".retry").hidden = delivery.state !== "failed";
  item.querySelector(".discard").hidden = delivery.state !== "failed";
  if (delivery.state === "failed") announce(text);
}

function renderDeliveries() {
  for (const { pending } of chat.conversations.values()) {
    for (const [delivery, item] of pending) {
      if (delivery.state !== "failed") renderDelivery(delivery, item);
    }
  }
}

// -- Scrolling --------------------------------------------------------------------------------

function keepInView() {
  const scroller = $("scroller");
  if (chat.active?.pinned) scroller.scrollTop = scroller.scrollHeight;
}

function onScroll() {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  if (!chat.active) return;
  chat.active.pinned = scrollHeight - scrollTop - clientHeight < NEAR_END;
  if (chat.active.pinned) $("to-newest").hidden = true;
  const { kind, first, fetching } = chat.active;
  if (scrollTop < NEAR_BEGINNING && kind === "room" && first > 1 && !fetching) {
    fetchEarlier(chat.active);
  }
}

// -- Rendering --------------------------------------------------------------------------------

function renderAll() {
  renderLists();
  renderConversation();
  renderMembers();
  renderTyping();
}

function updateEntry(item, { name, label, note, unread = 0, current = false }) {
  const button = item.querySelector(".entry");
  button.setAttribute("aria-label", unread ? `${label}, ${unread} unread` : label);
  button.setAttribute("aria-current", String(current));
  button.dataset.unread = String(unread > 0);
  button.title = name;
  item.querySelector(".entry-name").textContent = name;
  item.querySelector(".entry-note").textContent = unread ? "" : note;
  const badge = item.querySelector(".badge");
  badge.hidden = unread === 0;
  badge.textContent = unread > 99 ? "99+" : String(unread);
}

function entry(mark, onPress) {
  const item = clone("entry-template");
  mark(item.querySelector(".entry-mark"));
  item.querySelector(".entry").addEventListener("click", onPress);
  return item;
}

const roomMark = (node) => {
  node.textContent = "#";
};

const personMark = (name) => (node) => {
  node.classList.add("avatar");
  setAvatar(node, name);
};

function renderLists() {
  const rooms = conversationsOf("room").map(({ name }) => name);
  reconcile(
    $("joined-rooms"),
    rooms,
    (room) => entry(roomMark, () => activate(findRoom(room))),
    (item, room) => {
      const { unread, members } = findRoom(room);
      const count = chat.directory.get(room) ?? members.size;
      const label = `${room}, ${plural(count, "member", "members")}`;
      const current = findRoom(room) === chat.active;
      updateEntry(item, { name: room, label, note: String(count), unread, current });
    },
  );

  const others = [...chat.directory.keys()].filter((room) => !findRoom(room));
  others.sort(collator.compare);
  $("other-rooms-section").hidden = others.length === 0;
  reconcile(
    $("other-rooms"),
    others,
    (room) => entry(roomMark, () => joinRoom(room)),
    (item, room) => {
      const count = chat.directory.get(room);
      const label = `Join ${room}, ${plural(count, "member", "members")}`;
      updateEntry(item, { name: room, label, note: String(count) });
    },
  );

  const people = conversationsOf("person").map(({ name }) => name);
  $("people-section").hidden = people.length === 0;
  reconcile(
    $("people"),
    people,
    (name) => entry(personMark(name), () => openPerson(name)),
    (item, name) => {
      const { unread, key } = conversation("person", name);
      const current = chat.active?.key === key;
      updateEntry(item, { name, label: name, note: "", unread, current });
    },
  );

  const total = [...chat.conversations.values()].reduce((sum, { unread }) => sum + unread, 0);
  $("menu-badge").hidden = total === 0;
  $("open-sidebar").setAttribute(
    "aria-label",
    total ? `Conversations, ${total} unread` : "Conversations",
  );
  const where = chat.active ? `${chat.active.title} - Chat` : "Chat";
  document.title = total ? `(${total}) ${where}` : where;
}

function renderConversation() {
  const { active } = chat;
  $("app").dataset.kind = active?.kind ?? "none";
  $("title").textContent = active?.title ?? "Chat";
  $("title").title = active?.title ?? "";
  $("subtitle").textContent = !active
    ? "No room is open"
    : active.kind === "room"
      ? plural(active.members.size, "member", "members")
      : "Private messages";
  $("open-members").setAttribute("aria-label", `Members, ${active?.members.size ?? 0}`);
  $("leave").hidden = !active;
  $("leave").textContent = active?.kind === "room" ? "Leave" : "Close";
  $("leave").setAttribute(
    "aria-label",
    active?.kind === "room" ? `Leave ${active.title}` : "Close this conversation",
  );
  $("composer").hidden = !active;
  $("composer-label").textContent = `Message to ${active?.title ?? ""}`;
  $("composer-text").placeholder = active ? `Message ${active.title}` : "";
  $("empty").hidden = active !== null && !active.empty;
  const [title, text] = !active
    ? ["No conversation is open", "Choose a room from the list, or create a new one."]
    : active.kind === "room"
      ? [`This is the beginning of ${active.title}`, "Say something to whoever is here."]
      : [`You and ${active.name}`, "Only the two of you see what is written here."];
  $("empty").querySelector(".empty-title").textContent = title;
  $("empty").querySelector(".empty-text").textContent = text;
  if (!active || active.pinned) $("to-newest").hidden = true;
}

function renderMembers() {
  const names = [...(chat.active?.members ?? [])].sort(collator.compare);
  const ordered = [...names.filter((name) => name === me()), ...names.filter((name) => name !== me())];
  reconcile(
    $("member-list"),
    ordered,
    (name) => {
      const item = entry(personMark(name), () => openPerson(name));
      if (name === me()) {
        const self = element("div", "entry");
        self.append(...item.firstElementChild.childNodes);
        item.replaceChildren(self);
      }
      return item;
    },
    (item, name) => {
      item.querySelector(".entry-name").textContent = name;
      item.querySelector(".entry").title = name;
      if (name === me()) item.querySelector(".entry-note").textContent = "you";
      else item.querySelector(".entry").setAttribute("aria-label", `Message ${name} privately`);
    },
  );
}

function renderTyping() {
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
}

// -- Joining with a name ----------------------------------------------------------------------

function signInMessage(text, tone) {
  $("sign-in-message").textContent = text;
  $("sign-in-message").dataset.tone = tone;
  $("name").setAttribute("aria-invalid", String(tone === "error" && text !== ""));
}

async function signIn(name) {
  discardClient();
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const client = new ChatClient(url.href, { token: freshToken, fallback: EventSocket });
  chat.client = client;
  listen(client);
  signInMessage("Joining", "info");
  try {
    await client.connect(name);
  } catch (error) {
    if (chat.client === client) refuseSignIn(error);
    return;
  }
  remember(NAME_KEY, client.name);
  signInMessage("", "info");
  $("welcome").hidden = true;
  $("app").hidden = false;
  $("my-name").textContent = client.name;
  setAvatar($("my-avatar"), client.name);
  renderAll();
  await joinRoom(DEFAULT_ROOM);
}

function refuseSignIn(error) {
  discardClient();
  signInMessage(explain(error), "error");
  $("name").focus();
  $("name").select();
}

function signOut() {
  discardClient();
  for (const gone of chat.conversations.values()) {
    for (const timer of gone.typists.values()) clearTimeout(timer);
    gone.list.remove();
  }
  chat.conversations.clear();
  chat.directory.clear();
  chat.active = null;
  $("composer-text").value = "";
  for (const drawer of drawers) drawer.close({ restoreFocus: false });
  document.title = "Chat";
  $("app").hidden = true;
  $("welcome").hidden = false;
  signInMessage("", "info");
  $("name").value = remembered(NAME_KEY);
  $("name").focus();
}

function discardClient() {
  stopTyping();
  chat.listeners?.abort();
  chat.listeners = null;
  chat.client?.close();
  chat.client = null;
  renderStatus();
}

// -- What the client tells --------------------------------------------------------------------

function listen(client) {
  chat.listeners = new AbortController();
  const { signal } = chat.listeners;
  for (const [type, handler] of Object.entries(handlers)) {
    client.addEventListener(type, ({ detail }) => handler(detail), { signal });
  }
}

const handlers = {
  status() {
    renderStatus();
    renderDeliveries();
  },

  rooms({ rooms }) {
    chat.directory = new Map(rooms.map(({ room, members }) => [room, members]));
    renderLists();
  },

  entered({ room, members, messages, again, complete }) {
    const target = conversation("room", room);
    if (again && !complete && !target.empty) {
      insert(target, dividerItem("Messages may be missing here"));
    }
    if (target.empty || !complete) target.first = messages[0]?.offset ?? 1;
    for (const message of messages) addMessage(target, message, { live: again });
    target.members = new Set(members);
    for (const timer of target.typists.values()) clearTimeout(timer);
    target.typists.clear();
    chat.directory.set(room, members.length);
    renderAll();
    if (target === chat.active) keepInView();
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

  inbox({ messages, again, complete }) {
    for (const message of messages) {
      const target = partner(message);
      if (!complete && !target.empty) insert(target, dividerItem("Messages may be missing here"));
      complete = true;
      addMessage(target, message, { live: again });
    }
    renderAll();
    keepInView();
  },

  edited({ room, target: offset, text }) {
    const item = findRoom(room)?.items.get(offset);
    if (item) changeText(item, text);
  },

  deleted({ room, target: offset }) {
    const item = findRoom(room)?.items.get(offset);
    if (item) changeText(item, null);
  },

  delivery(delivery) {
    for (const { pending } of chat.conversations.values()) {
      const item = pending.get(delivery);
      if (item) renderDelivery(delivery, item);
    }
  },

  joined({ room, user, count }) {
    chat.directory.set(room, count);
    const target = findRoom(room);
    if (target && !target.members.has(user)) {
      target.members.add(user);
      addNote(target, `${user} joined`);
    }
    renderAll();
  },

  left({ room, user, count }) {
    chat.directory.set(room, count);
    const target = findRoom(room);
    if (target?.members.delete(user)) {
      endTyping(target, user);
      addNote(target, `${user} left`);
    }
    renderAll();
  },

  typing({ room, user, active }) {
    const target = findRoom(room);
    if (!target || user === me()) return;
    endTyping(target, user);
    if (active) {
      target.typists.set(
        user,
        setTimeout(() => {
          endTyping(target, user);
          renderTyping();
        }, TYPING_EXPIRES),
      );
    }
    renderTyping();
  },

  room_created({ room, members }) {
    chat.directory.set(room, members);
    renderLists();
  },

  room_count({ room, members }) {
    chat.directory.set(room, members);
    renderLists();
  },

  room_removed({ room }) {
    chat.directory.delete(room);
    renderLists();
  },

  fault(error) {
    toast(explain(error));
  },
};

const partner = ({ from, to }) => conversation("person", from === me() ? to : from);

function received(target, event) {
  addMessage(target, event, { live: true });
  renderLists();
  if (target !== chat.active) return;
  renderConversation();
  renderTyping();
  if (!target.pinned && event.from !== me()) $("to-newest").hidden = false;
  keepInView();
}

function endTyping(target, user) {
  clearTimeout(target.typists.get(user));
  target.typists.delete(user);
}

// -- The connection's status ------------------------------------------------------------------

const STATUS_WORDS = {
  idle: "Signed out",
  connecting: "Connecting",
  online: "Connected",
  waiting: "Reconnecting",
};

let countdown = 0;
let spokenStatus = "";

function renderStatus() {
  const { status, code } = chat.client?.status ?? { status: "idle", code: "" };
  clearInterval(countdown);
  if (status === "waiting") countdown = setInterval(renderBanner, 1000);
  $("connection").dataset.status = status;
  $("connection-text").textContent = STATUS_WORDS[status];
  renderBanner();
  if ($("app").hidden) {
    if (status === "waiting") {
      signInMessage("The server cannot be reached. Trying again until it answers.", "info");
    }
    return;
  }
  const spoken =
    status === "online" ? "Connected." : code ? "The connection is lost. Reconnecting." : "";
  if (spoken && spoken !== spokenStatus && spokenStatus) announce(spoken);
  if (spoken) spokenStatus = spoken;
}

function renderBanner() {
  const { status, code, retryAt } = chat.client?.status ?? { status: "idle" };
  const lost = status === "waiting" || (status === "connecting" && code !== "");
  $("banner").hidden = !lost;
  if (!lost) return;
  const seconds = retryAt === null ? 0 : Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  const why =
    code === "name_taken"
      ? `The name ${me()} is still in use, perhaps by your lost connection.`
      : "The connection is lost.";
  const next = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.";
  $("banner-text").textContent = `${why} ${next}`;
  $("try-now").setAttribute("aria-disabled", String(status !== "waiting"));
  $("change-name").hidden = code !== "name_taken";
}

// -- Rooms and people -------------------------------------------------------------------------

async function joinRoom(room) {
  const { client } = chat;
  try {
    await client.join(room);
  } catch (error) {
    if (chat.client === client) toast(explain(error));
    return;
  }
  const joined = findRoom(room);
  if (joined) activate(joined);
}

function openPerson(name) {
  activate(conversation("person", name));
}

async function leaveActive() {
  const { active, client } = chat;
  if (!active) return;
  if (active.kind === "room") {
    try {
      await client.leave(active.name);
    } catch (error) {
      if (chat.client === client) toast(explain(error));
      return;
    }
  }
  if (chat.client === client) forget(active);
}

async function createRoom() {
  const { client } = chat;
  const room = $("new-room-name").value.trim();
  try {
    await client.createRoom(room);
  } catch (error) {
    $("new-room-message").textContent = explain(error);
    $("new-room-name").setAttribute("aria-invalid", "true");
    $("new-room-name").focus();
    return;
  }
  $("new-room").close();
  await joinRoom(room);
}

// -- Writing ----------------------------------------------------------------------------------

const typing = { room: "", since: 0, timer: 0 };

function noteTyping() {
  const { active, client } = chat;
  if (active?.kind !== "room") return;
  if ($("composer-text").value.trim() === "") return stopTyping();
  const now = Date.now();
  if (typing.room !== active.name || now - typing.since >= TYPING_EVERY) {
    typing.room = active.name;
    typing.since = now;
    client.typing(active.name, true);
  }
  clearTimeout(typing.timer);
  typing.timer = setTimeout(stopTyping, TYPING_PAUSE);
}

function stopTyping() {
  if (typing.room) chat.client?.typing(typing.room, false);
  typing.room = "";
  clearTimeout(typing.timer);
}

/** Characters that the text in the box has too many; negative while there is room. */
function excess() {
  const limit = chat.client?.limits.max_text ?? Infinity;
  return [...$("composer-text").value.trim()].length - limit;
}

function fitComposer() {
  const box = $("composer-text");
  if (!CSS.supports("field-sizing", "content")) {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  }
  const over = excess();
  $("composer-count").hidden = over < -100;
  $("composer-count").dataset.over = String(over > 0);
  $("composer-count").textContent =
    over > 0
      ? `${plural(over, "character", "characters")} too many`
      : `${plural(-over, "character", "characters")} left`;
  keepInView();
}

function submitText() {
  const box = $("composer-text");
  const text = box.value.trim();
  if (!chat.active || text === "") return;
  if (excess() > 0) return announce($("composer-count").textContent);
  box.value = "";
  fitComposer();
  sendText(chat.active, text);
  stopTyping();
}

// -- Drawers ----------------------------------------------------------------------------------

/** A side panel that slides over the page where there is no room beside it. */
class Drawer {
  constructor(panel, opener, query) {
    this.panel = panel;
    this.opener = opener;
    opener.addEventListener("click", () => this.open());
    panel.querySelector(".drawer-close").addEventListener("click", () => this.close());
    matchMedia(query).addEventListener("change", () => {
      panel.classList.remove("drawer-moves");
      this.close({ restoreFocus: false });
    });
  }

  get isOpen() {
    return this.panel.classList.contains("drawer-open");
  }

  open() {
    this.panel.classList.add("drawer-moves", "drawer-open");
    this.#apply();
    this.panel.querySelector(".drawer-close").focus();
  }

  close({ restoreFocus = true } = {}) {
    if (!this.isOpen) return;
    this.panel.classList.remove("drawer-open");
    this.#apply();
    if (restoreFocus) this.opener.focus();
  }

  #apply() {
    this.opener.setAttribute("aria-expanded", String(this.isOpen));
    $("scrim").hidden = !this.isOpen;
    for (const part of $("app").children) {
      if (part !== this.panel && part !== $("scrim")) part.inert = this.isOpen;
    }
  }
}

const drawers = [
  new Drawer($("sidebar"), $("open-sidebar"), "(max-width: 47.5rem)"),
  new Drawer($("members"), $("open-members"), "(max-width: 67.5rem)"),
];

// -- What people do ---------------------------------------------------------------------------

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("name").value.trim());
});
$("sign-out").addEventListener("click", signOut);
$("change-name").addEventListener("click", signOut);
$("try-now").addEventListener("click", () => chat.client?.retryNow());
$("leave").addEventListener("click", leaveActive);

$("new-room-button").addEventListener("click", () => {
  $("new-room-name").value = "";
  $("new-room-message").textContent = "";
  $("new-room-name").removeAttribute("aria-invalid");
  $("new-room").showModal();
});
$("new-room-cancel").addEventListener("click", () => $("new-room").close());
$("new-room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  createRoom();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submitText();
});
$("composer-text").addEventListener("input", () => {
  fitComposer();
  noteTyping();
});
$("composer-text").addEventListener("keydown", (event) => {
  // The key that ends an input method's composition must not send, and a phone's Enter is a line.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  if (matchMedia("(pointer: coarse)").matches) return;
  event.preventDefault();
  submitText();
});

$("scroller").addEventListener("scroll", onScroll, { passive: true });
new ResizeObserver(keepInView).observe($("scroller"));
$("to-newest").addEventListener("click", () => {
  if (chat.active) chat.active.pinned = true;
  keepInView();
  focusConversation();
});

$("scrim").addEventListener("click", () => drawers.forEach((drawer) => drawer.close()));
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") drawers.forEach((drawer) => drawer.close());
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState !== "visible") return;
  chat.client?.check();
  if (chat.active) {
    chat.active.unread = 0;
    renderLists();
  }
});
// A page in the back/forward cache would hold its name and its place in the rooms for nothing.
window.addEventListener("pagehide", () => chat.client?.suspend());
window.addEventListener("pageshow", () => chat.client?.retryNow());
window.addEventListener("online", () => chat.client?.check());

const login = currentLogin();
$("name").value = login?.name ?? remembered(NAME_KEY);
$("name").focus();
if (login) signIn(login.name);
