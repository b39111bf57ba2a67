/**
 * The list of who is in the open room.
 *
 * @module
 */

import { chat, me, onRender } from "./chat.js";
import { openPerson } from "./conversation.js";
import { $, element, reconcile } from "./dom.js";
import { entry, personMark } from "./entries.js";
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
