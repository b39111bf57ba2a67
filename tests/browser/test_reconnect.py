"""The server stops and starts again: the pages come back by themselves, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import console_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selenium.webdriver import Chrome

    from tests.browser.chat_page import ChatPage
    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser


@pytest.fixture
def stoppable(
    server: ChatServer, browsers: tuple[Chrome, Chrome], visit: object
) -> Iterator[ChatServer]:
    """The server, which runs again at the end whatever the test did."""
    yield server
    server.stop()
    server.start()
    for driver in browsers:
        # Without a server a browser complains about each attempt, also by the fallback, and about
        # nothing else.
        unreachable = ("WebSocket connection to", "net::ERR_CONNECTION_REFUSED")
        errors = console_errors(driver)
        assert [e for e in errors if not any(text in e for text in unreachable)] == []


def test_pages_survive_a_restart(
    stoppable: ChatServer, ada_and_grace: tuple[ChatPage, ChatPage]
) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")
    ada.send("before")
    grace.wait_message("before")

    stoppable.stop()
    for page in ada_and_grace:
        page.wait_shown("#banner")
    ada.send("meanwhile")
    ada.wait_text(".delivery-text", "Will be sent when the connection is back")

    stoppable.start()
    for page in ada_and_grace:
        page.wait_status("online")
        page.wait_members("Ada", "Grace")
        assert not page.find("#banner").is_displayed()
    # Whoever comes back last may get it from the history: it is there once, in either case.
    ada.wait_delivered("meanwhile")
    grace.wait_message("meanwhile")
    grace.send("after")
    ada.wait_message("after")
    ada.send("and back")
    grace.wait_message("and back")
    for page in ada_and_grace:
        assert page.messages() == ["before", "meanwhile", "after", "and back"]
        assert page.texts("#joined-rooms .entry-name") == ["kitchen", "lobby"]


def test_trying_now_does_not_wait_for_the_countdown(stoppable: ChatServer, ada: ChatPage) -> None:
    # The delays grow to a minute on the page's own clock, far beyond the test's patience.
    ada.driver.execute_script(
        "const now = window.setTimeout;"
        "window.setTimeout = (f, delay, ...rest) => now(f, delay > 100 ? 1e9 : delay, ...rest);"
        "Math.random = () => 0.999;"
    )
    stoppable.stop()
    ada.wait_status("waiting")
    stoppable.start()
    ada.click("#try-now")
    ada.wait_status("online")


def test_joining_waits_for_the_server(stoppable: ChatServer, visit: Callable[[], ChatPage]) -> None:
    ada = visit()
    stoppable.stop()
    ada.submit_name("Ada")
    ada.wait(lambda: "cannot be reached" in ada.texts("#sign-in-message")[0], "word of the failure")
    stoppable.start()
    ada.wait_room("lobby")


def test_a_page_put_aside_frees_its_name_and_comes_back(server: ChatServer, ada: ChatPage) -> None:
    ada.driver.get("about:blank")
    ada.wait(lambda: server.stats()["users"] == 0, "the server to notice")
    ada.driver.back()
    # The very same page, out of the back/forward cache: nobody had to sign in again.
    ada.wait_room("lobby")
    ada.wait_status("online")
    ada.wait_members("Ada")
