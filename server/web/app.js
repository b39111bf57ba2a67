/**
 * The page: coming in under a name, and going.
 *
 * What must live here: the first form, and the life of the client. What people see and press while
 * they are in is in `page/`, a part in each file; how messages travel and how a lost connection
 * comes back is in `client.js`.
 *
 * @module
 */

import { ChatClient } from "./client.js";
import { EventSocket } from "./fallback.js";
import {
  forgetGuest,
  keepConversation,
  keepGuest,
  keptConversation,
  keptGuest,
} from "./guest.js";
import "./page/changes.js";
import { attach, chat, detach, on, onClient, render, tell } from "./page/chat.js";
import { openPerson } from "./page/conversation.js";
import { resumeUnsent } from "./page/deliveries.js";
import { $, remember, remembered, setAvatar, toast } from "./page/dom.js";
import "./page/drawers.js";
import "./page/live.js";
import "./page/members.js";
import "./page/messages.js";
import "./page/notifications.js";
import "./page/presence.js";
import { DEFAULT_ROOM, joinRoom } from "./page/rooms.js";
import "./page/search.js";
import { renderStatus } from "./page/status.js";
import { stopTyping } from "./page/typing.js";
import { WatchedSocket } from "./page/wire.js";
import { explain } from "./page/words.js";
import { currentLogin, freshToken, logOut } from "./session.js";

const NAME_KEY = "chat.name";

function say(text, tone) {
  $("sign-in-message").textContent = text;
  $("sign-in-message").dataset.tone = tone;
  $("name").setAttribute("aria-invalid", String(tone === "error" && text !== ""));
}

function makeClient() {
  const url = new URL("/ws", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new ChatClient(url.href, {
    WebSocket: WatchedSocket,
    fallback: EventSocket,
    token: freshToken,
    secret: keptGuest()?.secret ?? null,
  });
}

async function signIn(name) {
  discardClient();
  const client = makeClient();
  resumeUnsent(client);
  attach(client);
  say("Joining", "info");
  let memberships;
  try {
    ({ memberships } = await client.connect(name));
  } catch (error) {
    if (chat.client === client) refuse(error);
    return;
  }
  if (client.role === "guest") remember(NAME_KEY, client.name);
  say("", "info");
  $("welcome").hidden = true;
  $("app").hidden = false;
  $("my-name").textContent = client.name;
  setAvatar($("my-avatar"), client.name);
  $("administration").hidden = client.role !== "admin";
  tell("sign-in");
  render();
  await comeBack(memberships.map(({ room }) => room));
}

/** Enter the rooms that we are a member of from before, or else the one that is for everybody. */
async function comeBack(rooms) {
  const { client } = chat;
  const [kind, name] = keptConversation().split(/:(.*)/s);
  const usual = rooms.length === 0 || rooms.includes(DEFAULT_ROOM) ? DEFAULT_ROOM : rooms[0];
  const first = kind === "room" && rooms.includes(name) ? name : usual;
  await joinRoom(first, { open: kind !== "person" });
  if (kind === "person" && chat.client === client) openPerson(name);
  for (const room of rooms) if (room !== first) await joinRoom(room, { open: false });
}

function refuse(error) {
  discardClient();
  say(explain(error), "error");
  $("name").focus();
  $("name").select();
}

function signOut() {
  discardClient();
  forgetGuest();
  tell("sign-out");
  document.title = "Chat";
  $("app").hidden = $("ended").hidden = true;
  $("welcome").hidden = false;
  say("", "info");
  $("name").value = remembered(NAME_KEY);
  $("name").focus();
}

/** At the press of a button: the login ends too, or a reload would bring us back. */
async function signOutForGood() {
  signOut();
  await logOut().catch(() => {});
}

/** The server does not want us back, or does not know us any more: say why, and stay away. */
function showEnd({ code, reason }) {
  signOut();
  const isForbidden = code === "forbidden";
  $("welcome").hidden = true;
  $("ended").hidden = false;
  $("ended-heading").textContent = isForbidden ? "You were removed" : "You are no longer signed in";
  $("ended-reason").textContent = explain({ code, message: reason });
  $("ended-heading").focus();
}

function discardClient() {
  stopTyping();
  detach();
  renderStatus();
}

onClient({
  status({ status, code, reason }) {
    // A server that did not know us any more has made us somebody new.
    if (status === "online") keepGuest(chat.client);
    if (status === "idle" && code !== "closed" && !$("app").hidden) showEnd({ code, reason });
    if (status === "waiting" && $("app").hidden) {
      say("The server cannot be reached. Trying again until it answers.", "info");
    }
  },

  fault(error) {
    toast(explain(error));
  },
});

on("enter", (target) => {
  if (target) keepConversation(target.key);
});

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("name").value.trim());
});
$("sign-out").addEventListener("click", signOutForGood);
$("change-name").addEventListener("click", signOut);
$("ended-back").addEventListener("click", signOut);

// The page may be loaded again, or wait in the back/forward cache: then it comes back as who it was.
// There it would hold its name for nothing.
window.addEventListener("pagehide", () => chat.client?.suspend());
window.addEventListener("pageshow", () => chat.client?.retryNow());
window.addEventListener("online", () => chat.client?.check());

const known = currentLogin() ?? keptGuest();
$("name").value = known?.name ?? remembered(NAME_KEY);
$("name").focus();
if (known) signIn(known.name);
