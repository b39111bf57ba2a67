/**
 * Notifications of the browser, for people who look at something else.
 *
 * What must live here: asking for them, which happens at the press of a button only, and whether
 * they are wanted. What this file does not know: what is worth one.
 *
 * @module
 */

import { $, remember, remembered } from "./dom.js";

const KEY = "chat.desktop";
const exists = "Notification" in window;

const isWanted = () => exists && Notification.permission === "granted" && remembered(KEY) === "on";

/** Show something on the desktop, unless somebody looks at the page. */
export function notifyDesktop(title, { body, tag, pressed = () => {} }) {
  if (!isWanted() || (document.visibilityState === "visible" && document.hasFocus())) return;
  let notification;
  try {
    notification = new Notification(title, { body, tag });
  } catch {
    // On some phones only a service worker may do this.
    return;
  }
  notification.onclick = () => {
    window.focus();
    notification.close();
    pressed();
  };
}

async function toggle() {
  if (isWanted()) remember(KEY, "off");
  else if ((await Notification.requestPermission()) === "granted") remember(KEY, "on");
  renderDesktop();
}

/** Say what is so, and offer the other. */
export function renderDesktop() {
  const denied = exists && Notification.permission === "denied";
  const wanted = isWanted();
  $("desktop-text").textContent = !exists
    ? "This browser has no desktop notifications."
    : denied
      ? "Your browser blocks desktop notifications of this page."
      : wanted
        ? "Private messages, mentions and notifications also appear on your desktop."
        : "Private messages, mentions and notifications can also appear on your desktop.";
  $("desktop-button").hidden = !exists || denied;
  $("desktop-button").textContent = wanted ? "Turn off desktop notifications" : "Turn on desktop notifications";
}

$("desktop-button").addEventListener("click", toggle);
