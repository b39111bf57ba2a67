/**
 * The list of who is in the open room.
 *
 * @module
 */

import { chat, me, onClient, onRender, render } from "./chat.js";
import { findRoom, openPerson } from "./conversation.js";
import { $, element, reconcile } from "./dom.js";
import { entry, personMark } from "./entries.js";
import { learnSeen } from "./reading.js";
import { collator } from "./words.js";

function createItem(name) {
  const item = entry(personMark(name), () => openPerson(name));
  if (name === me()) {
    const self = element("div", "entry");
    self.append(...item.firstElementChild.childNodes);
    item.replaceChildren(self);
  }
  return item;
}

async function load(room) {
  const { client } = chat;
  let page;
  try {
    page = await client.members(room);
  } catch {
    return;
  }
  const target = findRoom(room);
  if (chat.client !== client || !target) return;
  for (const { name, read } of page.members) learnSeen(target, name, read);
  render();
}

onClient({ entered: ({ room }) => load(room) });

onRender(() => {
  const names = [...(chat.active?.members ?? [])].sort(collator.compare);
  const others = names.filter((name) => name !== me());
  $("open-members").setAttribute("aria-label", `Members, ${names.length}`);
  reconcile(
    $("member-list"),
    names.length > others.length ? [me(), ...others] : others,
    createItem,
    (item, name) => {
      item.querySelector(".entry-name").textContent = name;
      item.querySelector(".entry").title = name;
      if (name === me()) item.querySelector(".entry-note").textContent = "you";
      else item.querySelector(".entry").setAttribute("aria-label", `Message ${name} privately`);
    },
  );
});
