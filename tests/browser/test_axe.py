"""Every view of the pages, judged by axe-core: no serious fault, in all colours and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.chat_page import ChatPage
from tests.browser.chat_server import ROOT
from tests.browser.chromium import DESKTOP, PHONE, use_media, use_screen
from tests.browser.test_login import log_in
from tests.browser.test_reading import enter

if TYPE_CHECKING:
    from collections.abc import Callable

    from selenium.webdriver import Chrome

    from tests.browser.chat_server import ChatServer

pytestmark = [pytest.mark.browser, pytest.mark.axe]

AXE = ROOT / ".node" / "node_modules" / "axe-core" / "axe.min.js"
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules that look at colours; to all others a page in the dark is the same."""
RUN = """
    const done = arguments[arguments.length - 1];
    const rules = arguments[0].length ? {runOnly: arguments[0]} : {};
    axe.run(document, {resultTypes: ["violations"], ...rules}).then(
      ({violations}) => done(violations.flatMap(({id, impact, nodes}) =>
        nodes.map(({target, failureSummary}) => [impact, id, target.join(" "), failureSummary]))),
      (error) => done([["critical", String(error), "", ""]]));
"""

sizes = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


def look(page: ChatPage, scheme: str) -> None:
    # At rest, since axe judges colours that change on their way.
    use_media(page.driver, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")


def violations(page: ChatPage, *rules: str) -> list[str]:
    """What axe-core finds that is serious or worse, by some rules or by all."""
    found = page.driver.execute_async_script(RUN, rules)
    return [
        f"{rule}: {target}: {summary}"
        for impact, rule, target, summary in found
        if impact in ("serious", "critical")
    ]


def faults(page: ChatPage) -> list[str]:
    """What axe-core finds on what is shown now, in the light and in the dark."""
    if not page.driver.execute_script("return 'axe' in window"):
        page.driver.execute_script(AXE.read_text(encoding="utf-8"))
    look(page, "dark")
    in_the_dark = violations(page, *COLOURS)
    look(page, "light")
    return in_the_dark + violations(page)


def test_axe_finds_what_is_wrong(visit: Callable[[], ChatPage]) -> None:
    page = visit()
    page.driver.execute_script("document.querySelector('label').remove()")
    page.driver.execute_script(
        """
        const style = new CSSStyleSheet();
        style.replaceSync("@media (prefers-color-scheme: dark) { h1 { color: #222 } }");
        document.adoptedStyleSheets.push(style);
        """
    )
    found = faults(page)
    assert any(fault.startswith("label:") for fault in found)
    assert any(fault.startswith("color-contrast:") for fault in found)


@sizes
def test_the_chat(
    ada_and_grace: tuple[ChatPage, ChatPage], server: ChatServer, size: tuple[int, int]
) -> None:
    ada, grace = ada_and_grace
    is_phone = size == PHONE
    server.publish("feeds", feed="prices", values={"TEA": 10, "PIE": 3.5})
    ada.create_room("kitchen")
    grace.open_entry("other-rooms", "kitchen")
    grace.wait_room("kitchen")
    grace.send("@Ada, see https://example.org/")
    ada.send("Thanks")
    ada.wait_text(".seen", "Seen by Grace")
    use_screen(ada.driver, size, phone=is_phone)
    grace.write("x")
    ada.wait_text("#typing-text", "Grace is typing")
    assert faults(ada) == []

    for tool in ("search", "notifications", "live", "wire"):
        if is_phone and tool != "search":
            ada.click("#open-sidebar")
        ada.click(f"[data-tool={tool}]")
        if tool == "search":
            ada.find("#search-text").send_keys("thanks", Keys.ENTER)
            ada.wait_shown("#search-results mark")
        elif tool == "notifications":
            ada.find("#subscribe-pattern").send_keys("a.#", Keys.ENTER)
            ada.wait_text("#patterns code", "a.#")
            server.publish("notifications", topic="a.b", title="Done", text="Well")
            ada.wait_text(".notice-title", "Done")
        elif tool == "live":
            ada.wait_shown(".value-key")
        else:
            ada.wait_shown(".frame")
            ada.wait_status("online")
            ada.driver.execute_script("document.querySelector('.frame details').open = true")
        assert faults(ada) == [], tool
        ada.click("#tools-close")

    if is_phone:
        ada.click("#open-sidebar")
        assert faults(ada) == []
        ada.click("#sidebar .drawer-close")
        ada.click("#open-members")
    assert faults(ada) == []
    ada.click("button[aria-label='Manage Grace']")
    assert faults(ada) == []
    ada.click("#moderate-cancel")
    ada.click("#open-room")
    assert faults(ada) == []
    ada.click("#room-cancel")
    ada.open_entry("member-list", "Grace")
    ada.wait_text("#title", "Grace")
    ada.find("#composer-text").send_keys("psst")
    ada.click("#send")
    ada.wait_delivered("psst")
    ada.find("#composer-text").send_keys(Keys.ARROW_UP)
    ada.wait_shown("#task")
    assert faults(ada) == []
    ada.click("#task-delete")
    assert faults(ada) == []


@pytest.mark.parametrize(("system", "choice"), [("light", "dark"), ("dark", "light")])
def test_the_colours_that_somebody_chose(ada: ChatPage, system: str, choice: str) -> None:
    look(ada, system)
    ada.click(f".theme input[value={choice}]")
    ada.driver.execute_script(AXE.read_text(encoding="utf-8"))
    assert violations(ada) == []


@sizes
def test_coming_in(visit: Callable[[], ChatPage], size: tuple[int, int]) -> None:
    page = visit()
    use_screen(page.driver, size, phone=size == PHONE)
    assert faults(page) == []
    page.submit_name("   ")
    page.wait_shown("#sign-in-message")
    assert faults(page) == []


@sizes
def test_logging_in_and_looking_after_the_chat(
    guarded: ChatServer, browsers: tuple[Chrome, Chrome], size: tuple[int, int]
) -> None:
    page, bob = ChatPage(browsers[0]), ChatPage(browsers[1])
    enter(bob, guarded, "Bob")
    for each in (page, bob):
        use_screen(each.driver, size, phone=size == PHONE)
    log_in(page, guarded, "Ada", "wrong horse")
    page.wait(lambda: page.find("#fault").text, "the fault")
    assert faults(page) == []
    log_in(page, guarded, "Ada")
    page.wait_shown("button[aria-label='Kick Bob']")
    assert faults(page) == []
    page.click("button[aria-label='Kick Bob']")
    page.driver.switch_to.alert.accept()
    bob.wait_text("#ended-heading", "You were removed")
    assert faults(bob) == []
    for each in (page, bob):
        each.driver.get("about:blank")
        use_screen(each.driver, DESKTOP)
