"""Messages that are changed and taken back by who wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.browser

Pair = tuple["ChatPage", "ChatPage"]
TAKEN_BACK = "This message was deleted."


@pytest.fixture
def talking(ada_and_grace: Pair) -> Pair:
    """Ada and Grace in a room of their own, in which both have said something."""
    ada, grace = ada_and_grace
    ada.create_room("drafts")
    grace.open_entry("other-rooms", "drafts")
    grace.wait_room("drafts")
    for text in ("frist", "scnd"):
        ada.send(text)
        ada.wait_delivered(text)
        grace.wait_message(text)
    grace.send("mine")
    grace.wait_delivered("mine")
    ada.wait_message("mine")
    return ada, grace


def hover(page: ChatPage, text: str) -> None:
    """Point at a message."""
    for message in page.driver.find_elements(By.CSS_SELECTOR, ".messages:not([hidden]) .message"):
        if message.find_element(By.CSS_SELECTOR, ".text").text == text:
            ActionChains(page.driver).move_to_element(message).perform()
            return
    pytest.fail(f"there is no message {text!r}")


def test_a_message_is_changed_by_pointer(talking: Pair) -> None:
    ada, _grace = talking
    ada.write("a draft")
    hover(ada, "frist")
    ada.click(".message:hover .edit")
    assert ada.value() == "frist"
    assert ada.texts("#task-name") == ["Editing your message"]
    assert ada.find("#send").accessible_name == "Save"
    ada.send(Keys.BACKSPACE * 5 + "first")
    for page in talking:
        page.wait_message("first (edited)")
        assert page.messages() == ["first (edited)", "scnd", "mine"]
    ada.wait(lambda: ada.value() == "a draft", "the draft to come back")
    assert ada.texts("#task-name") == []


def test_the_arrow_up_changes_the_last_message_and_those_before(talking: Pair) -> None:
    ada, _grace = talking
    ada.write(Keys.ARROW_UP)
    assert ada.value() == "scnd"
    ada.write(Keys.ARROW_UP)
    assert ada.value() == "frist"
    # There is none before it, and what was begun is not given up for another one.
    ada.write(Keys.ARROW_UP)
    assert ada.value() == "frist"
    ada.write(Keys.ESCAPE)
    assert ada.value() == ""
    ada.write(Keys.ARROW_UP)
    ada.write("!")
    ada.write(Keys.ARROW_UP)
    ada.send("")
    for page in talking:
        page.wait_message("scnd! (edited)")
        assert page.messages() == ["frist", "scnd! (edited)", "mine"]
    assert ada.focused() == "composer-text"


def test_a_message_is_taken_back_by_keyboard(talking: Pair) -> None:
    ada, _grace = talking
    ada.write(Keys.ARROW_UP)
    ada.write(Keys.CONTROL + "a" + Keys.NULL + Keys.BACKSPACE)
    ada.send("")
    ada.wait_text("#confirm-quoted", "scnd")
    keyboard = ActionChains(ada.driver)
    keyboard.send_keys(Keys.TAB, Keys.ENTER).perform()
    for page in talking:
        page.wait_message(TAKEN_BACK)
        assert page.messages() == ["frist", TAKEN_BACK, "mine"]
    ada.wait(lambda: ada.focused() == "composer-text", "the message box")
    assert ada.value() == ""
    # It can neither be changed nor be taken back once more.
    ada.write(Keys.ARROW_UP)
    assert ada.value() == "frist"


def test_who_thinks_again_keeps_the_message(talking: Pair) -> None:
    ada, _ = talking
    hover(ada, "frist")
    ada.click(".message:hover .take-back")
    ada.wait_text("#confirm-quoted", "frist")
    ActionChains(ada.driver).send_keys(Keys.ENTER).perform()
    ada.wait(lambda: not ada.texts("#confirm-quoted"), "the dialog to close")
    assert ada.messages() == ["frist", "scnd", "mine"]


def test_nobody_changes_what_others_said(talking: Pair) -> None:
    _, grace = talking
    hover(grace, "frist")
    assert grace.texts(".messages:not([hidden]) .actions button") == []
    hover(grace, "mine")
    assert len(grace.texts(".messages:not([hidden]) .actions button")) == 2


def test_who_joins_later_sees_what_became_of_messages(talking: Pair) -> None:
    ada, grace = talking
    hover(ada, "frist")
    ada.click(".message:hover .edit")
    ada.send("!")
    ada.wait_message("frist! (edited)")
    hover(ada, "scnd")
    ada.click(".message:hover .take-back")
    ada.click("#confirm-yes")
    ada.wait_message(TAKEN_BACK)
    grace.click("#leave")
    grace.wait_room("lobby")
    grace.open_entry("other-rooms", "drafts")
    grace.wait_room("drafts")
    grace.wait_message("frist! (edited)")
    assert grace.messages()[:2] == ["frist! (edited)", TAKEN_BACK]


def test_what_is_being_changed_stays_in_its_room(talking: Pair) -> None:
    ada, _ = talking
    ada.write(Keys.ARROW_UP)
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_room("lobby")
    assert ada.value() == ""
    assert ada.find("#send").accessible_name == "Send"
    ada.open_entry("joined-rooms", "drafts")
    ada.wait_room("drafts")
    assert ada.value() == ""
