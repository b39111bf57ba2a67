/**
 * The lists of conversations: our rooms, other rooms, and people; joining, creating and leaving.
 *
 * @module
 */

import { addCount } from "./badge.js";
import { chat, onClient, onRender, render } from "./chat.js";
import {
  activate,
  conversation,
  conversationsOf,
  findRoom,
  forget,
  openPerson,
} from "./conversation.js";
import { $, reconcile, toast } from "./dom.js";
import { entry, personMark, roomMark, updateEntry } from "./entries.js";
import { collator, explain, plural } from "./words.js";

/** Join a room, and open it. @param {string} room */
export async function joinRoom(room, { open = true } = {}) {
  const { client } = chat;
  try {
    await client.join(room);
  } catch (error) {
    if (chat.client === client) toast(explain(error));
    return;
  }
  const joined = findRoom(room);
  if (joined && open) activate(joined);
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

function setCount({ room, members }) {
  chat.directory.set(room, members);
  render();
}

onClient({
  rooms({ rooms }) {
    chat.directory = new Map(rooms.map(({ room, members }) => [room, members]));
    render();
  },

  room_created: setCount,
  room_count: setCount,

  room_removed({ room }) {
    chat.directory.delete(room);
    render();
  },
});

function describeJoined(room) {
  const { members, isActive, unread, mentions } = findRoom(room);
  const count = chat.directory.get(room) ?? members.size;
  const label = `${room}, ${plural(count, "member", "members")}`;
  const counts = { note: String(count), unread: unread.size, mentions: mentions.size };
  return { name: room, label, ...counts, current: isActive };
}

function renderJoined() {
  reconcile(
    $("joined-rooms"),
    conversationsOf("room").map(({ name }) => name),
    (room) => entry(roomMark, () => activate(findRoom(room))),
    describeJoined,
    updateEntry,
  );
}

function describeOther(room) {
  const count = chat.directory.get(room);
  const label = `Join ${room}, ${plural(count, "member", "members")}`;
  return { name: room, label, note: String(count) };
}

function renderOthers() {
  const others = [...chat.directory.keys()].filter((room) => !findRoom(room));
  others.sort(collator.compare);
  $("other-rooms-section").hidden = others.length === 0;
  const create = (room) => entry(roomMark, () => joinRoom(room));
  reconcile($("other-rooms"), others, create, describeOther, updateEntry);
}

function describePerson(name) {
  const { unread, isActive } = conversation("person", name);
  return { name, label: name, note: "", unread: unread.size, current: isActive };
}

function renderPeople() {
  const people = conversationsOf("person").map(({ name }) => name);
  $("people-section").hidden = people.length === 0;
  const create = (name) => entry(personMark(name), () => openPerson(name));
  reconcile($("people"), people, create, describePerson, updateEntry);
}

for (const renderer of [renderJoined, renderOthers, renderPeople]) onRender(renderer);
addCount(() => [...chat.conversations.values()].reduce((sum, { unread }) => sum + unread.size, 0));

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
