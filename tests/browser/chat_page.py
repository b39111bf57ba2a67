"""The chat's page, as a person uses it.

What must live here: how to find things on the page and how to wait for them. Nothing here sleeps:
every wait is for a condition, which the page itself watches wherever it can be told in JavaScript.
What this file does not know: what a test wants to prove.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from selenium.common.exceptions import (
    JavascriptException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until a condition that does not come true fails the test."""
TURN = 1.0
"""Seconds after which a page is asked again: it may be another one by then."""

TEXTS = """
const texts = (selector) => [...document.querySelectorAll(selector)]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }))
  .map((node) => node.textContent.trim());
"""
RUN = """
const given = [...arguments].slice(0, -1);
const done = arguments[arguments.length - 1];
import(new URL("page/chat.js", document.querySelector("script").src))
  .then(async ({ chat }) => { CODE })
  .then(() => done(""), (error) => done(String(error)));
"""
UNTIL = (
    TEXTS
    + """
const entry = (section, name) => [...document.querySelectorAll(`#${section} .entry`)]
  .find((node) => node.querySelector(".entry-name")?.textContent === name);
// Pressing what moves misses it.
const isAtRest = () => !document.getAnimations().some((each) => each instanceof CSSTransition);
const [patience, ...given] = [...arguments].slice(0, -1);
const done = arguments[arguments.length - 1];
const condition = CONDITION;
const look = () => finish(condition(...given));
const observer = new MutationObserver(look);
// What changes by a style alone, as at the end of a transition, nothing tells of.
const timers = [setInterval(look, 100), setTimeout(() => finish(null, true), patience)];
function finish(value, isLate = false) {
  if (!value && !isLate) return;
  observer.disconnect();
  timers.forEach(clearTimeout);
  removeEventListener("focusin", look);
  removeEventListener("transitionend", look);
  done(value);
}
observer.observe(document, {
  attributes: true, characterData: true, childList: true, subtree: true,
});
addEventListener("focusin", look);
addEventListener("transitionend", look);
look();
"""
)


