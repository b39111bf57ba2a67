"""The server stops and starts again: the pages come back by themselves, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.chat_page import ChatPage
    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser


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


def test_a_guest_who_loads_the_page_again_is_the_same_one(
    ada_and_grace: tuple[ChatPage, ChatPage],
) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")
    ada.send("before")
    grace.wait_message("before")
    grace.open_entry("member-list", "Ada")
    grace.send("psst")
    ada.wait_unread("people", "Grace", 1)
    grace.open_entry("joined-rooms", "kitchen")
    notes = grace.texts(".note")

    for _ in range(2):
        ada.driver.refresh()
        # Nobody had to sign in again, and the room that was open is.
        ada.wait_room("kitchen")
        ada.wait_status("online")
        ada.wait_members("Ada", "Grace")
    assert ada.texts("#joined-rooms .entry-name") == ["kitchen", "lobby"]
    ada.wait_message("before")
    ada.wait_unread("people", "Grace", 1)
    ada.send("after")
    grace.wait_message("after")
    # By then whatever had been told of Ada's coming and going would be there.
    assert grace.texts(".note") == notes
    # The messages from before are still one's own: they can be changed.
    ada.driver.find_element(By.ID, "composer-text").send_keys(Keys.ARROW_UP, Keys.ARROW_UP)
    ada.wait(lambda: ada.value() == "before", "the message from before")

    ada.open_entry("people", "Grace")
    ada.driver.refresh()
    ada.wait_text("#title", "Grace")
    ada.wait_message("psst")


def test_another_tab_and_another_browser_do_not_become_the_guest(
    server: ChatServer, pages: tuple[ChatPage, ChatPage]
) -> None:
    ada, other = pages
    ada.sign_in("Ada")
    other.submit_name("Ada")
    other.wait(lambda: "already has" in other.texts("#sign-in-message")[0], "the refusal")
    first = ada.driver.current_window_handle
    ada.driver.switch_to.new_window("tab")
    try:
        ada.driver.get(server.url)
        assert ada.find("#welcome").is_displayed()
        ada.submit_name("Ada")
        ada.wait(lambda: "already has" in ada.texts("#sign-in-message")[0], "the refusal")
        ada.driver.close()
    finally:
        ada.driver.switch_to.window(first)
    ada.wait_status("online")


def test_who_signs_out_and_loads_the_page_again_is_nobody(ada: ChatPage) -> None:
    ada.click("#sign-out")
    ada.wait_shown("#welcome")
    ada.driver.refresh()
    ada.wait_shown("#welcome")
    assert ada.driver.execute_script("return sessionStorage.length") == 0


def test_a_page_put_aside_frees_its_name_and_comes_back(server: ChatServer, ada: ChatPage) -> None:
    ada.driver.get("about:blank")
    ada.wait(lambda: server.stats()["users"] == 0, "the server to notice")
    ada.driver.back()
    # The very same page, out of the back/forward cache: nobody had to sign in again.
    ada.wait_room("lobby")
    ada.wait_status("online")
    ada.wait_members("Ada")
