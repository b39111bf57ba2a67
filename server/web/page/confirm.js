/**
 * The question before something that cannot be undone.
 *
 * What this file does not know: what is asked about.
 *
 * @module
 */

import { $ } from "./dom.js";

/**
 * Ask, and wait for the answer.
 * @param {object} question
 * @param {string} question.title
 * @param {string} question.text    what comes of it
 * @param {string} [question.quoted]    what it is about, in somebody's words
 * @param {string} question.verb    what the button says that does it
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, text, quoted = "", verb }) {
  const dialog = $("confirm");
  $("confirm-heading").textContent = title;
  $("confirm-quoted").textContent = quoted;
  $("confirm-quoted").hidden = quoted === "";
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = verb;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}
