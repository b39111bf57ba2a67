"""The server stops and starts again: the pages come back by themselves, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import forget_script, on_new_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


# A page that hears nothing does not know what has arrived.
DEAF = """
    window.WebSocket = class extends WebSocket {
      constructor(url) {
        super(url);
        this.addEventListener("message", (event) => {
          if (window.isDeaf) event.stopImmediatePropagation();
        });
      }
    };
"""
KEY, GUEST = "rfc6455-chat-unsent", "rfc6455-chat-guest"
UNSENT = f"return sessionStorage.getItem('{KEY}')"


@pytest.fixture
def deafened(ada_and_grace: tuple[ChatPage, ChatPage]) -> Iterator[tuple[ChatPage, ChatPage]]:
    """Ada and Grace; Ada's page can be told to hear nothing more of the server."""
    ada, _ = ada_and_grace
    key = on_new_document(ada.driver, DEAF)
    ada.driver.refresh()
    ada.wait_members("Ada", "Grace")
    yield ada_and_grace
    forget_script(ada.driver, key)


def test_what_was_not_confirmed_when_the_page_was_loaded_again_arrives_once(
    deafened: tuple[ChatPage, ChatPage],
) -> None:
    ada, grace = deafened
    grace.open_entry("member-list", "Ada")
    grace.send("psst")
    ada.open_entry("people", "Grace")
    ada.wait_message("psst")
    # One has arrived, but Ada's page does not hear it; the others have not even been sent.
    ada.driver.execute_script("window.isDeaf = true")
    ada.send("to you")
    grace.wait_message("to you")
    ada.run("chat.client.suspend()")
    ada.send("and later")
    ada.open_entry("joined-rooms", "lobby")
    ada.send("to all")
    ada.wait_text(".delivery-text", "Will be sent when the connection is back")
    ada.driver.refresh()
    ada.wait_delivered("to all")
    ada.open_entry("people", "Grace")
    for text in ("to you", "and later"):
        ada.wait_delivered(text)
    ada.until(f"() => sessionStorage.getItem('{KEY}') === null", "nothing to be kept")
    ada.send("the end")
    grace.wait_message("the end")
    for page in deafened:
        assert page.messages() == ["psst", "to you", "and later", "the end"]
    ada.open_entry("joined-rooms", "lobby")
    ada.send("the end")
    ada.wait_delivered("the end")
    grace.open_entry("joined-rooms", "lobby")
    grace.wait_message("the end")
    for page in deafened:
        assert [text for text in page.messages() if text == "to all"] == ["to all"]


def test_what_was_not_sent_ends_when_one_signs_out(ada: ChatPage) -> None:
    ada.run("chat.client.suspend()")
    ada.send("never")
    assert "never" in ada.driver.execute_script(UNSENT)
    guest = ada.driver.execute_script(f"return sessionStorage.getItem('{GUEST}')")
    ada.click("#sign-out")
    ada.wait_shown("#welcome")
    assert ada.driver.execute_script(UNSENT) is None
    # Not even by the same guest again.
    ada.driver.execute_script(f"sessionStorage.setItem('{GUEST}', arguments[0])", guest)
    ada.driver.refresh()
    ada.wait_room("lobby")
    ada.send("now")
    ada.wait_delivered("now")
    assert "never" not in ada.messages()


def test_what_was_not_sent_is_nobody_elses(ada: ChatPage) -> None:
    ada.run("chat.client.suspend()")
    ada.send("never")
    # As if the tab's guest had been another one then, of the same name.
    script = f"sessionStorage.setItem('{KEY}', arguments[0].replace(/guest-[^\"]*/, 'guest-0'))"
    ada.driver.execute_script(script, ada.driver.execute_script(UNSENT))
    assert "guest-0" in ada.driver.execute_script(UNSENT)
    ada.driver.refresh()
    ada.wait_room("lobby")
    ada.wait_status("online")
    ada.until(f"() => sessionStorage.getItem('{KEY}') === null", "nothing to be kept")
    ada.send("now")
    ada.wait_delivered("now")
    assert "never" not in ada.messages()


def test_what_is_kept_for_later_is_bounded(visit: Callable[[], ChatPage]) -> None:
    page = visit()
    kept = page.driver.execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        import(new URL("unsent.js", document.querySelector("script").src)).then((unsent) => {
          const keep = (count, length, age) => {
            const at = Date.now() - age;
            const text = "x".repeat(length);
            const message = { kind: "room", target: "lobby", text, key: "k", at };
            const unconfirmed = Array.from({ length: count }, () => message);
            unsent.keepUnsent({ user: "u", name: "n", unconfirmed });
            const size = 2 * (sessionStorage.getItem("rfc6455-chat-unsent") ?? "").length;
            return [unsent.keptUnsent()?.messages.length ?? null, size <= unsent.MAX_SIZE * 1.01];
          };
          const results = [
            keep(1, 1, 0),
            keep(unsent.MAX_MESSAGES + 1, 1, 0)[0] === unsent.MAX_MESSAGES,
            keep(unsent.MAX_MESSAGES, 4000, 0)[1],
            keep(1, unsent.MAX_SIZE, 0),
            keep(1, 1, unsent.MAX_AGE),
            keep(0, 0, 0),
          ];
          unsent.forgetUnsent();
          done(results);
        });
        """
    )
    assert kept == [[1, True], True, True, [None, True], [0, True], [None, True]]
