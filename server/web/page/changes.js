/**
 * Changing one's own messages and taking them back.
 *
 * What must live here: who may do it, by pointer and by keyboard, and what it does. That a message
 * has changed is heard like everything else, in `messages.js`.
 *
 * @module
 */

import { chat, on } from "./chat.js";
import { box, releaseBox, takeBox } from "./composer.js";
import { confirmed } from "./confirm.js";
import { $, toast } from "./dom.js";
import { written } from "./items.js";
import { explain } from "./words.js";

/** The item that is being changed. @type {Element | null} */
let changing = null;

/** What we may do with a message of the open conversation: "edit", "take-back", both or nothing. */
function abilities(item) {
  const { user, offset, deleted } = written.get(item) ?? {};
  if (!chat.active || offset === undefined || deleted) return [];
  if (user === chat.client.user) return ["edit", "take-back"];
  return chat.active.isModerated ? ["take-back"] : [];
}

/** Our own messages in the open conversation that can be changed, oldest first. */
const changeable = () =>
  [...(chat.active?.list.children ?? [])].filter((item) => abilities(item).includes("edit"));

function change(item) {
  const { active, client } = chat;
  const { offset, text: before } = written.get(item);
  const task = {
    name: "Editing your message",
    verb: "Save",
    async submit(text) {
      if (text === "") return takeBack(item);
      try {
        if (text !== before) {
          if (active.kind === "room") await client.edit(active.name, offset, text);
          else await client.editPrivate(offset, text);
        }
        if (changing === item) releaseBox();
      } catch (error) {
        toast(explain(error));
      }
    },
    ended() {
      item.classList.remove("edited-now");
      changing = null;
    },
  };
  takeBox(task, before);
  changing = item;
  item.classList.add("edited-now");
  item.scrollIntoView({ block: "nearest" });
}

async function takeBack(item) {
  const { active, client } = chat;
  const { offset, text } = written.get(item);
  const question = {
    title: "Delete this message?",
    text: "Nobody can read it any more. It stays to be seen that there was one.",
    quoted: text,
    verb: "Delete",
  };
  if (!(await confirmed(question))) return;
  try {
    if (active.kind === "room") await client.delete(active.name, offset);
    else await client.deletePrivate(offset);
    if (changing === item) releaseBox();
    box.focus();
  } catch (error) {
    toast(explain(error));
  }
}

/** The arrow up goes to our last message, and on from each to the one before it. */
function changeEarlier() {
  const items = changeable();
  const earlier = changing ? items[items.indexOf(changing) - 1] : items.at(-1);
  if (earlier) change(earlier);
  return earlier !== undefined;
}

box.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowUp" || event.isComposing || event.shiftKey) return;
  const untouched = changing ? box.value === written.get(changing).text : box.value === "";
  if (untouched && changeEarlier()) event.preventDefault();
});

// What can be done is found out when somebody is about to do it: it depends on much that changes.
for (const type of ["pointerover", "focusin"]) {
  $("scroller").addEventListener(type, ({ target }) => {
    const item = target.closest(".message");
    if (!item) return;
    const can = abilities(item).join(" ");
    if (can) item.dataset.can = can;
    else delete item.dataset.can;
  });
}

$("scroller").addEventListener("click", ({ target }) => {
  const button = target.closest(".actions button");
  if (!button) return;
  const item = button.closest(".message");
  if (button.classList.contains("edit")) change(item);
  else takeBack(item);
});
$("task-delete").addEventListener("click", () => takeBack(changing));

on("message-deleted", (item) => {
  if (item === changing) releaseBox();
  delete item.dataset.can;
});
