"""Searching a room, also where it was scrolled past long ago."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.browser

Pair = tuple["ChatPage", "ChatPage"]


def look_for(page: ChatPage, text: str) -> None:
    page.find("#search-text").clear()
    page.find("#search-text").send_keys(text, Keys.ENTER)


def test_what_was_said_long_ago_is_found_and_shown(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.create_room("archive")
    ada.send("The <b>Needle</b> & the thread")
    for number in range(60):
        ada.send(f"hay {number}")
    ada.wait_delivered("hay 59")
    grace.open_entry("other-rooms", "archive")
    grace.wait_message("hay 59")
    assert "The <b>Needle</b> & the thread" not in grace.messages()
    grace.click("#open-search")
    assert grace.focused() == "search-text"
    look_for(grace, "thread needle")
    grace.wait_text("#search-status", "1 message.")
    assert grace.texts("#search-results .result-text") == ["The <b>Needle</b> & the thread"]
    assert grace.texts("#search-results mark") == ["Needle", "thread"]
    grace.click("#search-results .result-button")
    grace.wait_text(".message.found .text", "The <b>Needle</b> & the thread")
    inside = """
        const {top, bottom} = document.querySelector(".message.found").getBoundingClientRect();
        const view = document.getElementById("scroller").getBoundingClientRect();
        return top >= view.top && bottom <= view.bottom;
    """
    grace.wait(lambda: grace.driver.execute_script(inside), "the message in view")


def test_private_messages_are_searched(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.send("needle in the lobby")
    grace.open_entry("member-list", "Ada")
    grace.send("the needle, in private")
    ada.open_entry("people", "Grace")
    ada.wait_message("the needle, in private")
    # More than comes at once, so that the page has to fetch what was found.
    ada.run(
        "const say = (text) => chat.client.sendPrivate('Grace', text).settled;"
        "for (let n = 0; n < 60; n += 1) await say(`hay ${n}`);"
    )
    ada.wait_message("hay 59")
    ada.driver.refresh()
    ada.wait_text("#title", "Grace")
    ada.wait_message("hay 59")
    ada.click("#open-search")
    look_for(ada, "needle")
    ada.wait_text("#search-status", "1 message.")
    assert ada.texts("#search-results .result-text") == ["the needle, in private"]
    ada.click("#search-results .result-button")
    ada.wait_text(".message.found .text", "the needle, in private")


def test_typing_to_one_person_is_shown_to_them(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.open_entry("member-list", "Grace")
    ada.send("psst")
    grace.open_entry("people", "Ada")
    ada.write("I am")
    grace.wait_text("#typing-text", "Ada is typing")
    ada.find("#composer-text").send_keys(Keys.ENTER)
    grace.wait_message("I am")
    grace.wait_gone("#typing-text")


def test_search_by_keyboard(ada: ChatPage) -> None:
    ada.create_room("archive")
    ada.send("tea at four")
    ada.wait_delivered("tea at four")
    ada.click("#open-search")
    keyboard = ActionChains(ada.driver)
    look_for(ada, "coffee")
    ada.wait_text("#search-status", "Nothing was found.")
    look_for(ada, "TEA")
    ada.wait_text("#search-status", "1 message.")
    keyboard.send_keys(Keys.TAB, Keys.TAB, Keys.ENTER).perform()
    ada.wait_text(".message.found .text", "tea at four")
    ada.find("#search-text").send_keys(Keys.ESCAPE)
    assert ada.texts("#tools") == []
    assert ada.focused() == "open-search"


def test_what_was_found_belongs_to_its_room(ada: ChatPage) -> None:
    ada.create_room("archive")
    ada.send("tea")
    ada.wait_delivered("tea")
    ada.click("#open-search")
    look_for(ada, "tea")
    ada.wait_text("#search-status", "1 message.")
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_room("lobby")
    assert ada.texts("#search-results .result-text") == []
    assert ada.texts("#search-label") == ["Find messages in #lobby"]
