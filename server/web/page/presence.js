/**
 * Whether the person whom we write with privately is here, or when they were last.
 *
 * What must live here: when we ask the server, which tells it of those alone who have written to us.
 * It is asked when there may be news, and now and then while somebody looks.
 *
 * @module
 */

import { chat, on, onClient, render } from "./chat.js";
import { partner } from "./conversation.js";

const EVERY = 60_000;

async function ask() {
  const { active, client } = chat;
  if (active?.kind !== "person" || document.visibilityState !== "visible") return;
  let presence = null;
  try {
    const { online, last_seen: lastSeen } = await client.presence(active.name);
    presence = { isHere: online, lastSeen: lastSeen ? new Date(lastSeen) : null };
  } catch {
    // They have not written to us, or are gone for good; or there is no connection.
  }
  active.presence = presence;
  render();
}

function askAbout(name) {
  if (chat.active?.kind === "person" && chat.active.name === name) ask();
}

onClient({
  status: ask,
  private: (message) => askAbout(partner(message).name),
  joined: ({ user }) => askAbout(user),
  left: ({ user }) => askAbout(user),
});

on("enter", ask);
document.addEventListener("visibilitychange", ask);
setInterval(ask, EVERY);
