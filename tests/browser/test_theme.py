"""Light or dark: what somebody chooses goes before what the system has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import forget_script, on_new_document, use_media

if TYPE_CHECKING:
    from tests.browser.chat_page import ChatPage
    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser

LIGHT, DARK = "rgb(255, 255, 255)", "rgb(18, 24, 23)"
# Before there is a body, nothing is drawn.
RECORD_FIRST = """
    new MutationObserver((_, observer) => {
      if (!document.body) return;
      observer.disconnect();
      window.firstTheme = document.documentElement.dataset.theme;
    }).observe(document, { childList: true, subtree: true });
"""


def wait_background(page: ChatPage, colour: str) -> None:
    is_so = "(colour) => getComputedStyle(document.body).backgroundColor === colour"
    page.until(is_so, f"the background to be {colour}", colour)


def test_without_a_choice_it_is_as_the_system_has_it(ada: ChatPage) -> None:
    assert ada.find(".theme input:checked").accessible_name == "System"
    for scheme, colour in (("dark", DARK), ("light", LIGHT)):
        use_media(ada.driver, prefers_color_scheme=scheme)
        wait_background(ada, colour)


def test_a_choice_holds_from_before_anything_is_drawn(ada: ChatPage, server: ChatServer) -> None:
    use_media(ada.driver, prefers_color_scheme="light")
    ada.click(".theme input[value=dark]")
    wait_background(ada, DARK)
    key = on_new_document(ada.driver, RECORD_FIRST)
    try:
        for path in ("", "login"):
            ada.driver.get(f"{server.url}{path}")
            wait_background(ada, DARK)
            assert ada.driver.execute_script("return window.firstTheme") == "dark"
    finally:
        forget_script(ada.driver, key)
    ada.driver.get(server.url)
    ada.wait_room("lobby")
    ada.until("() => document.querySelector('.theme [value=dark]').checked", "the choice")
    media = "return [...document.querySelectorAll('meta[name=theme-color]')].map((m) => m.media)"
    assert ada.driver.execute_script(media) == ["not all", "all"]
    ada.click(".theme input[value=system]")
    wait_background(ada, LIGHT)


def test_it_is_chosen_by_keyboard_and_told_to_who_listens(ada: ChatPage) -> None:
    use_media(ada.driver, prefers_color_scheme="light")
    group = ada.find(".theme")
    assert (group.aria_role, group.accessible_name) == ("group", "Appearance")
    chosen = ada.find(".theme input:checked")
    assert (chosen.aria_role, chosen.accessible_name) == ("radio", "System")
    chosen.send_keys(Keys.ARROW_RIGHT)
    ada.driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    wait_background(ada, DARK)
    chosen = ada.driver.switch_to.active_element
    assert (chosen.accessible_name, chosen.is_selected()) == ("Dark", True)
    outline = ada.driver.execute_script(
        "return getComputedStyle(arguments[0]).outlineStyle", chosen
    )
    assert outline == "solid"


def test_other_tabs_follow_at_once(ada: ChatPage, server: ChatServer) -> None:
    use_media(ada.driver, prefers_color_scheme="light")
    first = ada.driver.current_window_handle
    ada.driver.switch_to.new_window("tab")
    try:
        ada.driver.get(server.url)
        second = ada.driver.current_window_handle
        ada.driver.switch_to.window(first)
        ada.click(".theme input[value=dark]")
        ada.driver.switch_to.window(second)
        wait_background(ada, DARK)
        ada.driver.close()
    finally:
        ada.driver.switch_to.window(first)
