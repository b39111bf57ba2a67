/**
 * The document: finding, making and keeping elements, and speaking to people.
 *
 * What must live here: how text of users gets into the document, which is as text only. It is ever
 * assigned to `textContent` and to attributes that cannot run, so there is nothing to escape. What
 * this file does not know: the chat.
 *
 * @module
 */

const TOAST_LASTS = 8_000;

export const $ = (id) => document.getElementById(id);
export const clone = (id) => $(id).content.firstElementChild.cloneNode(true);

export function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/**
 * A name among words: whichever way it is written, it turns nothing around it.
 * @param {string} text
 */
export const isolated = (text) => element("bdi", "", text);

export function setAvatar(node, name) {
  const [first = ""] = name;
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) >>> 0;
  // Drawn by the style sheet: it is no part of what a button says.
  node.dataset.letter = first.toLocaleUpperCase();
  node.dataset.hue = hash % 8;
}

/**
 * An address ends before white space, quotes and angle brackets, and before what would turn it
 * around: marks of direction.
 */
const ADDRESS = /\bhttps?:\/\/[^\s<>"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gi;

/** Text with its http(s) addresses as links. No other scheme becomes a link. */
export function linked(text) {
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(ADDRESS)) {
    const address = match[0].replace(/[.,;:!?)\]}']+$/, "");
    if (!URL.canParse(address)) continue;
    nodes.push(text.slice(end, match.index));
    const link = element("a", "", address);
    link.href = address;
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
    nodes.push(link);
    end = match.index + address.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}

/** Text with some words marked, whatever their case. */
export function marked(text, words) {
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  // With a group in the pattern every second part is a match.
  return text
    .split(new RegExp(`(${pattern})`, "giu"))
    .map((part, index) => (index % 2 ? element("mark", "", part) : part));
}

/** What the items of lists show by now. @type {WeakMap<Element, string>} */
const shown = new WeakMap();

/**
 * Make a list's items match keys in order. Items that stay are kept, and with them the focus; and
 * nothing is touched of those that show already what they should, since lists can be long.
 *
 * @template {object} Description
 * @param {Element} list
 * @param {string[]} keys
 * @param {(key: string) => HTMLElement} create    makes a new item
 * @param {(key: string) => Description} describe    what an item has to show
 * @param {(item: Element, description: Description) => void} update    has it show that
 */
export function reconcile(list, keys, create, describe, update) {
  const old = new Map([...list.children].map((item) => [item.dataset.key, item]));
  keys.forEach((key, index) => {
    let item = old.get(key);
    old.delete(key);
    if (!item) {
      item = create(key);
      item.dataset.key = key;
    }
    const description = describe(key);
    const written = JSON.stringify(description);
    if (shown.get(item) !== written) update(item, description);
    shown.set(item, written);
    const place = list.children[index] ?? null;
    if (place !== item) list.insertBefore(item, place);
  });
  for (const item of old.values()) item.remove();
}

/** What the browser keeps for us from one visit to the next; "" where there is nothing. */
export function remembered(key) {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage can be forbidden; the page works without.
  }
}

/** Say something to people who listen to the page instead of seeing it. */
export function announce(text) {
  const announcer = $("announcer");
  announcer.append(element("p", "", text.slice(0, 300)));
  while (announcer.children.length > 3) announcer.firstElementChild.remove();
}

export function toast(text) {
  const item = clone("toast-template");
  item.querySelector(".toast-text").textContent = text;
  const timer = setTimeout(() => item.remove(), TOAST_LASTS);
  item.querySelector("button").addEventListener("click", () => {
    clearTimeout(timer);
    item.remove();
    $("composer-text").focus();
  });
  $("toasts").append(item);
}
