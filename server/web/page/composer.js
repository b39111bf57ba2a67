/**
 * The message box: drafts, its size, how much still fits, and sending.
 *
 * @module
 */

import { chat, on, onRender } from "./chat.js";
import { sendText } from "./deliveries.js";
import { $, announce } from "./dom.js";
import { keepInView } from "./scrolling.js";
import { noteTyping, stopTyping } from "./typing.js";
import { plural } from "./words.js";

const box = $("composer-text");

/** Characters that the text in the box has too many; negative while there is room. */
function excess() {
  const limit = chat.client?.limits.max_text ?? Infinity;
  return [...box.value.trim()].length - limit;
}

function fit() {
  if (!CSS.supports("field-sizing", "content")) {
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  }
  const over = excess();
  $("composer-count").hidden = over < -100;
  $("composer-count").dataset.over = String(over > 0);
  $("composer-count").textContent =
    over > 0
      ? `${plural(over, "character", "characters")} too many`
      : `${plural(-over, "character", "characters")} left`;
  keepInView();
}

/** @param {string} text */
function fill(text) {
  box.value = text;
  fit();
}

function submit() {
  const text = box.value.trim();
  if (!chat.active || text === "") return;
  if (excess() > 0) return announce($("composer-count").textContent);
  fill("");
  sendText(chat.active, text);
  stopTyping();
}

on("leave", (left) => {
  left.draft = box.value;
});
on("enter", (entered) => fill(entered?.draft ?? ""));
on("sign-out", () => fill(""));

onRender(() => {
  const { active } = chat;
  $("composer").hidden = !active;
  $("composer-label").textContent = `Message to ${active?.title ?? ""}`;
  box.placeholder = active ? `Message ${active.title}` : "";
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
box.addEventListener("input", () => {
  fit();
  noteTyping();
});
box.addEventListener("keydown", (event) => {
  // The key that ends an input method's composition must not send, and a phone's Enter is a line.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  if (matchMedia("(pointer: coarse)").matches) return;
  event.preventDefault();
  submit();
});