class ChatPage:
    """One person's page."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    # -- Waiting and finding ------------------------------------------------------------------

    def wait(self, condition: Callable[[], T], what: str, *, every: float = 0.05) -> T:
        """Return the first true value of ``condition``, asked for at such intervals, in seconds."""
        waiting = WebDriverWait(
            self.driver,
            PATIENCE,
            poll_frequency=every,
            ignored_exceptions=[StaleElementReferenceException],
        )
        return waiting.until(lambda _: condition(), f"waited for {what}")

    def until(self, condition: str, what: str, *given: Any) -> Any:
        """Return the first true value of a function in JavaScript, which the page calls whenever
        something changes in it.

        Args:
            condition: the function; it may use ``texts(selector)`` and ``entry(section, name)``.
            given: what it is called with.
        """
        script = UNTIL.replace("CONDITION", condition)
        end = monotonic() + PATIENCE
        while monotonic() < end:
            try:
                if value := self.driver.execute_async_script(script, TURN * 1000, *given):
                    return value
            except (JavascriptException, TimeoutException) as error:
                # The page that was asked has gone, and another one comes.
                if isinstance(error, JavascriptException) and "unloaded" not in str(error):
                    raise
        raise TimeoutException(f"waited for {what}")

    def run(self, code: str, *given: Any) -> None:
        """Run the body of an asynchronous function in the page, with ``given`` and with ``chat``,
        which the page's parts share."""
        error = self.driver.execute_async_script(RUN.replace("CODE", code), *given)
        assert error == "", error

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def number(self, selector: str, name: str) -> float:
        """Return a numeric property of an element, such as ``scrollTop``."""
        script = "return document.querySelector(arguments[0])[arguments[1]]"
        return float(self.driver.execute_script(script, selector, name))

    def value(self) -> str:
        """Return what stands in the message box."""
        return str(self.find("#composer-text").get_property("value"))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all visible elements, read at one instant."""
        script = f"{TEXTS} return texts(arguments[0]);"
        return [str(text) for text in self.driver.execute_script(script, selector)]

    def wait_text(self, selector: str, text: str) -> None:
        is_shown = "(selector, text) => texts(selector).includes(text)"
        self.until(is_shown, f"{text!r} in {selector}", selector, text)

    def wait_shown(self, selector: str) -> None:
        is_shown = "(selector) => texts(selector).length > 0"
        self.until(is_shown, f"{selector} to be shown", selector)

    def wait_gone(self, selector: str) -> None:
        is_gone = "(selector) => texts(selector).length === 0"
        self.until(is_gone, f"{selector} to go", selector)

    def click(self, selector: str) -> None:
        is_ready = "(selector) => texts(selector).length > 0 && isAtRest()"
        what = f"{selector} to be shown, and at rest"
        self.until(is_ready, what, selector)
        self.press(lambda: self.find(selector), what)

    def press(self, find: Callable[[], WebElement], what: str) -> None:
        """Press what is found, and look again when the page has put another in its place."""

        def pressed() -> bool:
            find().click()
            return True

        self.wait(pressed, what)

    def focused(self) -> str:
        """Return the id of the element with the focus, or its accessible name."""
        node = self.driver.switch_to.active_element
        return str(node.get_attribute("id") or node.accessible_name)

    # -- Coming and going ---------------------------------------------------------------------

    def open(self, url: str) -> None:
        """Open the page as somebody who has never been here."""
        storage = {"origin": url, "storageTypes": "local_storage"}
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", storage)
        self.driver.get(url)
        # What the tab's storage has brings the last guest in again.
        if self.driver.execute_script("return sessionStorage.length"):
            self.leave()
            self.driver.get(url)

    def leave(self) -> None:
        """Sign out if need be, so that the name is free at once, and leave nothing behind."""
        self.driver.execute_script("document.getElementById('sign-out')?.click()")
        if self.driver.current_url.startswith("http"):
            self.driver.execute_script("sessionStorage.clear()")
        self.driver.get("about:blank")

    def sign_in(self, name: str) -> None:
        """Fill in the first form and wait for the lobby."""
        self.submit_name(name)
        self.wait_room("lobby")

    def submit_name(self, name: str) -> None:
        self.find("#name").clear()
        self.find("#name").send_keys(name, Keys.ENTER)

    # -- Rooms and people ---------------------------------------------------------------------

    def wait_room(self, room: str) -> None:
        """Wait until the room is the open conversation."""
        self.wait_text("#title", f"#{room}")

    def create_room(self, room: str) -> None:
        self.click("#new-room-button")
        self.find("#new-room-name").send_keys(room, Keys.ENTER)
        self.wait_room(room)

    def wait_entry(self, section: str, name: str) -> WebElement:
        """Return a list's entry by the name it shows."""
        node: WebElement = self.until("entry", f"{name!r} in {section}", section, name)
        return node

    def wait_no_entry(self, section: str, name: str) -> None:
        is_gone = "(section, name) => !entry(section, name)"
        self.until(is_gone, f"no {name!r} in {section}", section, name)

    def open_entry(self, section: str, name: str) -> None:
        """Press an entry of ``joined-rooms``, ``other-rooms``, ``people`` or ``member-list``."""
        is_ready = "(section, name) => isAtRest() && entry(section, name)"
        what = f"{name!r} in {section}"
        self.press(lambda: self.until(is_ready, what, section, name), what)

    def wait_unread(self, section: str, name: str, count: int) -> None:
        """Wait until an entry's badge shows ``count``; 0 means no badge."""

        is_right = """
            (section, name, shown) => {
              const badge = entry(section, name)?.querySelector(".badge");
              return badge && (badge.hidden ? "" : badge.textContent) === shown;
            }
        """
        shown = str(count) if count else ""
        self.until(is_right, f"{count} unread in {name}", section, name, shown)

    def wait_members(self, *names: str) -> None:
        are_there = """
            (...names) => {
              const shown = texts("#member-list .entry-name");
              return shown.length === names.length && names.every((name) => shown.includes(name));
            }
        """
        self.until(are_there, f"{names}", *names)

    # -- Messages -----------------------------------------------------------------------------

    def write(self, text: str) -> None:
        """Type without sending."""
        self.find("#composer-text").send_keys(text)

    def send(self, text: str) -> None:
        self.find("#composer-text").send_keys(text, Keys.ENTER)

    def messages(self) -> list[str]:
        """Return the open conversation's messages, oldest first."""
        return self.texts(".messages:not([hidden]) .text")

    def wait_message(self, text: str) -> None:
        self.wait_text(".messages:not([hidden]) .text", text)

    def wait_delivered(self, text: str) -> None:
        """Wait until the server has shown us our own message."""
        self.wait_text(".messages:not([hidden]) .message:not([data-state]) .text", text)

    # -- The connection -----------------------------------------------------------------------

    def wait_status(self, status: str) -> None:
        is_so = "(status) => document.getElementById('connection')?.dataset.status === status"
        self.until(is_so, f"status {status}", status)
