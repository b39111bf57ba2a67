/**
 * How much is new, where people see it without the page: in its title, its icon, and on the app.
 *
 * What this file does not know: what is counted; each part adds what it has.
 *
 * @module
 */

import { chat, on, onRender } from "./chat.js";
import { $ } from "./dom.js";

/** @type {(() => number)[]} */
const counts = [];
const icon = document.querySelector("link[rel=icon]");
const plain = icon.href;
let shown = 0;

/** Add what is to be counted. @param {() => number} count */
export function addCount(count) {
  counts.push(count);
}

/** The page's icon, with a number over it. */
function numbered(total) {
  const mark = decodeURIComponent(plain.slice(plain.indexOf(",") + 1));
  const text = total > 99 ? "99+" : String(total);
  const number =
    "<circle cx='22' cy='22' r='10' fill='#b3261e'/>" +
    "<text x='22' y='26' text-anchor='middle' font-family='sans-serif' font-weight='700' " +
    `font-size='${text.length > 2 ? 9 : 12}' fill='#fff'>${text}</text></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(mark.replace("</svg>", number))}`;
}

function show(total) {
  if (total === shown) return;
  shown = total;
  icon.href = total ? numbered(total) : plain;
  // Only an installed app has a place for it, and not every browser knows it.
  const told = total ? navigator.setAppBadge?.(total) : navigator.clearAppBadge?.();
  told?.catch(() => {});
}

onRender(() => {
  const total = counts.reduce((sum, count) => sum + count(), 0);
  $("menu-badge").hidden = total === 0;
  $("open-sidebar").setAttribute(
    "aria-label",
    total ? `Conversations, ${total} unread` : "Conversations",
  );
  const where = chat.active ? `${chat.active.title} - Chat` : "Chat";
  document.title = total ? `(${total}) ${where}` : where;
  show(total);
});

on("sign-out", () => show(0));
