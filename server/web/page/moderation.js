/**
 * Looking after a room: who may come in and speak, and who has to leave.
 *
 * What must live here: the two dialogs, about somebody and about the room. What is allowed the
 * server decides; what it refuses is said in the dialog.
 *
 * @module
 */

import { chat, onClient, onRender, render } from "./chat.js";
import { conversation, findRoom } from "./conversation.js";
import { $, announce } from "./dom.js";
import { explain } from "./words.js";

/** What was done, for the ear. */
const DONE = {
  kick: "was removed",
  ban: "was removed and banned",
  unban: "is no longer banned",
  invite: "is invited",
  uninvite: "is no longer invited",
  promote: "is a moderator now",
  demote: "is no longer a moderator",
};

/** Do something, and say in a dialog's line what is wrong with it. Tells whether it was done. */
async function attempt(line, action) {
  line.textContent = "";
  try {
    await action();
    return true;
  } catch (error) {
    line.textContent = explain(error);
    return false;
  }
}

// -- About somebody -----------------------------------------------------------------------------

let subject = { room: "", name: "" };

/** Open the dialog about a member. */
export function openModeration(target, name) {
  subject = { room: target.name, name };
  const isModerator = target.people.get(name)?.role === "moderator";
  $("moderate-heading").textContent = name;
  $("moderate-room").textContent = `in ${target.title}`;
  $("moderate-promote").hidden = isModerator;
  $("moderate-demote").hidden = !isModerator;
  $("moderate-reason").value = "";
  $("moderate-message").textContent = "";
  $("moderate").showModal();
}

$("moderate").addEventListener("click", async ({ target }) => {
  const action = target.closest("[data-action]")?.dataset.action;
  if (!action) return;
  const { room, name } = subject;
  const reason = $("moderate-reason").value.trim();
  const line = $("moderate-message");
  if (!(await attempt(line, () => chat.client.moderate(room, name, action, reason)))) return;
  $("moderate").close();
  const person = findRoom(room)?.people.get(name);
  if (person && action === "promote") person.role = "moderator";
  if (person && action === "demote") person.role = "";
  if (action === "kick" || action === "ban") findRoom(room)?.people.delete(name);
  announce(`${name} ${DONE[action]}.`);
  render();
});

// -- Room settings ------------------------------------------------------------------------------

function openRoom() {
  const { active } = chat;
  $("room-heading").textContent = active.title;
  $("room-topic").value = active.topic;
  $("room-topic").disabled = !active.isOpen;
  $("room-access").value = active.access;
  $("room-rules").hidden = !active.isModerated;
  $("room-person").value = "";
  $("room-message").textContent = "";
  $("room-done").textContent = "";
  $("room").showModal();
}

$("room-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { active, client } = chat;
  const topic = $("room-topic").value.trim();
  const access = $("room-access").value;
  const isDone = await attempt($("room-message"), async () => {
    if (topic !== active.topic) await client.describeRoom(active.name, topic);
    if (access !== active.access) await client.setAccess(active.name, access);
  });
  if (isDone) $("room").close();
});

$("room-rules").addEventListener("click", async ({ target }) => {
  const action = target.closest("[data-action]")?.dataset.action;
  const name = $("room-person").value.trim();
  if (!action || !name) return;
  const { active, client } = chat;
  $("room-done").textContent = "";
  const act = () => client.moderate(active.name, name, action);
  if (await attempt($("room-message"), act))
    $("room-done").textContent = `${name} ${DONE[action]}.`;
});

$("open-room").addEventListener("click", openRoom);
$("room-cancel").addEventListener("click", () => $("room").close());
$("moderate-cancel").addEventListener("click", () => $("moderate").close());

// -- What the server tells ----------------------------------------------------------------------

function change(room, fields) {
  const target = findRoom(room);
  if (target) Object.assign(target, fields);
  render();
}

onClient({
  entered({ room, topic, access, moderator }) {
    Object.assign(conversation("room", room), { topic, access, isModerated: moderator });
    render();
  },
  room_described: ({ room, topic }) => change(room, { topic }),
  room_access: ({ room, access }) => change(room, { access }),
  appointed: ({ room, moderator }) => change(room, { isModerated: moderator }),
});

onRender(() => {
  $("open-room").hidden = chat.active?.kind !== "room";
});
