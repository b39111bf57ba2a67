/**
 * Who is in the open room: here or away, since when, and what they are there.
 *
 * @module
 */

import { chat, me, onClient, onRender, render } from "./chat.js";
import { conversation, findRoom, openPerson } from "./conversation.js";
import { $, clone, element, reconcile } from "./dom.js";
import { entry, personMark } from "./entries.js";
import { addNote } from "./items.js";
import { openModeration } from "./moderation.js";
import { learnSeen } from "./reading.js";
import { endTyping } from "./typing.js";
import { ago, collator, fullTime, plural } from "./words.js";

// -- What we know of them -----------------------------------------------------------------------

/** Ask for the members of a room, or for more of them. */
async function load(room, after = "") {
  const { client } = chat;
  let page;
  try {
    page = await client.members(room, after);
  } catch {
    return;
  }
  const target = findRoom(room);
  if (chat.client !== client || !target) return;
  if (!after) target.people.clear();
  for (const { name, role, read, last_seen: seen } of page.members) {
    target.people.set(name, { name, role, lastSeen: seen ? new Date(seen) : null });
    learnSeen(target, name, read);
  }
  target.morePeople = page.after;
  render();
}

onClient({
  entered({ room, members, count }) {
    conversation("room", room).members = new Set(members);
    chat.directory.set(room, count);
    load(room);
  },

  joined({ room, user, count }) {
    chat.directory.set(room, count);
    const target = findRoom(room);
    if (target && !target.members.has(user)) {
      target.members.add(user);
      if (!target.people.has(user))
        target.people.set(user, { name: user, role: "", lastSeen: null });
      addNote(target, user, "joined");
    }
    render();
  },

  left({ room, user, count, away = false }) {
    chat.directory.set(room, count);
    const target = findRoom(room);
    if (target?.members.delete(user)) {
      endTyping(target, user);
      const person = target.people.get(user);
      if (away && person) person.lastSeen = new Date();
      else target.people.delete(user);
      addNote(target, user, away ? "went away" : "left");
    }
    render();
  },

  appointed: ({ room }) => load(room),
});

// -- The lists ----------------------------------------------------------------------------------

function createItem(name) {
  const item = entry(personMark(name), () => openPerson(name));
  if (name === me()) {
    const self = element("div", "entry");
    self.append(...item.firstElementChild.childNodes);
    item.replaceChildren(self);
  }
  const button = clone("moderate-template");
  button.setAttribute("aria-label", `Manage ${name}`);
  button.addEventListener("click", () => openModeration(chat.active, name));
  item.classList.add("person");
  item.append(button);
  return item;
}

function describe(name) {
  const { active } = chat;
  const { role = "", lastSeen = null } = active.people.get(name) ?? {};
  const isSelf = name === me();
  const since = !active.members.has(name) && lastSeen ? ago(lastSeen) : "";
  return {
    name,
    isSelf,
    note: [isSelf ? "you" : "", role, since].filter(Boolean).join(", "),
    title: since ? `${name}, here ${fullTime.format(lastSeen)}` : name,
    canModerate: active.isModerated && !isSelf,
  };
}

function update(item, { name, isSelf, note, title, canModerate }) {
  item.querySelector(".entry-name").textContent = name;
  item.querySelector(".entry").title = title;
  item.querySelector(".entry-note").textContent = note;
  item.querySelector(".moderate").hidden = !canModerate;
  if (isSelf) return;
  const label = `Message ${name} privately`;
  item.querySelector(".entry").setAttribute("aria-label", note ? `${label}, ${note}` : label);
}

function renderHere() {
  const names = [...(chat.active?.members ?? [])].sort(collator.compare);
  const others = names.filter((name) => name !== me());
  const count = chat.directory.get(chat.active?.name) ?? names.length;
  $("open-members").setAttribute("aria-label", `Members, ${names.length}`);
  $("more-here").hidden = chat.active?.kind !== "room" || count <= names.length;
  $("more-here").textContent = `and ${plural(count - names.length, "other", "others")}`;
  const ordered = names.length > others.length ? [me(), ...others] : others;
  reconcile($("member-list"), ordered, createItem, describe, update);
}

function renderAway() {
  const { active } = chat;
  const away = [...(active?.people.keys() ?? [])].filter((name) => !active.members.has(name));
  $("away-section").hidden = away.length === 0;
  $("more-away").hidden = !active?.morePeople;
  reconcile($("away-list"), away.sort(collator.compare), createItem, describe, update);
}

onRender(renderHere);
onRender(renderAway);
// What is said of times grows old.
setInterval(render, 60_000);

$("more-away").addEventListener("click", () => load(chat.active.name, chat.active.morePeople));
