/**
 * Live feeds: the latest values, and how they came about.
 *
 * What must live here: watching while somebody looks, small charts, and the rates. The server tells
 * of each key at most one value in an interval, and the latest when we are slow, so nothing piles
 * up.
 *
 * @module
 */

import { chat, on, onClient } from "./chat.js";
import { $, clone } from "./dom.js";
import { addTool, isOpen } from "./tools.js";
import { plural } from "./words.js";

/** Values of a key that are in its chart. */
const KEPT = 60;
/** Milliseconds over which the rate is measured. */
const WINDOW = 10_000;
const WIDTH = 120;
const HEIGHT = 32;

const figures = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

/** A feed that is watched. */
class Feed {
  constructor(name) {
    this.name = name;
    this.interval = 0;
    this.since = Date.now();
    /** Times of the values that came of late. @type {number[]} */
    this.arrivals = [];
    /** @type {Map<string, {numbers: number[], item: Element}>} */
    this.keys = new Map();
    this.section = clone("feed-template");
    this.section.querySelector("h3").textContent = name;
    $("live-feeds").append(this.section);
  }

  take(key, value) {
    const number = numberOf(value);
    let line = this.keys.get(key);
    if (!line) {
      const item = clone("value-template");
      item.querySelector(".value-key").textContent = item.querySelector(".value-key").title = key;
      this.section.querySelector(".feed-values").append(item);
      this.keys.set(key, (line = { numbers: [], item }));
    }
    if (Number.isFinite(number)) line.numbers = [...line.numbers, number].slice(-KEPT);
    show(key, value, line);
  }

  /** What the server has promised, and what comes. */
  showRate() {
    const now = Date.now();
    this.arrivals = this.arrivals.filter((at) => now - at < WINDOW);
    const seconds = Math.max(1, Math.min(WINDOW, now - this.since) / 1000);
    const rate = figures.format(this.arrivals.length / seconds);
    const every = figures.format(this.interval);
    this.section.querySelector(".feed-rate").textContent =
      `Each value at most every ${every} s. ` +
      `${plural(this.keys.size, "value", "values")}, ${rate} updates a second.`;
  }
}

/** The number in a value: itself, or its price, or whatever number it has. */
function numberOf(value) {
  if (typeof value !== "object" || value === null) return Number(value);
  return value.price ?? value.value ?? Object.values(value).find(Number.isFinite) ?? NaN;
}

function show(key, value, { numbers, item }) {
  const last = numbers.at(-1);
  const change = last - (numbers.at(-2) ?? last);
  item.querySelector(".value-now").textContent =
    last === undefined ? JSON.stringify(value) : figures.format(last);
  const direction = change > 0 ? "up" : change < 0 ? "down" : "same";
  const place = item.querySelector(".value-change");
  place.dataset.direction = direction;
  place.textContent =
    direction === "same" ? "" : `${change > 0 ? "▲" : "▼"} ${figures.format(Math.abs(change))}`;
  draw(item.querySelector("svg"), key, numbers);
}

function draw(chart, key, numbers) {
  const low = Math.min(...numbers);
  const high = Math.max(...numbers);
  const height = high - low || 1;
  const points = numbers.map((number, index) => {
    const x = (index / Math.max(1, numbers.length - 1)) * WIDTH;
    const y = HEIGHT - 2 - ((number - low) / height) * (HEIGHT - 4);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  chart.querySelector("polyline").setAttribute("points", points.join(" "));
  chart.setAttribute(
    "aria-label",
    numbers.length === 0
      ? `${key}: no numbers`
      : `${key}: the last ${numbers.length} values lie between ${figures.format(low)} and ` +
          `${figures.format(high)}; first ${figures.format(numbers[0])}, now ` +
          `${figures.format(numbers.at(-1))}`,
  );
}

/** @type {Map<string, Feed>} */
const feeds = new Map();
let timer = 0;

async function watch() {
  const { client } = chat;
  $("live-empty").hidden = client.feeds.length > 0;
  for (const name of client.feeds) {
    let answer;
    try {
      answer = await client.watch(name);
    } catch {
      // With another connection it is watched again.
      return;
    }
    if (!isOpen("live") || chat.client !== client) return;
    if (!feeds.has(name)) feeds.set(name, new Feed(name));
    const feed = feeds.get(name);
    feed.interval = answer.interval;
    for (const [key, value] of Object.entries(answer.values)) feed.take(key, value);
    feed.showRate();
  }
}

function unwatch() {
  clearInterval(timer);
  for (const name of feeds.keys()) chat.client?.unwatch(name).catch(() => {});
  feeds.clear();
  $("live-feeds").replaceChildren();
}

addTool("live", {
  title: "Live feeds",
  opened() {
    timer = setInterval(() => feeds.forEach((feed) => feed.showRate()), 1000);
    watch();
  },
  closed: unwatch,
});

onClient({
  feed({ feed: name, key, value }) {
    const feed = feeds.get(name);
    feed?.arrivals.push(Date.now());
    feed?.take(key, value);
  },

  status({ status }) {
    if (status === "online" && isOpen("live")) watch();
  },
});

on("sign-in", () => {
  document.querySelector("[data-tool=live]").hidden = chat.client.feeds.length === 0;
});
