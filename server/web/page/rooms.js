/**
 * The lists of conversations: our rooms, other rooms, and people; joining, creating and leaving.
 *
 * @module
 */

import { addCount } from "./badge.js";
import { chat, me, on, onClient, onRender, render } from "./chat.js";
import { confirmed } from "./confirm.js";
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

/** The room that is for everybody, and that stays without members. */
export const DEFAULT_ROOM = "lobby";
/** So many other rooms can be searched. */
const FILTERED = 10;

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

/** What is lost for us when we leave a room; "" where coming back is all it takes. */
function lossOf({ name, members, people, morePeople, access }) {
  const others = [...people.keys(), ...members].some((member) => member !== me());
  if (name !== DEFAULT_ROOM && !others && !morePeople)
    return "You are its last member: the room ends, with all that was said in it.";
  return access === "members" ? "You can only come back when you are invited." : "";
}

async function leaveActive() {
  const { active, client } = chat;
  if (!active) return;
  if (active.kind === "room") {
    const loss = lossOf(active);
    const question = { title: `Leave ${active.title}?`, text: loss, verb: "Leave" };
    if (loss && !(await confirmed(question))) return;
    try {
      await client.leave(active.name);
    } catch (error) {
      if (chat.client === client) toast(explain(error));
      return;
    }
  }
  if (chat.client === client) forget(active);
}

/** Enter rooms that we came to be in elsewhere; whoever is not let in finds them among the others. */
async function follow(rooms) {
  const { client } = chat;
  for (const room of rooms) {
    if (!client.rooms.includes(room)) await client.join(room).catch(() => {});
  }
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

  room_joined: ({ room }) => follow([room]),

  unread({ memberships, again }) {
    if (again) follow(memberships.map(({ room }) => room));
  },

  room_created: setCount,
  room_count: setCount,

  room_removed({ room }) {
    chat.directory.delete(room);
    render();
  },
});

function describeJoined(room) {
  const { members, isActive, unreadCount, mentions } = findRoom(room);
  const count = chat.directory.get(room) ?? members.size;
  const label = `${room}, ${plural(count, "member", "members")}`;
  const counts = { unread: unreadCount, mentions: mentions.size };
  return { name: room, label, note: "", ...counts, current: isActive };
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
  return { name: room, label, note: plural(count, "member", "members") };
}

function renderOthers() {
  const others = [...chat.directory.keys()].filter((room) => !findRoom(room));
  others.sort(collator.compare);
  $("other-rooms-section").hidden = others.length === 0;
  $("room-filter").hidden = others.length < FILTERED;
  const wanted = $("room-filter").hidden ? "" : $("room-filter").value.trim().toLowerCase();
  const shown = others.filter((room) => room.toLowerCase().includes(wanted));
  const create = (room) => entry(roomMark, () => joinRoom(room));
  reconcile($("other-rooms"), shown, create, describeOther, updateEntry);
}

function describePerson(name) {
  const { unreadCount, isActive } = conversation("person", name);
  return { name, label: name, note: "", unread: unreadCount, current: isActive };
}

function renderPeople() {
  const people = conversationsOf("person").map(({ name }) => name);
  $("people-section").hidden = people.length === 0;
  const create = (name) => entry(personMark(name), () => openPerson(name));
  reconcile($("people"), people, create, describePerson, updateEntry);
}

for (const renderer of [renderJoined, renderOthers, renderPeople]) onRender(renderer);
addCount(() =>
  [...chat.conversations.values()].reduce((sum, { unreadCount }) => sum + unreadCount, 0),
);

$("leave").addEventListener("click", leaveActive);
$("room-filter").addEventListener("input", renderOthers);
on("sign-out", () => {
  $("room-filter").value = "";
});
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
