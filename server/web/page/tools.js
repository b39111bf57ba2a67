/**
 * The panel at the right, in which one tool at a time is open.
 *
 * What must live here: opening, closing, and where the focus goes. What this file does not know:
 * what the tools do; each of them says so for itself.
 *
 * @module
 */

import { on, tell } from "./chat.js";
import { $ } from "./dom.js";

/** Where the panel lies over everything else. */
const narrow = matchMedia("(max-width: 67.5rem)");
/** Where the list at the left is a drawer, which is closed again when a tool is open. */
const phone = matchMedia("(max-width: 47.5rem)");

/**
 * @typedef {object} Tool
 * @property {string} title
 * @property {() => void} [opened]
 * @property {() => void} [closed]
 */

/** @type {Map<string, Tool>} */
const tools = new Map();
let current = "";
/** What has the focus again when the panel is closed. @type {HTMLElement | null} */
let opener = null;

/** Make a tool of the section `tool-…`. @param {string} name @param {Tool} tool */
export function addTool(name, tool) {
  tools.set(name, tool);
}

export const isOpen = (name) => current === name;

export function openTool(name) {
  if (name === current) return;
  closeCurrent();
  current = name;
  const { title, opened } = tools.get(name);
  $("tools-heading").textContent = title;
  tell("tool");
  apply();
  opened?.();
  const field = $(`tool-${name}`).querySelector("[data-first]");
  (field ?? $("tools-heading")).focus();
}

export function closeTool() {
  if (!current) return;
  closeCurrent();
  apply();
  const isAway = phone.matches && $("sidebar").contains(opener);
  (isAway ? $("title") : opener)?.focus();
}

function closeCurrent() {
  const { closed } = tools.get(current) ?? {};
  current = "";
  closed?.();
}

function apply() {
  $("tools").hidden = !current;
  if (current) $("app").dataset.tool = current;
  else delete $("app").dataset.tool;
  for (const name of tools.keys()) $(`tool-${name}`).hidden = name !== current;
  for (const button of document.querySelectorAll("[data-tool][aria-controls]")) {
    button.setAttribute("aria-expanded", String(button.dataset.tool === current));
  }
  const covers = Boolean(current) && narrow.matches;
  for (const part of [$("sidebar"), $("conversation"), $("members")]) part.inert = covers;
}

narrow.addEventListener("change", apply);
on("sign-out", () => {
  closeCurrent();
  apply();
});

$("app").addEventListener("click", ({ target }) => {
  const button = target.closest("[data-tool][aria-controls]");
  if (!button) return;
  opener = button;
  if (isOpen(button.dataset.tool)) closeTool();
  else openTool(button.dataset.tool);
});
$("tools-close").addEventListener("click", closeTool);
$("tools").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeTool();
});
