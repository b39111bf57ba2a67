"""What people write stays text, whoever sends it, and the Content-Security-Policy stands behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import (
    PHONE,
    console_errors,
    csp_violations,
    forget_script,
    on_new_document,
    use_screen,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.browser

HOSTILE = (
    '<img src=x onerror="window.ran=1">',
    "</script><script>window.ran=1</script>",
    "<svg/onload=window.ran=1>",
    "javascript:window.ran=1",
    "<a href=javascript:window.ran=1>x</a>",
    "{{constructor.constructor('window.ran=1')()}}",
    "[x](javascript:window.ran=1)",
    "${window.ran=1}",
    "&lt;b&gt;bold&lt;/b&gt;",
    '"><iframe srcdoc="<script>parent.ran=1</script>">',
)

PARTS_OF_THE_PAGE = "img, iframe, object, embed, style, [onerror], [onload], [srcdoc], body script"


def assert_nothing_ran(page: ChatPage) -> None:
    assert page.driver.execute_script("return window.ran") is None
    assert page.driver.find_elements(By.CSS_SELECTOR, PARTS_OF_THE_PAGE) == []


def test_hostile_messages_are_text(ada_and_grace: tuple[ChatPage, ChatPage]) -> None:
    ada, grace = ada_and_grace
    ada.open_entry("member-list", "Grace")
    for text in HOSTILE:
        ada.send(text)
    grace.open_entry("people", "Ada")
    ada.wait_delivered(HOSTILE[-1])
    grace.wait_message(HOSTILE[-1])
    assert ada.messages() == grace.messages() == list(HOSTILE)
    for page in ada_and_grace:
        page.open_entry("joined-rooms", "lobby")
        page.wait_room("lobby")
    for text in HOSTILE:
        ada.send(text)
        grace.wait_message(text)
    ada.wait_delivered(HOSTILE[-1])
    for page in ada_and_grace:
        assert page.messages()[-len(HOSTILE) :] == list(HOSTILE)
        assert_nothing_ran(page)


def test_hostile_names_are_text(pages: tuple[ChatPage, ChatPage]) -> None:
    mallory, grace = pages
    grace.sign_in("Grace")
    for name in (text for text in HOSTILE if len(text) <= 64):
        mallory.sign_in(name)
        mallory.write("x")
        grace.wait_text("#typing-text", f"{name} is typing")
        grace.wait_members(name, "Grace")
        mallory.send("y")
        grace.wait_text(".author", name)
        grace.open_entry("member-list", name)
        grace.wait_text("#title", name)
        mallory.click("#sign-out")
        grace.open_entry("joined-rooms", "lobby")
        grace.wait_members("Grace")
    for page in pages:
        assert_nothing_ran(page)


def test_hostile_rooms_are_refused(ada: ChatPage) -> None:
    ada.click("#new-room-button")
    for room in HOSTILE:
        field = ada.find("#new-room-name")
        field.clear()
        field.send_keys(room)
        ada.driver.execute_script("document.getElementById('new-room-message').textContent = ''")
        field.send_keys(Keys.ENTER)
        ada.wait(lambda: "1 to 64" in ada.texts("#new-room-message")[0], "a refusal")
    assert_nothing_ran(ada)


def test_only_web_addresses_become_links(ada: ChatPage) -> None:
    text = (
        "see https://example.org/a?b=c#d, (http://example.net/) "
        "but not javascript:alert(1) data:text/html,x file:///etc/passwd https://[broken"
    )
    ada.send(text)
    ada.wait_delivered(text)
    links = ada.driver.find_elements(By.CSS_SELECTOR, ".messages:not([hidden]) li:last-child a")
    assert [link.get_attribute("href") for link in links] == [
        "https://example.org/a?b=c#d",
        "http://example.net/",
    ]
    assert {link.get_attribute("rel") for link in links} == {"noopener noreferrer nofollow"}


# A socket that never leaves the page, for what our own server would not send.
HOSTILE_SERVER = """
const hostile = %s;
let over = false;
window.WebSocket = class extends EventTarget {
  constructor() {
    super();
    setTimeout(() => (over ? this.onclose({ code: 1006, reason: "" }) : this.onopen({})));
  }
  reply(event) {
    setTimeout(() => this.onmessage({ data: JSON.stringify(event) }));
  }
  send(data) {
    const { type, id, room } = JSON.parse(data);
    const time = "2026-01-01T00:00:00Z";
    if (type === "hello") {
      const rooms = hostile.map((room) => ({ room, members: 1 }));
      this.reply({ type: "welcome", server: hostile[0], version: hostile[1], limits: {} });
      const log = { epoch: "e", offset: 0, head: 0, recovered: false, more: false, history: [] };
      this.reply({ type: "ack", id, name: hostile[0], rooms, inbox: log, notifications: log });
    } else if (type === "join") {
      const history = hostile.map((text, index) => (
        { type: "message", room, offset: index + 1, from: hostile.at(-index), text, time }));
      const log = { epoch: "e", offset: history.length, recovered: false, more: false, history };
      const topic = hostile[0];
      this.reply({ type: "ack", id, room, members: hostile, count: 10, topic, read: 0, ...log });
      for (const [index, user] of hostile.entries()) {
        this.reply({ type: "typing", room, user, active: true });
        this.reply({ type: "left", room, user, count: 1 });
        const place = { offset: index + 1, time };
        this.reply({ type: "private", from: user, to: hostile[0], text: user, ...place });
        this.reply({ type: "error", id: null, code: user, message: user });
      }
      this.reply({ type: "typing", room, user: hostile[1], active: true });
      const offset = hostile.length + 1;
      this.reply({ type: "edited", room, target: 1, offset, from: hostile[2], text: hostile[0] });
      for (const text of hostile) {
        this.reply({ type: "notification", offset: 1, topic: text, title: text, text, time });
        this.reply({ type: "room_described", room, topic: text });
      }
    } else if (type === "members") {
      const members = hostile.map((name) => ({ user: name, name, role: name, last_seen: time }));
      this.reply({ type: "ack", id, room, members, after: hostile[0], online: 1, count: 1 });
    } else if (type === "search") {
      const found = hostile.map((text) => ({ from: text, text, time, offset: 1 }));
      this.reply({ type: "ack", id, room, found, before: null });
    } else if (type === "typing") {
      const frames = hostile.map((text) => (
        { time, sent: true, head: text, opcode: text, key: text, length: 1, text }));
      this.reply({ type: "frames", frames });
    } else if (type === "send") {
      this.reply({ type: "error", id, code: hostile[0], message: hostile[1] });
      over = true;
      setTimeout(() => this.onclose({ code: 1008, reason: hostile[2] }), 50);
    }
  }
  close() {}
};
"""


def test_a_hostile_server_runs_nothing(visit: Callable[[], ChatPage]) -> None:
    ada = visit()
    key = on_new_document(ada.driver, HOSTILE_SERVER % json.dumps(HOSTILE))
    try:
        ada.driver.refresh()
        ada.submit_name("Ada")
        ada.wait_room("lobby")
        ada.wait(lambda: ada.texts("#people .entry-name") != [], "private messages")
        ada.wait_text("#typing-text", f"{HOSTILE[1]} is typing")
        for text in HOSTILE[1:]:
            ada.wait_message(text)
        ada.wait_message(f"{HOSTILE[0]} (edited)")
        ada.wait_text("#away-list .entry-name", HOSTILE[0])
        ada.click("[data-tool=notifications]")
        ada.click("[data-tool=search]")
        ada.find("#search-text").send_keys("x", Keys.ENTER)
        ada.wait_text("#search-results .result-text", HOSTILE[0])
        ada.click("[data-tool=wire]")
        ada.write("x")
        ada.wait_text(".frame-text", HOSTILE[0])
        ada.driver.execute_script(
            "for (const node of document.querySelectorAll('details')) node.open = true"
        )
        ada.wait_text(".frame pre", HOSTILE[0])
        ada.send("")
        ada.wait_text(".delivery-text", f"Not sent. {HOSTILE[1]}.")
        ada.wait_status("waiting")
        assert_nothing_ran(ada)
    finally:
        forget_script(ada.driver, key)


def test_the_policy_refuses_what_is_inline(ada: ChatPage) -> None:
    ada.driver.execute_script(
        """
        const script = document.createElement("script");
        try { script.textContent = "window.ran = 1"; } catch { /* Trusted Types refuse it. */ }
        document.body.append(script);
        const picture = document.createElement("img");
        picture.setAttribute("onerror", "window.ran = 1");
        picture.src = "data:,x";
        document.body.append(picture);
        document.body.append(Object.assign(document.createElement("img"),
                                           { src: "https://example.org/x.png" }));
        """
    )
    ada.wait(lambda: len(csp_violations(ada.driver)) >= 3, "refusals")
    assert ada.driver.execute_script("return window.ran") is None
    ada.driver.execute_script("window.cspViolations = []")
    assert console_errors(ada.driver) != []


TEXT_FITS = """
return [...document.querySelectorAll(".text")].every(
  (node) => node.scrollWidth <= node.clientWidth,
);
"""


@pytest.mark.parametrize(
    "text",
    ["x" * 3000, "e" + "\u0301" * 600, ("a" + "\u0489" * 30) * 60, "\ufdfd" * 300, "_" * 3000],
    ids=["word", "marks", "more-marks", "wide", "line"],
)
def test_no_text_breaks_the_layout(ada_and_grace: tuple[ChatPage, ChatPage], text: str) -> None:
    ada, grace = ada_and_grace
    use_screen(grace.driver, PHONE, phone=True)
    ada.create_room("layout")
    grace.click("#open-sidebar")
    grace.open_entry("other-rooms", "layout")
    grace.wait_room("layout")
    ada.send("above")
    ada.driver.execute_script(
        """
        const box = document.getElementById("composer-text");
        box.value = arguments[0];
        box.dispatchEvent(new Event("input"));
        """,
        text,
    )
    ada.send("")
    ada.send("below")
    for page in ada_and_grace:
        page.wait_message("below")
        page.wait_message(text)
        assert page.driver.execute_script(
            "return document.documentElement.scrollWidth <= innerWidth"
        )
        content = page.number("#scroller", "scrollWidth")
        assert content <= page.number("#scroller", "clientWidth")
        assert page.driver.execute_script(TEXT_FITS)
        # What is painted outside of the message's own box is cut off.
        containment = page.find(".message .text").value_of_css_property("contain")
        assert containment == "paint"
