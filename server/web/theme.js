/**
 * Light or dark: as the system has it, or as somebody has chosen here.
 *
 * What must live here: the choice, where it is kept, and how the pages hear of it. This is no module:
 * it stands in each page's head and runs before anything is drawn, so that nothing is drawn in other
 * colours first. What this file does not know: the colours, which are in `css/base.css`, and the chat.
 */

(() => {
  const KEY = "chat.theme";
  const CHOICES = ["system", "light", "dark"];

  function kept() {
    try {
      return localStorage.getItem(KEY);
    } catch {
      // Storage can be forbidden; then a choice holds until the page is loaded again.
      return null;
    }
  }

  function keep(choice) {
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // As above.
    }
  }

  /** Have the page look so, and its form tell it. @param {string | null} chosen */
  function apply(chosen) {
    const choice = CHOICES.includes(chosen) ? chosen : "system";
    document.documentElement.dataset.theme = choice;
    for (const meta of document.querySelectorAll("meta[name=theme-color]")) {
      const { scheme } = meta.dataset;
      if (choice === "system") meta.media = `(prefers-color-scheme: ${scheme})`;
      else meta.media = choice === scheme ? "all" : "not all";
    }
    for (const input of document.querySelectorAll("input[name=theme]")) {
      input.checked = input.value === choice;
    }
  }

  apply(kept());
  // When the form is there; and when the page comes out of the back/forward cache.
  window.addEventListener("pageshow", () => apply(kept()));
  document.addEventListener("change", ({ target }) => {
    if (target.name !== "theme") return;
    keep(target.value);
    apply(target.value);
  });
  // Chosen in another tab, or forgotten with all that was kept.
  window.addEventListener("storage", ({ key }) => {
    if (key === KEY || key === null) apply(kept());
  });
})();
