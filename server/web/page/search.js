/**
 * Search in the open conversation.
 *
 * What must live here: the question, what was found, and going there. The server looks through the
 * log, also at what this page has never seen.
 *
 * @module
 */

import { chat, on, onRender } from "./chat.js";
import { $, clone, marked } from "./dom.js";
import { reveal } from "./scrolling.js";
import { addTool, closeTool, isOpen } from "./tools.js";
import { clockTime, dayName, explain, plural } from "./words.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */

/** What is looked for now. @type {{target: Conversation, text: string, before: number | null} | null} */
let question = null;

const say = (text) => {
  $("search-status").textContent = text;
};

function clear() {
  question = null;
  $("search-results").replaceChildren();
  $("search-more").hidden = true;
  say("");
}

function resultItem({ from, text, time, offset }, words) {
  const item = clone("result-template");
  const at = new Date(time);
  item.querySelector(".result-from").textContent = from;
  item.querySelector("time").dateTime = at.toISOString();
  item.querySelector("time").textContent = `${dayName(at)}, ${clockTime.format(at)}`;
  item.querySelector(".result-text").append(...marked(text, words));
  item.querySelector("button").addEventListener("click", async () => {
    const { active } = chat;
    if (matchMedia("(max-width: 67.5rem)").matches) closeTool();
    if (!(await reveal(active, offset))) say("This message is no longer there.");
  });
  return item;
}

async function look() {
  const asked = question;
  $("search-more").hidden = true;
  say("Looking");
  let answer;
  try {
    const { kind, name } = asked.target;
    answer =
      kind === "room"
        ? await chat.client.search(name, asked.text, asked.before)
        : await chat.client.searchPrivate(name, asked.text, asked.before);
  } catch (error) {
    if (question === asked) say(explain(error));
    return;
  }
  if (question !== asked) return;
  asked.before = answer.before;
  const words = asked.text.split(/\s+/);
  $("search-results").append(...answer.found.map((message) => resultItem(message, words)));
  const count = $("search-results").children.length;
  const found = count ? plural(count, "message", "messages") : "Nothing was found";
  say(asked.before === null ? `${found}.` : `${found} so far.`);
  $("search-more").hidden = asked.before === null;
}

$("search-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("search-text").value.trim();
  clear();
  if (!text || !chat.active) return;
  question = { target: chat.active, text, before: null };
  look();
});
$("search-more").addEventListener("click", async () => {
  const before = $("search-results").lastElementChild;
  await look();
  const next = before ? before.nextElementSibling : $("search-results").firstElementChild;
  (next?.querySelector("button") ?? $("search-text")).focus();
});

addTool("search", { title: "Search", opened: () => $("search-text").select() });
on("enter", clear);
on("sign-out", clear);

onRender(() => {
  $("open-search").hidden = !chat.active;
  if (!chat.active && isOpen("search")) closeTool();
  $("search-label").textContent = `Find messages in ${chat.active?.title ?? ""}`;
});
