/**
 * The state of the connection, in words and as a banner while it is lost.
 *
 * @module
 */

import { chat, me, onClient } from "./chat.js";
import { $, announce } from "./dom.js";

const WORDS = {
  idle: "Signed out",
  connecting: "Connecting",
  online: "Connected",
  waiting: "Reconnecting",
};

let countdown = 0;
let spoken = "";

export function renderStatus() {
  const { status, code } = chat.client?.status ?? { status: "idle", code: "" };
  clearInterval(countdown);
  if (status === "waiting") countdown = setInterval(renderBanner, 1000);
  $("connection").dataset.status = status;
  $("connection-text").textContent = WORDS[status];
  renderBanner();
  if ($("app").hidden) return;
  const words =
    status === "online" ? "Connected." : code ? "The connection is lost. Reconnecting." : "";
  if (words && words !== spoken && spoken) announce(words);
  if (words) spoken = words;
}

function renderBanner() {
  const { status, code, retryAt } = chat.client?.status ?? { status: "idle" };
  const lost = status === "waiting" || (status === "connecting" && code !== "");
  $("banner").hidden = !lost;
  if (!lost) return;
  const seconds = retryAt === null ? 0 : Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  const why =
    code === "name_taken"
      ? `The name ${me()} is still in use, perhaps by your lost connection.`
      : "The connection is lost.";
  const next = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.";
  $("banner-text").textContent = `${why} ${next}`;
  $("try-now").setAttribute("aria-disabled", String(status !== "waiting"));
  $("change-name").hidden = code !== "name_taken";
}

onClient({ status: renderStatus });

$("try-now").addEventListener("click", () => chat.client?.retryNow());
