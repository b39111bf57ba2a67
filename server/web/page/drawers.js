/**
 * Side panels that slide over the page where there is no room beside it.
 *
 * @module
 */

import { on } from "./chat.js";
import { $ } from "./dom.js";

class Drawer {
  constructor(panel, opener, query) {
    this.panel = panel;
    this.opener = opener;
    opener.addEventListener("click", () => this.open());
    panel.querySelector(".drawer-close").addEventListener("click", () => this.close());
    matchMedia(query).addEventListener("change", () => {
      panel.classList.remove("drawer-moves");
      this.close({ restoreFocus: false });
    });
  }

  get isOpen() {
    return this.panel.classList.contains("drawer-open");
  }

  open() {
    this.panel.classList.add("drawer-moves", "drawer-open");
    this.#apply();
    this.panel.querySelector(".drawer-close").focus();
  }

  close({ restoreFocus = true } = {}) {
    if (!this.isOpen) return;
    this.panel.classList.remove("drawer-open");
    this.#apply();
    if (restoreFocus) this.opener.focus();
  }

  #apply() {
    this.opener.setAttribute("aria-expanded", String(this.isOpen));
    $("scrim").hidden = !this.isOpen;
    for (const part of $("app").children) {
      if (part !== this.panel && part !== $("scrim")) part.inert = this.isOpen;
    }
  }
}

const drawers = [
  new Drawer($("sidebar"), $("open-sidebar"), "(max-width: 47.5rem)"),
  new Drawer($("members"), $("open-members"), "(max-width: 67.5rem)"),
];

function closeAll(options) {
  for (const drawer of drawers) drawer.close(options);
}

// Whoever chose something in a drawer goes on there, also where it was open already.
on("activate", () => closeAll({ restoreFocus: false }));
on("tool", () => closeAll({ restoreFocus: false }));
on("sign-out", () => closeAll({ restoreFocus: false }));
$("scrim").addEventListener("click", () => closeAll());
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeAll();
});
