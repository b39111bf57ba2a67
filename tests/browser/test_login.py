"""Logging in, and the administrators' page, in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.chat_page import ChatPage
from tests.browser.chromium import DESKTOP, PHONE, console_errors, csp_violations, use_screen
from tests.browser.conftest import PASSWORD

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser


def log_in(page: ChatPage, server: ChatServer, name: str, password: str = PASSWORD) -> None:
    page.driver.get(f"{server.url}login")
    page.driver.execute_script("sessionStorage.clear()")
    page.find("#name").send_keys(name)
    page.find("#password").send_keys(password)
    page.find("button").click()


def path(page: ChatPage) -> str:
    return page.driver.current_url.partition("//")[2].partition("/")[2]


def test_who_logs_in_is_in_the_chat(guarded: ChatServer, browsers: tuple[Chrome, Chrome]) -> None:
    page = ChatPage(browsers[0])
    log_in(page, guarded, "Bob", "wrong horse")
    page.wait(lambda: "wrong" in page.find("#fault").text, "the fault")
    assert path(page) == "login"
    page.find("#password").send_keys(PASSWORD)
    page.find("button").click()
    page.wait(lambda: page.find("#my-name").text == "Bob", "the chat")
    assert csp_violations(page.driver) == []


def test_without_a_login_the_page_says_what_to_do(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    page = ChatPage(browsers[0])
    page.driver.get(guarded.url)
    page.driver.execute_script("sessionStorage.clear()")
    page.driver.refresh()
    page.find("#name").send_keys("Mallory")
    page.find("#sign-in button").click()
    page.wait(lambda: "login" in page.find("#sign-in-message").text, "the message")
    assert page.find("#sign-in a").get_attribute("href") == f"{guarded.url}login"


def test_an_administrator_sees_and_puts_out(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    bob, ada = ChatPage(browsers[0]), ChatPage(browsers[1])
    log_in(bob, guarded, "Bob")
    bob.wait(lambda: bob.find("#my-name").text == "Bob", "the chat")
    log_in(ada, guarded, "Ada")
    ada.wait(lambda: path(ada) == "admin", "the page of administrators")
    ada.wait_shown("[aria-label='Kick Bob']")
    assert "lobby" in ada.texts("#rooms")[0]
    ada.click("[aria-label='Kick Bob']")
    ada.driver.switch_to.alert.accept()
    ada.wait(
        lambda: not ada.driver.find_elements("css selector", "[aria-label='Kick Bob']"), "no Bob"
    )
    assert csp_violations(ada.driver) == []
    assert console_errors(ada.driver) == []


def test_an_administrator_ends_logins_and_is_told_when_the_server_is_gone(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    bob, ada = ChatPage(browsers[0]), ChatPage(browsers[1])
    log_in(bob, guarded, "Bob")
    bob.wait(lambda: path(bob) == "", "the chat")
    bob.wait_room("lobby")
    assert bob.texts("#administration") == []
    log_in(ada, guarded, "Ada")
    ada.wait(lambda: path(ada) == "admin", "the page of administrators")
    ada.click("[aria-label='End login of Bob']")
    ada.driver.switch_to.alert.accept()
    bob.wait_text("#ended-heading", "You are no longer signed in")
    ada.wait_text("#nobody", "Nobody is connected.")
    use_screen(ada.driver, PHONE, phone=True)
    assert ada.driver.execute_script("return document.documentElement.scrollWidth") == PHONE[0]
    use_screen(ada.driver, DESKTOP)
    # From here to the chat, and back.
    ada.click("header a")
    ada.wait(lambda: path(ada) == "", "the chat")
    ada.click("#administration a")
    ada.wait(lambda: path(ada) == "admin", "the page of administrators")
    ada.wait_text("#rooms td", "lobby")
    guarded.stop()
    ada.wait_text("#fault", "The server cannot be reached.")
    assert ada.find("main").get_attribute("data-stale") == "true"


def test_the_page_of_administrators_is_for_them(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    page = ChatPage(browsers[0])
    page.driver.get(f"{guarded.url}login")
    page.driver.execute_script("sessionStorage.clear()")
    page.driver.get(f"{guarded.url}admin")
    page.wait(lambda: path(page).startswith("login"), "the login page")
    log_in(page, guarded, "Bob")
    page.wait(lambda: page.find("#my-name").text == "Bob", "the chat")
    page.driver.get(f"{guarded.url}admin")
    page.wait(lambda: "administrators" in page.find("#fault").text, "the refusal")
    assert page.find("#visitors").text == ""


def test_who_is_no_longer_logged_in_is_told_so(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    page = ChatPage(browsers[0])
    log_in(page, guarded, "Bob")
    page.wait(lambda: path(page) == "", "the chat")
    page.wait_room("lobby")
    page.driver.execute_script("sessionStorage.clear()")
    guarded.stop()
    page.wait_status("waiting")
    guarded.start()
    page.driver.execute_script("document.getElementById('try-now').click()")
    page.wait_text("#ended-heading", "You are no longer signed in")
    assert page.texts("#ended-reason") == ["This server asks for a login."]
    console_errors(page.driver)


def test_who_signs_out_is_not_back_after_a_reload(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    page = ChatPage(browsers[0])
    log_in(page, guarded, "Bob")
    page.wait(lambda: path(page) == "", "the chat")
    page.wait_room("lobby")
    page.click("#sign-out")
    page.wait_shown("#welcome")
    page.driver.refresh()
    page.wait_shown("#welcome")
    assert page.texts("#app") == []
    # Nor does the page remember for the next one who it was.
    assert page.find("#name").get_property("value") == ""
