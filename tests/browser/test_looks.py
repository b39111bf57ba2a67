"""What long names, many rooms, other scripts and much to read do to the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import PHONE, use_screen

if TYPE_CHECKING:
    from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.browser

LONGEST = "W" * 64
HEBREW = "שלום"

WIDER = """
    return [...document.querySelectorAll("*")]
      .filter((node) => node.checkVisibility({ visibilityProperty: true }))
      .filter((node) => /auto|scroll/.test(getComputedStyle(node).overflowX))
      .filter((node) => node.scrollWidth > node.clientWidth)
      .map((node) => node.id || node.className);
"""


def too_wide(page: ChatPage) -> list[str]:
    """What can be scrolled sideways, which nothing should."""
    return [str(name) for name in page.driver.execute_script(WIDER)]


def test_long_names_make_nothing_too_wide(ada_and_grace: tuple[ChatPage, ChatPage]) -> None:
    ada, _ = ada_and_grace
    ada.create_room(LONGEST)
    height = ada.number("#composer-text", "offsetHeight")
    ada.click("#open-room")
    assert too_wide(ada) == []
    ada.click("#room-cancel")
    ada.click("[data-tool=search]")
    assert too_wide(ada) == []
    ada.click("#tools-close")
    ada.click("#leave")
    ada.wait_shown("#confirm")
    assert too_wide(ada) == []
    ada.click("#confirm button:not(#confirm-yes)")
    # Nor does a long name in the message box make that any higher.
    ada.open_entry("joined-rooms", "lobby")
    ada.wait_room("lobby")
    assert ada.number("#composer-text", "offsetHeight") == height
    ada.open_entry("joined-rooms", LONGEST)
    use_screen(ada.driver, PHONE, phone=True)
    assert too_wide(ada) == []


def test_names_begin_at_the_same_side_whatever_their_script(
    pages: tuple[ChatPage, ChatPage],
) -> None:
    ada, other = pages
    ada.sign_in("Ada")
    other.sign_in(HEBREW)
    ada.wait_members("Ada", HEBREW)
    lefts = ada.driver.execute_script(
        """
        return [...document.querySelectorAll("#member-list .entry-name")].map((node) => {
          const range = document.createRange();
          range.selectNodeContents(node);
          return Math.round(range.getBoundingClientRect().left);
        });
        """
    )
    assert lefts[0] == lefts[1]


ENDS = """
    const [selector, name] = arguments;
    const node = [...document.querySelectorAll(selector)].at(-1);
    const texts = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    while (texts.nextNode() && !texts.currentNode.data.includes(name));
    if (!texts.currentNode.data?.includes(name)) return null;
    const at = texts.currentNode.data.indexOf(name);
    return [at, at + name.length - 1].map((index) => {
      const range = document.createRange();
      range.setStart(texts.currentNode, index);
      range.setEnd(texts.currentNode, index + 1);
      return range.getBoundingClientRect().left;
    });
"""


def test_names_among_words_are_read_in_their_own_direction(
    pages: tuple[ChatPage, ChatPage],
) -> None:
    ada, other = pages
    # What stands at its end is at its left, as where the name stands alone.
    name = f"{HEBREW}!"
    ada.sign_in("Ada")
    other.sign_in(name)
    ada.wait_text(".note", f"{name} joined")
    ada.send("one")
    ada.wait_text(".seen", f"Seen by {name}")

    def while_typing() -> list[float] | None:
        # It ends soon.
        other.write("x")
        ends: list[float] | None = ada.driver.execute_script(ENDS, "#typing-text", name)
        return ends

    typing = ada.wait(while_typing, "the name of who types")
    assert typing is not None
    assert typing[1] < typing[0]
    for selector in ("#member-list .entry-name", ".note", ".seen"):
        first, last = ada.driver.execute_script(ENDS, selector, name)
        assert last < first, selector


def test_an_address_cannot_be_turned_around(ada: ChatPage) -> None:
    turned = "\u202ehttps://example.org/a\u202eb"
    script = "document.querySelector('#composer-text').value = arguments[0]"
    ada.driver.execute_script(script, f"see {turned}")
    ada.send("")
    ada.wait_shown(".message a")
    link = ada.find(".message a")
    assert link.get_attribute("href") == "https://example.org/a"
    style = "const s = getComputedStyle(arguments[0]); return [s.direction, s.unicodeBidi]"
    assert ada.driver.execute_script(style, link) == ["ltr", "isolate"]


def test_many_other_rooms_are_in_order_and_can_be_searched(
    ada_and_grace: tuple[ChatPage, ChatPage],
) -> None:
    ada, grace = ada_and_grace
    rooms = [f"project-{number}" for number in range(12)]
    grace.run(
        """
        for (const room of given[0]) {
          await chat.client.createRoom(room);
          await chat.client.join(room);
        }
        """,
        rooms,
    )
    ada.wait_entry("other-rooms", "project-11")
    assert ada.texts("#other-rooms .entry-name") == rooms
    ada.find("#room-filter").send_keys("-1")
    wanted = ["project-1", "project-10", "project-11"]
    ada.wait(lambda: ada.texts("#other-rooms .entry-name") == wanted, "three of them")
    ada.find("#room-filter").send_keys("0", Keys.TAB, Keys.ENTER)
    ada.wait_room("project-10")


def test_who_reads_far_back_finds_the_way_to_the_latest(ada: ChatPage) -> None:
    ada.create_room("kitchen")
    fill = "document.querySelector('#composer-text').value = arguments[0]"
    for number in range(3):
        text = f"message {number}" + "\nand so on" * 30
        ada.driver.execute_script(fill, text)
        ada.send("")
        ada.wait_delivered(text)
    assert not ada.find("#to-newest").is_displayed()
    ada.driver.execute_script("document.querySelector('#scroller').scrollTop = 0")
    ada.wait_text("#to-newest-text", "Latest messages")
    ada.click("#to-newest")
    ada.wait_gone("#to-newest")
    assert ada.focused() == "composer-text"


def test_what_is_said_in_short_leaves_the_message_box_free(ada: ChatPage) -> None:
    ada.driver.execute_script(
        """
        import(new URL("page/dom.js", document.querySelector("script").src))
          .then(({ toast }) => toast("Something"));
        """
    )
    ada.wait_text(".toast-text", "Something")
    ends = "return arguments[0].getBoundingClientRect()[arguments[1]]"
    bottom = ada.driver.execute_script(ends, ada.find(".toast"), "bottom")
    assert bottom < ada.driver.execute_script(ends, ada.find("#composer"), "top")
    ada.click(".toast button")
    ada.wait_gone(".toast")


def test_each_message_tells_its_time_to_who_points_at_it(ada: ChatPage) -> None:
    # A browser without a screen has no pointer that hovers: what is for those is for all.
    ada.driver.execute_script(
        """
        for (const sheet of document.styleSheets)
          for (const rule of sheet.cssRules)
            if (rule.media?.mediaText.includes("hover")) rule.media.mediaText = "all";
        """
    )
    for text in ("one", "two"):
        ada.send(text)
        ada.wait_delivered(text)
    times = ada.driver.find_elements(By.CSS_SELECTOR, ".message time")
    texts = ada.driver.find_elements(By.CSS_SELECTOR, ".message .text")
    ActionChains(ada.driver).move_to_element(texts[-1]).perform()
    ada.wait_shown(".continued:hover time")
    said_at = """
        const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
        return clock.format(new Date(arguments[0].dateTime));
    """
    assert times[-1].text == ada.driver.execute_script(said_at, times[-1])
    assert times[-1].rect["x"] + times[-1].rect["width"] <= texts[-1].rect["x"]
