"""What tells people that something is new: topics, mentions, the desktop, the title, the icon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import forget_script, on_new_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.chat_page import ChatPage
    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser

Pair = tuple["ChatPage", "ChatPage"]

# What the browser is asked to show is real; that it was asked is written down.
RECORD = """
window.shown = [];
window.asked = 0;
window.Notification = class extends Notification {
  constructor(title, options) {
    super(title, options);
    window.shown.push([title, options.body]);
    window.last = this;
  }
  static requestPermission() {
    window.asked += 1;
    return super.requestPermission();
  }
};
navigator.setAppBadge = async (count) => { window.appBadge = count; };
navigator.clearAppBadge = async () => { window.appBadge = 0; };
"""
# A page in a headless browser is always in front.
BEHIND = """
Object.defineProperty(document, "visibilityState", { value: arguments[0], configurable: true });
document.dispatchEvent(new Event("visibilitychange"));
"""


@pytest.fixture
def watched(visit: Callable[[], ChatPage], server: ChatServer) -> Iterator[ChatPage]:
    """Ada, whose browser may show notifications and whose page tells of them."""
    page = visit()
    key = on_new_document(page.driver, RECORD)
    permission = {"name": "notifications"}
    page.driver.execute_cdp_cmd(
        "Browser.setPermission",
        {"permission": permission, "setting": "granted", "origin": server.url},
    )
    page.driver.refresh()
    page.sign_in("Ada")
    yield page
    page.driver.execute_cdp_cmd("Browser.resetPermissions", {})
    forget_script(page.driver, key)


def shown(page: ChatPage) -> list[list[str]]:
    found: list[list[str]] = page.driver.execute_script("return window.shown")
    return found


def subscribe(page: ChatPage, pattern: str) -> None:
    page.find("#subscribe-pattern").send_keys(pattern, Keys.ENTER)


def test_a_topic_is_heard_until_one_has_enough(ada: ChatPage, server: ChatServer) -> None:
    ada.click("[data-tool=notifications]")
    subscribe(ada, "orders.*")
    ada.wait_text("#patterns code", "orders.*")
    server.publish("notifications", topic="orders.4711", title="Shipped", text="<i>by</i> ship")
    server.publish("notifications", topic="news.today", title="Not for Ada")
    server.publish("notifications", topic="orders.4712", title="Paid")
    ada.wait_text(".notice-title", "Paid")
    assert ada.texts(".notice-title") == ["Paid", "Shipped"]
    assert ada.texts(".notice .result-text")[1] == "<i>by</i> ship"
    assert ada.texts(".notice-topic") == ["orders.4712", "orders.4711"]
    ada.click("#patterns button")
    ada.wait(lambda: ada.texts("#patterns code") == [], "the end of the subscription")
    assert ada.focused() == "subscribe-pattern"
    server.publish("notifications", topic="orders.4713", title="Not heard")
    subscribe(ada, "orders.#")
    ada.wait_text("#patterns code", "orders.#")
    server.publish("notifications", topic="orders", title="Heard")
    ada.wait_text(".notice-title", "Heard")
    assert ada.texts(".notice-title") == ["Heard", "Paid", "Shipped"]


def test_what_was_told_meanwhile_is_there_at_the_next_visit(
    ada: ChatPage, server: ChatServer
) -> None:
    ada.click("[data-tool=notifications]")
    subscribe(ada, "meals.*")
    ada.wait_text("#patterns code", "meals.*")
    server.publish("notifications", topic="meals.noon", title="Soup")
    ada.wait_text(".notice-title", "Soup")
    ada.click("#tools-close")
    server.publish("notifications", topic="meals.night", title="Stew")
    ada.wait_text("#notices-badge", "1")
    for _ in range(2):
        ada.driver.refresh()
        ada.wait_text("#notices-badge", "1")
    ada.click("[data-tool=notifications]")
    ada.wait_text(".notice-title", "Stew")
    assert ada.texts(".notice-title") == ["Stew", "Soup"]
    ada.wait_gone("#notices-badge")
    ada.driver.refresh()
    ada.wait_room("lobby")
    ada.click("[data-tool=notifications]")
    ada.wait_text(".notice-title", "Stew")
    assert ada.texts("#notices-badge") == []


def test_a_pattern_that_is_none_is_refused_with_a_reason(ada: ChatPage) -> None:
    ada.click("[data-tool=notifications]")
    subscribe(ada, "orders..x")
    ada.wait(lambda: "pattern" in ada.texts("#subscribe-message")[0], "the reason")
    assert ada.find("#subscribe-pattern").get_attribute("aria-invalid") == "true"
    assert ada.focused() == "subscribe-pattern"


def test_nobody_is_asked_before_pressing_the_button(watched: ChatPage) -> None:
    assert watched.driver.execute_script("return window.asked") == 0
    watched.click("[data-tool=notifications]")
    watched.wait_text("#desktop-button", "Turn on desktop notifications")
    assert watched.driver.execute_script("return window.asked") == 0
    watched.click("#desktop-button")
    watched.wait_text("#desktop-button", "Turn off desktop notifications")
    assert watched.driver.execute_script("return window.asked") == 1
    watched.click("#desktop-button")
    watched.wait_text("#desktop-button", "Turn on desktop notifications")


def test_who_looks_elsewhere_is_notified(
    watched: ChatPage, visit: Callable[[], ChatPage], server: ChatServer
) -> None:
    grace = visit()
    grace.sign_in("Grace")
    watched.click("[data-tool=notifications]")
    watched.click("#desktop-button")
    subscribe(watched, "#")
    watched.wait_text("#patterns code", "#")
    grace.send("seen, @Ada")
    watched.wait_message("seen, @Ada")
    watched.driver.execute_script(BEHIND, "hidden")
    grace.send("nothing special")
    grace.send("@ada? come here")
    grace.send("@Adam is somebody else")
    grace.open_entry("member-list", "Ada")
    grace.send("psst")
    watched.wait_unread("people", "Grace", 1)
    server.publish("notifications", topic="a", title="Done", text="well")
    watched.wait(lambda: len(shown(watched)) == 3, "the notifications")
    assert shown(watched) == [
        ["Grace in #lobby", "@ada? come here"],
        ["Grace", "psst"],
        ["Done", "well"],
    ]
    # Pressing one leads to where it came from.
    watched.driver.execute_script("window.last.onclick()")
    watched.wait_text("#tools-heading", "Notifications")


def test_what_is_new_is_counted_in_the_title_the_icon_and_the_app(
    watched: ChatPage, visit: Callable[[], ChatPage], server: ChatServer
) -> None:
    grace = visit()
    grace.sign_in("Grace")
    icon = watched.find("link[rel=icon]").get_attribute("href")
    watched.click("[data-tool=notifications]")
    subscribe(watched, "#")
    watched.wait_text("#patterns code", "#")
    watched.click("#tools-close")
    watched.create_room("attic")
    grace.send("hello, @Ada")
    server.publish("notifications", topic="a", title="Done")
    watched.wait_text("#joined-rooms .badge", "@1")
    watched.wait_text("#notices-badge", "1")
    watched.wait(lambda: watched.driver.title == "(2) #attic - Chat", "the title")
    assert watched.find("link[rel=icon]").get_attribute("href") != icon
    assert watched.driver.execute_script("return window.appBadge") == 2
    watched.click("[data-tool=notifications]")
    watched.open_entry("joined-rooms", "lobby")
    # It may be long by now.
    watched.find("#scroller").send_keys(Keys.END)
    watched.wait(lambda: watched.driver.title == "#lobby - Chat", "the title")
    assert watched.find("link[rel=icon]").get_attribute("href") == icon
    assert watched.driver.execute_script("return window.appBadge") == 0
    assert watched.texts(".message.mentions-me mark")[-1] == "@Ada"
