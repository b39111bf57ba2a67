"""Two people in two browsers: rooms, messages, typing, private messages, names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chat_page import ChatPage

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.browser

Pair = tuple[ChatPage, ChatPage]


def test_messages_reach_everybody_in_the_room(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.send("Good morning, Grace")
    grace.wait_message("Good morning, Grace")
    grace.send("Good morning, Ada")
    ada.wait_message("Good morning, Ada")
    ada.wait_delivered("Good morning, Grace")
    for page in ada_and_grace:
        assert page.messages()[-2:] == ["Good morning, Grace", "Good morning, Ada"]
        authors = page.texts(".messages:not([hidden]) .author")
        assert authors[-2:] == ["Ada", "Grace"]


def test_a_message_keeps_its_lines_and_spaces(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    text = "first line\n    second, indented\n\nlast"
    for line in text.split("\n"):
        ada.write(line)
        ada.write(Keys.SHIFT + Keys.ENTER + Keys.SHIFT)
    ada.send("")
    grace.wait_message(text)
    rendered = grace.driver.find_elements(By.CSS_SELECTOR, ".messages:not([hidden]) .text")[-1]
    assert rendered.value_of_css_property("white-space-collapse") == "preserve"


def test_who_joins_later_sees_what_was_said(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.create_room("history")
    ada.send("You have missed this")
    ada.send("and this")
    ada.wait_delivered("and this")
    grace.open_entry("other-rooms", "history")
    grace.wait_room("history")
    assert grace.messages() == ["You have missed this", "and this"]


def test_typing_is_seen_and_ends(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.write("Let me th")
    grace.wait_text("#typing-text", "Ada is typing")
    assert ada.texts("#typing-text") == []
    ada.send("ink")
    grace.wait_message("Let me think")
    grace.wait(lambda: grace.texts("#typing-text") == [], "the end of typing")
    ada.write("n")
    grace.wait_text("#typing-text", "Ada is typing")
    ada.write(Keys.BACKSPACE)
    grace.wait(lambda: grace.texts("#typing-text") == [], "the end of typing")


def test_rooms_come_fill_and_go(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    entry = grace.wait_entry("other-rooms", "kitchen")
    grace.wait(lambda: entry.accessible_name == "Join kitchen, 1 member", "the count")
    entry.click()
    grace.wait_room("kitchen")
    for page in ada_and_grace:
        page.wait_members("Ada", "Grace")
        page.wait_text("#subtitle", "2 members")
    ada.wait_text(".note", "Grace joined")
    ada.click("#leave")
    ada.wait_room("lobby")
    grace.wait_members("Grace")
    grace.wait_text(".note", "Ada left")
    ada.wait_entry("other-rooms", "kitchen")
    # With its last member a room goes, and all that was said in it: so that is asked before.
    grace.click("#leave")
    grace.wait_text("#confirm-heading", "Leave #kitchen?")
    grace.click("#confirm button:not(#confirm-yes)")
    grace.wait_gone("#confirm")
    assert grace.texts("#title") == ["#kitchen"]
    grace.click("#leave")
    grace.click("#confirm-yes")
    grace.wait_room("lobby")
    for page in ada_and_grace:
        page.wait_no_entry("other-rooms", "kitchen")


def test_a_room_that_exists_is_not_created_again(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.wait_entry("other-rooms", "kitchen")
    grace.click("#new-room-button")
    grace.find("#new-room-name").send_keys("kitchen", Keys.ENTER)
    grace.wait(lambda: grace.texts("#new-room-message") != [""], "an explanation")
    assert grace.find("#new-room-name").get_attribute("aria-invalid") == "true"
    assert grace.focused() == "new-room-name"


def test_other_rooms_count_what_was_not_read(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    for page in (ada, grace):
        if page is ada:
            page.create_room("kitchen")
        else:
            page.open_entry("other-rooms", "kitchen")
            page.wait_room("kitchen")
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_room("lobby")
    grace.send("one")
    grace.send("two")
    ada.wait_unread("joined-rooms", "kitchen", 2)
    assert ada.driver.title == "(2) #lobby - Chat"
    ada.open_entry("joined-rooms", "kitchen")
    ada.wait_unread("joined-rooms", "kitchen", 0)
    assert ada.messages() == ["one", "two"]
    assert "New messages" in ada.texts(".divider")
    assert ada.driver.title == "#kitchen - Chat"


def test_a_draft_stays_with_its_room(ada: ChatPage) -> None:
    ada.create_room("kitchen")
    ada.write("half a thought")
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_room("lobby")
    assert ada.value() == ""
    ada.open_entry("joined-rooms", "kitchen")
    ada.wait_room("kitchen")
    assert ada.value() == "half a thought"


def test_private_messages_stay_between_two(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.open_entry("member-list", "Grace")
    ada.wait_text("#title", "Grace")
    ada.send("Between us")
    grace.wait_unread("people", "Ada", 1)
    assert "Between us" not in grace.messages()
    grace.open_entry("people", "Ada")
    grace.wait_message("Between us")
    grace.wait_unread("people", "Ada", 0)
    grace.send("Of course")
    ada.wait_message("Of course")
    ada.wait_delivered("Between us")
    assert ada.messages() == grace.messages() == ["Between us", "Of course"]
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_room("lobby")
    assert "Between us" not in ada.messages()


def test_a_private_message_to_nobody_can_be_tried_again(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.open_entry("member-list", "Grace")
    grace.click("#sign-out")
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_members("Ada")
    ada.open_entry("people", "Grace")
    ada.send("Are you there?")
    ada.wait(lambda: ada.find(".message[data-state=failed] .retry").is_displayed(), "a failure")
    grace.sign_in("Grace")
    ada.click(".message[data-state=failed] .retry")
    ada.wait_delivered("Are you there?")
    grace.wait_unread("people", "Ada", 1)
    assert ada.messages() == ["Are you there?"]


def test_a_failed_message_can_be_discarded(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.open_entry("member-list", "Grace")
    grace.click("#sign-out")
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_members("Ada")
    ada.open_entry("people", "Grace")
    ada.send("Too late")
    ada.click(".message[data-state=failed] .discard")
    assert ada.messages() == []
    assert ada.focused() == "composer-text"


def test_a_taken_name_is_refused_and_another_accepted(pages: Pair) -> None:
    ada, grace = pages
    ada.sign_in("Ada")
    grace.submit_name("ADA")
    grace.wait(lambda: "already has this name" in grace.texts("#sign-in-message")[0], "a refusal")
    assert grace.find("#name").get_attribute("aria-invalid") == "true"
    assert grace.focused() == "name"
    grace.sign_in("Grace")
    ada.wait_members("Ada", "Grace")


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "left\u202eright"])
def test_an_invalid_name_is_refused_with_a_reason(visit: Callable[[], ChatPage], name: str) -> None:
    ada = visit()
    ada.submit_name(name)
    ada.wait(
        lambda: ada.find("#sign-in-message").get_attribute("data-tone") == "error", "a refusal"
    )
    assert ada.texts("#sign-in-message")[0].startswith("A name ")


def test_the_name_is_remembered(ada: ChatPage) -> None:
    ada.click("#sign-out")
    ada.driver.refresh()
    assert ada.find("#name").get_property("value") == "Ada"


def test_signing_out_frees_the_name(pages: Pair) -> None:
    ada, grace = pages
    ada.sign_in("Ada")
    ada.create_room("kitchen")
    ada.click("#sign-out")
    ada.wait(lambda: ada.focused() == "name", "the first form")
    grace.sign_in("Ada")
    grace.wait_members("Ada")
    ada.sign_in("Somebody")
    assert ada.texts("#joined-rooms .entry-name") == ["lobby"]


def test_a_message_that_is_too_long_stays_in_the_box(ada: ChatPage) -> None:
    ada.driver.execute_script(
        """
        const box = document.getElementById("composer-text");
        box.value = "x".repeat(4001);
        box.dispatchEvent(new Event("input"));
        """
    )
    before = ada.messages()
    ada.send("")
    assert ada.texts("#composer-count") == ["1 character too many"]
    ada.send(Keys.BACKSPACE)
    ada.wait_delivered("x" * 4000)
    assert ada.messages() == [*before, "x" * 4000]


def test_scrolling_back_brings_what_was_said_earlier(ada_and_grace: Pair) -> None:
    ada, grace = ada_and_grace
    ada.create_room("old")
    lines = [f"line {number}" for number in range(70)]
    for line in lines:
        ada.send(line)
    ada.wait_delivered(lines[-1])
    grace.open_entry("other-rooms", "old")
    grace.wait_room("old")
    grace.wait_message(lines[-1])
    assert grace.messages() == lines[20:]
    grace.find("#scroller").send_keys(Keys.HOME)
    grace.wait(lambda: grace.messages() == lines, "the first line")
    # What was in view is in view still, and no day is named twice.
    assert grace.number("#scroller", "scrollTop") > 0
    days = grace.texts(".messages:not([hidden]) .divider")
    assert days
    assert len(days) == len(set(days))


def below(page: ChatPage) -> float:
    """How far the end of the conversation is below what is in view, in pixels."""
    height, top, visible = (
        page.number("#scroller", name) for name in ("scrollHeight", "scrollTop", "clientHeight")
    )
    return height - top - visible


@pytest.fixture
def reading(ada_and_grace: Pair) -> Pair:
    """Ada and Grace in a room of which Grace sees the end, with more above than fits."""
    ada, grace = ada_and_grace
    ada.create_room("long")
    grace.open_entry("other-rooms", "long")
    grace.wait_room("long")
    for number in range(30):
        ada.send(f"line {number}")
    grace.wait_message("line 29")
    grace.wait(lambda: below(grace) < 2, "the newest message in view")
    return ada, grace


def test_the_first_step_back_is_not_undone_by_what_is_written_meanwhile(reading: Pair) -> None:
    ada, grace = reading
    # Less than what counts as near the end: so a browser begins to go to the beginning.
    wheel = ScrollOrigin.from_element(grace.find("#scroller"))
    ActionChains(grace.driver).scroll_from_origin(wheel, 0, -20).perform()
    grace.wait(lambda: below(grace) == 20, "the first step")
    before = grace.number("#scroller", "scrollTop")
    ada.send("something new")
    grace.wait_shown("#to-newest")
    assert grace.number("#scroller", "scrollTop") == before


def test_reading_back_is_not_disturbed_by_new_messages(reading: Pair) -> None:
    ada, grace = reading
    grace.find("#scroller").send_keys(Keys.HOME)
    grace.wait(lambda: grace.number("#scroller", "scrollTop") == 0, "the beginning")
    ada.send("something new")
    grace.wait(lambda: grace.find("#to-newest").is_displayed(), "the button")
    assert grace.number("#scroller", "scrollTop") == 0
    grace.open_entry("joined-rooms", "lobby")
    grace.wait_room("lobby")
    grace.open_entry("joined-rooms", "long")
    grace.wait_room("long")
    assert grace.number("#scroller", "scrollTop") == 0
    ada.send("and newer")
    grace.wait_shown("#to-newest")
    grace.click("#to-newest")
    grace.wait(lambda: below(grace) < 2, "the newest message in view")
    assert not grace.find("#to-newest").is_displayed()
