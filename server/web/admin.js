/**
 * The page of the administrators.
 *
 * What must live here: the server's numbers, renewed every few seconds, and the buttons that put
 * somebody out or drain the server. Everything that users chose is set as text.
 *
 * @module
 */

import { sentence } from "./page/words.js";
import { currentLogin, freshToken, logOut, request } from "./session.js";

const INTERVAL = 3000;
const $ = (selector) => document.querySelector(selector);

/** Commands of each connection when it was last looked at. @type {Map<string, number>} */
let commands = new Map();
let lookedAt = 0;

function cell(text, className = "") {
  const td = document.createElement("td");
  td.textContent = text;
  td.className = className;
  return td;
}

function row(...cells) {
  const tr = document.createElement("tr");
  tr.append(...cells);
  return tr;
}

function figure(name, value) {
  const div = document.createElement("div");
  const dt = document.createElement("dt");
  const dd = document.createElement("dd");
  dt.textContent = name;
  dd.textContent = value;
  div.append(dt, dd);
  return div;
}

function duration(seconds) {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return hours
    ? `${hours} h ${minutes} min`
    : minutes
      ? `${minutes} min`
      : `${Math.floor(seconds)} s`;
}

async function act(path, body, question) {
  if (!confirm(question)) return;
  try {
    await request("POST", path, body);
    // The button that had the focus goes with its row: the table has it now.
    $("#connections").focus();
    await look();
  } catch (error) {
    fail(error);
  }
}

function button(text, label, press) {
  const node = document.createElement("button");
  node.type = "button";
  node.className = "quiet danger";
  node.textContent = text;
  node.setAttribute("aria-label", label);
  node.addEventListener("click", press);
  return node;
}

/** What can be done about who has a connection; a guest has no login to end. */
function actions(user, role) {
  const td = document.createElement("td");
  td.className = "actions";
  if (!user) return td;
  const kick = () => act("/api/admin/kick", { user }, `Close all connections of ${user}?`);
  const end = () => act("/api/admin/lock-out", { user }, `End all logins of ${user}?`);
  td.append(button("Kick", `Kick ${user}`, kick));
  if (role !== "guest") td.append(button("End login", `End login of ${user}`, end));
  return td;
}

function show(overview) {
  const now = performance.now();
  const seconds = (now - lookedAt) / 1000;
  const visitors = overview.visitors.map((visitor) => {
    const before = commands.get(visitor.id);
    const rate = before === undefined ? "" : ((visitor.commands - before) / seconds).toFixed(1);
    return row(
      cell(visitor.id),
      cell(visitor.user ?? "–"),
      cell(visitor.role ?? ""),
      cell(visitor.address),
      cell(visitor.commands, "number"),
      cell(rate, "number"),
      actions(visitor.user, visitor.role),
    );
  });
  commands = new Map(overview.visitors.map((visitor) => [visitor.id, visitor.commands]));
  lookedAt = now;
  $("#figures").replaceChildren(
    figure("Connections", overview.connections),
    figure("Users", overview.users),
    figure("Rooms", overview.rooms.length),
    figure("Up for", duration(overview.uptime)),
    figure("State", overview.draining ? "draining" : "running"),
  );
  $("#rooms").replaceChildren(
    ...overview.rooms.map((room) => row(cell(room.room), cell(room.members, "number"))),
  );
  $("#nobody").hidden = visitors.length > 0;
  // A button under the pointer or the keyboard stays what it is until it is left.
  if (!$("#visitors").contains(document.activeElement)) $("#visitors").replaceChildren(...visitors);
}

function fail(error) {
  if (error.status === 401) location.assign("/login?next=/admin");
  else $("#fault").textContent = sentence(error.message);
  $("main").dataset.stale = "true";
}

async function look() {
  try {
    await freshToken();
    show(await request("GET", "/api/admin/overview"));
    $("#fault").textContent = "";
    $("main").dataset.stale = "false";
  } catch (error) {
    fail(error);
  }
}

$("#drain").addEventListener("click", () =>
  act("/api/admin/drain", {}, "Close all connections and end the server?"),
);
$("#out").addEventListener("click", async () => {
  await logOut().catch(() => {});
  location.assign("/login?next=/admin");
});
$("#who").textContent = currentLogin()?.name ?? "";
await look();
setInterval(look, INTERVAL);
