"""How far people have read: what is new to them, and who has seen what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chat_page import ChatPage
from tests.browser.chromium import DESKTOP, use_screen
from tests.browser.test_login import log_in, path

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.browser.chat_server import ChatServer


pytestmark = pytest.mark.browser

Pair = tuple["ChatPage", "ChatPage"]


def test_who_said_something_sees_who_has_seen_it(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")
    grace.open_entry("joined-rooms", "lobby")
    grace.wait_room("lobby")
    ada.send("Lunch?")
    grace.wait_unread("joined-rooms", "kitchen", 1)
    assert ada.texts(".seen") == []
    grace.open_entry("joined-rooms", "kitchen")
    ada.wait_text(".seen", "Seen by Grace")
    # What is said next has not been seen, even though something was.
    grace.open_entry("joined-rooms", "lobby")
    grace.wait_room("lobby")
    ada.send("At one")
    ada.wait_delivered("At one")
    ada.wait(lambda: ada.texts(".seen") == [], "the line to go")


def test_more_than_fits_is_read_from_where_it_begins(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")
    grace.open_entry("joined-rooms", "lobby")
    for number in range(32):
        ada.send(f"line {number}")
    grace.wait_unread("joined-rooms", "kitchen", 32)
    grace.open_entry("joined-rooms", "kitchen")
    grace.wait_room("kitchen")
    grace.wait_text(".divider.unread", "New messages")
    top = "return document.querySelector('.divider.unread').getBoundingClientRect().top"
    assert 0 <= grace.driver.execute_script(top) < 200
    grace.wait_unread("joined-rooms", "kitchen", 32)
    assert grace.driver.title.startswith("(32)")
    grace.find("#scroller").send_keys(Keys.END)
    grace.wait_unread("joined-rooms", "kitchen", 0)
    ada.wait_text(".seen", "Seen by Grace")


def enter(page: ChatPage, server: ChatServer, name: str) -> None:
    use_screen(page.driver, DESKTOP)
    log_in(page, server, name)
    page.wait(lambda: path(page) != "login", "the login")
    # Administrators were led to a page of their own.
    page.driver.get(server.url)
    page.wait(lambda: page.find("#my-name").text == name, "the chat")
    page.wait_room("lobby")


def test_what_was_not_read_is_new_at_the_next_visit(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    ada, bob = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(ada, guarded, "Ada")
    enter(bob, guarded, "Bob")
    ada.create_room("kitchen")
    bob.open_entry("other-rooms", "kitchen")
    bob.wait_room("kitchen")
    ada.send("one")
    ada.wait_text(".seen", "Seen by Bob")
    bob.open_entry("joined-rooms", "lobby")
    bob.wait_room("lobby")
    bob.driver.get("about:blank")
    ada.wait_members("Ada")
    ada.send("two")
    ada.send("three")
    ada.open_entry("joined-rooms", "lobby")
    ada.send("four")
    ada.wait_delivered("four")
    bob.driver.get(guarded.url)
    # The rooms are entered again by themselves; what is open is read, and the others are not.
    bob.wait_message("four")
    bob.wait_unread("joined-rooms", "kitchen", 2)
    bob.open_entry("joined-rooms", "kitchen")
    bob.wait_room("kitchen")
    bob.wait_unread("joined-rooms", "kitchen", 0)
    items = bob.texts(".messages:not([hidden]) :is(.text, .divider.unread, .note)")
    assert items == ["one", "New messages", "two", "three"]
    ada.open_entry("joined-rooms", "kitchen")
    ada.wait_text(".seen", "Seen by Bob")
    # Who comes back knows that, too.
    ada.driver.refresh()
    ada.open_entry("joined-rooms", "kitchen")
    ada.wait_text(".seen", "Seen by Bob")


SAY = """
const [kind, target, count] = given;
const say = (text) => chat.client[kind](target, text).settled;
for (let number = 1; number <= count; number += 1) await say(`number ${number}`);
"""


def say(page: ChatPage, kind: str, target: str, count: int) -> None:
    page.run(SAY, kind, target, count)


def test_more_than_is_here_is_counted_at_the_next_visit(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    ada, bob = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(ada, guarded, "Ada")
    enter(bob, guarded, "Bob")
    ada.create_room("kitchen")
    bob.open_entry("other-rooms", "kitchen")
    bob.wait_room("kitchen")
    ada.wait_members("Ada", "Bob")
    bob.open_entry("joined-rooms", "lobby")
    bob.wait_room("lobby")
    bob.driver.get("about:blank")
    say(ada, "send", "kitchen", 70)
    say(ada, "sendPrivate", "Bob", 80)
    bob.driver.get(guarded.url)
    bob.wait_room("lobby")
    bob.wait_unread("joined-rooms", "kitchen", 70)
    bob.wait_unread("people", "Ada", 80)
    bob.wait(lambda: bob.driver.title.startswith("(150)"), "the title")
    # One that was taken back is new no longer, though it has never been here.
    ada.run("await chat.client.delete('kitchen', 3)")
    bob.wait_unread("joined-rooms", "kitchen", 69)
    # Reading begins where it ended.
    bob.open_entry("joined-rooms", "kitchen")
    bob.wait_message("number 1")
    bob.find("#scroller").send_keys(Keys.END)
    bob.wait_unread("joined-rooms", "kitchen", 0)
    bob.wait_unread("people", "Ada", 80)
    bob.driver.refresh()
    bob.wait_room("kitchen")
    bob.wait_unread("people", "Ada", 80)
    bob.wait_unread("joined-rooms", "kitchen", 0)
    bob.open_entry("people", "Ada")
    bob.wait_text("#title", "Ada")
    bob.find("#scroller").send_keys(Keys.END)
    bob.wait_unread("people", "Ada", 0)


def test_private_messages_are_new_until_they_are_read(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    ada, bob = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(ada, guarded, "Ada")
    enter(bob, guarded, "Bob")
    ada.open_entry("member-list", "Bob")
    ada.send("psst")
    bob.wait_unread("people", "Ada", 1)
    bob.driver.refresh()
    bob.wait_unread("people", "Ada", 1)
    bob.open_entry("people", "Ada")
    bob.wait_unread("people", "Ada", 0)
    ada.send("psst again")
    bob.wait_message("psst again")
    bob.open_entry("joined-rooms", "lobby")
    ada.send("and again")
    bob.wait_unread("people", "Ada", 1)
    bob.driver.refresh()
    bob.wait_unread("people", "Ada", 1)
    bob.open_entry("people", "Ada")
    assert "New messages" in bob.texts(".divider")
