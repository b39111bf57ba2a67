"""The chat's page, as a person uses it.

What must live here: how to find things on the page and how to wait for them. Nothing here sleeps:
every wait is for a condition. What this file does not know: what a test wants to prove.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until a condition that does not come true fails the test."""


class ChatPage:
    """One person's page."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    # -- Waiting and finding ------------------------------------------------------------------

    def wait(self, condition: Callable[[], T], what: str) -> T:
        """Return the first true value of ``condition``."""
        waiting = WebDriverWait(
            self.driver,
            PATIENCE,
            poll_frequency=0.05,
            ignored_exceptions=[StaleElementReferenceException],
        )
        return waiting.until(lambda _: condition(), f"waited for {what}")

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
        script = """
            return [...document.querySelectorAll(arguments[0])]
              .filter((node) => node.checkVisibility({ visibilityProperty: true }))
              .map((node) => node.textContent.trim());
        """
        return [str(text) for text in self.driver.execute_script(script, selector)]

    def wait_text(self, selector: str, text: str) -> None:
        self.wait(lambda: text in self.texts(selector), f"{text!r} in {selector}")

    def wait_shown(self, selector: str) -> None:
        self.wait(lambda: self.texts(selector) != [], f"{selector} to be shown")

    def wait_gone(self, selector: str) -> None:
        self.wait(lambda: self.texts(selector) == [], f"{selector} to go")

    def click(self, selector: str) -> None:
        self.wait_shown(selector)
        self.find(selector).click()

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

    def entry(self, section: str, name: str) -> WebElement | None:
        """Return a list's entry by the name it shows."""
        for node in self.driver.find_elements(By.CSS_SELECTOR, f"#{section} .entry"):
            if node.find_element(By.CSS_SELECTOR, ".entry-name").text == name:
                return node
        return None

    def wait_entry(self, section: str, name: str) -> WebElement:
        entry = self.wait(lambda: self.entry(section, name), f"{name!r} in {section}")
        assert entry is not None
        return entry

    def wait_no_entry(self, section: str, name: str) -> None:
        self.wait(lambda: self.entry(section, name) is None, f"no {name!r} in {section}")

    def open_entry(self, section: str, name: str) -> None:
        """Press an entry of ``joined-rooms``, ``other-rooms``, ``people`` or ``member-list``."""
        self.wait_entry(section, name).click()

    def wait_unread(self, section: str, name: str, count: int) -> None:
        """Wait until an entry's badge shows ``count``; 0 means no badge."""

        def badge() -> bool:
            entry = self.entry(section, name)
            if entry is None:
                return False
            shown = entry.find_element(By.CSS_SELECTOR, ".badge").text
            return shown == (str(count) if count else "")

        self.wait(badge, f"{count} unread in {name}")

    def wait_members(self, *names: str) -> None:
        wanted = sorted(names)
        self.wait(lambda: sorted(self.texts("#member-list .entry-name")) == wanted, f"{names}")

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
        def matches() -> bool:
            return self.find("#connection").get_attribute("data-status") == status

        self.wait(matches, f"status {status}")
