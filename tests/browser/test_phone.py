"""The page on a phone: nothing is cut off, and everything can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import PHONE, use_media, use_screen

if TYPE_CHECKING:
    from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.browser

SMALL_PHONE = (320, 568)

# Visible controls that are not wholly inside the viewport, unless they can be scrolled into it.
CUT_OFF = """
return [...document.querySelectorAll("button, input, textarea")]
  .filter((node) => node.checkVisibility({ visibilityProperty: true }))
  .filter((node) => !node.closest("ul, ol"))
  .filter((node) => {
    const box = node.getBoundingClientRect();
    return box.left < 0 || box.top < 0 || box.right > innerWidth || box.bottom > innerHeight;
  })
  .map((node) => node.id || node.ariaLabel);
"""


def assert_fits(page: ChatPage) -> None:
    script = "return [document.documentElement.scrollWidth, innerWidth]"
    content, viewport = page.driver.execute_script(script)
    assert content <= viewport
    assert page.driver.execute_script(CUT_OFF) == []


def hold_phone(page: ChatPage, size: tuple[int, int]) -> None:
    use_screen(page.driver, size, phone=True)
    # Without movement a drawer is in its place as soon as it is open.
    use_media(page.driver, prefers_reduced_motion="reduce", pointer="coarse")


@pytest.mark.parametrize("size", [PHONE, SMALL_PHONE], ids=["phone", "small-phone"])
def test_everything_can_be_reached(pages: tuple[ChatPage, ChatPage], size: tuple[int, int]) -> None:
    ada, grace = pages
    grace.sign_in("Grace")
    hold_phone(ada, size)
    assert_fits(ada)
    ada.sign_in("Ada")
    assert_fits(ada)

    ada.click("#open-sidebar")
    assert_fits(ada)
    ada.create_room("kitchen")
    assert_fits(ada)
    assert not ada.find("#sidebar").is_displayed()

    ada.click("#open-sidebar")
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_room("lobby")
    ada.click("#open-members")
    assert_fits(ada)
    ada.open_entry("member-list", "Grace")
    ada.wait_text("#title", "Grace")
    assert not ada.find("#members").is_displayed()
    assert_fits(ada)

    ada.write("from the phone")
    ada.click(".send")
    ada.wait_delivered("from the phone")
    grace.wait_unread("people", "Ada", 1)

    grace.send("to the phone")
    ada.wait(lambda: ada.find("#menu-badge").is_displayed(), "the unread mark")
    assert ada.find("#open-sidebar").accessible_name == "Conversations, 1 unread"
    ada.click("#open-sidebar")
    ada.click("#sign-out")
    assert_fits(ada)
    assert ada.find("#name").is_displayed()


def test_a_drawer_takes_the_focus_and_gives_it_back(ada: ChatPage) -> None:
    hold_phone(ada, PHONE)
    for opener, drawer in (("#open-sidebar", "#sidebar"), ("#open-members", "#members")):
        ada.click(opener)
        assert ada.find(drawer).is_displayed()
        assert ada.find(opener).get_attribute("aria-expanded") == "true"
        assert ada.find(f"{drawer} .drawer-close") == ada.driver.switch_to.active_element
        assert ada.find("#conversation").get_property("inert") is True
        ada.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
        assert not ada.find(drawer).is_displayed()
        assert ada.find(opener) == ada.driver.switch_to.active_element
        assert ada.find(opener).get_attribute("aria-expanded") == "false"
        assert ada.find("#conversation").get_property("inert") is False


def test_the_page_behind_closes_the_drawer(ada: ChatPage) -> None:
    hold_phone(ada, PHONE)
    ada.click("#open-sidebar")
    scrim = ada.find("#scrim")
    ada.driver.execute_script("arguments[0].click()", scrim)
    assert not ada.find("#sidebar").is_displayed()
    assert not scrim.is_displayed()


def test_turning_to_a_wide_screen_closes_the_drawer(ada: ChatPage) -> None:
    hold_phone(ada, PHONE)
    ada.click("#open-sidebar")
    use_screen(ada.driver, (1280, 800))
    ada.wait(lambda: not ada.find("#scrim").is_displayed(), "the drawer to close")
    assert ada.find("#conversation").get_property("inert") is False
    assert ada.find("#sidebar").is_displayed()


def test_enter_starts_a_line_where_the_keyboard_is_on_the_screen(ada: ChatPage) -> None:
    hold_phone(ada, PHONE)
    before = ada.messages()
    ada.write("one")
    ada.write(Keys.ENTER)
    ada.write("two")
    assert ada.messages() == before
    ada.click(".send")
    ada.wait_delivered("one\ntwo")


def test_touch_targets_are_large_enough(ada: ChatPage) -> None:
    hold_phone(ada, PHONE)
    ada.click("#open-sidebar")
    for control in ada.driver.find_elements(By.CSS_SELECTOR, "#sidebar button"):
        if control.is_displayed():
            assert min(control.size["width"], control.size["height"]) >= 40, control.accessible_name


def test_a_tool_covers_a_phone_until_it_is_closed(ada: ChatPage) -> None:
    hold_phone(ada, PHONE)
    ada.click("#open-sidebar")
    ada.click("[data-tool=notifications]")
    ada.wait_text("#tools-heading", "Notifications")
    box = ada.driver.execute_script(
        "const {x, width} = document.getElementById('tools').getBoundingClientRect();"
        "return [x, width]"
    )
    assert box == [0, PHONE[0]]
    assert ada.texts(".drawer-open") == []
    inert = "return [...document.querySelectorAll('[inert]')].map((node) => node.id)"
    assert ada.driver.execute_script(inert) == ["sidebar", "conversation", "members"]
    ada.click("#tools-close")
    assert ada.driver.execute_script(inert) == []
    assert ada.focused() == "title"
    # What was found is looked at without the panel over it.
    ada.find("#composer-text").send_keys("tea")
    ada.click("#send")
    ada.wait_delivered("tea")
    ada.click("#open-search")
    ada.find("#search-text").send_keys("tea", Keys.ENTER)
    ada.click("#search-results .result-button")
    ada.wait_text(".message.found .text", "tea")
    assert ada.texts("#tools") == []
