"""The page by keyboard, for screen readers, and in the colours that people have chosen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser.chromium import use_media

if TYPE_CHECKING:
    from tests.browser.chat_page import ChatPage

pytestmark = pytest.mark.browser


class Keyboard:
    """Somebody without a pointer."""

    def __init__(self, page: ChatPage) -> None:
        self.page = page

    def press(self, *keys: str) -> None:
        chain = ActionChains(self.page.driver)
        for key in keys:
            chain.send_keys(key)
        chain.perform()

    def back(self) -> None:
        ActionChains(self.page.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(
            Keys.SHIFT
        ).perform()

    def tab_to(self, name: str) -> None:
        """Press Tab until the control of that accessible name has the focus, and can be seen."""
        for _ in range(40):
            self.press(Keys.TAB)
            control = self.page.driver.switch_to.active_element
            if control.accessible_name == name:
                assert control.value_of_css_property("outline-style") == "solid", name
                return
        pytest.fail(f"Tab does not reach {name!r}")


def test_everything_works_by_keyboard(pages: tuple[ChatPage, ChatPage]) -> None:
    ada, grace = pages
    grace.sign_in("Grace")
    keyboard = Keyboard(ada)

    assert ada.focused() == "name"
    keyboard.press("Ada", Keys.ENTER)
    ada.wait_room("lobby")
    assert ada.focused() == "composer-text"
    keyboard.press("by keyboard", Keys.ENTER)
    grace.wait_message("by keyboard")

    keyboard.tab_to("New room")
    keyboard.press(Keys.ENTER)
    ada.wait(lambda: ada.focused() == "new-room-name", "the dialog")
    keyboard.press(Keys.ESCAPE)
    ada.wait(lambda: ada.focused() == "new-room-button", "the dialog to close")
    keyboard.press(Keys.ENTER, "kitchen", Keys.ENTER)
    ada.wait_room("kitchen")
    ada.wait(lambda: ada.focused() == "composer-text", "the message box")

    keyboard.tab_to("lobby, 2 members")
    keyboard.press(Keys.ENTER)
    ada.wait_room("lobby")
    keyboard.tab_to("Message Grace privately")
    keyboard.press(Keys.ENTER)
    ada.wait_text("#title", "Grace")
    keyboard.press("privately", Keys.ENTER)
    grace.wait_unread("people", "Ada", 1)
    keyboard.tab_to("Close this conversation")
    keyboard.press(Keys.ENTER)
    ada.wait_room("kitchen")
    keyboard.tab_to("Leave #kitchen")
    keyboard.press(Keys.ENTER)
    ada.wait(lambda: ada.focused() == "Cancel", "the question")
    keyboard.tab_to("Leave")
    keyboard.press(Keys.ENTER)
    ada.wait_room("lobby")
    keyboard.tab_to("Sign out")
    keyboard.press(Keys.ENTER)
    ada.wait(lambda: ada.focused() == "name", "the first form")


def test_tools_work_by_keyboard(ada: ChatPage) -> None:
    keyboard = Keyboard(ada)
    ada.find("#title").click()
    keyboard.tab_to("Search")
    keyboard.press(Keys.ENTER)
    assert ada.focused() == "search-text"
    keyboard.press("no such thing", Keys.ENTER)
    ada.wait_text("#search-status", "Nothing was found.")
    keyboard.press(Keys.ESCAPE)
    assert ada.focused() == "open-search"
    ada.find("#my-name").click()
    keyboard.back()
    assert ada.focused() == "System"
    keyboard.back()
    assert ada.focused() == "The wire"
    keyboard.press(Keys.SPACE)
    assert ada.texts("#tools-heading") == ["The wire"]
    assert ada.focused() == "tools-heading"
    keyboard.tab_to("Close")
    keyboard.press(Keys.ENTER)
    assert ada.texts("#tools") == []
    assert ada.focused() == "The wire"
    ada.wait_status("online")


def test_looking_after_a_room_works_by_keyboard(ada_and_grace: tuple[ChatPage, ChatPage]) -> None:
    ada, grace = ada_and_grace
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    ada.wait_shown("button[aria-label='Manage Grace']")
    keyboard = Keyboard(ada)
    for name, dialog in (("Room settings", "room"), ("Manage Grace", "moderate")):
        keyboard.tab_to(name)
        keyboard.press(Keys.ENTER)
        ada.wait_shown(f"#{dialog}")
        keyboard.press(Keys.ESCAPE)
        ada.wait_gone(f"#{dialog}")
        assert ada.driver.switch_to.active_element.accessible_name == name


def test_the_skip_link_leads_to_the_message_box(ada: ChatPage) -> None:
    keyboard = Keyboard(ada)
    keyboard.tab_to("Skip to the message box")
    assert ada.find(".skip").location["y"] >= 0
    keyboard.press(Keys.ENTER)
    ada.wait(lambda: ada.focused() == "composer-text", "the message box")


def test_messages_scroll_by_keyboard(ada: ChatPage) -> None:
    Keyboard(ada).back()
    assert ada.focused() == "scroller"
    assert ada.find("#scroller").accessible_name == "Messages"


def test_a_list_keeps_the_focus_when_it_changes(
    ada_and_grace: tuple[ChatPage, ChatPage],
) -> None:
    ada, grace = ada_and_grace
    Keyboard(ada).tab_to("lobby, 2 members")
    grace.create_room("attic")
    ada.wait_entry("other-rooms", "attic")
    assert ada.focused() == "lobby, 2 members"


def test_every_control_has_a_name(ada: ChatPage) -> None:
    ada.create_room("kitchen")
    controls = ada.driver.find_elements(By.CSS_SELECTOR, "button, input, textarea, a, dialog")
    shown = [control for control in controls if control.is_displayed()]
    assert len(shown) >= 7
    assert [
        control.get_attribute("outerHTML") for control in shown if not control.accessible_name
    ] == []


def test_the_page_has_its_landmarks(ada: ChatPage) -> None:
    found = [
        (node.aria_role, node.accessible_name)
        for node in ada.driver.find_elements(By.CSS_SELECTOR, "main, nav, aside")
        if node.is_displayed()
    ]
    assert found == [
        ("navigation", "Conversations"),
        ("main", ""),
        ("complementary", "Members"),
    ]
    headings = ada.driver.find_elements(By.CSS_SELECTOR, "h1")
    assert [node.text for node in headings if node.is_displayed()] == ["#lobby"]


def test_what_happens_is_announced(ada_and_grace: tuple[ChatPage, ChatPage]) -> None:
    ada, grace = ada_and_grace
    assert ada.find("#announcer").aria_role == "log"
    grace.send("listen")
    ada.wait(lambda: "Grace: listen" in announced(ada), "the message")
    ada.create_room("kitchen")
    grace.send("over here")
    ada.wait(lambda: "New message in #lobby" in announced(ada), "the message elsewhere")


def announced(page: ChatPage) -> list[str]:
    nodes = page.driver.find_elements(By.CSS_SELECTOR, "#announcer > *")
    return [str(node.get_property("textContent")) for node in nodes]


# Text on its background. WCAG 2.2, 1.4.3: "a contrast ratio of at least 4.5:1"
PAIRS = (
    ("--ink", "--bg"),
    ("--ink", "--hover"),
    ("--ink", "--selected"),
    ("--ink-soft", "--bg"),
    ("--ink-soft", "--side"),
    ("--ink-soft", "--selected"),
    ("--ink-soft", "--raised"),
    ("--accent", "--bg"),
    ("--on-accent", "--accent"),
    ("--on-accent", "--accent-strong"),
    ("--danger", "--bg"),
    ("--danger", "--raised"),
    ("--warn-ink", "--warn-bg"),
)


COLOUR = """
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = `var(${arguments[0]})`;
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
"""


def luminance(colour: str) -> float:
    match = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", colour)
    assert match, colour
    linear = []
    for part in match.groups():
        value = int(part) / 255
        linear.append(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("system", "choice", "scheme"),
    [
        ("light", "system", "light"),
        ("dark", "system", "dark"),
        ("light", "dark", "dark"),
        ("dark", "light", "light"),
    ],
)
def test_text_has_contrast(ada: ChatPage, system: str, choice: str, scheme: str) -> None:
    use_media(ada.driver, prefers_color_scheme=system)
    ada.click(f".theme input[value={choice}]")
    light = {}
    for name in {name for pair in PAIRS for name in pair}:
        light[name] = luminance(str(ada.driver.execute_script(COLOUR, name)))
    assert (light["--bg"] > 0.5) == (scheme == "light")
    for text, background in PAIRS:
        high, low = sorted((light[text], light[background]), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, background)


def test_nothing_moves_for_people_who_asked_for_it(
    ada_and_grace: tuple[ChatPage, ChatPage],
) -> None:
    ada, grace = ada_and_grace
    count = "return document.getAnimations().length"
    grace.write("x")
    ada.wait_text("#typing-text", "Grace is typing")
    ada.wait(lambda: ada.driver.execute_script(count) > 0, "moving dots")
    use_media(ada.driver, prefers_reduced_motion="reduce")
    ada.wait(lambda: ada.driver.execute_script(count) == 0, "dots at rest")
