/**
 * Words for people: errors, counts, times and days.
 *
 * What this file does not know: the document.
 *
 * @module
 */

/** Errors that the page can explain better than the server, which does not see it. */
const EXPLANATIONS = {
  name_taken: "Somebody here already has this name. Choose another one.",
  unauthenticated: "This server asks for a login.",
  invalid_room: "A name has 1 to 64 letters, digits, dots, hyphens and underscores, and no spaces.",
};

/** Makes a sentence of what the server says. */
export const sentence = (text) =>
  text.charAt(0).toLocaleUpperCase() + text.slice(1).replace(/\.?$/, ".");

/** What an error says, as a sentence for people. */
export const explain = ({ code, message }) => EXPLANATIONS[code] ?? sentence(message);

export const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

export const collator = new Intl.Collator(undefined, { numeric: true });
export const clockTime = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
export const fullTime = new Intl.DateTimeFormat(undefined, {
  dateStyle: "full",
  timeStyle: "short",
});
const longDay = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" });

export function dayName(date) {
  const midnight = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate());
  const days = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  return days === 0 ? "Today" : days === 1 ? "Yesterday" : longDay.format(date);
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
];

/** How long ago something was, in words. @param {Date} at */
export function ago(at) {
  const passed = Date.now() - at;
  const [unit, size] = UNITS.find(([, size]) => passed >= size) ?? ["", 0];
  return unit ? relative.format(-Math.floor(passed / size), unit) : "just now";
}
