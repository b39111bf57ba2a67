"""One person in two browsers at a time: what is done in one shows in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chat_page import ChatPage
from tests.browser.test_reading import enter

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser


@pytest.fixture
def twice(guarded: ChatServer, browsers: tuple[Chrome, Chrome]) -> tuple[ChatPage, ChatPage]:
    """Bob's page in both browsers."""
    here, there = ChatPage(browsers[0]), ChatPage(browsers[1])
    for page in (here, there):
        enter(page, guarded, "Bob")
    return here, there


# What is told goes by itself.
RECORD_TOASTS = """
    window.toasts = [];
    const record = ({ addedNodes: [toast] }) => {
      if (toast) window.toasts.push(toast.querySelector(".toast-text").textContent);
    };
    new MutationObserver((records) => records.forEach(record))
      .observe(document.getElementById("toasts"), { childList: true });
"""


def leave_for_good(page: ChatPage) -> None:
    """Leave the open room, whose last member one is."""
    page.click("#leave")
    page.click("#confirm-yes")


def test_rooms_are_joined_and_left_everywhere(twice: tuple[ChatPage, ChatPage]) -> None:
    here, there = twice
    here.create_room("kitchen")
    there.wait_entry("joined-rooms", "kitchen")
    # What was open stays so.
    there.wait_room("lobby")
    here.send("Lunch?")
    here.wait_delivered("Lunch?")
    there.open_entry("joined-rooms", "kitchen")
    there.wait_message("Lunch?")
    here.driver.execute_script(RECORD_TOASTS)
    leave_for_good(there)
    here.wait_no_entry("joined-rooms", "kitchen")
    here.wait_room("lobby")
    told = "You are no longer in #kitchen. You left it in another window."
    here.until("(told) => window.toasts.includes(told)", "word of it", told)


def test_what_was_joined_and_left_meanwhile_shows_with_the_next_connection(
    twice: tuple[ChatPage, ChatPage],
) -> None:
    here, there = twice
    here.create_room("kitchen")
    there.wait_entry("joined-rooms", "kitchen")
    there.run("chat.client.suspend()")
    there.wait_status("waiting")
    leave_for_good(here)
    here.wait_room("lobby")
    here.create_room("garden")
    there.run("chat.client.retryNow()")
    there.wait_entry("joined-rooms", "garden")
    there.wait_no_entry("joined-rooms", "kitchen")
    here.wait_no_entry("other-rooms", "kitchen")
    assert here.texts("#joined-rooms .entry-name") == ["garden", "lobby"]
