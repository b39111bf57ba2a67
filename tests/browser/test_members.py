"""Who is in a room, and those who look after it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from tests.browser.chat_page import ChatPage
from tests.browser.test_reading import enter

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

    from tests.browser.chat_server import ChatServer

pytestmark = pytest.mark.browser

Pair = tuple[ChatPage, ChatPage]


@pytest.fixture
def in_kitchen(ada_and_grace: Pair) -> Pair:
    """Ada and Grace in a room that Ada has made."""
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")
    ada.wait_members("Ada", "Grace")
    return ada, grace


def look_after(page: ChatPage, name: str, action: str, reason: str = "") -> None:
    """Open the dialog about a member, and do something."""
    page.click(f"button[aria-label='Manage {name}']")
    page.find("#moderate-reason").send_keys(reason)
    page.click(f"#moderate [data-action={action}]")


def set_access(page: ChatPage, access: str) -> None:
    page.click("#open-room")
    Select(page.find("#room-access")).select_by_value(access)
    page.click("#room-save")
    page.wait(lambda: page.texts("#room") == [], "the dialog to close")


def test_everybody_sees_who_looks_after_a_room(in_kitchen: Pair) -> None:
    ada, grace = in_kitchen
    grace.wait_text("#member-list .entry-note", "owner")
    ada.wait_text("#member-list .entry-note", "you, owner")
    assert ada.texts(".moderate") == [""]
    assert grace.texts(".moderate") == []
    look_after(ada, "Grace", "promote")
    grace.wait_text("#member-list .entry-note", "you, moderator")
    ada.wait_text("#member-list .entry-note", "moderator")
    grace.wait_shown("button[aria-label='Manage Ada']")
    # Whoever looks after a room does nothing about its owner.
    look_after(grace, "Ada", "kick")
    grace.wait_text("#moderate-message", "This is for the owner of the room.")
    grace.click("#moderate-cancel")
    look_after(ada, "Grace", "demote")
    grace.wait(lambda: grace.texts(".moderate") == [], "the end of it")


def test_who_is_put_out_hears_why(in_kitchen: Pair) -> None:
    ada, grace = in_kitchen
    look_after(ada, "Grace", "kick", "too much <b>noise</b>")
    text = "You are no longer in #kitchen. Ada removed you: too much <b>noise</b>."
    grace.wait_text(".toast-text", text)
    grace.wait_room("lobby")
    ada.wait_members("Ada")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")


def test_who_is_kept_out_stays_out_until_let_in_again(in_kitchen: Pair) -> None:
    ada, grace = in_kitchen
    look_after(ada, "Grace", "ban")
    grace.wait_room("lobby")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_text(".toast-text", "You are banned from this room.")
    ada.click("#open-room")
    ada.find("#room-person").send_keys("Grace")
    ada.click("#room [data-action=unban]")
    ada.wait_text("#room-done", "Grace is no longer banned.")
    ada.find("#room-person").send_keys(Keys.ESCAPE)
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")


def test_in_a_read_only_room_only_its_moderators_write(in_kitchen: Pair) -> None:
    ada, grace = in_kitchen
    grace.wait_shown("#composer")
    set_access(ada, "read_only")
    grace.wait_shown("#read-only")
    assert grace.texts("#composer") == []
    ada.send("News")
    grace.wait_message("News")
    look_after(ada, "Grace", "promote")
    grace.wait_shown("#composer")
    grace.send("Thanks")
    ada.wait_message("Thanks")


def test_a_room_for_members_is_for_those_who_are_invited(in_kitchen: Pair) -> None:
    ada, grace = in_kitchen
    set_access(ada, "members")
    grace.click("#leave")
    grace.wait_text("#confirm-text", "You can only come back when you are invited.")
    grace.click("#confirm-yes")
    grace.wait_room("lobby")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_text(".toast-text", "This room is for those who were invited.")
    ada.click("#open-room")
    ada.find("#room-person").send_keys("Nobody")
    ada.click("#room [data-action=invite]")
    ada.wait_text("#room-message", "There is nobody of that name.")
    ada.find("#room-person").clear()
    ada.find("#room-person").send_keys("Grace")
    ada.click("#room [data-action=invite]")
    ada.wait_text("#room-done", "Grace is invited.")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")


def test_what_a_room_is_about_is_told(in_kitchen: Pair) -> None:
    ada, grace = in_kitchen
    ada.click("#open-room")
    ada.find("#room-topic").send_keys("Tea & <cake>", Keys.ENTER)
    for page in in_kitchen:
        page.wait_text("#subtitle", "2 members · Tea & <cake>")
    # Who does not look after the room may say what it is about, and no more.
    grace.click("#open-room")
    assert grace.texts("#room-rules") == []
    assert grace.find("#room-topic").get_property("value") == "Tea & <cake>"


def test_moderators_take_back_what_others_said(in_kitchen: Pair) -> None:
    ada, grace = in_kitchen
    grace.send("rude")
    ada.wait_message("rude")
    item = ada.driver.find_elements(By.CSS_SELECTOR, ".messages:not([hidden]) .message")[-1]
    ada.driver.execute_script(
        "arguments[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))", item
    )
    assert item.get_attribute("data-can") == "take-back"
    ada.driver.execute_script("arguments[0].querySelector('.take-back').click()", item)
    ada.click("#confirm-yes")
    grace.wait_message("This message was deleted.")


def test_who_is_away_is_listed_with_the_time(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    ada, bob = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(ada, guarded, "Ada")
    enter(bob, guarded, "Bob")
    ada.wait_members("Ada", "Bob")
    assert ada.texts("#away-section") == []
    bob.driver.get("about:blank")
    ada.wait_members("Ada")
    ada.wait_text("#away-list .entry-name", "Bob")
    (since,) = ada.texts("#away-list .entry-note")
    assert re.fullmatch(r"just now|\d min\. ago", since)
    ada.wait(lambda: ada.texts(".note")[-1].endswith("Bob went away"), "the note")
    ada.driver.refresh()
    ada.wait_text("#away-list .entry-name", "Bob")
    # They get it when they come back.
    ada.open_entry("away-list", "Bob")
    ada.send("See you later")
    ada.wait_delivered("See you later")
    bob.driver.get(guarded.url)
    bob.wait_unread("people", "Ada", 1)
    ada.open_entry("joined-rooms", "lobby")
    ada.wait(lambda: ada.texts("#away-section") == [], "Bob to be here")


def test_who_has_written_to_one_is_seen_to_be_here_without_a_room(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    ada, bob = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(ada, guarded, "Ada")
    enter(bob, guarded, "Bob")
    ada.open_entry("member-list", "Bob")
    ada.send("Are you here?")
    bob.wait_entry("people", "Ada")
    for page in (ada, bob):
        page.open_entry("joined-rooms", "lobby")
        page.click("#leave")
        page.wait_no_entry("joined-rooms", "lobby")
    # Bob has been written to. That shows Bob who wrote, and nothing of Bob.
    bob.wait_text("#subtitle", "Private messages · online")
    assert ada.texts("#subtitle") == ["Private messages"]
    bob.send("I am")
    ada.wait_text("#subtitle", "Private messages · online")
    # Without a connection nobody knows.
    ada.run("chat.client.suspend()")
    ada.wait_text("#subtitle", "Private messages")
    ada.run("chat.client.retryNow()")
    ada.wait_text("#subtitle", "Private messages · online")
    bob.driver.get("about:blank")
    # The server waits whether Bob comes back; the page asks when somebody looks at it again.
    look = "document.dispatchEvent(new Event('visibilitychange'))"

    def was_here() -> bool:
        ada.driver.execute_script(look)
        return ada.texts("#subtitle")[0].startswith("Private messages · was here ")

    # Each look asks the server, which puts out who asks too much.
    ada.wait(was_here, "Bob to be away", every=0.5)


def test_who_is_put_out_of_the_chat_hears_why_and_stays_out(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    bob, ada = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(bob, guarded, "Bob")
    enter(ada, guarded, "Ada")
    ada.driver.get(f"{guarded.url}admin")
    ada.click("button[aria-label='Kick Bob']")
    ada.driver.switch_to.alert.accept()
    bob.wait_text("#ended-heading", "You were removed")
    assert bob.texts("#app") == []
    assert bob.focused() == "ended-heading"
    assert bob.texts("#ended-reason")[0].endswith(".")
    ada.wait(lambda: guarded.stats()["users"] == 0, "the server to have nobody")
    bob.click("#ended-back")
    bob.wait_shown("#sign-in")


def test_private_messages_of_long_ago_come_by_scrolling(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome]
) -> None:
    ada, bob = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(ada, guarded, "Ada")
    enter(bob, guarded, "Bob")
    ada.open_entry("member-list", "Bob")
    lines = [f"line {number}" for number in range(70)]
    for line in lines:
        ada.send(line)
    ada.wait_delivered(lines[-1])
    bob.driver.refresh()
    bob.wait_unread("people", "Ada", 70)
    bob.open_entry("people", "Ada")
    bob.wait_message(lines[-1])
    bob.find("#scroller").send_keys(Keys.HOME)
    bob.wait(lambda: bob.messages() == lines, "the first line")


def test_a_private_message_is_changed_and_taken_back_for_both(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.open_entry("member-list", "Grace")
    ada.send("frist")
    ada.wait_delivered("frist")
    grace.open_entry("people", "Ada")
    grace.wait_message("frist")
    ada.write(Keys.ARROW_UP)
    ada.send("!")
    for page in ada_and_grace:
        page.wait_message("frist! (edited)")
    ada.write(Keys.ARROW_UP)
    ada.click("#task-delete")
    ada.click("#confirm-yes")
    for page in ada_and_grace:
        page.wait_message("This message was deleted.")
