/**
 * The message box: drafts, its size, how much still fits, and what happens with the text.
 *
 * What must live here: the box, and who uses it: it sends, unless it was taken for another task.
 * What this file does not know: which tasks there are.
 *
 * @module
 */

import { chat, on, onRender, renderNow } from "./chat.js";
import { sendText } from "./deliveries.js";
import { $, announce } from "./dom.js";
import { keepInView } from "./scrolling.js";
import { noteTyping, stopTyping } from "./typing.js";
import { plural } from "./words.js";

/**
 * @typedef {object} Task
 * @property {string} name    what is done, for people
 * @property {string} verb    what the button does
 * @property {(text: string) => void} submit    takes the text, which may be empty
 * @property {() => void} ended    the box does something else again
 */

export const box = $("composer-text");
/** What the box was taken for. @type {Task | null} */
let task = null;
/** What stood in it before. */
let interrupted = "";

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

/**
 * Take the box for something else than sending; what stood in it comes back afterwards.
 * @param {Task} next
 * @param {string} text    to begin with
 */
export function takeBox(next, text) {
  if (task) task.ended();
  else interrupted = box.value;
  task = next;
  fill(text);
  renderNow();
  box.focus();
}

/** Let the box send again. */
export function releaseBox() {
  if (!task) return;
  const { ended } = task;
  task = null;
  ended();
  fill(interrupted);
  renderNow();
}

function submit() {
  const text = box.value.trim();
  if (!chat.active || (text === "" && !task)) return;
  if (excess() > 0) return announce($("composer-count").textContent);
  if (task) return task.submit(text);
  fill("");
  sendText(chat.active, text);
  stopTyping();
}

on("leave", (left) => {
  releaseBox();
  left.draft = box.value;
});
on("enter", (entered) => fill(entered?.draft ?? ""));
on("sign-out", () => {
  releaseBox();
  fill("");
});

onRender(() => {
  const { active } = chat;
  $("composer").hidden = !active?.isOpen;
  $("read-only").hidden = !active || active.isOpen;
  $("composer-label").textContent = task?.name ?? `Message to ${active?.title ?? ""}`;
  box.placeholder = active ? `Message ${active.title}` : "";
  $("task").hidden = !task;
  $("task-name").textContent = task?.name ?? "";
  const verb = task?.verb ?? "Send";
  $("send").title = verb;
  $("send").setAttribute("aria-label", verb);
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
$("task-cancel").addEventListener("click", () => {
  releaseBox();
  box.focus();
});
box.addEventListener("input", () => {
  fit();
  if (!task) noteTyping();
});
box.addEventListener("keydown", (event) => {
  // The key that ends an input method's composition must not send, and a phone's Enter is a line.
  if (event.isComposing) return;
  if (event.key === "Escape" && task) {
    event.stopPropagation();
    releaseBox();
  }
  if (event.key !== "Enter" || event.shiftKey || matchMedia("(pointer: coarse)").matches) return;
  event.preventDefault();
  submit();
});
